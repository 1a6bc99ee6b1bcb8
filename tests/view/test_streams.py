"""Where the text goes: pipes that close, terminals that cannot, programs that read."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import textwrap

import pytest

from deploy.events import Event, Output, State
from deploy.view import Result, open_view
from deploy.view.jsonlines import JsonView
from deploy.view.live import LiveView
from deploy.view.plain import PlainView
from deploy.view.sink import Sink
from tests.view.golden import shown
from tests.view.recordings import CASES, OLD, RELEASE, play


class Tty(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "kind"),
    [
        (Tty(), {"TERM": "xterm-256color"}, LiveView),
        (Tty(), {"TERM": "xterm", "NO_COLOR": "1"}, LiveView),
        (Tty(), {"TERM": "dumb"}, PlainView),
        (Tty(), {}, PlainView),
        (Tty(), {"TERM": "xterm", "CI": "true"}, PlainView),
        (io.StringIO(), {"TERM": "xterm"}, PlainView),
    ],
)
def test_auto_takes_what_fits(stream: io.StringIO, environ: dict[str, str], kind: type) -> None:
    view = open_view("auto", stream, io.StringIO(), environ=environ, target="t")
    assert type(view) is kind


@pytest.mark.parametrize(("mode", "kind"), [("json", JsonView), ("plain", PlainView), ("live", LiveView)])
def test_a_mode_that_was_asked_for_is_taken(mode: str, kind: type) -> None:
    view = open_view(mode, Tty(), io.StringIO(), environ={"TERM": "dumb"}, target="t")  # type: ignore[arg-type]
    assert type(view) is kind


@pytest.mark.parametrize(
    ("environ", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True)]
)
def test_no_color(environ: dict[str, str], coloured: bool) -> None:
    out = Tty()
    view = open_view("live", out, io.StringIO(), environ={"TERM": "xterm", **environ}, target="t")
    list(play(CASES["failed"](), view))
    assert ("\x1b[32m" in out.getvalue()) is coloured
    assert "\x1b[1A" in out.getvalue()


def test_plain_has_no_escapes_and_is_complete() -> None:
    text = shown("incomplete", "plain")
    assert "\x1b" not in text
    for line in ("[undo migrate] FATAL: the database system is shutting down", "check: done in 0.4 s"):
        assert line in text.splitlines()


def test_json_is_every_event_and_then_the_result() -> None:
    out, err = io.StringIO(), io.StringIO()
    recorder = CASES["cancelled"]()
    list(play(recorder, JsonView(Sink(out), Sink(err))))
    records = [json.loads(line) for line in out.getvalue().splitlines()]
    assert records[0]["event"] == "release"
    assert {"event": "output", "step": "pull", "line": "3f2a9c1 Orders have a state"} in records
    assert records[-1] == {
        "event": "result",
        "outcome": "cancelled",
        "exit_code": 130,
        "release": RELEASE,
        "commit": {"before": OLD, "after": OLD},
        "heads": {"before": ["002"], "after": ["002"]},
        "image": {"before": "sha256:" + "77aa05e1" * 8, "after": "sha256:" + "77aa05e1" * 8},
        "applied": ["003"],
        "undone": ["003"],
        "backup": "/srv/backups/20261122T081502.dump",
        "seconds": 19.8,
    }
    assert len(records) == len([said for said in recorder.said if said.data]) + 2 + 1
    assert err.getvalue().startswith("warning: Asked the server to cancel and undo.\n  Ctrl-C again")


def test_json_is_strict_ascii_whatever_comes() -> None:
    def refuse(word: str) -> None:
        raise AssertionError(word)

    out = io.StringIO()
    view = JsonView(Sink(out), Sink(out))
    fields = {
        "event": "x",
        "at": float("nan"),
        "deep": [{"\ud800": float("inf")}],
        "text": "\x1b[31m\ud83d é",
    }
    view.item(Event("x", 0.0, fields), State())
    view.item(Output("\u2028\x00"), State())
    assert out.getvalue().isascii()
    first, second = (json.loads(line, parse_constant=refuse) for line in out.getvalue().splitlines())
    assert first == {"event": "x", "at": None, "deep": [{"?": None}], "text": "\x1b[31m? é"}
    assert second == {"event": "output", "step": "", "line": "\u2028\x00"}


def run(code: str, **more: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        **more,  # type: ignore[call-overload]
    )


@pytest.mark.parametrize("mode", ["plain", "json", "live"])
def test_a_closed_pipe_ends_the_text_and_nothing_else(mode: str) -> None:
    code = f"""
        import os, sys
        from deploy.events import Output, State
        from deploy.view import Result, open_view
        with open_view({mode!r}, sys.stdout, sys.stderr, environ={{"TERM": "xterm"}}, target="t") as view:
            for n in range(100000):
                view.item(Output("x" * 70), State())
                view.tick(float(n))
            view.result(Result("deployed", 0))
        sys.stderr.write("went on to the end")
    """
    with run(code) as process:
        assert process.stdout
        assert process.stderr
        process.stdout.read(100)
        process.stdout.close()
        assert process.stderr.read() == b"went on to the end"
        assert process.wait(60) == 0


def test_lines_come_at_once() -> None:
    code = """
        import sys, time
        from deploy.events import Output, State
        from deploy.view import open_view
        view = open_view("auto", sys.stdout, sys.stderr, environ={}, target="t")
        view.item(Output("one"), State())
        sys.stdin.read()
    """
    with run(code, stdin=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdin
        assert process.stdout.readline() == b"one\n"
        process.stdin.close()


@pytest.mark.parametrize("mode", ["plain", "json"])
def test_rich_is_not_loaded_without_need(mode: str) -> None:
    code = f"""
        import io, sys
        from deploy.errors import FailedError
        from deploy.view import HistoryRow, Result, Status, open_view, show_error, show_history, show_status
        out = io.StringIO()
        open_view({mode!r}, out, out, environ={{}}, target="t").result(Result("deployed", 0))
        show_history([HistoryRow("r", "deploy", "deployed", 0.0)], out, {{}})
        show_status(Status("a", "t", "c", "b", (), "i", True, True), out, {{}})
        show_error(FailedError("m"), out, {{}}, json_to=out)
        assert "deployed" in out.getvalue()
        sys.exit(any(name.split(".")[0] == "rich" for name in sys.modules))
    """
    with run(code) as process:
        assert process.wait(60) == 0


def test_an_encoding_that_lacks_a_sign_gets_an_escape() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, "ascii")
    view = open_view("plain", out, out, environ={}, target="t")
    view.item(Output("naïve"), State())
    view.result(Result("deployed", 0, seconds=3))
    assert raw.getvalue() == b"na\\xefve\nDeployed, 3 s\n"


def test_a_full_disk_is_no_reason_to_stop() -> None:
    with open("/dev/full", "w") as full:
        sink = Sink(full)
        sink.write("x")
        sink.write("y")
        assert not sink.open
        assert os.path.samestat(os.fstat(full.fileno()), os.stat(os.devnull))
