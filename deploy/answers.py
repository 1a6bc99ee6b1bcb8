"""Lines ``backstay KEY VALUE``, in which programs on the server and in containers answer."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

PREFIX = "backstay "


def pairs(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Keys and values; lines ``backstay + TEXT`` belong to the value before, and others are left out."""
    key, value = "", ""
    for line in lines:
        if not line.startswith(PREFIX):
            continue
        name, _, text = line.removeprefix(PREFIX).partition(" ")
        if name == "+":
            value += f"\n{text}"
            continue
        if key:
            yield key, value
        key, value = name, text
    if key:
        yield key, value


def each(found: Iterable[tuple[str, str]], key: str) -> list[str]:
    """All values of ``key``."""
    return [value for name, value in found if name == key]


def one(found: Iterable[tuple[str, str]], key: str) -> str:
    """The first value of ``key``; empty when there is none."""
    return next(iter(each(found, key)), "")
