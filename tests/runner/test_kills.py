"""kill -9 anywhere. After `recover` or the next deployment all is new or all is as it was, and is said so.

Without more, a sample of the statements is tried; BACKSTAY_EXAMPLES=10000 tries them all.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest

from deploy import events
from deploy.plan import Plan, Step
from tests.runner.bench import SHELLS, Bench, bench, ended, output, plan, said, step, tool, wait_until
from tests.runner.world import KILL_RUNNER, World, change, points, three

SLEEP = tool("sleep")
EXAMPLES = int(os.environ.get("BACKSTAY_EXAMPLES", "0"))
GOOD, BAD = three(), three("", "", "exit 1")
CASES = [*product(SHELLS, points()[1], ("good", "bad", "rollback"), ("runner", "all"))]
CHOSEN = CASES if len(CASES) <= EXAMPLES else random.Random(7).sample(CASES, max(EXAMPLES, 60))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "world")
    try:
        yield made
        made.wait_quiet()
    finally:
        made.kill_all()


def deploy_killed(world: World, point: str, plan: Plan) -> list[events.Item]:
    world.kill_at(point)
    try:
        return (
            world.run("rollback", "", plan=plan)
            if plan.kind == "rollback"
            else world.run("deploy", plan=plan)
        )
    finally:
        world.kill_at("")


@pytest.mark.parametrize(("shell", "point", "kind", "how"), CHOSEN)
def test_killed_at_a_statement(shell: str, point: str, kind: str, how: str, tmp_path: Path) -> None:
    world = World(tmp_path / "world", shell, killing=how)
    try:
        assert ended(world.run("deploy", plan=GOOD)) == ("deployed", 0)
        assert world.files() == "r001"
        work = {"good": GOOD, "bad": BAD, "rollback": Plan("rollback", (Step("check", "echo checking"),))}[
            kind
        ]
        items = deploy_killed(world, point, work)
        allowed = {"good": {"r001", "r002"}, "bad": {"r001"}, "rollback": {"r001", "start"}}[kind]
        if random.Random(f"{point}{kind}").random() < 0.5:
            settle_by_recover(world, allowed, ended(items))
        else:
            settle_by_deploy(world, allowed)
        world.wait_quiet()
    finally:
        world.kill_all()


def settle_by_recover(world: World, allowed: set[str], told: tuple[str, int]) -> None:
    items = world.run("recover")
    assert ended(items)[0] in {"deployed", "failed", "refused", "rolled-back", "answer"}, items
    assert world.files() in allowed
    assert world.record("current") == world.files().replace("start", "")
    assert (world.record("unfinished"), world.lock.read_text()) == ("", "")
    if world.release(2).exists() and world.outcome(2) and told[0] == "deployed":
        assert world.files() == "r002", "deployed was said"
    if told == ("failed", 1):
        assert world.files() == "r001", "as before was said"


def settle_by_deploy(world: World, allowed: set[str]) -> None:
    items = world.run("deploy", plan=GOOD)
    new = f"r{world.number:03}"
    assert ended(items) == ("deployed", 0), items
    assert (world.files(), world.record("current"), world.record("unfinished")) == (new, new, "")
    assert ended(world.run("rollback", "", plan=Plan("rollback", (Step("check", ":"),)))) == (
        "rolled-back",
        0,
    )
    assert world.files() in allowed
    assert world.record("current") == world.files().replace("start", "")


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("shell", SHELLS)
def test_killed_inside_each_step(shell: str, number: int, tmp_path: Path) -> None:
    after = ["", "", ""]
    after[number - 1] = f"{KILL_RUNNER}; exec {SLEEP} 30"
    world = World(tmp_path / "world", shell)
    try:
        assert ended(world.run("deploy", plan=three(*after))) == ("lost", 0)
        assert ended(world.run("recover")) == ("failed", 1)
        assert (world.files(), world.record("unfinished")) == ("start", "")
        world.wait_quiet()
    finally:
        world.kill_all()


def test_an_orphaned_step_is_waited_for(world: World) -> None:
    """It ignores being ended: the next one starts only when it is gone."""
    stubborn = f"trap '' TERM; {KILL_RUNNER}; for _ in 1 2 3 4 5 6; do {SLEEP} 9; done; echo late >~/file1"
    assert ended(world.run("deploy", plan=three(stubborn))) == ("lost", 0)
    assert ended(world.run("deploy", plan=GOOD)) == ("deployed", 0)
    assert world.files() == "r002"
    assert world.outcome(1) == "failed 1"


@pytest.mark.parametrize("shell", SHELLS)
def test_killed_before_the_step_has_a_guard(shell: str, tmp_path: Path) -> None:
    """Without one it must not begin, with nobody to end it."""
    world = World(tmp_path / "world", shell)
    try:
        before, _, _ = world.scripts["execute.sh"].partition('    guard "$child" "$3" &')
        point = before.rstrip().rsplit(" ", 1)[1]
        endless = Plan("deploy", (change(1, between=f"{SLEEP} 100"),))
        assert ended(deploy_killed(world, point, endless)) == ("lost", 0)
        world.wait_quiet(5)
        assert world.files() == "start"
        assert ended(world.run("recover")) == ("failed", 1)
        assert (world.files(), world.record("unfinished")) == ("start", "")
    finally:
        world.kill_all()


def test_a_second_kill_during_the_recovery(world: World) -> None:
    for _ in range(2):
        (world.home / "bad.undo").unlink(missing_ok=True)
        assert ended(world.run("deploy", plan=three("", f"{KILL_RUNNER}; exec {SLEEP} 30"))) == ("lost", 0)
        for point in random.Random(3).sample(world.points, 6):
            world.kill_at(point)
            world.run("recover" if random.Random(point).random() < 0.5 else "deploy", plan=BAD)
        world.kill_at("")
        world.run("recover")
        assert (world.files(), world.record("unfinished")) == ("start", "")


def test_everything_killed_at_once(world: World) -> None:
    process = world.start("deploy", plan=three("", f"touch ~/hangs; exec {SLEEP} 30"))
    world.wait_for("hangs")
    world.kill_all()
    world.leave(process)
    assert ended(world.run("recover")) == ("failed", 1)
    assert world.files() == "start"


def test_killed_between_the_last_step_and_the_outcome_is_deployed(world: World) -> None:
    marks = (
        "finish_deploy ;;",
        '"$state/current" "$id"',
        "./finish",
        "end deployed",
        "rm -f reserve last",
        "put outcome",
    )
    lines = {name: _line_after(world, name) for name in world.points}
    near_the_end = [
        name
        for name, line in lines.items()
        if any(mark in line for mark in marks) and "unchanged" not in line
    ]
    assert len(near_the_end) >= 4
    for point in near_the_end:
        number = world.number + 1
        assert ended(deploy_killed(world, point, GOOD)) == ("lost", 0)
        assert ended(world.run("recover")) == ("deployed", 0)
        assert world.files() == world.record("current") == f"r{number:03}"


def _line_after(world: World, point: str) -> str:
    return world.scripts["runner.sh"].partition(f"point {point}\n")[2].split("\n")[0]


def test_killed_after_the_outcome_the_last_words_are_still_said(world: World) -> None:
    for point in [name for name in world.points if 'rm -f "$state/unfinished"' in _line_after(world, name)]:
        items = deploy_killed(world, point, GOOD)
        assert ended(items) == ("deployed", 0)
        assert ended(world.run("attach", "r001")) == ("deployed", 0)
        assert len(said(world.journal(1), "end")) == 1


@pytest.mark.parametrize("shell", SHELLS)
def test_lost_is_said_soon_and_the_lock_is_free(shell: str, tmp_path: Path) -> None:
    with bench(tmp_path / "server", shell, quick=False) as server:
        process = server.start("deploy", plan=plan([step("one", f"touch ~/hangs; exec {SLEEP} 60")]))
        server.wait_for("hangs")
        os.kill(server.runner_pid(), signal.SIGKILL)
        began = time.monotonic()
        items = server.watch(process)
        assert ended(items) == ("lost", 0)
        assert time.monotonic() - began < 2
        assert ended(server.run("recover")) == ("failed", 1)
        assert time.monotonic() - began < 8


def test_the_follower_does_not_matter(server: Bench) -> None:
    waits = f"touch ~/waits; while [ ! -e ~/go ]; do {SLEEP} 0.02; done"
    process = server.start("deploy", plan=plan([step("one", waits), "two"]))
    server.wait_for("waits")
    os.killpg(process.pid, signal.SIGKILL)
    server.leave(process)
    second = server.start("attach")
    server.leave(second)
    (server.home / "go").touch()
    wait_until(lambda: server.outcome(1))
    assert server.outcome(1) == "deployed 0"
    assert output(server.journal(1)) == ["do one", "do two"]
