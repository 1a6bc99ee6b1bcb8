"""The settings of one file: which targets there are, which one is meant, and what holds for it."""

from __future__ import annotations

import os.path
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.config.checks import Bad, Values, nearest, table
from deploy.config.endpoint import Endpoint, endpoint
from deploy.config.faults import as_config_error, dotted
from deploy.config.file import find, read
from deploy.config.keys import FILE, Target, make
from deploy.errors import ConfigError

#: The name of the one target of a file without [targets].
ONLY = "production"
VARIABLE = "BACKSTAY_TARGET"


@dataclass(frozen=True)
class Settings:
    """A settings file, read and checked; ``root`` is the table in ``file`` that holds the settings.

    ``given`` is what the file sets, checked; it may hold a password.
    """

    file: Path
    root: str
    given: Values = field(repr=False)

    @property
    def target_names(self) -> tuple[str, ...]:
        """The targets in the order of the file."""
        return tuple(self.given.get("targets", [ONLY]))

    def pick(self, target: str | None, environ: Mapping[str, str]) -> str:
        """The target that is meant: the argument, else BACKSTAY_TARGET, else `target`, else the only one."""
        if target is not None:
            return self._known(target, "--target")
        if environ.get(VARIABLE):
            return self._known(environ[VARIABLE], VARIABLE)
        if self.given.get("target"):
            return str(self.given["target"])
        if len(self.target_names) > 1:
            names = ", ".join(self.target_names)
            hint = f'Choose with --target, {VARIABLE}, or `target = "…"` in the file: {names}.'
            raise self.error((), f"there are several targets and none was chosen: {names}", hint)
        return self.target_names[0]

    def resolve(self, name: str, host: str | None = None) -> Target:
        """The target ``name`` with everything filled in; ``host`` (from -H) goes before the file's.

        Raises ConfigError when host, path or an engine's own command is missing.
        """
        given = self.values(name)
        where = self._endpoint(name, given, host)
        self._required(given, name, "path", 'For example path = "/opt/shop".')
        target = make(
            given
            | {key: self._on_laptop(name, key, given.get(key, "")) for key in ("identity", "known_hosts")}
            | {"name": name, "state": _state(given), "config_file": self.file}
            | where._asdict()
        )
        if target.engine == "venv" and not target.venv.restart:
            hint = 'For example restart = "sudo systemctl restart shop".'
            raise self.error(self.loc(name, "venv", "restart"), 'is required when engine is "venv"', hint)
        return target

    def values(self, name: str) -> Values:
        """What the file sets for a target: its own keys over those of the top level."""
        shared = {key: value for key, value in self.given.items() if key not in {"target", "targets"}}
        return _over(shared, self.given["targets"][name]) if "targets" in self.given else shared

    def loc(self, name: str, *keys: str) -> tuple[str, ...]:
        """Where a key of a target would stand in the file."""
        return ("targets", name, *keys) if "targets" in self.given else keys

    def error(self, loc: tuple[str, ...], problem: str, hint: str = "") -> ConfigError:
        """A ConfigError at a place of this file."""
        return ConfigError(str(self.file), dotted(self.root, loc), problem, hint)

    def _known(self, name: str, source: str) -> str:
        if name in self.target_names:
            return name
        near = nearest(name, self.target_names)
        hint = f"Did you mean {near[0]}?" if near else f"Targets: {', '.join(self.target_names)}."
        raise self.error(("targets",), f"there is no target of the name given with {source}", hint)

    def _endpoint(self, name: str, given: Values, host: str | None) -> Endpoint:
        if host is None:
            hint = 'For example host = "deploy@server.example.org".'
            where: Endpoint = self._required(given, name, "host", hint)
            return where
        try:
            return endpoint(host)
        except Bad as bad:
            problem = f"the host given with -H {bad.problem}"
            raise self.error(self.loc(name, "host"), problem, bad.hint) from None

    def _required(self, given: Values, name: str, key: str, hint: str) -> Any:
        if key not in given:
            raise self.error(self.loc(name, key), "is required", hint)
        return given[key]

    def _on_laptop(self, name: str, key: str, path: str) -> str:
        if not path:
            return ""
        expanded = os.path.expanduser(path)
        if expanded.startswith("~"):
            raise self.error(self.loc(name, key), "begins with ~ and a user that is not on this machine")
        return os.path.normpath(self.file.parent / expanded)


def load(start: Path, *, target: str | None, host: str | None, environ: Mapping[str, str]) -> Target:
    """Find the settings from ``start`` upwards, pick the target and resolve it. Raises ConfigError.

    ``target`` and ``host`` are the user's options, None when not given; an empty one is refused.
    """
    settings = load_settings(find(start))
    return settings.resolve(settings.pick(target, environ), host)


def load_settings(path: Path) -> Settings:
    """Read and check the whole file, all targets. Raises ConfigError for the first thing that is wrong."""
    path = Path(os.path.abspath(path))
    root, raw = read(path)
    try:
        settings = Settings(path, root, table(FILE)(raw))
    except Bad as bad:
        raise as_config_error(path, root, bad) from None
    _check_whole(settings)
    return settings


def _check_whole(settings: Settings) -> None:
    # Said after all that stands there: a key that is misspelled is the likelier reason.
    if "app" not in settings.given:
        raise settings.error(("app",), "is required", 'The name of your application: app = "shop".')
    if not settings.target_names:
        raise settings.error(("targets",), "has no target in it", "Write a table [targets.production].")
    if settings.given.get("target", "") not in {"", *settings.target_names}:
        raise settings.error(("target",), "names no target", f"Targets: {', '.join(settings.target_names)}.")
    _keep_states_apart(settings)


def _keep_states_apart(settings: Settings) -> None:
    """Records belong to one checkout: two that share a folder would undo each other's releases."""
    owners: dict[tuple[Endpoint, str], tuple[str, str]] = {}
    for name in settings.target_names:
        given = settings.values(name)
        if "host" not in given or "path" not in given:
            continue
        path, state = posixpath.normpath(given["path"]), posixpath.normpath(_state(given))
        if f"{state}/".startswith(f"{path}/"):
            raise settings.error(settings.loc(name, "state"), "must not be inside `path`")
        owner, checkout = owners.setdefault((given["host"], state), (name, path))
        if checkout != path:
            problem = f"is the same folder on the same host as that of {owner}, which has another `path`"
            hint = f'For example state = "~/.local/state/backstay/{given["app"]}-{name}".'
            raise settings.error(settings.loc(name, "state"), problem, hint)


def _state(given: Values) -> str:
    return given.get("state") or f"~/.local/state/backstay/{given['app']}"


def _over(base: Values, top: Values) -> Values:
    """``base`` with every key that ``top`` sets itself, section by section."""
    return base | {
        key: _over(base.get(key, {}), value) if isinstance(value, dict) else value
        for key, value in top.items()
    }
