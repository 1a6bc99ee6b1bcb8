"""A table for a terminal."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

_STYLES = {
    "deployed": "green",
    "done": "green",
    "rolled-back": "cyan",
    "failed": "red",
    "cancelled": "yellow",
}


def drawn(titles: Sequence[str], rows: Sequence[Sequence[str]], width: int, colour: bool) -> str:
    """The table as text, ``width`` columns wide at most; ``rows`` hold cleaned words."""
    buffer = io.StringIO()
    console = Console(
        file=buffer,
        width=width,
        force_terminal=True,
        color_system="standard",
        no_color=not colour,
        legacy_windows=False,
    )
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in titles:
        table.add_column(Text(title), overflow="fold", justify="right" if title == "time" else "left")
    for row in rows:
        table.add_row(*(Text(cell, _STYLES.get(cell, "")) for cell in row))
    console.print(table)
    return buffer.getvalue()
