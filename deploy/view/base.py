"""What every view can do."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol, Self

from deploy.events import Item, State
from deploy.view.summary import Result


class View(Protocol):
    """Shows one release while it goes on. No method raises because of what is shown or where.

    The caller hands every item on, and calls ``tick`` about ten times a second, also between two pieces of
    a long output: only then does a live view draw.
    """

    def __enter__(self) -> Self:
        """Start."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave the screen in order; exceptions pass."""

    def item(self, item: Item, state: State) -> None:
        """One more item, and the state after it."""

    def tick(self, now: float) -> None:
        """The time, in seconds of a clock that never goes back (``time.monotonic``)."""

    def warn(self, text: str, hint: str = "") -> None:
        """Something this end has to say, such as a line that is gone."""

    def result(self, result: Result) -> None:
        """The end; nothing comes after it."""
