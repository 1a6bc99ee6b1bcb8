"""Back to the release before, and the one before that; records that are gone or torn are a clear stop."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.plan import Plan, Step
from tests.runner.bench import Bench, ended, said, step, tool
from tests.runner.world import KILL_RUNNER, World, three

SLEEP = tool("sleep")
BACK = Plan("rollback", (Step("check", "echo checking"),))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path / "world")
    try:
        yield made
        made.wait_quiet()
    finally:
        made.kill_all()


def back(world: World, to: str = "", plan: Plan = BACK) -> tuple[str, int]:
    return ended(world.run("rollback", to, plan=plan))


def test_once_twice_and_to_nothing(world: World) -> None:
    for _ in range(2):
        world.run("deploy", plan=three())
    assert back(world) == ("rolled-back", 0)
    assert (world.files(), world.record("current"), world.outcome(2)) == ("r001", "r001", "rolled-back 0")
    assert back(world) == ("rolled-back", 0)
    assert (world.files(), world.record("current")) == ("start", "")
    items = world.run("rollback", "", plan=BACK)
    assert ended(items) == ("refuse", 2)
    assert "nothing to go back to" in said(items, "refuse")[0].text("text")
    world.run("deploy", plan=three())
    assert world.record("current") == world.files() == f"r{world.number:03}"


def test_down_to_a_release(world: World) -> None:
    for _ in range(4):
        world.run("deploy", plan=three())
    assert back(world, "r004") == ("refuse", 2)
    assert back(world, "r009") == ("refuse", 2)
    assert world.files() == "r004"
    assert back(world, "r001") == ("rolled-back", 0)
    assert (world.files(), world.record("current")) == ("r001", "r001")


def test_failed_deployments_in_between_are_no_step_back(world: World) -> None:
    world.run("deploy", plan=three())
    world.run("deploy", plan=three("exit 1"))
    world.run("deploy", plan=three())
    assert back(world) == ("rolled-back", 0)
    assert world.files() == world.record("current") == "r001"


def hindered(world: World, by: str) -> Plan:
    """Three files, and the undo of the second does that instead for as long as a file is there."""
    (world.home / "hindered").touch()
    plan, file2 = three(), three().steps[2]
    undo = f"[ ! -e ~/hindered ] || {{ {by}; }}\n{file2.undo}"
    return replace(plan, steps=(*plan.steps[:2], replace(file2, undo=undo), *plan.steps[3:]))


def test_a_check_that_fails_refuses(world: World) -> None:
    world.run("deploy", plan=three())
    assert back(world, plan=Plan("rollback", (Step("check", "exit 1"),))) == ("refused", 2)
    assert (world.files(), world.record("current"), world.record("unfinished")) == ("r001", "r001", "")


def test_a_rollback_killed_in_its_check_was_never_begun(world: World) -> None:
    """What was not checked is not undone."""
    world.run("deploy", plan=three())
    assert back(world, plan=Plan("rollback", (Step("check", f"{KILL_RUNNER}; exec {SLEEP} 30"),))) == (
        "lost",
        0,
    )
    assert ended(world.run("recover")) == ("refused", 2)
    assert (world.files(), world.record("current"), world.record("unfinished")) == ("r001", "r001", "")


@pytest.mark.parametrize("recover", [True, False])
def test_a_rollback_that_was_interrupted_goes_on(world: World, recover: bool) -> None:
    world.run("deploy", plan=hindered(world, f"{KILL_RUNNER}; exec {SLEEP} 30"))
    for _ in range(2):
        world.run("deploy", plan=three())
    assert back(world, "r001") == ("rolled-back", 0)
    assert back(world) == ("lost", 0)
    assert world.record("unfinished") == f"r{world.number:03}"
    (world.home / "hindered").unlink()
    if recover:
        assert ended(world.run("recover")) == ("rolled-back", 0)
        assert (world.files(), world.record("current"), world.record("unfinished")) == ("start", "", "")
        return
    assert ended(world.run("deploy", plan=three())) == ("deployed", 0)
    assert back(world) == ("rolled-back", 0)
    assert (world.files(), world.record("current")) == ("start", "")


def test_an_undo_that_fails_in_a_rollback(world: World) -> None:
    world.run("deploy", plan=hindered(world, "exit 1"))
    assert back(world) == ("failed", 3)
    assert back(world) == ("refuse", 3)
    (world.home / "hindered").unlink()
    assert ended(world.run("recover")) == ("rolled-back", 0)
    assert world.files() == "start"


def test_a_deployment_concludes_what_was_all_done_and_follows_it(world: World) -> None:
    """Killed after its last step it is deployed; the next one's way back leads to it."""
    world.run("deploy", plan=three())
    world.kill_at(_before_current(world))
    assert ended(world.run("deploy", plan=three())) == ("lost", 0)
    world.kill_at("")
    assert ended(world.run("deploy", plan=three())) == ("deployed", 0)
    assert world.outcome(2) == "deployed 0"
    assert back(world) == ("rolled-back", 0)
    assert world.files() == world.record("current") == "r002"
    assert back(world) == ("rolled-back", 0)
    assert world.files() == world.record("current") == "r001"


def _before_current(world: World) -> str:
    before, _, _ = world.scripts["runner.sh"].partition('    put "$state/current" "$id"')
    return before.rstrip().rsplit(" ", 1)[1]


# --- records that are gone, or torn ---


def test_the_folder_of_the_current_release_is_gone(server: Bench) -> None:
    server.deploy("one")
    shutil.rmtree(server.release(1))
    items = server.rollback()
    assert ended(items) == ("refuse", 2)
    assert "not kept" in said(items, "refuse")[0].text("text")
    assert server.record("current") == "r001"


@pytest.mark.parametrize("current", ["../../..", "/", "r001 r002", "$(touch canary)", ".", "\n\n"])
def test_rubbish_in_current(dash: Bench, current: str) -> None:
    dash.deploy("one")
    dash.deploy("two")
    (dash.state / "current").write_text(current)
    assert ended(dash.rollback()) == ("refuse", 2)
    assert dash.lines() == ["do one", "do two"]


def test_releases_that_name_each_other(dash: Bench) -> None:
    dash.deploy("one")
    dash.deploy("two")
    (dash.release(1) / "previous").write_text("r002\n")
    assert ended(dash.rollback("r000")) == ("refuse", 2)
    assert dash.lines() == ["do one", "do two"]


@pytest.mark.parametrize("rubbish", ["r099", "../..", "$(touch canary)", "r001\nr002"])
def test_rubbish_in_unfinished(server: Bench, rubbish: str) -> None:
    server.deploy("one")
    (server.state / "unfinished").write_text(rubbish)
    for items in (server.deploy("two"), server.run("recover"), server.rollback()):
        assert ended(items) == ("refuse", 3)
        assert "its records are gone" in said(items, "refuse")[0].text("text")
    assert server.lines() == ["do one"]
    assert ended(server.run("accept"))[0] == "answer"
    assert ended(server.deploy("three")) == ("deployed", 0)


@pytest.mark.parametrize("by_deploy", [False, True])
def test_the_facts_of_an_interrupted_release_are_gone(server: Bench, by_deploy: bool) -> None:
    server.deploy(step("one", "exit 1", "exit 1"))
    shutil.rmtree(server.release(1) / "facts")
    items = server.deploy("two") if by_deploy else server.run("recover")
    assert ended(items) == (("refused", 3) if by_deploy else ("failed", 3))
    assert any("gone or damaged" in note.text("text") for note in said(items, "note"))
    assert server.record("unfinished") == "r001"
    assert server.lines() == ["do one", "undo one", "undo one"]


def cut(text: str) -> str:
    """At the end of a line, so that what is left is sound for a shell."""
    return "".join(text.splitlines(keepends=True)[:-1])


@pytest.mark.parametrize("file", ["values.sh", "steps/02-two/undo", "lib.sh", "sums"])
def test_what_undoes_an_interrupted_release_is_torn(server: Bench, file: str) -> None:
    """Half a script would do half of it, and without its settings a release does not know what is its own."""
    server.deploy(step("one"), step("two", "exit 1", "exit 1"))
    torn = server.release(1) / file
    whole = torn.read_text()
    torn.write_text(cut(whole))
    before = server.lines()
    for items in (server.deploy("three"), server.run("recover"), server.rollback()):
        assert ended(items) == ("refuse", 3)
        assert "gone or damaged" in said(items, "refuse")[0].text("text")
    assert (server.lines(), server.record("unfinished")) == (before, "r001")
    torn.write_text(whole)
    assert ended(server.run("recover")) == ("failed", 3)


def test_records_inside_somebodys_repository(dash: Bench) -> None:
    """Its kind of object names is not ours."""
    subprocess.run(["git", "init", "-q", "--object-format=sha256", str(dash.home)], check=True)
    dash.deploy(step("one", undo="[ -e ~/mended ]"), step("two", "exit 1"))
    (dash.home / "mended").touch()
    assert ended(dash.run("recover")) == ("failed", 1)


@pytest.mark.parametrize("file", ["values.sh", "steps/02-two/undo"])
def test_what_a_rollback_would_undo_is_torn(server: Bench, file: str) -> None:
    server.deploy("one", "two")
    torn = server.release(1) / file
    torn.write_text(cut(torn.read_text()))
    items = server.rollback()
    assert ended(items) == ("refuse", 2)
    assert "r001 are damaged" in said(items, "refuse")[0].text("text")
    assert (server.lines(), server.record("unfinished")) == (["do one", "do two"], "")


def test_an_outcome_that_is_empty(server: Bench) -> None:
    """It has no meaning of its own: what is unfinished says so elsewhere."""
    server.deploy("one")
    (server.release(1) / "outcome").write_text("")
    assert ended(server.deploy("two")) == ("deployed", 0)
    assert ended(server.rollback()) == ("rolled-back", 0)
    assert server.record("current") == "r001"
