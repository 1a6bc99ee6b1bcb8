"""Rows of words as a table: drawn for a terminal, aligned for a pipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TextIO

from deploy.view.colour import wanted
from deploy.view.sink import Sink

_GAP = 2


def show_table(
    titles: Sequence[str],
    less: Sequence[str],
    rows: Sequence[Sequence[str]],
    stdout: TextIO,
    environ: Mapping[str, str],
    *,
    none: str,
) -> None:
    """The table of cleaned words on ``stdout``; ``none`` when there is no row.

    A terminal gets colours and the columns that fit: ``less`` names those that go first. A pipe gets all.
    """
    sink = Sink(stdout)
    table = [dict(zip(titles, row, strict=True)) for row in rows]
    if not table:
        sink.write(f"{none}\n")
    elif stdout.isatty():
        sink.write(_drawn(titles, less, table, stdout, wanted(stdout, environ)))
    else:
        sink.write(_aligned(titles, table))


def _aligned(titles: Sequence[str], table: list[dict[str, str]]) -> str:
    widths = _widths(titles, table)
    lines = [{title: title for title in titles}, *table]
    joined = ((" " * _GAP).join(line[title].ljust(widths[title]) for title in titles) for line in lines)
    return "".join(f"{line.rstrip()}\n" for line in joined)


def _widths(titles: Sequence[str], table: list[dict[str, str]]) -> dict[str, int]:
    return {title: max(len(title), *(len(row[title]) for row in table)) for title in titles}


def _fitting(
    titles: Sequence[str], less: Sequence[str], table: list[dict[str, str]], width: int
) -> list[str]:
    widths, fitting = _widths(titles, table), list(titles)
    for title in less:
        if sum(widths[name] + _GAP for name in fitting) - _GAP <= width:
            break
        fitting.remove(title)
    return fitting


def _drawn(
    titles: Sequence[str], less: Sequence[str], table: list[dict[str, str]], stdout: TextIO, colour: bool
) -> str:
    # Rich takes 0.08 s to load, and only a terminal needs it.
    from deploy.view.screen import size_of
    from deploy.view.table import drawn

    width = size_of(stdout)[0]
    fitting = _fitting(titles, less, table, width)
    return drawn(fitting, [[row[title] for title in fitting] for row in table], width, colour)
