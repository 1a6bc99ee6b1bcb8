"""One at a time, and what is refused before anything is touched."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.runner.bench import Bench, bench, ended, plan, said, step, tool

SLEEP = tool("sleep")
WAITS = f"touch ~/waits; while [ ! -e ~/go ]; do {SLEEP} 0.02; done"


def test_the_second_one_is_told_who_has_it(server: Bench) -> None:
    process = server.start("deploy", plan=plan([step("one", WAITS)]))
    server.wait_for("waits")
    busy = said(server.deploy("two", by="bob"), "busy")[0]
    assert (busy.text("release"), busy.text("by"), busy.text("step")) == ("r001", "ann@laptop", "one")
    assert abs(busy.number("since") - busy.at) < 30
    for verb in ("rollback", "recover", "accept"):
        assert ended(server.run(verb, "", plan=plan(["x"])))[0] == "busy"  # type: ignore[arg-type]
    (server.home / "go").touch()
    assert ended(server.watch(process)) == ("deployed", 0)
    assert server.lines() == ["do one"]
    assert ended(server.deploy("two")) == ("deployed", 0)


def test_ten_at_once(server: Bench) -> None:
    processes = [server.start("deploy", plan=plan([step("one", WAITS)])) for _ in range(10)]
    server.wait_for("waits")
    answers = [
        server.watch(process, lambda item: bool(said([item], "busy") or said([item], "hello")))
        for process in processes
    ]
    assert sum(bool(said(items, "busy")) for items in answers) == 9
    assert sum(bool(said(items, "hello")) for items in answers) == 1
    (server.home / "go").touch()
    server.wait_quiet()
    assert server.lines() == ["do one"]
    assert len(list((server.state / "releases").iterdir())) == 1


def test_a_look_at_the_lock_makes_nobody_busy(dash: Bench) -> None:
    """A question, or a runner that has said its last word, may have it for a moment."""
    dash.deploy("one")
    holder = subprocess.Popen(["flock", dash.lock, SLEEP, "0.05"])
    try:
        assert ended(dash.deploy("two")) == ("deployed", 0)
    finally:
        holder.wait()


def test_a_release_id_that_exists(server: Bench) -> None:
    server.deploy("one", id="same")
    items = server.deploy("two", id="same")
    assert ended(items) == ("refuse", 2)
    assert "exists already" in said(items, "refuse")[0].text("text")
    assert server.lines() == ["do one"]


@pytest.mark.parametrize(
    "name", ["git", "flock", "setsid", "mkfifo", "awk", "sed", "sort", "sync", "tail", "tr"]
)
def test_a_tool_that_is_missing_is_named(name: str, tmp_path: Path) -> None:
    with bench(tmp_path / "server") as server:
        needed = [
            "awk",
            "cat",
            "chmod",
            "cp",
            "date",
            "dd",
            "flock",
            "git",
            "grep",
            "gzip",
            "head",
            "id",
            "ls",
            "mkdir",
            "mkfifo",
            "mktemp",
            "mv",
            "rm",
            "sed",
            "setsid",
            "sort",
            "sync",
            "tail",
            "tar",
            "tr",
            "wc",
        ]
        for word in set(needed) - {name}:
            (server.bin / word).symlink_to(tool(word))
        server.environ["PATH"] = str(server.bin)
        process = server.send(
            server.request("deploy", [], server.settings(), plan(["one"])), (tool("dash"), "-c")
        )
        items = server.watch(process)
        assert ended(items) == ("refuse", 2)
        assert said(items, "refuse")[0].text("text") == f"{name} is not installed on the server"


def test_no_checkout(server: Bench) -> None:
    items = server.deploy("one", path=f"{server.root}/nowhere")
    assert ended(items) == ("refuse", 2)
    assert "no folder" in said(items, "refuse")[0].text("text")
    (server.root / "plain").mkdir()
    items = server.deploy("one", path=f"{server.root}/plain")
    assert "not a git checkout" in said(items, "refuse")[0].text("text")
    assert not server.state.exists()


def test_the_records_of_another_checkout(server: Bench) -> None:
    server.deploy("one")
    other = server.root / "other"
    subprocess.run(["git", "init", "-q", str(other)], check=True)
    items = server.deploy("two", path=str(other))
    assert ended(items) == ("refuse", 2)
    assert str(server.checkout) in said(items, "refuse")[0].text("text")
    assert ended(server.deploy("two", path=str(other), state="~/elsewhere")) == ("deployed", 0)
    assert (server.home / "elsewhere/current").exists()


def test_a_release_of_another_user_that_was_interrupted(server: Bench) -> None:
    server.deploy(step("one", "exit 1", "exit 1"), by="bob", state="~/of-bob")
    items = server.deploy("two")
    assert ended(items) == ("refuse", 3)
    assert "of bob was interrupted" in said(items, "refuse")[0].text("text")
    assert server.lines()[-1] == "undo one"


def test_a_state_that_cannot_be_written(server: Bench) -> None:
    (server.home / "file").touch()
    items = server.deploy("one", state="~/file/state")
    assert ended(items) == ("refuse", 2)
    assert "cannot write" in said(items, "refuse")[0].text("text")
    assert not server.lock.read_text()


def test_a_kit_that_is_cut_off_never_starts(dash: Bench) -> None:
    request = dash.request("deploy", [], dash.settings(), plan(["one"]))
    size = len(request.stdin)
    for cut in [0, 1, 10, 100, *range(200, size - 30, size // 12), *range(size - 12, size)]:
        process = dash.send(type(request)(request.command, request.stdin[:cut]))
        assert process.stdin
        process.stdin.close()
        assert process.wait(10) == 97, f"cut at {cut} of {size}"
        assert process.stdout
        assert process.stderr
        process.stdout.close()
        process.stderr.close()
    assert not dash.state.exists()
    assert not dash.lines()


def test_the_temporary_folder_may_forbid_programs(dash: Bench) -> None:
    """Nothing in it is executed by its name."""
    temporary = dash.root / "tmp"
    temporary.mkdir()
    dash.environ["TMPDIR"] = str(temporary)
    mounted = (
        os.getuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "noexec,size=1m", "none", temporary], capture_output=True
        ).returncode
    )
    try:
        assert ended(dash.deploy("one")) == ("deployed", 0)
        assert list(temporary.iterdir()) == []
    finally:
        if mounted:
            subprocess.run(["umount", temporary], check=True)
