"""What a release came to: the facts of its end, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from deploy.events import State, StepView

T = TypeVar("T")

#: Exit codes of the outcomes, for a journal that does not say.
_CODES = {"deployed": 0, "rolled-back": 0, "failed": 1, "refused": 2, "detached": 5, "cancelled": 130}
_INCOMPLETE = 3
_FAILURES = frozenset({"failed", "refused", "cancelled", "detached"})
#: The step that changes each part of the server.
_CHANGED_BY = {"commit": "pull", "heads": "migrate", "image": "restart"}
_WITHOUT_UNDO = frozenset({"check", "logs"})


@dataclass(frozen=True)
class Change(Generic[T]):
    """What was on the server before and what is on it now; None where it is not known."""

    before: T | None = None
    after: T | None = None


@dataclass(frozen=True)
class Result:
    """The end of a release. ``left`` is what a person has to do, in order; empty when nothing."""

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
    seconds: float = 0.0
    left: tuple[str, ...] = ()


def result_from_state(state: State, *, outcome: str | None = None, exit_code: int | None = None) -> Result:
    """The result of a release as far as ``state`` tells it; ``outcome`` and ``exit_code`` say otherwise.

    Without an outcome it is ``failed`` (3) when the runner is gone, else ``detached`` (5).
    """
    outcome = outcome or state.outcome or ("failed" if state.lost else "detached")
    code = _exit_code(state, outcome, exit_code)
    failed = state.failed_step
    heads = _change(state, "heads", code)
    return Result(
        outcome=outcome,
        exit_code=code,
        kind=state.kind or "deploy",
        release=state.release,
        failed_at=failed.name if failed else state.current,
        commit=_change(state, "commit", code),
        heads=Change(_words(heads.before), _words(heads.after)),
        image=_change(state, "image", code),
        applied=state.listed("applied"),
        undone=state.listed("undone"),
        backup=state.facts.get("backup", ""),
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


def _change(state: State, part: str, code: int) -> Change[str]:
    before, after = state.facts.get(f"{part}.before"), state.facts.get(f"{part}.after")
    if code == 0:
        return Change(before, before if state.kind == "recover" else after)
    if code == _INCOMPLETE:
        return Change(before, _in_between(state, part, before, after))
    return Change(before, None if code == _CODES["detached"] else before)


def _in_between(state: State, part: str, before: str | None, after: str | None) -> str | None:
    step = state.step(_CHANGED_BY[part])
    if step is None or state.kind in ("rollback", "restore"):
        return None
    return {"waiting": before, "undone": before, "done": after}.get(step.state)


def _left(state: State) -> tuple[str, ...]:
    gone = ["The runner on the server is gone and left no outcome."] if state.lost else []
    steps = [word for step in reversed(state.steps) if (word := _open_end(step))]
    hints = [note.hint for note in state.notes if note.level == "error" and note.hint]
    return (*gone, *steps, *hints, "Run: fab recover")


def _open_end(step: StepView) -> str:
    if step.name in _WITHOUT_UNDO or step.state in ("waiting", "undone"):
        return ""
    if step.state == "undo-failed":
        return f"The undo of {step.name} failed; its output is above."
    return f"{step.name} is not undone."
