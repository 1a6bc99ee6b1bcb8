"""The story of a release: which steps, in which order, and what an engine has to bring."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, Protocol

from deploy import __version__
from deploy.config import Target
from deploy.plan import Plan, Step
from deploy.resources import folder
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
    return Plan("deploy", steps, library(files, "deploy"), files["finish.sh"])


def rollback(target: Target, engine: Engine) -> Plan:
    """The plan of ``fab rollback``: a check; what it undoes is in the releases' own records."""
    files = {**common(), **engine.scripts()}
    step = Step("check", files["rollback.do.sh"], "", seconds(target.pull.timeout))
    return Plan("rollback", (step,), library(files))


Operation = Literal["db.upgrade", "db.downgrade", "db.backup", "db.restore"]
#: The steps of each operation on the database, after its check; the time of each is given below.
_OPERATIONS: dict[str, tuple[str, ...]] = {
    "db.upgrade": ("upgrade",),
    "db.downgrade": ("downgrade",),
    "db.backup": ("backup",),
    "db.restore": ("stop", "restore", "start"),
    "db.restore.into": ("into",),
}


def operation(target: Target, engine: Engine, kind: Operation, *, into: bool = False) -> Plan:
    """The plan of ``fab db.upgrade`` and the like; ``into`` leaves the database in use alone."""
    files = {**common(), **engine.scripts()}
    names = _OPERATIONS[f"{kind}.into" if into else kind]
    limits = {"stop": target.restart.timeout, "start": target.restart.timeout + target.health.timeout}
    longest = target.migrate.timeout + 2 * target.backup.timeout
    steps = (
        Step("check", files[f"check_{kind}.do.sh"], "", seconds(target.pull.timeout)),
        *(
            Step(name, files[f"{name}.do.sh"], files[f"{name}.undo.sh"], seconds(limits.get(name, longest)))
            for name in names
        ),
    )
    return Plan(kind, steps, library(files), files["finish_db.sh"])


def questions(engine: Engine, verb: str) -> Plan:
    """No step at all: the scripts that answer ``verb``, such as ``status`` or ``plan``."""
    return Plan("deploy", (), library({**common(), **engine.scripts()}, verb))


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
        "backup_keep": target.backup.keep,
        "backup_age": seconds(target.backup.age),
        "health_url": target.health.url,
        "health_timeout": seconds(target.health.timeout),
        "settle": seconds(target.health.settle),
        "output_limit": OUTPUT_LIMIT,
        "undo_timeout": UNDO_TIMEOUT,
        **engine.values(target),
    }


#: What the runner brings itself.
_ENTRY = ("enter.sh", "execute.sh", "lib.sh", "mask.awk", "runner.sh")
#: What looks at another commit's migrations.
_FORESIGHT = frozenset(
    ("foresee.sh", "plan.py", "judge.py", "judge_read.py", "judge_source.py", "judge_sql.py")
)
#: What these alone read; nothing else has to carry it to the server.
_OWN: dict[str, frozenset[str]] = {
    "deploy": _FORESIGHT,
    "plan": _FORESIGHT | {"plan.sh", "commands.sh"},
    "doctor": frozenset(("doctor.sh", "examine.sh", "dollar.awk", "outline.awk")),
}


def common() -> dict[str, str]:
    """The scripts that every engine uses."""
    return {name: text for name, text in folder("").items() if name not in _ENTRY}


def library(files: Mapping[str, str], purpose: str = "") -> dict[str, str]:
    """The files that steps read, without the steps themselves; those that few need, for that purpose."""
    others = frozenset[str]().union(*_OWN.values()) - _OWN.get(purpose, frozenset())
    return {
        name: text
        for name, text in files.items()
        if name not in others and not name.endswith((".do.sh", ".undo.sh", "finish.sh", "finish_db.sh"))
    }


def seconds(duration: float) -> int:
    """Whole seconds, never less than asked for: a POSIX shell knows no fractions."""
    return math.ceil(duration)


def last_first(words: tuple[str, ...]) -> tuple[str, ...]:
    """Words in the order in which the server's scripts put them before others."""
    return tuple(reversed(words))
