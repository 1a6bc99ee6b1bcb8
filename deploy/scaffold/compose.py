"""Add the migration service to a compose file, by inserting lines: every other byte stays as it is.

ruamel.yaml says where things stand. The result is read again, and must be the old file and what was to be
added, or the edit is not made.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.errors import UsageError

#: The names by which Compose finds its file, in its order.
NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")
MIGRATE = "db-migrate"
_COMMENT = "# Brings the database up to date and ends; the services that depend on it wait for that."
#: What the migration service has in common with the one whose code it runs.
_SHARED = (
    "<<",
    "build",
    "image",
    "platform",
    "user",
    "working_dir",
    "environment",
    "env_file",
    "secrets",
    "configs",
    "volumes",
    "networks",
    "extra_hosts",
)


class CannotEditError(UsageError):
    """The compose file is written in a way that lines cannot be added to; says what to add by hand."""


@dataclass(frozen=True)
class Service:
    """What matters here of a service."""

    name: str
    build: bool
    context: str
    dockerfile: str
    image: str
    working_dir: str
    command: str
    depends_on: tuple[str, ...]
    profiles: tuple[str, ...]
    environment: frozenset[str]
    env_files: bool


def load(text: str) -> Any:
    """The file as plain values. Raises ValueError with the reason, on one line, when it is not YAML."""
    # Slow to load, and rarely needed.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from None


def services(text: str) -> dict[str, Service]:
    """The services of a compose file. Raises ValueError when it is none."""
    data = load(text)
    found = data.get("services") if isinstance(data, dict) else None
    if not isinstance(found, dict):
        raise ValueError("it has no services")
    return {str(name): _service(str(name), body or {}) for name, body in found.items() if _is_table(body)}


def _is_table(body: Any) -> bool:
    return body is None or isinstance(body, dict)


def _service(name: str, body: Mapping[str, Any]) -> Service:
    build = body.get("build")
    table = build if isinstance(build, dict) else {"context": build or "."}
    environment = body.get("environment") or ()
    profiles = body.get("profiles") or ()
    return Service(
        name=name,
        build=bool(build),
        context=str(table.get("context", ".")),
        dockerfile=str(table.get("dockerfile", "Dockerfile")),
        image=str(body.get("image") or ""),
        working_dir=str(body.get("working_dir") or ""),
        command=words(body.get("command")),
        depends_on=tuple(map(str, body.get("depends_on") or ())),
        profiles=tuple(map(str, profiles if isinstance(profiles, list) else ())),
        environment=frozenset(str(item).partition("=")[0] for item in environment),
        env_files=bool(body.get("env_file")),
    )


def words(command: Any) -> str:
    """A command as one line, whichever way it is written."""
    return " ".join(map(str, command)) if isinstance(command, list) else str(command or "")


def add_migration(text: str, main: str, command: Sequence[str]) -> str:
    """The file with the service ``db-migrate`` before ``main``, which then depends on it.

    Raises CannotEditError when that cannot be done by adding lines, and ValueError when it is no YAML.
    """
    before = load(text)
    try:
        file = _File(text)
        edited = file.with_lines(_insertions(file, before, main, command))
        after = load(edited)
    except (LookupError, ValueError):
        raise _by_hand(main, command) from None
    if not _only_added(before, after, main):
        raise _by_hand(main, command)
    return edited


def _by_hand(main: str, command: Sequence[str]) -> CannotEditError:
    example = (
        f"  {MIGRATE}: the same build, environment, volumes and networks as {main}, and\n"
        f"    command: {_flow(command)}\n"
        f"  {main}:\n"
        f"    depends_on: {{{MIGRATE}: {{condition: service_completed_successfully}}}}"
    )
    return CannotEditError(
        "the compose file is written in a way that lines cannot be added to it",
        f"Add this by hand, then run fab init again:\n{example}",
    )


class _File:
    """A compose file as lines, and where each key of a block mapping stands."""

    def __init__(self, text: str) -> None:
        from ruamel.yaml import YAML

        self.lines = text.splitlines(keepends=True)
        if self.lines and not self.lines[-1].endswith("\n"):
            self.lines[-1] += "\n"
        self.root = YAML(typ="rt", pure=True).compose("".join(self.lines))

    def entry(self, *path: str) -> tuple[Any, Any]:
        """The key and value nodes at a path; KeyError when there is none, or it is not written as a block."""
        node, key = self.root, None
        for name in path:
            if node.flow_style or not isinstance(node.value, list):
                raise KeyError(name)
            pairs = [(k, v) for k, v in node.value if k.value == name]
            if not pairs:
                raise KeyError(name)
            key, node = pairs[0]
        return key, node

    def has(self, *path: str) -> bool:
        """Whether there is such an entry, written as a block."""
        try:
            self.entry(*path)
        except KeyError:
            return False
        return True

    def span(self, *path: str) -> tuple[int, int]:
        """The lines of an entry, without the blank and comment lines after it."""
        key, _ = self.entry(*path)
        start, indent = key.start_mark.line, key.start_mark.column
        end = start + 1
        while end < len(self.lines) and self._belongs(self.lines[end], indent):
            end += 1
        while end > start + 1 and re.match(r"\s*(#.*)?$", self.lines[end - 1]):
            end -= 1
        return start, end

    @staticmethod
    def _belongs(line: str, indent: int) -> bool:
        """A line is of the entry above when it is deeper, blank, or an item of a list with no indent."""
        bare = line.lstrip(" ")
        column = len(line) - len(bare)
        return not bare.strip() or column > indent or (column == indent and bare.startswith("- "))

    def indent(self, *path: str) -> int:
        """The column of an entry's key."""
        column: int = self.entry(*path)[0].start_mark.column
        return column

    def step(self, name: str) -> int:
        """By how much this file indents below a service."""
        _, body = self.entry("services", name)
        if body.flow_style or not isinstance(body.value, list) or not body.value:
            raise KeyError(name)
        return int(body.value[0][0].start_mark.column) - self.indent("services", name)

    def block(self, *path: str) -> list[str]:
        """An entry's own lines; one with an anchor is given as its alias, since an anchor stands once."""
        key, value = self.entry(*path)
        if value.anchor and not self._is_alias(key, value):
            return [f"{' ' * key.start_mark.column}{path[-1]}: *{value.anchor}\n"]
        start, end = self.span(*path)
        lines = self.lines[start:end]
        if any(re.search(r"(^|\s)&\w", line) for line in lines):
            raise KeyError(path[-1])
        return lines

    def _is_alias(self, key: Any, value: Any) -> bool:
        return bool(value.start_mark.line < key.start_mark.line)

    def with_lines(self, insertions: Mapping[tuple[int, int], Sequence[str]]) -> str:
        """The text with the lines [start, end) replaced; start = end inserts."""
        lines = list(self.lines)
        for (start, end), new in sorted(insertions.items(), reverse=True):
            lines[start:end] = new
        return "".join(lines)


def _insertions(
    file: _File, data: Any, main: str, command: Sequence[str]
) -> dict[tuple[int, int], list[str]]:
    start, end = file.span("services", main)
    # A comment right above a service is about it.
    while start and file.lines[start - 1].lstrip().startswith("#"):
        start -= 1
    margin, step = " " * file.indent("services", main), " " * file.step(main)
    waits = _waits(data, main)
    changes = {(start, start): [*_new_service(file, margin, step, main, command, waits), "\n"]}
    condition = [f"{MIGRATE}:", f"{step}condition: service_completed_successfully"]
    if not file.has("services", main, "depends_on"):
        lines = [f"{margin}{step}depends_on:", *(f"{margin}{step}{step}{line}" for line in condition)]
        changes[end, end] = [f"{line}\n" for line in lines]
        return changes
    first, last = file.span("services", main, "depends_on")
    _, value = file.entry("services", main, "depends_on")
    if isinstance(data["services"][main]["depends_on"], dict):
        deeper = " " * value.value[0][0].start_mark.column
        changes[last, last] = [f"{deeper}{line}\n" for line in condition]
        return changes
    # The short form has no conditions: the same in the long one.
    lines = [f"{margin}{step}depends_on:"]
    for name in data["services"][main]["depends_on"]:
        lines += [f"{margin}{step * 2}{name}:", f"{margin}{step * 3}condition: service_started"]
    lines += [f"{margin}{step * 2}{line}" for line in condition]
    changes[first, last] = [f"{line}\n" for line in lines]
    return changes


def _new_service(
    file: _File, margin: str, step: str, main: str, command: Sequence[str], waits: Mapping[str, str]
) -> list[str]:
    shared = [name for name in _SHARED if file.has("services", main, name)]
    if "build" in shared and "image" in shared:
        # An image name of its own: two services that build one name would take it from each other.
        shared.remove("image")
    blocks = [line for name in shared for line in file.block("services", main, name)]
    lines = [f"{margin}{_COMMENT}", f"{margin}{MIGRATE}:"]
    after = [f"{margin}{step}command: {_flow(command)}"]
    if waits:
        after.append(f"{margin}{step}depends_on:")
    for name, condition in waits.items():
        after += [f"{margin}{step * 2}{name}:", f"{margin}{step * 3}condition: {condition}"]
    after.append(f'{margin}{step}restart: "no"')
    return [f"{lines[0]}\n", f"{lines[1]}\n", *blocks, *(f"{line}\n" for line in after)]


def _waits(data: Any, main: str) -> dict[str, str]:
    """What the migration waits for: what ``main`` does, and healthy where that can be asked."""
    wanted = data["services"][main].get("depends_on") or ()
    found = {}
    for name in wanted:
        given = wanted[name].get("condition") if isinstance(wanted, dict) else None
        checked = (data["services"].get(name) or {}).get("healthcheck")
        found[str(name)] = str(given or ("service_healthy" if checked else "service_started"))
    return found


def _flow(command: Sequence[str]) -> str:
    plain = all(re.fullmatch(r"[\w./@%+-]+", word) for word in command)
    return " ".join(command) if plain else "[" + ", ".join(f'"{word}"' for word in command) + "]"


def _only_added(before: Any, after: Any, main: str) -> bool:
    """Whether ``after`` is ``before`` and the two additions."""
    services = dict(after["services"])
    if MIGRATE not in services or MIGRATE in before["services"]:
        return False
    del services[MIGRATE]
    changed = dict(services[main])
    depends = dict(changed.pop("depends_on"))
    depends.pop(MIGRATE)
    was = dict(before["services"][main])
    old = was.pop("depends_on", None) or {}
    if not isinstance(old, dict):
        old = {name: {"condition": "service_started"} for name in old}
    services[main], others = changed, {**before["services"], main: was}
    return depends == old and {**after, "services": services} == {**before, "services": others}
