"""The part of a live view that is drawn again and again: what goes on, and what comes. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rich.text import Text

from deploy.events import State, StepView
from deploy.view.clean import clean
from deploy.view.stays import padded
from deploy.view.words import Signs, duration, ticking

#: Lines of output below the running step.
_OUTPUT = 5


@dataclass(frozen=True)
class Moment:
    """One drawing: which of the spinner's ``signs``, and how long the current step has run, in seconds."""

    signs: Signs
    frame: int
    elapsed: float

    @property
    def spinner(self) -> str:
        """The spinner's sign."""
        return self.signs.spinner[self.frame % len(self.signs.spinner)]


def bottom(state: State, moment: Moment, expected: Mapping[str, float], rows: int) -> list[Text]:
    """At most ``rows`` lines: the running step, its latest output, the steps to come."""
    step = state.step(state.current)
    coming = [] if _turned_back(state) else [step for step in state.steps if step.state == "waiting"]
    room = rows - 1
    tail = _tail(state, step)[-_OUTPUT:]
    shown = max(min(len(tail), room - min(len(coming), room // 2)), 0)
    running = [_running(state, step, moment, expected)] if step else []
    latest = [Text(f"    {clean(line)}", "dim") for line in tail[len(tail) - shown :]]
    return [*running, *latest, *(_coming(step, state, moment, expected) for step in coming)][:rows]


def current_name(state: State) -> str:
    """The step that runs, or its undo."""
    return ("undo " if state.undoing else "") + clean(state.current)


def _turned_back(state: State) -> bool:
    return state.failed_step is not None or state.undoing or bool(state.outcome) or state.lost


def _tail(state: State, step: StepView | None) -> tuple[str, ...]:
    if step is None:
        return ()
    return step.undo_tail if state.undoing else step.tail


def _running(state: State, step: StepView, moment: Moment, expected: Mapping[str, float]) -> Text:
    words = f"{padded(current_name(state), state)}{ticking(moment.elapsed):>9}"
    text = Text.assemble((f"{moment.spinner} ", "cyan"), words)
    usual = None if state.undoing else expected.get(step.name)
    return text.append(f"  usually {duration(usual)}", "dim") if usual else text


def _coming(step: StepView, state: State, moment: Moment, expected: Mapping[str, float]) -> Text:
    usual = expected.get(step.name)
    time = f"{'':9}  usually {duration(usual)}" if usual else ""
    return Text(f"{moment.signs.waiting} {padded(clean(step.name), state)}{time}".rstrip(), "dim")
