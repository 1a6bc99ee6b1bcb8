"""The story: five acts, and after each a look whether what it claims is so."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping
from types import FrameType
from typing import TextIO

from deploy.demo import example
from deploy.demo.stage import Stage
from deploy.errors import UsageError

USERS = ("ann@example.org", "bob@example.org")

OPENING = """\
A deployment that fails leaves the server as it was. Here is the whole story, with real git, SSH, Alembic and
HTTP. The server is on this machine; all of it goes away at the end.

  the laptop  {stage.laptop.work}
  the server  {stage.server.checkout}, by SSH on port {stage.server.ssh.port}
"""
CLOSING = """
That was, in {seconds:.0f} s: a deployment; one with a migration; one that failed and left no
trace; a rollback. No user was lost on the way.

Next: write a deploy.toml of three lines (app, host, path) and a fabfile.py of one
(from deploy.tasks import namespace) into your own repository, then: fab deploy
All tasks: fab --list. All settings: docs/configuration.md. Without engine = "venv" it is Docker Compose.
"""


class BrokenPromise(Exception):
    """What the demo was about to claim is not so."""


def main(stdout: TextIO | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Tell the story on ``stdout``.

    0 when all that it claims was so, 1 when not, 2 when it cannot be told on this machine, 130 after Ctrl-C.
    """
    out = stdout or sys.stdout
    before = _on_terminate(_interrupt)
    try:
        with Stage(out, os.environ if environ is None else environ) as stage:
            _tell(stage)
    except BrokenPromise as broken:
        out.write(f"\nThis is not what was promised: {broken}\n")
        return 1
    except UsageError as error:
        out.write(f"\n{error.message}\n{error.hint}\n")
        return error.exit_code
    except KeyboardInterrupt:
        out.write("\nStopped; nothing is left of it.\n")
        return 130
    finally:
        _on_terminate(before)
    return 0


def _tell(stage: Stage) -> None:
    begin = time.monotonic()
    stage.laptop.tell(OPENING.format(stage=stage))
    _first(stage)
    _avatar(stage)
    _broken(stage)
    _rollback(stage)
    _look_back(stage)
    stage.laptop.tell(CLOSING.format(seconds=time.monotonic() - begin))


def _first(stage: Stage) -> None:
    _act(stage, 1, "The first deployment. Then two people sign up.")
    _expect("the deployment succeeds", stage.laptop.fab("deploy", "--yes", "--no-logs"), 0)
    for user in USERS:
        _expect("a user is added", (stage.ask("/users", {"email": user}) or {}).get("email"), user)
    _expect("the application is version 1", _version(stage), "1")


def _avatar(stage: Stage) -> None:
    _act(stage, 2, "A release with a migration: users get an avatar_url.")
    stage.laptop.release("Add avatar_url to users", example.avatar_release)
    _expect("the deployment succeeds", stage.laptop.fab("deploy", "--yes", "--no-logs"), 0)
    _expect("the application is version 2", _version(stage), "2")
    _expect("both users are there", _users(stage), USERS)
    _expect("users have an avatar_url", "avatar_url" in stage.server.tables()["users"], True)


def _broken(stage: Stage) -> None:
    _act(
        stage,
        3,
        "A release whose migration works and whose application crashes. All is undone.",
    )
    commit, tables = stage.commit(), stage.server.tables()
    stage.laptop.release("Add likes", example.broken_release)
    _expect(
        "the deployment's exit code says failed and undone",
        stage.laptop.fab("deploy", "--yes", "--no-logs"),
        1,
    )
    stage.laptop.tell("The exit code was 1: failed, and the server is exactly as it was.")
    _expect("the old version answers", _version(stage), "2")
    _expect("both users are there", _users(stage), USERS)
    _expect("the old commit is back", stage.commit(), commit)
    _expect("the tables are as they were", stage.server.tables(), tables)
    _expect("the migrations are as they were", stage.laptop.asked("status")["heads"], ["003"])


def _rollback(stage: Stage) -> None:
    _act(stage, 4, "Second thoughts: back to version 1. The avatar_url goes, the users stay.")
    _expect("the rollback succeeds", stage.laptop.fab("rollback", "--yes"), 0)
    _expect("the application is version 1", _version(stage), "1")
    _expect("both users are there", _users(stage), USERS)
    _expect("users have no avatar_url", "avatar_url" in stage.server.tables()["users"], False)


def _look_back(stage: Stage) -> None:
    _act(stage, 5, "What is there now, and what was.")
    _expect("the status is told", stage.laptop.fab("status"), 0)
    stage.laptop.tell("")
    _expect("the history is told", stage.laptop.fab("history"), 0)
    now = stage.laptop.asked("status")
    _expect("it runs and is healthy", (now["running"], now["healthy"]), (True, True))
    _expect("the migrations are those of version 1", now["heads"], ["002"])


def _act(stage: Stage, number: int, says: str) -> None:
    stage.laptop.tell(f"\n{number}. {says}\n")


def _version(stage: Stage) -> object:
    return (stage.ask("/version") or {}).get("version")


def _users(stage: Stage) -> tuple[str, ...]:
    return tuple(user["email"] for user in stage.ask("/users") or ())


def _expect(claim: str, found: object, wanted: object) -> None:
    if found != wanted:
        raise BrokenPromise(f"{claim}: {found!r}, not {wanted!r}")


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _on_terminate(handler: object) -> object:
    """Handle SIGTERM so; what did before. Outside of the main thread nothing can be set."""
    try:
        return signal.signal(signal.SIGTERM, handler)  # type: ignore[arg-type]
    except ValueError:
        return signal.SIG_DFL
