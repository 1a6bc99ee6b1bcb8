"""One line of the ledger as a value, and how it follows from a release's journal."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

from deploy.events import State, StepView
from deploy.ledger.errors import LedgerError

#: The last second that a date can hold, less a day so that it stays one in every time zone.
_LAST = datetime(9999, 12, 30, tzinfo=UTC).timestamp()


@dataclass(frozen=True)
class StepEntry:
    """One step of a release: its name, last known state, duration, and why it failed (may be empty)."""

    name: str
    state: str = "waiting"
    seconds: float = 0.0
    why: str = ""


@dataclass(frozen=True)
class Entry:
    """One release of one target on one host. Times carry a time zone and are the server's clock.

    ``outcome`` is empty while the release runs and ``interrupted`` when its runner is gone without one;
    ``ended_at`` is None and ``seconds`` 0 for both.
    """

    id: str
    app: str
    target: str
    host: str
    path: str
    kind: str
    by: str
    started_at: datetime
    ended_at: datetime | None = None
    outcome: str = ""
    exit_code: int | None = None
    commit_before: str = ""
    commit_after: str = ""
    heads_before: tuple[str, ...] = ()
    heads_after: tuple[str, ...] = ()
    image_before: str = ""
    image_after: str = ""
    applied: tuple[str, ...] = ()
    undone: tuple[str, ...] = ()
    backup: str = ""
    seconds: float = 0.0
    version: str = ""
    steps: tuple[StepEntry, ...] = ()


def entry_from_state(state: State, *, app: str, target: str, host: str, path: str) -> Entry:
    """The entry of a folded journal; ``LedgerError`` when the journal does not name its release.

    The version is the fact ``version``: who mirrors a release need not run the backstay that made it.
    """
    if not state.release:
        raise LedgerError("The journal does not name its release, so there is nothing to record.")
    ended = bool(state.outcome)
    facts = state.facts
    return Entry(
        id=state.release,
        app=app,
        target=target,
        host=host,
        path=path,
        kind=state.kind,
        by=state.by,
        started_at=_time(state.began),
        ended_at=_time(state.now) if ended else None,
        outcome=state.outcome or ("interrupted" if state.lost else ""),
        exit_code=state.exit_code,
        commit_before=facts.get("commit.before", ""),
        commit_after=facts.get("commit.after", ""),
        heads_before=state.listed("heads.before"),
        heads_after=state.listed("heads.after"),
        image_before=facts.get("image.before", ""),
        image_after=facts.get("image.after", ""),
        applied=state.listed("applied"),
        undone=state.listed("undone"),
        backup=facts.get("backup", ""),
        seconds=_duration(state.now - state.began) if ended else 0.0,
        version=facts.get("version", ""),
        steps=tuple(_step(step) for step in state.steps),
    )


def _step(step: StepView) -> StepEntry:
    return StepEntry(step.name, step.state, _duration(step.seconds), step.why)


def _time(at: float) -> datetime:
    # A journal is bytes from elsewhere: its clock may say anything, infinity too.
    return datetime.fromtimestamp(min(at, _LAST) if at > 0 else 0, UTC)


def _duration(seconds: float) -> float:
    # A server's clock may be set back while a step runs.
    return max(seconds, 0.0) if math.isfinite(seconds) else 0.0
