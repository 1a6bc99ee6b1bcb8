"""The backups of a target as a table, or as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, tzinfo
from typing import TextIO

from deploy.view.clean import clean
from deploy.view.jsonlines import one_line
from deploy.view.rows import show_table
from deploy.view.sink import Sink
from deploy.view.words import duration, heads_word

_TITLES = ("backup", "when", "why", "database", "migrations", "size", "rows", "time")
#: Left out on a narrow terminal, in this order.
_LESS = ("time", "database", "rows", "why", "migrations")


@dataclass(frozen=True)
class Backup:
    """One backup. ``when`` is seconds since 1970, ``rows`` None where nothing could count them."""

    backup: str
    release: str
    when: float
    why: str
    format: str
    database: str
    heads: tuple[str, ...]
    bytes: int
    seconds: float
    tables: int | None = None
    rows: int | None = None


def show_backups(
    backups: Sequence[Backup],
    stdout: TextIO,
    environ: Mapping[str, str],
    *,
    as_json: bool = False,
    zone: tzinfo | None = None,
) -> None:
    """The table on ``stdout``, times in ``zone`` (the user's own when None); or one JSON object a line."""
    if as_json:
        Sink(stdout).write("".join(one_line(asdict(backup)) for backup in backups))
        return
    rows = [_cells(backup, zone) for backup in backups]
    show_table(_TITLES, _LESS, rows, stdout, environ, none="No backups yet.")


def _cells(backup: Backup, zone: tzinfo | None) -> tuple[str, ...]:
    when = datetime.fromtimestamp(backup.when, zone).strftime("%Y-%m-%d %H:%M")
    rows = "not counted" if backup.rows is None else str(backup.rows)
    words = (clean(word) for word in (backup.backup, when, backup.why, f"{backup.format} {backup.database}"))
    return (*words, heads_word(backup.heads), size(backup.bytes), rows, duration(backup.seconds))


def size(count: int) -> str:
    """``312 B``, ``4.5 kB``, ``120 MB``."""
    amount, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if amount < 1000 or unit == "TB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if amount >= 100 or unit == "B" else f"{amount:.1f} {unit}"
