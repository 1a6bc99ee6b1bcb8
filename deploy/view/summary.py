"""What a release came to: the facts of its end, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from deploy.events import State, StepView

T = TypeVar("T")

#: Exit codes of the outcomes, for a journal that does not say.
_CODES = {
    "deployed": 0,
    "done": 0,
    "rolled-back": 0,
    "failed": 1,
    "refused": 2,
    "detached": 5,
    "cancelled": 130,
}
_INCOMPLETE = 3
_FAILURES = frozenset({"failed", "refused", "cancelled", "detached"})
#: The step that changes each part of the server.
_CHANGED_BY = {"commit": "pull", "heads": "migrate", "image": "restart"}
_WITHOUT_UNDO = frozenset({"recover", "check", "logs"})
#: Kinds of release that go to another one's state, and note it themselves.
_OWN_FACTS = frozenset({"rollback"})
Side = Literal["before", "after", "between", "unknown"]


@dataclass(frozen=True)
class Change(Generic[T]):
    """What was on the server before and what is on it now; None where it is not known."""

    before: T | None = None
    after: T | None = None


@dataclass(frozen=True)
class Result:
    """The end of a release. ``left`` is what a person has to do, in order; empty when nothing.

    ``danger`` is the commit that was refused because nobody agreed to its migrations.
    """

    outcome: str
    exit_code: int
    kind: str = "deploy"
    release: str = ""
    failed_at: str = ""
    commit: Change[str] = Change()
    heads: Change[tuple[str, ...]] = Change()
    image: Change[str] = Change()
    applied: tuple[str, ...] = ()
    undone: tuple[str, ...] = ()
    backup: str = ""
    lost: str = ""
    danger: str = ""
    seconds: float = 0.0
    left: tuple[str, ...] = ()

    @property
    def turned_back(self) -> bool:
        """Whether the server is as it was before this release."""
        return _side(self.kind, self.outcome, self.exit_code) == "before"


def result_from_state(state: State, *, outcome: str | None = None, exit_code: int | None = None) -> Result:
    """The result of a release as far as ``state`` tells it; ``outcome`` and ``exit_code`` say otherwise.

    Without an outcome it is ``failed`` (3) when the runner is gone, else ``detached`` (5).
    """
    outcome = outcome or state.outcome or ("failed" if state.lost else "detached")
    code = _exit_code(state, outcome, exit_code)
    failed = state.failed_step
    side = _side(state.kind, outcome, code)
    heads = _change(state, "heads", side)
    return Result(
        outcome=outcome,
        exit_code=code,
        kind=state.kind or "deploy",
        release=state.release,
        failed_at=failed.name if failed else state.current,
        commit=_change(state, "commit", side),
        heads=Change(_words(heads.before), _words(heads.after)),
        image=_change(state, "image", side),
        applied=state.listed("applied"),
        undone=state.listed("undone"),
        backup=state.facts.get("backup", ""),
        lost=state.facts.get("lost", "") if code == _INCOMPLETE else "",
        danger=state.facts.get("danger", "") if outcome == "refused" else "",
        seconds=max(state.now - state.began, 0.0),
        left=_left(state) if code == _INCOMPLETE else (),
    )


def _exit_code(state: State, outcome: str, given: int | None) -> int:
    if given is not None:
        return given
    if outcome != "detached" and (state.lost or _undo_failed(state)):
        return _INCOMPLETE
    code = state.exit_code if outcome == state.outcome else None
    if code is None:
        return _CODES.get(outcome, _INCOMPLETE)
    # A failure that says 0 contradicts itself: somebody has to look.
    return _INCOMPLETE if code == 0 and outcome in _FAILURES else code


def _undo_failed(state: State) -> bool:
    return any(step.state == "undo-failed" for step in state.steps)


def _words(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(text.split())


def _side(kind: str, outcome: str, code: int) -> Side:
    if outcome == "detached":
        return "unknown"
    if code == _INCOMPLETE:
        return "between"
    # A rollback's own facts say what it went to; a deployment that was rolled back is where it came from.
    return "after" if code == 0 and (outcome != "rolled-back" or kind in _OWN_FACTS) else "before"


def _change(state: State, part: str, side: Side) -> Change[str]:
    before, after = state.facts.get(f"{part}.before"), state.facts.get(f"{part}.after")
    match side:
        case "before":
            return Change(before, before)
        case "after":
            return Change(before, after)
        case "between":
            return Change(before, _in_between(state, part, before, after))
    return Change(before)


def _in_between(state: State, part: str, before: str | None, after: str | None) -> str | None:
    step = state.step(_CHANGED_BY[part])
    if step is None or state.kind in _OWN_FACTS:
        return None
    return {"waiting": before, "undone": before, "done": after}.get(step.state)


def _left(state: State) -> tuple[str, ...]:
    failed = [
        f"The undo of {step.name} failed; its output is above."
        for step in reversed(state.steps)
        if step.state == "undo-failed"
    ]
    begun = [step.name for step in reversed(state.steps) if _is_open(step)]
    undone = [f"Not undone: {', '.join(begun)}."] if begun else []
    hints = [note.hint for note in state.notes if note.level == "error" and note.hint]
    # What was dropped is in a backup alone: there is nothing more to undo.
    more = () if "lost" in state.facts and not failed and not undone else ("Run: fab recover",)
    return (*failed, *undone, *hints, *more)


def _is_open(step: StepView) -> bool:
    return step.name not in _WITHOUT_UNDO and step.state not in ("waiting", "undone", "undo-failed")
