"""The view for a terminal: what is over stays as lines, what goes on is drawn at the bottom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

from rich.text import Text

from deploy.events import Event, Item, Output, State, StepView
from deploy.view.clean import clean
from deploy.view.screen import Line, Screen
from deploy.view.summary import Result
from deploy.view.verdict import Said, verdict
from deploy.view.words import Signs, duration, ending, exit_word, headline, took

#: Seconds between two drawings.
_PAUSE = 0.1
#: Lines of output drawn below the running step.
_OUTPUT = 5
#: Lines from outside any step that wait for one drawing; more are left out.
_STRAYS = 200
_STYLES = {"good": "green", "bad": "bold red", "warn": "yellow", "dim": "dim", "bold": "bold", "": ""}


class LiveView:
    """Draws on ``screen`` in ``tick``, at most ten times a second, however much comes."""

    def __init__(self, screen: Screen, *, target: str, expected: Mapping[str, float], signs: Signs) -> None:
        self._screen = screen
        self._target = clean(target)
        self._expected = expected
        self._signs = signs
        self._state = State()
        self._waiting: list[Line] = []
        self._now = 0.0
        self._drawn: float | None = None
        self._heard = 0.0
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
            if not state.current and len(self._waiting) < _STRAYS:
                self._waiting.append(_output(item.line))
            return
        self._heard = self._now
        if item.name == "undo" and item.text("state") == "begin":
            self._undo_began = item.at
        words = _LINES.get(item.name)
        if words:
            self._waiting += words(item, state, self)

    def tick(self, now: float) -> None:
        """Draw, unless it was done a moment ago."""
        self._now = now
        if self._over or (self._drawn is not None and 0 <= now - self._drawn < _PAUSE):
            return
        self._drawn = now
        self._screen.draw(self._taken(), self._bottom())

    def warn(self, text: str, hint: str = "") -> None:
        """The warning, at once."""
        self._waiting += _message("!", "warn", text, hint)
        self._screen.draw(self._taken(), self._bottom())

    def result(self, result: Result) -> None:
        """The closing lines; the drawing at the bottom ends."""
        self._close([_said(said) for said in verdict(result, self._signs)])

    def _close(self, last: list[Line]) -> None:
        self._over = True
        lines = self._taken()
        if self._state.current:
            lines.append(self.step_line("waiting", "dim", self._name(), self._elapsed(), "not finished"))
        self._screen.draw([*lines, *([Line(Text())] if last else []), *last], [])

    def _taken(self) -> list[Line]:
        lines, self._waiting = self._waiting, []
        return lines

    def _bottom(self) -> list[Text]:
        """The running step, its latest output and the steps to come, as far as there is room."""
        if not self._state.release:
            return [Text(f"{self._spin()} waiting for {self._target}")]
        _, rows = self._screen.room
        step = self._state.step(self._state.current)
        coming = [] if self._has_failed() else [s for s in self._state.steps if s.state == "waiting"]
        room = rows - 1
        output = self._tail(step)[-_OUTPUT:]
        shown = min(len(output), room - min(len(coming), room // 2))
        above = [self._running(step), *(_cropped(line) for line in output[len(output) - shown :])] if step else []
        return [*above, *(self._coming(s) for s in coming[: room - shown])]

    def _has_failed(self) -> bool:
        return self._state.failed_step is not None or bool(self._state.outcome) or self._state.lost

    def _tail(self, step: StepView | None) -> tuple[str, ...]:
        if step is None:
            return ()
        return step.undo_tail if self._state.undoing else step.tail

    def _running(self, step: StepView) -> Text:
        usual = None if self._state.undoing else self._expected.get(step.name)
        time = duration(float(int(self._elapsed()))).replace(".0", "")
        text = Text(f"{self._spin()} ", "cyan")
        text.append(self.padded(self._name()), "bold")
        text.append(f"{time:>9}", "")
        return text.append(f"  usually {duration(usual)}", "dim") if usual else text

    def _coming(self, step: StepView) -> Text:
        usual = self._expected.get(step.name)
        time = f"{'':9}  usually {duration(usual)}" if usual else ""
        return Text(f"{self._signs.waiting} {self.padded(clean(step.name))}{time}".rstrip(), "dim")

    def _name(self) -> str:
        return ("undo " if self._state.undoing else "") + clean(self._state.current)

    def _elapsed(self) -> float:
        step = self._state.step(self._state.current)
        began = self._undo_began if self._state.undoing else step.began if step else self._state.now
        return max(self._state.now - began + self._now - self._heard, 0.0)

    def _spin(self) -> str:
        return self._signs.spinner[int(self._now / _PAUSE) % len(self._signs.spinner)]

    def padded(self, name: str) -> str:
        """``name`` as wide as the widest step's undo, within reason."""
        widest = max((len(clean(step.name)) for step in self._state.steps), default=0)
        return name.ljust(min(widest + len("undo "), 24))
