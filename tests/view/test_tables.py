"""Errors, history and status, literally."""

from __future__ import annotations

import io
import json
from datetime import UTC

import pytest

from deploy.errors import (
    BackstayError,
    BusyError,
    ConnectionLostError,
    FailedError,
    IncompleteError,
    InterruptedByUserError,
    RefusedError,
    UsageError,
)
from deploy.view import HistoryRow, Status, show_error, show_history, show_status

OLD, NEW = "9c1d2e3" + "0" * 33, "3f2a9c1" + "0" * 33
RELEASE = "20261122T081502-3f2a9c1"
IMAGE = "sha256:" + "1a2b3c4d" * 8
ROWS = [
    HistoryRow(RELEASE, "deploy", "deployed", 1795335302.0, "ada@laptop", NEW, ("003",), 41.2),
    HistoryRow(
        "20261121T190000-9c1d2e3", "rollback", "failed", 1795287600.0, "bob\x1b[2J", OLD, ("001", "002"), 2.5
    ),
]
STATUS = Status("shop", "production", NEW, "main", ("003",), IMAGE, True, True, RELEASE)


class Tty(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_an_error_is_a_message_and_a_hint() -> None:
    err = io.StringIO()
    show_error(UsageError("no deploy.toml\x1b[2J here", "Write one:\nfab init"), err, {"TERM": "xterm"})
    assert err.getvalue() == "error: no deploy.toml here\n  Write one:\n  fab init\n"


def test_an_error_has_colour_on_a_terminal_only_if_wanted() -> None:
    texts = []
    for environ in ({"TERM": "xterm"}, {"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb"}):
        err = Tty()
        show_error(UsageError("m"), err, environ)
        texts.append(err.getvalue())
    assert texts == ["\x1b[1;31merror:\x1b[0m m\n", "error: m\n", "error: m\n"]


@pytest.mark.parametrize(
    ("kind", "outcome", "code"),
    [
        (RefusedError, "refused", 2),
        (UsageError, "refused", 2),
        (BusyError, "refused", 4),
        (FailedError, "failed", 1),
        (IncompleteError, "failed", 3),
        (ConnectionLostError, "detached", 5),
        (InterruptedByUserError, "cancelled", 130),
    ],
)
def test_an_error_for_programs(kind: type[BackstayError], outcome: str, code: int) -> None:
    out, err = io.StringIO(), io.StringIO()
    show_error(kind("m"), err, {}, json_to=out)
    record = json.loads(out.getvalue())
    assert (record["event"], record["outcome"], record["exit_code"]) == ("result", outcome, code)
    assert record["commit"] == {"before": None, "after": None}
    assert err.getvalue() == "error: m\n"


def test_history_in_a_pipe_has_every_column() -> None:
    out = io.StringIO()
    show_history(ROWS, out, {}, zone=UTC)
    assert (
        out.getvalue()
        == """\
release                  kind      outcome   when              by          commit   migrations  time
20261122T081502-3f2a9c1  deploy    deployed  2026-11-22 08:15  ada@laptop  3f2a9c1  003         41 s
20261121T190000-9c1d2e3  rollback  failed    2026-11-21 19:00  bob         9c1d2e3  001, 002    2.5 s
"""
    )


def test_history_on_a_terminal_leaves_out_what_does_not_fit() -> None:
    out = Tty()
    show_history(ROWS, out, {"TERM": "dumb"}, zone=UTC)
    lines = [line.rstrip() for line in _text(out).splitlines()]
    assert lines == [
        "release                  outcome   when              by           time",
        "20261122T081502-3f2a9c1  deployed  2026-11-22 08:15  ada@laptop   41 s",
        "20261121T190000-9c1d2e3  failed    2026-11-21 19:00  bob         2.5 s",
    ]


def _text(out: io.StringIO) -> str:
    return out.getvalue().replace("\x1b[1m", "").replace("\x1b[0m", "")


def test_history_has_colour_on_a_terminal() -> None:
    out = Tty()
    show_history(ROWS, out, {"TERM": "xterm"}, zone=UTC)
    assert "\x1b[32mdeployed\x1b[0m" in out.getvalue()


def test_no_history() -> None:
    out = io.StringIO()
    show_history([], out, {})
    assert out.getvalue() == "No releases yet.\n"


def test_status_for_people() -> None:
    out = io.StringIO()
    show_status(STATUS, out, {})
    assert (
        out.getvalue()
        == """\
shop on production
  commit       3f2a9c1 (main)
  migrations   003
  image        1a2b3c4d1a2b
  service      running, healthy
  release      20261122T081502-3f2a9c1
"""
    )


def test_status_says_what_is_wrong() -> None:
    out = io.StringIO()
    bad = Status("shop", "t", "", "", (), "", False, None, "", "r2", "r1", ("the commit is x\x07, not y",))
    show_status(bad, out, {})
    assert (
        out.getvalue()
        == """\
shop on t
  commit       none
  migrations   none
  image        none
  service      not running
  release      none
  in progress  r2; to see it: fab attach
  interrupted  r1; to undo it: fab recover
Changed since that release:
  the commit is x, not y
"""
    )


@pytest.mark.parametrize(
    ("healthy", "words"), [(True, "running, healthy"), (False, "running, not healthy"), (None, "running")]
)
def test_health(healthy: bool | None, words: str) -> None:
    out = io.StringIO()
    show_status(Status("a", "t", "c", "b", (), "i", True, healthy), out, {})
    assert f"  service      {words}\n" in out.getvalue()


def test_status_for_programs() -> None:
    out = io.StringIO()
    show_status(STATUS, out, {}, as_json=True)
    assert json.loads(out.getvalue()) == {
        "app": "shop",
        "target": "production",
        "commit": "3f2a9c1" + "0" * 33,
        "branch": "main",
        "heads": ["003"],
        "image": "sha256:" + "1a2b3c4d" * 8,
        "running": True,
        "healthy": True,
        "release": "20261122T081502-3f2a9c1",
        "in_progress": None,
        "interrupted": None,
        "drift": [],
    }
