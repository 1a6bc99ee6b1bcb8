"""The journal: bytes of output and, between them, events; decode it and fold it to a state.

An event is one JSON object in one line after an ASCII record separator, as in RFC 7464. Output never holds
that byte (the runner removes it), so a separator anywhere starts an event. Every event has ``v`` (1), ``at``
(server's clock, seconds since 1970) and ``event``:

    release   kind (deploy|rollback|restore|recover), release, by, state "begin", steps [names in order]
    step      step, state begin|done|failed, secs, and for failed: rc, why ("failed"|"timeout"|"cancelled")
    undo      step, state begin|done|failed, secs, rc
    fact      name, value           e.g. commit.before, heads.after, image.before, applied, backup
    note      level (info|warn|error), text, hint
    alive     nothing: a heartbeat
    end       outcome (deployed|rolled-back|failed|refused|cancelled), exit

Outside the journal, and not counted in its offset, the server's side of the connection says: ``hello``
(release, offset: the byte of the journal at which the stream goes on), ``lost`` (the runner is gone and wrote
no outcome), ``busy`` (release, by, since, step: somebody else's deployment), ``refuse`` (text, hint, exit:
nothing was started), and ``answer`` (name, value: what a question such as ``fab status`` asked for).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal

SEPARATOR = b"\x1e"
#: Longest piece of output handed on at once, in bytes; a longer line comes in pieces.
PIECE = 65536
#: Output lines of one step that a state keeps (the last ones).
TAIL = 40
#: Events that are said beside the journal and are no part of its bytes.
OUTSIDE = frozenset({"hello", "lost", "busy", "refuse", "answer"})


@dataclass(frozen=True)
class Event:
    """One event of the journal; ``fields`` holds all of the record, ``event`` and ``at`` too."""

    name: str
    at: float
    fields: dict[str, Any]

    def text(self, key: str) -> str:
        """The field as text; empty when it is absent."""
        value = self.fields.get(key)
        return "" if value is None else str(value)

    def number(self, key: str) -> int:
        """The field as a whole number; 0 when it is absent or no number."""
        try:
            return int(self.fields.get(key) or 0)
        except (TypeError, ValueError):
            return 0


@dataclass(frozen=True)
class Output:
    """One line of a step's output, without its line end; undecodable bytes are replaced."""

    line: str


Item = Event | Output


def encode(name: str, at: float, /, **fields: Any) -> bytes:
    """One event as the runner writes it."""
    record = {"v": 1, "at": at, "event": name, **fields}
    return SEPARATOR + json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


def parse(record: bytes) -> Event | None:
    """The event of one record (without separator and line end), or None when it is torn or not ours."""
    try:
        fields = json.loads(record.decode("utf-8", "replace"))
    except ValueError:
        return None
    if not isinstance(fields, dict) or fields.get("v") != 1 or not isinstance(fields.get("event"), str):
        return None
    at = fields.get("at")
    return Event(fields["event"], float(at) if isinstance(at, int | float) else 0.0, fields)


class Decoder:
    """Turns the journal's bytes, in pieces of any size, into items.

    ``offset`` is the number of journal bytes that were handed on completely: reading on after a lost line
    starts there, so no item is lost and none comes twice. With ``greeting`` the bytes come over a connection:
    what is before the first event that is said beside the journal is the login shell's, and is dropped.
    """

    def __init__(self, offset: int = 0, *, greeting: bool = False) -> None:
        self.offset = offset
        self._greeting = greeting
        self._buffer = b""

    def feed(self, data: bytes) -> list[Item]:
        """Items that are complete with ``data``; a torn last line waits for the rest."""
        self._buffer += data
        items: list[Item] = []
        while (cut := self._cut()) is not None:
            record, self._buffer = self._buffer[:cut], self._buffer[cut:]
            items.extend(self._counted(cut, list(_items(record))))
        return items

    def _counted(self, size: int, items: list[Item]) -> list[Item]:
        event = items[0] if items and isinstance(items[0], Event) else None
        outside = event is not None and event.name in OUTSIDE
        if self._greeting and not outside:
            return []
        self._greeting = False
        if event and event.name == "hello":
            self.offset = event.number("offset")
        elif not outside:
            self.offset += size
        return items

    def finish(self) -> list[Item]:
        """What is left at the end of the journal: an unfinished output line; a torn event is dropped."""
        rest, self._buffer = self._buffer, b""
        return [] if self._greeting or rest.startswith(SEPARATOR) else list(_items(rest))

    def _cut(self) -> int | None:
        """Where the first complete record ends: at a line end, a separator, or where it gets too long."""
        end = self._buffer.find(b"\n") + 1
        separator = self._buffer.find(SEPARATOR, 1)
        if separator > 0 and (not end or separator < end):
            return separator
        if end:
            return end
        return PIECE if len(self._buffer) > PIECE and not self._buffer.startswith(SEPARATOR) else None


def _items(record: bytes) -> Iterator[Item]:
    if record.startswith(SEPARATOR):
        event = parse(record[1:])
        if event:
            yield event
        return
    # A progress bar redraws its line with CR: only what would stay on the screen is kept.
    line = record.rstrip(b"\r\n").rsplit(b"\r", 1)[-1]
    if line or record.endswith(b"\n"):
        yield Output(line.decode("utf-8", "replace"))


StepState = Literal["waiting", "running", "done", "failed", "undoing", "undone", "undo-failed"]


@dataclass(frozen=True)
class StepView:
    """One step as the journal tells it. ``began`` is the server's clock, ``seconds`` how long it took."""

    name: str
    state: StepState = "waiting"
    began: float = 0.0
    seconds: float = 0.0
    why: str = ""
    exit_status: int = 0
    tail: tuple[str, ...] = ()
    undo_tail: tuple[str, ...] = ()


@dataclass(frozen=True)
class Note:
    """A short message of the runner or of a step; level is info, warn or error."""

    level: str
    text: str
    hint: str = ""


@dataclass(frozen=True)
class State:
    """All that is known of a release after some of its journal."""

    release: str = ""
    kind: str = ""
    by: str = ""
    began: float = 0.0
    now: float = 0.0
    steps: tuple[StepView, ...] = ()
    facts: dict[str, str] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
    current: str = ""
    undoing: bool = False
    outcome: str = ""
    exit_code: int | None = None
    lost: bool = False

    def step(self, name: str) -> StepView | None:
        """The step of that name, if the release has one."""
        return next((step for step in self.steps if step.name == name), None)

    @property
    def failed_step(self) -> StepView | None:
        """The step that failed, if one did."""
        return next((step for step in self.steps if step.exit_status or step.why), None)

    def listed(self, name: str) -> tuple[str, ...]:
        """A fact that is a list (heads, revisions); empty when it is absent."""
        return tuple(self.facts.get(name, "").split())


def fold(items: Iterable[Item], state: State | None = None) -> State:
    """The state after ``items``."""
    state = state or State()
    for item in items:
        state = advance(state, item)
    return state


def advance(state: State, item: Item) -> State:
    """The state after one more item; unknown events change nothing but the clock."""
    if isinstance(item, Output):
        return _with_output(state, item.line)
    state = replace(state, now=max(state.now, item.at))
    change = _CHANGES.get(item.name)
    return change(state, item) if change else state


def _with_output(state: State, line: str) -> State:
    step = state.step(state.current)
    if step is None:
        return state
    if state.undoing:
        return _put(state, replace(step, undo_tail=(*step.undo_tail, line)[-TAIL:]))
    return _put(state, replace(step, tail=(*step.tail, line)[-TAIL:]))


def _put(state: State, step: StepView) -> State:
    if state.step(step.name) is None:
        return replace(state, steps=(*state.steps, step))
    return replace(state, steps=tuple(step if old.name == step.name else old for old in state.steps))


def _on_release(state: State, event: Event) -> State:
    names = event.fields.get("steps")
    steps = tuple(StepView(str(name)) for name in names) if isinstance(names, list) else ()
    return replace(
        state,
        release=event.text("release"),
        kind=event.text("kind"),
        by=event.text("by"),
        began=event.at,
        steps=state.steps or steps,
        outcome="",
        exit_code=None,
        lost=False,
    )


def _on_step(state: State, event: Event) -> State:
    name = event.text("step")
    step = state.step(name) or StepView(name)
    match event.text("state"):
        case "begin":
            step = replace(step, state="running", began=event.at)
            return replace(_put(state, step), current=name, undoing=False)
        case "done":
            step = replace(step, state="done", seconds=_since(step, event))
        case "failed":
            step = replace(
                step,
                state="failed",
                seconds=_since(step, event),
                why=event.text("why") or "failed",
                exit_status=event.number("rc"),
            )
    return replace(_put(state, step), current="")


def _since(step: StepView, event: Event) -> float:
    # The server's clock may be set back while a step runs.
    return max(0.0, event.at - step.began) if step.began else 0.0


def _on_undo(state: State, event: Event) -> State:
    name = event.text("step")
    step = state.step(name) or StepView(name)
    match event.text("state"):
        case "begin":
            return replace(
                _put(state, replace(step, state="undoing", undo_tail=())), current=name, undoing=True
            )
        case "done":
            step = replace(step, state="undone")
        case "failed":
            step = replace(step, state="undo-failed")
    return replace(_put(state, step), current="", undoing=False)


def _on_fact(state: State, event: Event) -> State:
    return replace(state, facts={**state.facts, event.text("name"): event.text("value")})


def _on_note(state: State, event: Event) -> State:
    note = Note(event.text("level") or "info", event.text("text"), event.text("hint"))
    return replace(state, notes=(*state.notes, note))


def _on_end(state: State, event: Event) -> State:
    code = event.number("exit")
    return replace(state, outcome=event.text("outcome"), exit_code=code, current="", lost=False)


def _on_lost(state: State, _event: Event) -> State:
    return replace(state, lost=True)


_CHANGES = {
    "release": _on_release,
    "step": _on_step,
    "undo": _on_undo,
    "fact": _on_fact,
    "note": _on_note,
    "end": _on_end,
    "lost": _on_lost,
}
