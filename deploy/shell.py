"""Words for a POSIX shell: the one place where a value becomes part of a script."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

Values = Mapping[str, str | int | bool | Iterable[str]]

_NAME = re.compile(r"[a-z][a-z0-9_]*\Z")


def quote(value: str) -> str:
    """``value`` as one word that no shell interprets. Raises ValueError for a NUL, which no word can hold."""
    if "\0" in value:
        raise ValueError("a value for the shell cannot hold a NUL character")
    return "'" + value.replace("'", "'\\''") + "'"


def command(words: Iterable[str]) -> str:
    """One command line of quoted words; plain words stay as they are, for the reader's sake."""
    return " ".join(word if re.fullmatch(r"[A-Za-z0-9_./:@,-]+", word) else quote(word) for word in words)


def assignments(values: Values) -> str:
    """``name='value'`` lines. True and False become yes and nothing, a list becomes lines of text.

    Raises ValueError for a name that is no shell variable, and for a list whose items hold line ends.
    """
    return "".join(f"{_name(name)}={quote(_text(value))}\n" for name, value in values.items())


def _name(name: str) -> str:
    if not _NAME.match(name):
        raise ValueError(f"{name!r} is not a name for a shell variable")
    return name


def _text(value: str | int | bool | Iterable[str]) -> str:
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, str | int):
        return str(value)
    items = list(value)
    if any("\n" in item for item in items):
        raise ValueError("an item of a list for the shell cannot hold a line end")
    return "\n".join(items)
