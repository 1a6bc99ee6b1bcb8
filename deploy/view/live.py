"""The view for a terminal: what is over stays as lines, what goes on is drawn at the bottom."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.text import Text

from deploy.events import Item, Output, State
from deploy.view.bottom import Moment, bottom, current_name
from deploy.view.clean import clean
from deploy.view.screen import Line, Screen
from deploy.view.stays import lines_for, message, output, said, unfinished
from deploy.view.summary import Result
from deploy.view.verdict import verdict
from deploy.view.words import Signs, undo_begins

#: Seconds between two drawings.
_PAUSE = 0.1
#: Lines from outside any step that wait for the next drawing; more are left out.
_STRAYS = 200


class LiveView:
    """Draws on ``screen`` in ``tick``, at most ten times a second, however much comes."""

    def __init__(self, screen: Screen, *, target: str, expected: Mapping[str, float], signs: Signs) -> None:
        self._screen = screen
        self._target = clean(target)
        self._expected = expected
        self._signs = signs
        self._state = State()
        self._pending: list[Line] = []
        self._now = 0.0
        self._heard: float | None = None
        self._drawn: float | None = None
        self._undo_began = 0.0
        self._over = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._over:
            self._close([])

    def item(self, item: Item, state: State) -> None:
        """Take note; the next ``tick`` draws."""
        self._state = state
        if isinstance(item, Output):
            if not state.current and len(self._pending) < _STRAYS:
                self._pending.append(output(item.line, "dim"))
            return
        self._heard = None
        if undo_begins(item):
            self._undo_began = item.at
        self._pending += lines_for(item, state, self._target, self._signs, self._undo_began)

    def tick(self, now: float) -> None:
        """Draw, unless it was done a moment ago."""
        self._now = now
        if self._heard is None:
            self._heard = now
        if not self._over and (self._drawn is None or now - self._drawn >= _PAUSE):
            self._drawn = now
            self._draw()

    def warn(self, text: str, hint: str = "") -> None:
        """The warning, at once."""
        self._pending += message("warn", text, hint)
        self._draw()

    def result(self, result: Result) -> None:
        """The closing lines; the drawing at the bottom ends."""
        self._close([Line(Text()), *(said(sentence) for sentence in verdict(result, self._signs))])

    def _close(self, last: list[Line]) -> None:
        self._over = True
        if self._state.current:
            name = current_name(self._state)
            self._pending.append(unfinished(name, self._elapsed(), self._state, self._signs))
        self._pending += last
        self._draw()

    def _draw(self) -> None:
        lines, self._pending = self._pending, []
        self._screen.draw(lines, [] if self._over else self._bottom()[: self._screen.rows])

    def _bottom(self) -> list[Text]:
        moment = Moment(self._signs, round(self._now / _PAUSE), self._elapsed())
        if not self._state.steps:
            return [Text(f"{moment.spinner} waiting for {self._target}")]
        return bottom(self._state, moment, self._expected, self._screen.rows)

    def _elapsed(self) -> float:
        step = self._state.step(self._state.current)
        began = self._undo_began if self._state.undoing else step.began if step else self._state.now
        since = 0.0 if self._heard is None else self._now - self._heard
        return max(self._state.now - began + since, 0.0)
