"""The lines of a live view that stay: what is over, drawn once. Pure."""

from __future__ import annotations

from rich.text import Text

from deploy.events import Event, State, StepView
from deploy.view.clean import clean
from deploy.view.screen import Line
from deploy.view.verdict import Said
from deploy.view.words import Signs, duration, ending, exit_word, headline, took

STYLES = {"good": "green", "bad": "bold red", "warn": "yellow", "dim": "dim", "bold": "bold"}
_WIDEST = 24


def lines_for(event: Event, state: State, target: str, signs: Signs, undo_began: float = 0.0) -> list[Line]:
    """The lines that ``event`` leaves on the screen; ``state`` is the one after it.

    ``undo_began`` is the server's time when the undo that ``event`` ends began.
    """
    match event.name:
        case "release":
            return _release(event, state, target, signs)
        case "step" | "undo":
            return _step(event, state, signs, undo_began)
        case "note":
            return message(event.text("level"), event.text("text"), event.text("hint"))
        case "lost":
            return message("error", "The runner on the server is gone and left no outcome.", "")
    return []


def padded(name: str, state: State) -> str:
    """``name`` as wide as the widest name of a step or its undo, within reason."""
    widest = max((len(clean(step.name)) for step in state.steps), default=0)
    return name.ljust(min(widest + len("undo "), _WIDEST))


def unfinished(name: str, seconds: float, state: State, signs: Signs) -> Line:
    """The line for a step that goes on while nobody looks any more."""
    text = Text(f"{padded(name, state)}{duration(seconds):>9}  not finished", "dim")
    return Line(text, Text(f"{signs.waiting} ", "dim"))


def output(line: str, style: str = "") -> Line:
    """A line of output."""
    return Line(Text(clean(line), style), Text("    "), whole=True)


def said(sentence: Said) -> Line:
    """A closing line."""
    return Line(Text(sentence.text, STYLES.get(sentence.style, "")), Text(" " * sentence.indent))


def message(level: str, text: str, hint: str) -> list[Line]:
    """A message (info, warn, error) and its hint."""
    style = {"warn": "yellow", "error": "bold red"}.get(level, "")
    lead = Text("! " if style else "  ", style)
    lines = [Line(Text(clean(line), style), lead) for line in text.splitlines()]
    return lines + [Line(Text(clean(line)), Text("    ")) for line in hint.splitlines()]


def _release(event: Event, state: State, target: str, signs: Signs) -> list[Line]:
    text = Text.assemble((headline(event, state, target), "bold"))
    by = f"by {clean(event.text('by'))}" if event.text("by") else ""
    more = [word for word in (clean(event.text("release")), by) if word]
    text.append("".join(f"{signs.dot}{word}" for word in more), "dim")
    return [Line(text)]


def _step(event: Event, state: State, signs: Signs, undo_began: float) -> list[Line]:
    step = state.step(event.text("step"))
    undo = event.name == "undo"
    seconds = took(event, step, undo_began)
    match event.text("state"):
        case "done":
            sign, style = (signs.undo, "cyan") if undo else (signs.done, "green")
            return [_ended(event, seconds, state, Text(f"{sign} ", style))]
        case "failed":
            line = _ended(event, seconds, state, Text(f"{signs.failed} ", "bold red"))
            return [line, *(output(text) for text in _last_output(event, step, undo))]
    return []


def _last_output(event: Event, step: StepView | None, undo: bool) -> tuple[str, ...]:
    if step is None or event.text("why") == "cancelled":
        return ()
    return step.undo_tail if undo else step.tail


def _ended(event: Event, seconds: float, state: State, lead: Text) -> Line:
    undo = "undo " if event.name == "undo" else ""
    text = Text(padded(undo + clean(event.text("step")), state))
    text.append(f"{duration(seconds):>9}", "dim")
    if event.text("state") == "failed":
        words = [ending(event), exit_word(event)]
        text.append("  " + ", ".join(word for word in words if word), "bold red")
    return Line(text, lead)
