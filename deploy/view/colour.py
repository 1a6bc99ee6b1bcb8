"""A few colours for short messages, without loading Rich."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

_CODES = {"good": "32", "bad": "1;31", "warn": "33", "dim": "2", "bold": "1"}


def wanted(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether ``stream`` is a terminal that shows colours, and the user has nothing against them."""
    return stream.isatty() and environ.get("TERM", "dumb") != "dumb" and not environ.get("NO_COLOR")


def paint(text: str, style: str, on: bool) -> str:
    """``text`` in a style (good, bad, warn, dim, bold) when ``on``."""
    code = _CODES.get(style)
    return f"\x1b[{code}m{text}\x1b[0m" if on and code else text
