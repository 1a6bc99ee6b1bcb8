"""The kinds of settings: each check takes a raw TOML value and returns what it means, or raises ``Bad``.

Types are not guessed. No words repeat the value: a host may hold a password, a command a token.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")
Check = Callable[[object], T]
#: The check of each key of a table, in the order in which the keys are named to the user.
Keys = Mapping[str, Check[Any]]
#: The keys that a table sets, checked; a section in it is such a dict again.
Values = dict[str, Any]
Names = tuple[str, ...]


class Bad(ValueError):
    """A value that cannot be used: ``problem`` says what it must be, ``hint`` (or "") what to write.

    ``loc`` is the path from the value that was checked to the one that is wrong.
    """

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint
        self.loc: tuple[int | str, ...] = ()


class Unknown(Bad):
    """A key that its table does not have."""


def text(check: Callable[[str], T], hint: str = "") -> Check[T]:
    """A string that passes ``check``; ``hint`` is for what is no string."""

    def checked(value: object) -> T:
        if not isinstance(value, str):
            raise Bad("must be a string in quotes", hint)
        return check(value)

    return checked


def optional(check: Check[str]) -> Check[str]:
    """The same check, with "" allowed as "not set"."""
    return lambda value: "" if value == "" else check(value)


def flag(value: object) -> bool:
    """``true`` or ``false``."""
    if not isinstance(value, bool):
        raise Bad("must be true or false")
    return value


def count(value: object) -> int:
    """A whole number from 1 to 100000."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise Bad("must be a whole number without quotes")
    if not 1 <= value <= 100_000:
        raise Bad("must be 1 or more" if value < 1 else "must be 100000 or less")
    return value


def choice(*known: T) -> Check[T]:
    """One of ``known``."""

    def checked(value: object) -> T:
        if value not in known:
            raise Bad(f"must be one of {' or '.join(map(repr, known))}")
        return known[known.index(value)]

    return checked


def each(item: Check[str], *, some: bool = False, twice: bool = False) -> Check[Names]:
    """A list whose items pass ``item``: ``some`` wants one at least, ``twice`` allows equal ones."""

    def checked(value: object) -> Names:
        if not isinstance(value, list):
            raise Bad("must be a list")
        found = tuple(_at(index, item, one) for index, one in enumerate(value))
        if not twice and len(set(found)) < len(found):
            raise Bad("names something twice")
        if some and not found:
            raise Bad("must name at least one")
        return found

    return checked


def table(keys: Keys) -> Check[Values]:
    """A table with these ``keys`` and no other; of several mistakes the first one in the file is told."""
    return lambda value: {key: _at(key, keys.get(key, _unknown), item) for key, item in _items(value)}


def named(name: Check[str], item: Check[T]) -> Check[dict[str, T]]:
    """A table whose keys are names that the user gives."""
    return lambda value: {_at(key, name, key): _at(key, item, one) for key, one in _items(value)}


def nearest(word: str, known: Iterable[str]) -> list[str]:
    """The one of ``known`` that ``word`` may be a slip of, or nothing."""
    # Rarely needed, and slow to load.
    from difflib import get_close_matches

    return get_close_matches(word[:60], list(known), n=1)


def _items(value: object) -> Iterable[tuple[str, object]]:
    if not isinstance(value, dict):
        raise Bad("must be a table")
    return value.items()


def _unknown(_: object) -> object:
    raise Unknown("is no key we know")


def _at(place: int | str, check: Check[T], value: object) -> T:
    """What ``check`` makes of the value; what is wrong in it learns its ``place``."""
    try:
        return check(value)
    except Bad as bad:
        bad.loc = (place, *bad.loc)
        raise
