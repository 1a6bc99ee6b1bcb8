"""The application's services, out of Compose's own form of its file; v1's and v2's differ in small things."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Words = tuple[str, ...]


@dataclass(frozen=True)
class Mount:
    """A volume; ``source`` is a folder of the server for a ``bind``, a name for a ``volume``, or empty."""

    kind: str
    source: str
    target: str


@dataclass(frozen=True)
class Service:
    """One service. ``command`` and ``entrypoint`` are None where the image's own are used."""

    name: str
    image: str = ""
    context: str = ""
    dockerfile: str = "Dockerfile"
    command: Words | None = None
    entrypoint: Words | None = None
    container_name: str = ""
    health: bool = False
    init: bool = False
    restart: str = ""
    profiles: Words = ()
    mounts: tuple[Mount, ...] = ()
    #: Addresses of the server that ports are published on; empty: all of them.
    published: Words = field(default=())


def services(text: str) -> dict[str, Service]:
    """The services by name; none when ``text`` is not what Compose prints."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        # What is masked begins like an alias.
        found = YAML(typ="safe", pure=True).load(text.replace("***", "masked"))
        listed: Mapping[str, Any] = (found or {}).get("services") or {}
        return {str(name): _service(str(name), about or {}) for name, about in listed.items()}
    except (YAMLError, AttributeError, TypeError, ValueError):
        return {}


def words(value: object) -> Words | None:
    """A command as words; a string is split as Compose does it."""
    if value is None:
        return None
    if isinstance(value, str):
        try:
            return tuple(shlex.split(value))
        except ValueError:
            return (value,)
    return tuple(map(str, value)) if isinstance(value, list) else None


def _service(name: str, about: Mapping[str, Any]) -> Service:
    build = about.get("build") or {}
    if isinstance(build, str):
        build = {"context": build}
    health = about.get("healthcheck") or {}
    return Service(
        name,
        image=str(about.get("image") or ""),
        context=str(build.get("context") or ""),
        dockerfile=str(build.get("dockerfile") or "Dockerfile"),
        command=words(about.get("command")),
        entrypoint=words(about.get("entrypoint")),
        container_name=str(about.get("container_name") or ""),
        health=bool(health)
        and not health.get("disable")
        and (words(health.get("test")) or ("",))[0] != "NONE",
        init=bool(about.get("init")),
        restart=str(about.get("restart") or ""),
        profiles=tuple(map(str, about.get("profiles") or ())),
        mounts=tuple(map(_mount, about.get("volumes") or ())),
        published=tuple(one for port in about.get("ports") or () if (one := _published(port)) is not None),
    )


def _mount(value: object) -> Mount:
    if isinstance(value, Mapping):
        return Mount(str(value.get("type")), str(value.get("source") or ""), str(value.get("target") or ""))
    source, _, rest = str(value).partition(":")
    target = rest.split(":")[0]
    kind = "bind" if source.startswith(("/", ".", "~")) and target else "volume"
    return Mount(kind, source if target else "", target or source)


def _published(value: object) -> str | None:
    """The address that a port is published on; empty for all of them, None where none is."""
    if isinstance(value, Mapping):
        return str(value.get("host_ip") or "") if value.get("published") else None
    found = re.fullmatch(r"(?:(\[.*\]|[\d.]+):)?\d*:\d[\d/a-z-]*", str(value))
    return (found[1] or "") if found else None
