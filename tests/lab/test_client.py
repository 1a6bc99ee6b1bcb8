"""The laptop does not matter: killed, interrupted, detached, or one of two."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from ..apps import breakages, migrations
from .site import Picture, Site
from .ways import slow_build


@pytest.fixture(scope="module")
def shop(site: Callable[..., Site]) -> Site:
    """An application that was deployed once."""
    made = site("client")
    made.deploy()
    made.add_user("ann@example.org")
    return made


@contextmanager
def running(site: Site, *words: str, until: str, event: str = "step") -> Iterator[subprocess.Popen[str]]:
    """A fab whose release has begun a step; its process group is gone afterwards."""
    process = site.start(*(words or ("deploy", "--json")))
    try:
        assert process.stdout
        for line in process.stdout:
            record = json.loads(line)
            if (record["event"], record.get("step"), record.get("state")) == (event, until, "begin"):
                break
        else:
            raise AssertionError(f"{until} was never begun: {process.stderr and process.stderr.read()}")
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def kill(process: subprocess.Popen[str]) -> None:
    """As a laptop dies."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)


def deployed(site: Site, before: Picture) -> None:
    """The server ended, by itself, with the newest commit."""
    site.idle()
    now = site.look()
    assert (now.commit, now.heads, now.version) == (site.app.head, site.app.heads, site.app.version)
    assert now.image != before.image
    assert set(now.users) >= set(before.users)


@pytest.mark.parametrize("step", ["check", "migrate", "restart"])
def test_killed_in_a_step_of_a_good_release(shop: Site, step: str) -> None:
    before = shop.look()
    shop.app.release(migrations=[migrations.add_table(f"t_{step}")])
    with running(shop, until=step) as process:
        kill(process)
    deployed(shop, before)
    done = shop.fab("attach", "--json")
    assert (done.code, done.result["outcome"], done.after) == (0, "deployed", done.before)
    assert done.result["commit"] == {"before": before.commit, "after": done.after.commit}


@pytest.mark.parametrize(("event", "step"), [("step", "build"), ("undo", "migrate")])
def test_killed_while_a_bad_release_fails(shop: Site, event: str, step: str) -> None:
    before = shop.look()
    shop.app.release(migrations=[migrations.add_table("gone")], breakages=[breakages.crash])
    with running(shop, until=step, event=event) as process:
        kill(process)
    shop.idle()
    assert shop.look() == before
    done = shop.act("attach")
    assert (done.code, done.result["outcome"], done.result["undone"][0]) == (1, "failed", shop.app.heads[0])
    shop.take_back()


def test_two_at_once_and_what_others_see(shop: Site) -> None:
    before = shop.look()
    shop.app.release(migrations=[migrations.sleeping(3)])
    with running(shop, until="migrate"):
        second = shop.start("deploy")
        _, err = second.communicate(timeout=300)
        assert second.returncode == 4
        assert "another deployment is running" in err
        assert "ann@" in err
        assert "now at migrate" in err
        status = shop.start("status", "--json")
        seen = json.loads(status.communicate(timeout=300)[0])
        assert seen["in_progress"]
        assert seen["in_progress"] != seen["release"]
        assert seen["commit"] == shop.app.head
        attached = shop.start("attach", "--json")
        result = json.loads(attached.communicate(timeout=300)[0].splitlines()[-1])
    assert (attached.returncode, result["outcome"], result["release"]) == (0, "deployed", seen["in_progress"])
    deployed(shop, before)


def test_ctrl_c_cancels_and_undoes(shop: Site) -> None:
    before = shop.look()
    shop.app.release(migrations=[migrations.add_table("gone")], breakages=[slow_build(20)])
    with running(shop, until="build") as process:
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=300)
    result = json.loads(out.splitlines()[-1])
    assert (process.returncode, result["outcome"]) == (130, "cancelled"), out[-2000:]
    assert result["undone"] == list(shop.app.heads)
    assert shop.look() == before
    shop.take_back()


def test_ctrl_c_twice_leaves_it_to_the_server(shop: Site) -> None:
    before = shop.look()
    shop.app.release(migrations=[migrations.sleeping(3, table="naps")])
    with running(shop, until="migrate") as process:
        process.send_signal(signal.SIGINT)
        shop.wait(lambda: shop.step_now().startswith("undo") or not shop.step_now(), 200, "the undo")
        process.send_signal(signal.SIGINT)
        out, _ = process.communicate(timeout=300)
    assert process.returncode == 130, out[-2000:]
    shop.idle()
    assert shop.look() == before
    done = shop.act("attach")
    assert (done.code, done.result["outcome"]) == (130, "cancelled")
    shop.take_back()


def test_cancel_from_elsewhere(shop: Site) -> None:
    before = shop.look()
    shop.app.release(migrations=[migrations.sleeping(20, in_database=True, table="dreams")])
    with running(shop, until="migrate") as process:
        shop.wait(lambda: shop.sql(ASLEEP) == ["1"], 200, "the statement")
        cancel = shop.start("cancel", "--json")
        out, err = cancel.communicate(timeout=300)
        assert cancel.returncode == 0, out[-2000:] + err
        process.communicate(timeout=300)
    assert process.returncode == 130
    assert shop.look() == before
    assert shop.sql(ASLEEP) == ["0"]
    shop.take_back()
    nothing = shop.fab("cancel")
    assert (nothing.code, nothing.after) == (2, nothing.before), nothing.told


ASLEEP = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(2%' AND pid <> pg_backend_pid()"


def test_detached(shop: Site) -> None:
    before = shop.look()
    shop.app.release()
    started = shop.start("deploy", "--detach")
    out, err = started.communicate(timeout=300)
    assert started.returncode == 0, out + err
    assert shop.runners()
    attached = shop.start("attach")
    out, err = attached.communicate(timeout=300)
    assert attached.returncode == 0, out + err
    deployed(shop, before)
