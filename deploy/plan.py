"""What a release does, as data: steps, each with its undo, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

#: What begins with db. is an operation on the database, and no release.
Kind = Literal["deploy", "rollback", "db.upgrade", "db.downgrade", "db.backup", "db.restore"]


@dataclass(frozen=True)
class Step:
    """One step. ``do`` and ``undo`` are POSIX sh, run in the release folder; without undo it changes nothing.

    ``timeout`` is in seconds; ``says`` is one line for people.
    """

    name: str
    do: str
    undo: str = ""
    timeout: int = 900
    says: str = ""


@dataclass(frozen=True)
class Plan:
    """The steps in order, the files that their scripts read, and what tidies up after a success."""

    kind: Kind
    steps: tuple[Step, ...]
    files: Mapping[str, str] = field(default_factory=dict)
    finish: str = ""
