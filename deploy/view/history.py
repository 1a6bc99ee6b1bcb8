"""The releases of a target as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import TextIO

from deploy.view.clean import clean
from deploy.view.colour import wanted
from deploy.view.sink import Sink
from deploy.view.words import commit_word, duration, heads_word

_TITLES = ("release", "kind", "outcome", "when", "by", "commit", "migrations", "time")
#: Left out on a narrow terminal, in this order.
_LESS = ("commit", "kind", "migrations", "by", "time", "when")
_GAP = 2


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
    rows: Sequence[HistoryRow], stdout: TextIO, environ: Mapping[str, str], *, zone: tzinfo | None = None
) -> None:
    """The table on ``stdout``, times in ``zone`` (the user's own when None).

    A terminal gets the columns that fit and colours; a pipe gets every column.
    """
    sink = Sink(stdout)
    table = [dict(zip(_TITLES, _cells(row, zone), strict=True)) for row in rows]
    if not table:
        sink.write("No releases yet.\n")
    elif stdout.isatty():
        sink.write(_drawn(table, stdout, wanted(stdout, environ)))
    else:
        sink.write(_aligned(table))


def _cells(row: HistoryRow, zone: tzinfo | None) -> tuple[str, ...]:
    when = datetime.fromtimestamp(row.when, zone).strftime("%Y-%m-%d %H:%M")
    words = (row.release, row.kind, row.outcome, when, row.by, commit_word(row.commit))
    return (*(clean(word) for word in words), heads_word(row.heads), duration(row.seconds))


def _aligned(table: list[dict[str, str]]) -> str:
    widths = _widths(table)
    lines = [{title: title for title in _TITLES}, *table]
    joined = ((" " * _GAP).join(line[title].ljust(widths[title]) for title in _TITLES) for line in lines)
    return "".join(f"{line.rstrip()}\n" for line in joined)


def _widths(table: list[dict[str, str]]) -> dict[str, int]:
    return {title: max(len(title), *(len(row[title]) for row in table)) for title in _TITLES}


def _fitting(table: list[dict[str, str]], width: int) -> list[str]:
    widths = _widths(table)
    titles = list(_TITLES)
    for title in _LESS:
        if sum(widths[name] + _GAP for name in titles) - _GAP <= width:
            break
        titles.remove(title)
    return titles


def _drawn(table: list[dict[str, str]], stdout: TextIO, colour: bool) -> str:
    # Rich takes 0.08 s to load, and only a terminal needs it.
    from deploy.view.screen import size_of
    from deploy.view.table import drawn

    width = size_of(stdout)[0]
    titles = _fitting(table, width)
    return drawn(titles, [[row[title] for title in titles] for row in table], width, colour)
