"""The steps in order, their undo in reverse, their time limits, and being told to stop."""

from __future__ import annotations

import contextlib
import os
import signal
import time

import pytest

from deploy import events
from deploy.plan import Step
from tests.runner.bench import Bench, ended, output, plan, said, step, tool, wait_until

SLEEP = tool("sleep")
LIB = ". ./values.sh; . ./lib.sh\n"


def hang(name: str, undo: str = "") -> Step:
    return step(name, f"touch ~/hangs; exec {SLEEP} 60", undo)


def test_a_good_run(server: Bench) -> None:
    items = server.deploy("one", "two", "three", finish="echo tidy >>~/trace")
    assert ended(items) == ("deployed", 0)
    assert server.lines() == ["do one", "do two", "do three", "tidy"]
    assert output(items) == ["do one", "do two", "do three"]
    assert [event.text("state") for event in said(items, "step")] == ["begin", "done"] * 3
    assert (server.outcome(), server.record("current"), server.record("unfinished")) == (
        "deployed 0",
        "r001",
        "",
    )
    assert server.lock.read_text() == ""
    assert (server.release() / "runner.log").read_text() == ""
    left = {file.name for file in server.release().iterdir()}
    assert not left & {"reserve", "last", "pipe", "gate", "cancel", "why", "outcome.new"}


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_step_that_fails_is_undone_first(server: Bench, number: int) -> None:
    names = ["one", "two", "three", "four"]
    steps = [step(name, "exit 7" if n == number else "") for n, name in enumerate(names, 1)]
    items = server.deploy(*steps)
    assert ended(items) == ("failed", 1)
    begun = names[:number]
    assert server.lines() == [f"do {n}" for n in begun] + [f"undo {n}" for n in reversed(begun)]
    state = events.fold(items)
    failed = state.failed_step
    assert failed
    assert (failed.name, failed.exit_status, failed.why) == (names[number - 1], 7, "failed")
    assert [view.state for view in state.steps] == ["undone"] * number + ["waiting"] * (4 - number)
    assert (server.record("current"), server.record("unfinished"), server.lock.read_text()) == ("", "", "")


def test_nothing_touched_is_refused(server: Bench) -> None:
    items = server.deploy(Step("check", "echo no; exit 1"), "two")
    assert ended(items) == ("refused", 2)
    assert [event.text("why") for event in said(items, "step")] == ["", "refused"]
    assert output(items) == ["no"]
    assert server.lines() == []


def test_facts_survive_and_what_is_now_is_said(server: Bench) -> None:
    facts = LIB + 'fact commit.before "a b\\"c"; fact heads.before ""'
    items = server.deploy(step("one", facts), step("two", "exit 1"))
    state = events.fold(items)
    assert state.facts["commit.before"] == 'a b"c' == state.facts["commit.after"]
    assert state.facts["heads.after"] == ""


def test_an_undo_that_fails_once_gets_a_second_turn(server: Bench) -> None:
    once = "[ -e ~/tried ] || { touch ~/tried; exit 1; }"
    items = server.deploy("one", step("two", undo=once), step("three", "exit 1"))
    assert ended(items) == ("failed", 1)
    assert server.lines()[3:] == ["undo three", "undo two", "undo one", "undo two"]


def test_an_undo_that_cannot_be_done_leaves_the_rest_undone(server: Bench) -> None:
    items = server.deploy("one", step("two", undo="[ -e ~/mended ]"), step("three", "exit 1"))
    assert ended(items) == ("failed", 3)
    assert server.lines()[3:] == ["undo three", "undo two", "undo one", "undo two"]
    assert (server.outcome(), server.record("unfinished")) == ("failed 3", "r001")
    assert [event.text("state") for event in said(items, "undo") if event.text("step") == "two"] == [
        "begin",
        "failed",
    ] * 2
    assert ended(server.rollback()) == ("refuse", 3)
    assert ended(server.run("recover")) == ("failed", 3)
    (server.home / "mended").touch()
    before = len(server.lines())
    assert ended(server.run("recover")) == ("failed", 1)
    assert server.lines()[before:] == ["undo two"]
    assert (server.outcome(1), server.record("unfinished"), server.lock.read_text()) == ("failed 1", "", "")
    assert server.run("recover")[-1].text("name") == "nothing"  # type: ignore[union-attr]


def test_a_deploy_after_an_incomplete_one_says_so_and_forgets_nothing(server: Bench) -> None:
    server.deploy("one", step("two", "exit 1", undo="[ -e ~/mended ]"))
    items = server.deploy("one")
    assert ended(items) == ("refused", 3)
    assert "could not be undone" in said(items, "note")[-1].text("text")
    assert server.record("unfinished") == "r001"
    assert server.lock.read_text().splitlines()[0] == "r001"
    (server.home / "mended").touch()
    items = server.deploy("new")
    assert ended(items) == ("deployed", 0)
    assert (server.outcome(1), server.record("current"), server.record("unfinished")) == (
        "failed 1",
        "r003",
        "",
    )
    assert server.lines()[-2:] == ["undo two", "do new"]
    assert said(items, "release")[0].fields["steps"] == ["recover", "new"]


def test_accept_forgets_what_a_person_has_put_right(server: Bench) -> None:
    server.deploy(step("one", "exit 1", undo="exit 1"))
    assert server.run("accept")[-1].text("value") == "r001"  # type: ignore[union-attr]
    assert ended(server.deploy("two")) == ("deployed", 0)
    assert ended(server.run("accept")) == ("refuse", 2)


def test_a_step_that_takes_too_long(server: Bench) -> None:
    items = server.deploy("one", step("two", f"exec {SLEEP} 60", timeout=3))
    assert ended(items) == ("failed", 1)
    assert events.fold(items).failed_step.why == "timeout"  # type: ignore[union-attr]
    assert server.lines() == ["do one", "do two", "undo two", "undo one"]


def test_a_step_that_ignores_being_ended(server: Bench) -> None:
    stubborn = f"trap '' TERM INT HUP; for _ in 1 2 3 4 5 6; do {SLEEP} 10; done"
    items = server.deploy(step("one", stubborn, timeout=2))
    assert ended(items) == ("failed", 1)
    failed = events.fold(items).failed_step
    assert failed
    assert (failed.why, failed.exit_status) == ("timeout", 143)


def test_an_undo_that_takes_too_long(dash: Bench) -> None:
    once = f"[ -e ~/tried ] || {{ touch ~/tried; exec {SLEEP} 60; }}"
    items = dash.deploy(step("one", "exit 1", undo=once), undo_timeout=3)
    assert ended(items) == ("failed", 1)
    assert dash.lines()[1:] == ["undo one", "undo one"]


def test_what_a_step_leaves_in_its_group_goes_with_it(server: Bench) -> None:
    items = server.deploy(step("one", f"{SLEEP} 60 &"))
    assert ended(items) == ("deployed", 0)
    server.wait_quiet(2)


def test_a_daemon_that_keeps_the_output_is_not_waited_for(server: Bench) -> None:
    """And it has neither the lock nor the runner's life-line."""
    daemon = f"setsid sh -c 'echo $$ >~/daemon; echo from the daemon; exec {SLEEP} 60' & {SLEEP} 0.2"
    items = server.deploy(step("one", daemon), "two")
    pid = int(server.lines("daemon")[0])
    try:
        assert ended(items) == ("deployed", 0)
        assert "from the daemon" in output(items)
        held = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        assert not any("backstay.lock" in name or "alive" in name for name in held)
        assert ended(server.deploy("three")) == ("deployed", 0)
    finally:
        os.kill(pid, signal.SIGKILL)


def holders(server: Bench) -> tuple[set[int], set[int]]:
    """Who has the runner's life-line open (but for followers), and who the lock."""
    alive, lock = set(), set()
    for pid, words in server.processes().items():
        with contextlib.suppress(FileNotFoundError):
            names = {
                os.readlink(f"/proc/{pid}/fd/{fd}").rsplit("/", 1)[-1] for fd in os.listdir(f"/proc/{pid}/fd")
            }
            alive |= {pid} if "alive" in names and "flock" not in words else set()
            lock |= {pid} if "backstay.lock" in names else set()
    return alive, lock


def test_who_holds_what_while_a_step_runs(server: Bench) -> None:
    """The lock: runner, guard and the step's leader. The life-line: the runner alone."""
    process = server.start("deploy", plan=plan([hang("one")]))
    server.wait_for("hangs")
    runner = server.runner_pid()
    first = holders(server)
    time.sleep(0.15)
    # What the guard calls for a moment is not there twice.
    with_alive, with_lock = (a & b for a, b in zip(first, holders(server), strict=True))
    words = server.processes()
    assert with_alive == {runner}
    assert runner in with_lock
    assert not [words[pid] for pid in with_lock if words[pid][0] == SLEEP]
    assert len(with_lock) == 3, [words[pid] for pid in with_lock]
    server.run("cancel")
    server.watch(process)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_cancel_in_each_step(server: Bench, number: int) -> None:
    steps = [hang(name) if n == number else name for n, name in enumerate(["one", "two", "three"], 1)]
    process = server.start("deploy", plan=plan(steps))
    server.wait_for("hangs")
    assert ended(server.run("cancel")) == ("cancelled", 130)
    items = server.watch(process)
    assert ended(items) == ("cancelled", 130)
    assert events.fold(items).failed_step.why == "cancelled"  # type: ignore[union-attr]
    begun = ["one", "two", "three"][:number]
    assert server.lines() == [f"do {n}" for n in begun] + [f"undo {n}" for n in reversed(begun)]
    assert (server.record("unfinished"), server.outcome(1)) == ("", "cancelled 130")


def test_cancel_during_the_undo_changes_nothing(server: Bench) -> None:
    slow = f"touch ~/undoing; while [ ! -e ~/go ]; do {SLEEP} 0.02; done"
    process = server.start("deploy", plan=plan([step("one", undo=slow), step("two", "exit 1")]))
    server.wait_for("undoing")
    cancel = server.start("cancel")
    release = server.release(1)
    wait_until(lambda: (release / "cancel").exists())
    os.kill(server.runner_pid(1), signal.SIGTERM)
    (server.home / "go").touch()
    assert ended(server.watch(cancel)) == ("failed", 1)
    assert ended(server.watch(process)) == ("failed", 1)
    assert server.lines() == ["do one", "do two", "undo two", "undo one"]


def test_cancel_with_nothing_to_cancel(server: Bench) -> None:
    assert ended(server.run("cancel")) == ("refuse", 2)
    server.deploy("one")
    assert ended(server.run("cancel")) == ("refuse", 2)


def test_cancel_right_at_the_start(dash: Bench) -> None:
    process = dash.start("deploy", plan=plan(["one", hang("two")]))
    wait_until(lambda: dash.lock.exists() and dash.lock.read_text())
    assert ended(dash.run("cancel"))[0] in {"cancelled", "refuse"}
    if ended(items := dash.watch(process)) != ("cancelled", 130):
        raise AssertionError(items)


@pytest.mark.parametrize(
    ("number", "outcome"),
    [
        (signal.SIGTERM, ("cancelled", 130)),
        (signal.SIGHUP, ("deployed", 0)),
        (signal.SIGINT, ("deployed", 0)),
    ],
)
def test_signals_to_the_runner(server: Bench, number: signal.Signals, outcome: tuple[str, int]) -> None:
    """TERM, as at a shutdown, cancels. HUP is the connection's end; POSIX ignores INT in the background."""
    waits = f"touch ~/waits; while [ ! -e ~/go ]; do {SLEEP} 0.02; done"
    process = server.start("deploy", plan=plan([step("one", waits)]))
    server.wait_for("waits")
    os.kill(server.runner_pid(), number)
    if number != signal.SIGTERM:
        (server.home / "go").touch()
    assert ended(server.watch(process)) == outcome


def test_a_signal_to_all_of_the_runners_group(server: Bench) -> None:
    """The guard and the filter must survive it, since the undo needs them."""
    process = server.start("deploy", plan=plan(["one", hang("two", undo="echo still heard")]))
    server.wait_for("hangs")
    os.killpg(server.runner_pid(), signal.SIGTERM)
    items = server.watch(process)
    assert ended(items) == ("cancelled", 130)
    assert "still heard" in output(items)


def test_without_a_pipe_nothing_of_the_systems_is_removed(dash: Bench) -> None:
    """mkfifo fails where the disk is full, or is killed. What stands in for the pipe is no file of ours."""
    dash.script("mkfifo", "#!/bin/sh\nexit 1\n")
    ours = '*" /dev/"*) echo "$*" >>~/removed; exit 0 ;;'
    dash.script("rm", f'#!/bin/sh\ncase " $* " in {ours} esac\nexec {tool("rm")} "$@"\n')
    assert ended(dash.deploy("one")) == ("deployed", 0)
    assert ended(dash.deploy(step("two"), step("three", "exit 1"))) == ("failed", 1)
    assert dash.lines() == ["do one", "do two", "do three", "undo three", "undo two"]
    assert not (dash.home / "removed").exists()


def test_a_finish_that_fails_is_a_warning(server: Bench) -> None:
    items = server.deploy("one", finish="exit 1")
    assert ended(items) == ("deployed", 0)
    assert said(items, "note")[-1].text("level") == "warn"


def test_a_heartbeat_while_a_step_is_quiet(dash: Bench) -> None:
    items = dash.deploy(step("one", f"exec {SLEEP} 1.4"))
    assert said(items, "alive")


def test_a_clock_that_jumps_does_not_matter(dash: Bench) -> None:
    jumps = 'n=$(wc -l <"$HOME/clock" 2>/dev/null); echo >>"$HOME/clock"\n'
    dash.script(
        "date",
        f"#!/bin/sh\n{jumps}case $((n % 3)) in 0) echo 99999999999;; 1) echo 5;; *) echo rubbish;; esac\n",
    )
    items = dash.deploy("one", step("two", f"exec {SLEEP} 60", timeout=5))
    state = events.fold(items)
    assert ended(items) == ("failed", 1)
    assert state.failed_step.why == "timeout"  # type: ignore[union-attr]
    assert all(view.seconds >= 0 for view in state.steps)
