"""How long to wait between attempts to reconnect."""

from __future__ import annotations

from collections.abc import Iterator


def pauses(total: float, first: float = 1.0, longest: float = 15.0) -> Iterator[float]:
    """Seconds to wait before each attempt: 1, 2, 4, 8, 15, 15, ... until they sum up to ``total`` seconds."""
    pause, left = first, total
    while left > 0:
        wait = min(pause, longest, left)
        yield wait
        left -= wait
        pause *= 2
