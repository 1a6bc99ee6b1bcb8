"""The story of a release: which steps, in which order, and what an engine has to bring."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Protocol

from deploy import __version__
from deploy.config import Target
from deploy.plan import Plan, Step
from deploy.resources import resource
from deploy.shell import Values

#: Bytes of output that the journal keeps of one step: this many from its start, and its last lines.
OUTPUT_LIMIT = 4_000_000
#: Seconds that one undo may take.
UNDO_TIMEOUT = 1800


class Engine(Protocol):
    """What runs the application on the server."""

    name: str

    def scripts(self) -> Mapping[str, str]:
        """The engine's files for the server, by the name that the steps know them by."""

    def values(self, target: Target) -> Values:
        """The engine's own settings, as shell values."""


def deployment(target: Target, engine: Engine) -> Plan:
    """The plan of ``fab deploy``: check, pull, migrate, build, restart."""
    files = {**common(), **engine.scripts()}
    limits = {
        "check": target.pull.timeout,
        "pull": target.pull.timeout,
        "migrate": target.migrate.timeout + target.build.timeout + target.backup.timeout,
        "build": target.build.timeout,
        "restart": target.restart.timeout + target.health.timeout,
    }
    names = [name for name in limits if name != "migrate" or target.migrate.enabled]
    steps = tuple(
        Step(name, files[f"{name}.do.sh"], files.get(f"{name}.undo.sh", ""), seconds(limits[name]))
        for name in names
    )
    return Plan("deploy", steps, library(files), files["finish.sh"])


def rollback(target: Target, engine: Engine) -> Plan:
    """The plan of ``fab rollback``: a check; what it undoes is in the releases' own records."""
    files = {**common(), **engine.scripts()}
    step = Step("check", files["rollback.do.sh"], "", seconds(target.pull.timeout))
    return Plan("rollback", (step,), library(files))


def questions(engine: Engine) -> Plan:
    """No step at all: the scripts that answer ``fab status`` and ``fab logs``."""
    return Plan("deploy", (), library({**common(), **engine.scripts()}))


def values(target: Target, engine: Engine) -> Values:
    """The settings that the server's scripts know by name."""
    return {
        "version": __version__,
        "app": target.app,
        "target": target.name,
        "path": target.path,
        "state": target.state,
        "branch": target.branch,
        "remote": target.remote,
        "keep": target.keep,
        "migrate": target.migrate.enabled,
        "migrate_workdir": target.migrate.workdir,
        "migrate_command": last_first(target.migrate.command),
        "backup_mode": target.backup.mode,
        "health_url": target.health.url,
        "health_timeout": seconds(target.health.timeout),
        "settle": seconds(target.health.settle),
        "output_limit": OUTPUT_LIMIT,
        "undo_timeout": UNDO_TIMEOUT,
        **engine.values(target),
    }


def common() -> dict[str, str]:
    """The scripts that every engine uses."""
    names = (
        "ask.sh",
        "database.py",
        "git.sh",
        "check_git.sh",
        "health.sh",
        "keep.sh",
        "migrate.sh",
        "migrate.do.sh",
        "migrate.undo.sh",
        "probe.py",
        "probe.sh",
        "pull.do.sh",
        "pull.undo.sh",
    )
    return {name: resource(name) for name in names}


def library(files: Mapping[str, str]) -> dict[str, str]:
    """The files that steps read, without the steps themselves."""
    return {
        name: text for name, text in files.items() if not name.endswith((".do.sh", ".undo.sh", "finish.sh"))
    }


def seconds(duration: float) -> int:
    """Whole seconds, never less than asked for: a POSIX shell knows no fractions."""
    return math.ceil(duration)


def last_first(words: tuple[str, ...]) -> tuple[str, ...]:
    """Words in the order in which the server's scripts put them before others."""
    return tuple(reversed(words))
