"""The settings of one file: which targets there are, which one is meant, and what holds for it."""

from __future__ import annotations

import os.path
import posixpath
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from deploy.config.endpoint import Endpoint, endpoint
from deploy.config.faults import as_config_error, dotted
from deploy.config.file import find, read
from deploy.config.keys import Document, Shared, Target, TargetTable
from deploy.config.values import Bad
from deploy.errors import ConfigError

#: The name of the one target of a file without [targets].
ONLY = "production"
VARIABLE = "BACKSTAY_TARGET"

_Model = TypeVar("_Model", bound=BaseModel)


@dataclass(frozen=True)
class Settings:
    """A settings file, read and checked; ``root`` is the table in ``file`` that holds the settings."""

    file: Path
    root: str
    document: Document

    @property
    def target_names(self) -> tuple[str, ...]:
        """The targets in the order of the file."""
        return tuple(self.document.targets) if self.document.targets else (ONLY,)

    def pick(self, target: str | None, environ: Mapping[str, str]) -> str:
        """The target that is meant: the argument, else BACKSTAY_TARGET, else `target`, else the only one."""
        if target is not None:
            return self._known(target, "--target")
        if environ.get(VARIABLE):
            return self._known(environ[VARIABLE], VARIABLE)
        if self.document.target:
            return self.document.target
        if len(self.target_names) > 1:
            hint = f'Choose with --target, {VARIABLE}, or `target = "…"` in the file: {self._list()}.'
            raise self.error((), f"there are several targets and none was chosen: {self._list()}", hint)
        return self.target_names[0]

    def resolve(self, name: str, host: str | None = None) -> Target:
        """The target ``name`` with everything filled in; ``host`` (from -H) goes before the file's.

        Raises ConfigError when host, path or an engine's own command is missing.
        """
        table = self.table(name)
        where = self._endpoint(name, table, host)
        if not table.path:
            raise self.error(self.loc(name, "path"), "is required", 'For example path = "/opt/shop".')
        self._check_engine(name, table)
        given: dict[str, Any] = {key: getattr(table, key) for key in Shared.model_fields}
        given |= {key: self._on_laptop(name, key, given[key]) for key in ("identity", "known_hosts")}
        given["state"] = _state(self.document.app, table)
        return Target(
            name=name,
            app=self.document.app,
            host=where.host,
            user=where.user,
            port=where.port,
            path=table.path,
            ledger=self.document.ledger,
            config_file=self.file,
            **given,
        )

    def table(self, name: str) -> TargetTable:
        """What holds for a target: its own keys over those of the top level."""
        return _over(self.document, self.document.targets[name]) if self.document.targets else self.document

    def loc(self, name: str, *keys: str) -> tuple[str, ...]:
        """Where a key of a target would stand in the file."""
        return ("targets", name, *keys) if self.document.targets else keys

    def error(self, loc: tuple[str, ...], problem: str, hint: str = "") -> ConfigError:
        """A ConfigError at a place of this file."""
        return ConfigError(str(self.file), dotted(self.root, loc), problem, hint)

    def _list(self) -> str:
        return ", ".join(self.target_names)

    def _known(self, name: str, source: str) -> str:
        if name in self.target_names:
            return name
        near = get_close_matches(name[:60], self.target_names, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"Targets: {self._list()}."
        raise self.error(("targets",), f"there is no target of the name given with {source}", hint)

    def _endpoint(self, name: str, table: TargetTable, host: str | None) -> Endpoint:
        if host is not None:
            try:
                return endpoint(host)
            except Bad as bad:
                raise self.error(
                    self.loc(name, "host"), f"the host given with -H {bad.problem}", bad.hint
                ) from None
        if table.host is None:
            hint = 'For example host = "deploy@server.example.org".'
            raise self.error(self.loc(name, "host"), "is required", hint)
        return table.host

    def _check_engine(self, name: str, table: TargetTable) -> None:
        if table.engine == "venv" and not table.venv.restart:
            hint = 'For example restart = "sudo systemctl restart shop".'
            raise self.error(self.loc(name, "venv", "restart"), 'is required when engine is "venv"', hint)

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
        document = Document.model_validate(raw)
    except ValidationError as error:
        raise as_config_error(path, root, error) from None
    settings = Settings(path, root, document)
    _check_targets(settings)
    return settings


def _check_targets(settings: Settings) -> None:
    if settings.document.targets == {}:
        raise settings.error(("targets",), "has no target in it", "Write a table [targets.production].")
    chosen = settings.document.target
    if chosen and chosen not in settings.target_names:
        raise settings.error(("target",), "names no target", f"Targets: {', '.join(settings.target_names)}.")
    _keep_states_apart(settings)


def _keep_states_apart(settings: Settings) -> None:
    """Records belong to one checkout: two that share a folder would undo each other's releases."""
    owners: dict[tuple[Endpoint | None, str], str] = {}
    for name in settings.target_names:
        table = settings.table(name)
        if not table.host or not table.path:
            continue
        state = _state(settings.document.app, table)
        if _is_below(state, table.path):
            raise settings.error(settings.loc(name, "state"), "must not be inside `path`")
        owner = owners.setdefault((table.host, posixpath.normpath(state)), name)
        if posixpath.normpath(settings.table(owner).path) != posixpath.normpath(table.path):
            problem = f"is the same folder on the same host as that of {owner}, which has another `path`"
            hint = f'For example state = "~/.local/state/backstay/{settings.document.app}-{name}".'
            raise settings.error(settings.loc(name, "state"), problem, hint)


def _state(app: str, table: TargetTable) -> str:
    return table.state or f"~/.local/state/backstay/{app}"


def _is_below(path: str, folder: str) -> bool:
    return f"{posixpath.normpath(path)}/".startswith(f"{posixpath.normpath(folder)}/")


def _over(base: _Model, top: BaseModel) -> _Model:
    """``base`` with every key that ``top`` sets itself, section by section."""
    changes = {}
    for key in top.model_fields_set:
        below, above = getattr(base, key), getattr(top, key)
        changes[key] = _over(below, above) if isinstance(above, BaseModel) else above
    return base.model_copy(update=changes)
