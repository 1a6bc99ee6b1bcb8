"""Recorded releases: what the server said and when, for the tests and for a look at the screen."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from deploy.events import SEPARATOR, Decoder, State, advance
from deploy.view import View, result_from_state

START = 1795336746.0
OLD, NEW = "9c1d2e3" + "0" * 33, "3f2a9c1" + "0" * 33
OLD_IMAGE, NEW_IMAGE = "sha256:" + "77aa05e1" * 8, "sha256:" + "1a2b3c4d" * 8
RELEASE = "20261122T081502-3f2a9c1"
STEPS = ["check", "pull", "migrate", "build", "restart"]
EXPECTED = {"check": 1.0, "pull": 1.4, "migrate": 4.0, "build": 41.0, "restart": 6.0}


@dataclass(frozen=True)
class Said:
    """``data`` of the journal at ``at`` seconds, or a warning of the laptop, or a look at the screen."""

    at: float
    data: bytes = b""
    warning: tuple[str, str] | None = None
    look: bool = False


class Recorder:
    """Writes a recording down; ``wait`` lets time pass."""

    def __init__(self) -> None:
        self.time = 0.0
        self.said: list[Said] = []

    def wait(self, seconds: float) -> None:
        self.time = round(self.time + seconds, 3)

    def event(self, event: str, **fields: object) -> None:
        record = {"v": 1, "at": START + self.time, "event": event, **fields}
        self.said.append(Said(self.time, SEPARATOR + json.dumps(record).encode() + b"\n"))

    def fact(self, name: str, value: str) -> None:
        self.event("fact", name=name, value=value)

    def lines(self, *lines: str) -> None:
        self.said.append(Said(self.time, "".join(f"{line}\n" for line in lines).encode()))

    def warn(self, text: str, hint: str = "") -> None:
        self.said.append(Said(self.time, warning=(text, hint)))

    def look(self) -> None:
        self.said.append(Said(self.time, look=True))

    def begin(self, kind: str = "deploy") -> None:
        self.event("release", kind=kind, release=RELEASE, by="ada@laptop", state="begin", steps=STEPS)

    def step(self, name: str, seconds: float, *lines: str, look: bool = False, **failed: object) -> None:
        self.event("step", step=name, state="begin")
        self._work(seconds, lines, look)
        self.event("step", step=name, **(failed or {"state": "done"}))

    def undo(self, name: str, seconds: float, *lines: str, state: str = "done", look: bool = False) -> None:
        self.event("undo", step=name, state="begin")
        self._work(seconds, lines, look)
        self.event("undo", step=name, state=state)

    def _work(self, seconds: float, lines: tuple[str, ...], look: bool) -> None:
        for line in lines:
            self.wait(seconds / (len(lines) + 1))
            self.lines(line)
        if look:
            self.look()
        self.wait(seconds / (len(lines) + 1))


def _started() -> Recorder:
    to = Recorder()
    to.wait(0.5)
    to.begin()
    to.step("check", 0.4)
    to.event("step", step="pull", state="begin")
    to.fact("commit.before", OLD)
    to.wait(1.2)
    to.lines("From git.example.org:shop/shop", " * branch  main -> FETCH_HEAD", "3f2a9c1 Orders have a state")
    to.fact("commit.after", NEW)
    to.event("step", step="pull", state="done")
    return to


def _migrated() -> Recorder:
    to = _started()
    to.fact("heads.before", "002")
    to.fact("backup", "/srv/backups/20261122T081502.dump")
    to.step(
        "migrate",
        2.1,
        "INFO  [alembic.runtime.migration] Context impl PostgresqlImpl.",
        "INFO  [alembic.runtime.migration] Running upgrade 002 -> 003, orders have a state",
    )
    to.fact("applied", "003")
    to.fact("heads.after", "003")
    to.fact("image.before", OLD_IMAGE)
    return to


_BUILD = tuple(
    f"#{number} [backend {number}/9] RUN {command}"
    for number, command in enumerate(
        (
            "apt-get update",
            "apt-get install --no-install-recommends libpq5 curl ca-certificates tini gettext-base",
            "pip install -r requirements.txt",
            "python -m compileall /app",
            "useradd --system app",
            "chown -R app /app",
        ),
        4,
    )
)


def good() -> Recorder:
    to = _migrated()
    to.step("build", 31.4, *_BUILD, look=True)
    to.fact("image.after", NEW_IMAGE)
    to.event("note", level="warn", text="the health check took 4 s of its 5 s", hint="")
    to.step("restart", 5.8, "Container shop-backend-1  Recreated", "Container shop-backend-1  Started")
    to.event("end", outcome="deployed", exit=0)
    return to


_TRACE = (
    "Traceback (most recent call last):",
    '  File "/usr/local/lib/python3.12/site-packages/sqlalchemy/engine/base.py", line 1967, in _exec_single',
    "sqlalchemy.exc.ProgrammingError: (psycopg.errors.DuplicateColumn) column \"state\" of relation exists",
)  # fmt: skip


def _failing() -> Recorder:
    to = _started()
    to.fact("heads.before", "002")
    to.fact("image.before", OLD_IMAGE)
    to.step("migrate", 3.1, *_TRACE, look=True, state="failed", rc=1, why="failed")
    return to


def failed() -> Recorder:
    to = _failing()
    to.undo("migrate", 1.4, "nothing was applied", look=True)
    to.undo("pull", 0.3, "HEAD is now at 9c1d2e3")
    to.event("end", outcome="failed", exit=1)
    return to


def incomplete() -> Recorder:
    to = _failing()
    to.undo("migrate", 1.4, "FATAL: the database system is shutting down", state="failed")
    to.undo("pull", 0.3, "HEAD is now at 9c1d2e3")
    to.event(
        "note", level="error", text="the database did not answer", hint="Start it: docker compose up -d db"
    )
    to.event("end", outcome="failed", exit=3)
    return to


def refused() -> Recorder:
    to = Recorder()
    to.wait(0.5)
    to.begin()
    to.event("step", step="check", state="begin")
    to.wait(0.6)
    to.lines(" M backend/settings.py")
    to.event(
        "note",
        level="error",
        text="the checkout /srv/shop has changes that pulling would lose: backend/settings.py",
        hint="On the server: git -C /srv/shop stash\nor commit them.",
    )
    to.event("step", step="check", state="failed", rc=1, why="refused")
    to.event("end", outcome="refused", exit=2)
    return to


def cancelled() -> Recorder:
    to = _migrated()
    to.event("step", step="build", state="begin")
    to.wait(12.0)
    to.lines("#4 [backend 4/9] RUN pip install -r requirements.txt")
    to.warn("Asked the server to cancel and undo.", "Ctrl-C again: stop watching; the server goes on.")
    to.wait(0.8)
    to.event("step", step="build", state="failed", rc=143, why="cancelled")
    to.undo("build", 0.4)
    to.undo("migrate", 2.6, "INFO  [alembic.runtime.migration] Running downgrade 003 -> 002")
    to.fact("undone", "003")
    to.undo("pull", 0.3)
    to.event("end", outcome="cancelled", exit=130)
    return to


def lost() -> Recorder:
    to = _migrated()
    to.event("step", step="build", state="begin")
    to.wait(8.0)
    to.lines(_BUILD[0])
    to.warn("The line is gone; reconnecting in 2 s.")
    to.wait(2.0)
    to.event("hello", release=RELEASE, offset=0)
    to.lines(_BUILD[1])
    to.event("alive")
    to.wait(5.0)
    to.look()
    to.warn("The line is gone.")
    return to


def killed() -> Recorder:
    to = _migrated()
    to.event("step", step="build", state="begin")
    to.wait(8.0)
    to.lines(_BUILD[0])
    to.event("lost")
    return to


CASES: dict[str, Callable[[], Recorder]] = {
    "good": good,
    "failed": failed,
    "incomplete": incomplete,
    "refused": refused,
    "cancelled": cancelled,
    "lost": lost,
    "killed": killed,
}


def play(recorder: Recorder, view: View, sleep: Callable[[float], None] = lambda _: None) -> Iterator[float]:
    """Show a recording in ``view``, with its result; yields the time at each look."""
    decoder, state, now = Decoder(), State(), 0.0
    with view:
        for said in recorder.said:
            while now < said.at - 0.05:
                view.tick(now)
                sleep(0.1)
                now = round(now + 0.1, 3)
            if said.warning:
                view.warn(*said.warning)
            for item in decoder.feed(said.data):
                state = advance(state, item)
                view.item(item, state)
            if said.look:
                view.tick(now := round(now + 0.1, 3))
                yield now
        view.result(result_from_state(state))
