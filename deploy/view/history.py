"""The releases of a target as a table, or as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, tzinfo
from typing import TextIO

from deploy.view.clean import clean
from deploy.view.jsonlines import one_line
from deploy.view.rows import show_table
from deploy.view.sink import Sink
from deploy.view.words import commit_word, duration, heads_word

_TITLES = ("release", "kind", "outcome", "when", "by", "commit", "migrations", "time")
#: Left out on a narrow terminal, in this order.
_LESS = ("commit", "kind", "migrations", "by", "time", "when")


@dataclass(frozen=True)
class HistoryRow:
    """One release. ``when`` is seconds since 1970, ``seconds`` how long it took."""

    release: str
    kind: str
    outcome: str
    when: float
    by: str = ""
    commit: str = ""
    heads: tuple[str, ...] = ()
    seconds: float = 0.0


def show_history(
    rows: Sequence[HistoryRow],
    stdout: TextIO,
    environ: Mapping[str, str],
    *,
    as_json: bool = False,
    zone: tzinfo | None = None,
) -> None:
    """The table on ``stdout``, times in ``zone`` (the user's own when None); or one JSON object a line.

    A terminal gets the columns that fit and colours; a pipe gets every column.
    """
    if as_json:
        Sink(stdout).write("".join(one_line(asdict(row)) for row in rows))
        return
    show_table(_TITLES, _LESS, [_cells(row, zone) for row in rows], stdout, environ, none="No releases yet.")


def _cells(row: HistoryRow, zone: tzinfo | None) -> tuple[str, ...]:
    when = datetime.fromtimestamp(row.when, zone).strftime("%Y-%m-%d %H:%M")
    words = (row.release, row.kind, row.outcome, when, row.by, commit_word(row.commit))
    # A release that was refused may not have looked at the database.
    heads = heads_word(row.heads) if row.heads else ""
    return (*(clean(word) for word in words), heads, duration(row.seconds))
