"""A small terminal: the text that a person would see. It refuses every sequence that it was not taught."""

from __future__ import annotations

import re
import unicodedata

_TOKEN = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])|\r|\n|[^\x00-\x1f\x7f-\x9f]")


class Terminal:
    """``columns`` by ``rows``. It wraps and scrolls, and wraps anew when it is made narrower."""

    encoding = "utf-8"

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.lines: list[str] = [""]
        self.row = self.column = 0
        self.colours: set[str] = set()
        self.writes = 0

    def isatty(self) -> bool:
        return True

    def flush(self) -> None:
        pass

    def fileno(self) -> int:
        raise OSError("no descriptor")

    def size(self) -> tuple[int, int]:
        return self.columns, self.rows

    def write(self, text: str) -> None:
        self.writes += 1
        position = 0
        while position < len(text):
            token = _TOKEN.match(text, position)
            assert token, f"the terminal was sent {text[position : position + 20]!r}"
            position = token.end()
            self._obey(token)

    def _obey(self, token: re.Match[str]) -> None:
        if token[0] == "\r":
            self.column = 0
        elif token[0] == "\n":
            self._down()
            self.column = 0
        elif token[2]:
            self._control(token[1], token[2])
        else:
            self._put(token[0])

    def _control(self, number: str, command: str) -> None:
        if command == "A":
            top = max(len(self.lines) - self.rows, 0)
            self.row = max(self.row - int(number), top)
        elif command == "K":
            assert number == "2"
            self.lines[self.row] = ""
        else:
            assert command == "m", f"the terminal was sent CSI {number}{command}"
            self.colours.update(code for code in number.split(";") if code and 30 <= int(code) < 108)

    def _down(self) -> None:
        self.row += 1
        if self.row == len(self.lines):
            self.lines.append("")

    def _put(self, char: str) -> None:
        width = 2 if unicodedata.east_asian_width(char) in "WF" else 1
        if self.column + width > self.columns:
            self._down()
            self.column = 0
        line = self.lines[self.row].ljust(self.column)
        # The second cell of a wide character holds nothing of its own.
        self.lines[self.row] = line[: self.column] + char.ljust(width, "\0") + line[self.column + width :]
        self.column += width

    def resize(self, columns: int, rows: int) -> None:
        """A narrower window wraps the lines that are too long; the cursor stays in its line."""
        lines: list[str] = []
        for number, line in enumerate(self.lines):
            if number == self.row:
                self_row = len(lines)
            lines += [line[start : start + columns] for start in range(0, len(line), columns)] or [""]
        self.columns, self.rows, self.lines, self.row = columns, rows, lines, self_row

    def text(self) -> str:
        """All lines, those scrolled out of sight too, without blanks at their ends."""
        return "\n".join(line.rstrip() for line in self.lines).rstrip("\n").replace("\0", "")
