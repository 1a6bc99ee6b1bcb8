"""A terminal with lines that stay and, below them, a few that are drawn again and again."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TextIO

from rich.console import Console
from rich.text import Text

from deploy.view.sink import Sink


@dataclass(frozen=True)
class Line:
    """A line that stays. Further rows of a long one start below ``text``, right of ``lead``.

    ``whole`` leaves the wrapping to the terminal, so that it is copied as one line.
    """

    text: Text
    lead: Text = field(default_factory=Text)
    whole: bool = False


def size_of(stream: TextIO) -> tuple[int, int]:
    """Columns and rows of the terminal now; 80 by 24 when it does not say."""
    try:
        columns, rows = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        return 80, 24
    return columns or 80, rows or 24


class Screen:
    """Draws on a terminal through ``sink``.

    The cursor is never hidden and rests in an empty row below the drawing: nothing has to be put right when
    the program is killed, and an echoed ^C lands there.
    """

    def __init__(self, sink: Sink, size: Callable[[], tuple[int, int]], *, colour: bool) -> None:
        self._sink = sink
        self._size = size
        self._buffer = io.StringIO()
        self._console = Console(
            file=self._buffer,
            force_terminal=True,
            color_system="standard",
            no_color=not colour,
            markup=False,
            emoji=False,
            highlight=False,
            legacy_windows=False,
        )
        self._drawn: list[int] = []

    @property
    def rows(self) -> int:
        """Rows that the drawing at the bottom may take."""
        return max(self._size()[1] - 1, 0)

    def draw(self, lines: Sequence[Line], bottom: Sequence[Text]) -> None:
        """Add ``lines`` for good, and draw ``bottom`` in place of what was drawn last; one write."""
        if not self._sink.open:
            return
        columns, rows = self._size()
        self._console.size = (columns, rows)
        erase = self._erase(columns)
        for line in lines:
            self._print(line, columns)
        for text in bottom:
            text.truncate(max(columns - 1, 1))
            self._console.print(text, soft_wrap=True)
        self._drawn = [text.cell_len for text in bottom]
        self._sink.write(erase + self._buffer.getvalue())
        self._buffer.seek(0)
        self._buffer.truncate()

    def _erase(self, columns: int) -> str:
        # A terminal that became narrower has wrapped the rows that are now too long.
        rows = sum(max(-(-length // columns), 1) for length in self._drawn)
        # Row by row: tmux would copy a screen that is erased from its top into the scrollback.
        return "\r" + "\x1b[2K\x1b[1A" * rows + "\x1b[2K" if rows else ""

    def _print(self, line: Line, columns: int) -> None:
        if line.whole:
            self._console.print(Text.assemble(line.lead, line.text), soft_wrap=True)
            return
        width = max(columns - 1 - line.lead.cell_len, 8)
        lead = line.lead
        for row in line.text.wrap(self._console, width) or [Text()]:
            self._console.print(Text.assemble(lead, row), soft_wrap=True)
            lead = Text(" " * lead.cell_len)
