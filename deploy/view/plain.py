"""The view for pipes, files and CI: a line for each event and each line of output, as it comes."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from deploy.events import Event, Item, Output, State
from deploy.view.clean import clean
from deploy.view.sink import Sink
from deploy.view.summary import Result
from deploy.view.verdict import verdict
from deploy.view.words import Signs, duration, ending, exit_word, headline, took, undo_begins


class PlainView:
    """Lines on ``out``, warnings on ``err``; no colour, nothing drawn twice."""

    def __init__(self, out: Sink, err: Sink, *, target: str, signs: Signs) -> None:
        self._out = out
        self._err = err
        self._target = target
        self._signs = signs
        self._undo_began = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def item(self, item: Item, state: State) -> None:
        """Print the item's lines."""
        lines = [_output(item, state)] if isinstance(item, Output) else self._event(item, state)
        if lines:
            self._out.write("".join(f"{line}\n" for line in lines))

    def _event(self, event: Event, state: State) -> list[str]:
        if undo_begins(event):
            self._undo_began = event.at
        return event_lines(event, state, self._target, self._undo_began)

    def tick(self, now: float) -> None:
        """Nothing: plain lines do not depend on the time."""

    def warn(self, text: str, hint: str = "") -> None:
        """The warning on standard error."""
        self._err.write("\n".join(message_lines("warning: ", text, hint)) + "\n")

    def result(self, result: Result) -> None:
        """The closing lines."""
        said = verdict(result, self._signs)
        self._out.write("".join(f"{' ' * line.indent}{line.text}\n" for line in said))


def message_lines(lead: str, text: str, hint: str) -> list[str]:
    """A message and, indented below it, its hint; both may have several lines."""
    first, *more = [clean(line) for line in text.splitlines()] or [""]
    return [lead + first, *(f"  {line}" for line in (*more, *(clean(part) for part in hint.splitlines())))]


def event_lines(event: Event, state: State, target: str, undo_began: float = 0.0) -> list[str]:
    """The lines for one event; none for those that keep the line, end the journal, or come in the summary."""
    match event.name:
        case "release":
            return _release(event, state, target)
        case "step" | "undo":
            return _step(event, state, undo_began)
        case "note":
            return _note(event)
        case "lost":
            return ["error: the runner on the server is gone and left no outcome"]
    return []


def _output(item: Output, state: State) -> str:
    if not state.current:
        return clean(item.line)
    undo = "undo " if state.undoing else ""
    return f"[{undo}{clean(state.current)}] {clean(item.line)}"


def _release(event: Event, state: State, target: str) -> list[str]:
    by = f", by {clean(event.text('by'))}" if event.text("by") else ""
    return [f"{headline(event, state, target)}, release {clean(event.text('release'))}{by}"]


def _step(event: Event, state: State, undo_began: float) -> list[str]:
    undo = "undo " if event.name == "undo" else ""
    name = undo + clean(event.text("step"))
    if event.text("state") == "begin":
        return [f"{name}: begin"]
    time = duration(took(event, state.step(event.text("step")), undo_began))
    joint = "in" if event.text("state") == "done" else "after"
    code = f", {exit_word(event)}" if exit_word(event) else ""
    return [f"{name}: {ending(event)} {joint} {time}{code}"]


def _note(event: Event) -> list[str]:
    lead = {"warn": "warning: ", "error": "error: "}.get(event.text("level"), "note: ")
    return message_lines(lead, event.text("text"), event.text("hint"))
