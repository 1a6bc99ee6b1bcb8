"""Releases under the venv engine: what they leave, and what they leave alone."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.resources import resource
from tests.apps import breakages, migrations
from tests.apps.tree import Tree, append

from .conftest import SiteMaker
from .site import USERS, Site


def refuse_to_start(tree: Tree) -> None:
    """The restart command fails."""
    (tree.root / "refuse-to-start").write_text("no\n")


def no_such_package(tree: Tree) -> None:
    """pip fails."""
    append(tree.root / "requirements.txt", "backstay-no-such-package==0.0\n")


@pytest.mark.parametrize(("shell", "counts"), [("dash", (0, 1, 2)), ("busybox", (2,)), ("bash", (1,))])
def test_releases_and_all_the_way_back(make_site: SiteMaker, shell: str, counts: tuple[int, ...]) -> None:
    site = make_site(shell=shell)
    pictures = [site.picture()]
    first = site.deploy()
    assert first.exit == 0, first
    assert first.facts["applied"] == "001 002"
    assert first.facts["image.before"] == ""
    site.add_users()
    releases = [site.current]
    for count in counts:
        pictures.append(site.picture())
        head = site.app.release(migrations=[migrations.add_table(f"t{count}{n}") for n in range(count)])
        outcome = site.deploy()
        assert outcome.exit == 0, outcome
        assert len(outcome.facts["applied"].split()) == count
        assert outcome.facts["image.before"] == releases[-1]
        releases.append(site.current)
        now = site.picture()
        assert outcome.facts["image.after"] == site.current == Path(now.linked).name
        assert (now.commit, now.version, now.heads) == (head, site.app.version, list(site.app.heads))
        assert (now.users, now.changed) == (USERS, "")
        assert site.environments() == set(releases)
    while pictures:
        if len(pictures) == 1:
            # The application would be gone: that has to be said.
            assert site.rollback().outcome == "refused"
        outcome = site.rollback(force="" if len(pictures) > 1 else "yes")
        assert (outcome.exit, outcome.outcome) == (0, "rolled-back"), outcome
        assert site.picture() == pictures.pop()
    assert site.environments() == set()
    assert site.current == ""


def test_python_and_pip_make_the_environments(make_site: SiteMaker) -> None:
    site = make_site(python="python3")
    assert site.deploy().exit == 0
    site.add_users()
    before = site.picture()
    assert Path(before.linked, "bin", "uvicorn").read_text().startswith("#!")
    assert site.picture().version == "1"
    outcome = site.deploy()
    assert outcome.exit == 0, outcome
    assert outcome.facts["commit.before"] == outcome.facts["commit.after"]
    assert site.picture().linked != before.linked


def test_failed_releases_leave_everything_as_it_was(site: Site) -> None:
    before, environments = site.picture(), site.environments()
    two = [migrations.AVATAR_URL, migrations.add_table("notes")]
    for number, breakage in enumerate(
        (no_such_package, refuse_to_start, breakages.crash, breakages.unhealthy)
    ):
        # Those of the second release are pending in the later ones, too.
        site.app.release(migrations=two if number == 1 else [], breakages=[breakage])
        outcome = site.deploy()
        assert (outcome.exit, outcome.outcome) == (1, "failed"), outcome
        assert outcome.facts.get("undone", "") == ("004 003" if number else "")
        assert site.picture() == before
        assert site.environments() == environments
        assert outcome.facts["commit.after"] == before.commit
    site.app.release()
    assert site.deploy().exit == 0
    assert site.picture().users == USERS


def test_a_first_release_that_fails_leaves_nothing(make_site: SiteMaker) -> None:
    site = make_site()
    before = site.picture()
    site.app.release(breakages=[breakages.unhealthy])
    outcome = site.deploy()
    assert outcome.exit == 1, outcome
    assert site.picture() == before
    assert site.environments() == set()


def test_a_failed_migration_that_left_nothing_is_undone(site: Site) -> None:
    before = site.picture()
    site.app.release(migrations=[migrations.BAD_SQL])
    outcome = site.deploy()
    assert outcome.exit == 1, outcome
    assert site.picture() == before


def test_a_migration_that_stopped_half_way_is_said(site: Site) -> None:
    before = site.picture()
    site.app.release(migrations=[migrations.HALF_DONE])
    outcome = site.deploy()
    assert (outcome.exit, outcome.outcome) == (3, "failed"), outcome
    assert "half_done" in outcome.notes
    now = site.picture()
    assert (now.commit, now.heads, now.users, now.version) == (before.commit, before.heads, before.users, "1")
    # Nothing of it is lost: it can be tried again, and ends as it did.
    assert site.recover().exit == 3
    assert site.picture() == now


def test_a_backup_is_a_whole_database(site: Site) -> None:
    site.app.release(migrations=[migrations.AVATAR_URL])
    outcome = site.deploy()
    backup = site.state / "backups" / f"{outcome.facts['backup']}.dump"
    assert backup.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(backup) as copy:
        assert [row[0] for row in copy.execute("select email from users order by id")] == USERS
        assert copy.execute("select version_num from alembic_version").fetchone() == ("002",)


def test_a_folder_that_was_there_comes_back(make_site: SiteMaker) -> None:
    site = make_site()
    site.link.mkdir()
    (site.link / "mine").write_text("mine\n")
    site.app.release(breakages=[breakages.unhealthy])
    # Nothing answered before, so nothing is to answer after.
    assert site.deploy().exit == 1
    assert (site.link / "mine").read_text() == "mine\n"
    assert not site.link.is_symlink()
    site.app.release()
    assert site.deploy().exit == 0
    assert site.link.is_symlink()
    assert site.rollback().exit == 0
    assert (site.link / "mine").read_text() == "mine\n"
    assert sorted(entry.name for entry in site.path.iterdir() if "venv" in entry.name) == [".venv"]


def test_a_link_of_somebody_elses_comes_back(make_site: SiteMaker) -> None:
    site = make_site()
    other = site.path.parent / "other"
    other.mkdir()
    site.link.symlink_to(other)
    assert site.deploy().exit == 0
    assert site.rollback().exit == 0
    assert os.readlink(site.link) == str(other)


def test_a_release_that_was_killed_is_undone(site: Site) -> None:
    before = site.picture()
    # SQLite commits statements one by one: what is killed here has not come to its first.
    steps = {
        "migrate": [migrations.Migration("slow", "time.sleep(3)")],
        "build": [migrations.AVATAR_URL],
        "restart": [],
    }
    for step, new in steps.items():
        site.app.release(migrations=new)
        site.kill_at("Running upgrade" if step == "migrate" else f"'step': '{step}', 'state': 'begin'")
        outcome = site.recover()
        assert outcome.exit == 1, outcome
        assert outcome.facts["undone"] == ("" if step == "migrate" else "004 003")
        assert site.picture() == before
        assert site.environments() == {site.current}


def test_an_undo_that_is_done_again_changes_nothing(site: Site) -> None:
    before = site.picture()
    site.app.release(migrations=[migrations.AVATAR_URL], breakages=[breakages.unhealthy])
    assert site.deploy().exit == 1
    release = max((site.state / "releases").iterdir())
    for name in ("outcome", *(f"steps/{step.name}/undone" for step in (release / "steps").iterdir())):
        (release / name).unlink(missing_ok=True)
    (site.state / "unfinished").write_text(f"{release.name}\n")
    outcome = site.recover()
    assert outcome.exit == 1, outcome
    assert site.picture() == before


def test_what_the_restart_leaves_running_goes_on_and_has_no_lock(make_site: SiteMaker) -> None:
    server = '"$VENV/bin/python" -m uvicorn --app-dir backend main:app --port "$BACKEND_PORT"'
    careless = f"{server} & echo $! >../app.pid"
    site = make_site(restart_command=careless)
    outcome = site.deploy()
    assert outcome.exit == 0, outcome
    time.sleep(3)
    assert site.picture().version == "1"
    answers = site.status()
    assert "in_progress" not in answers
    assert answers["healthy"] == "yes"


def test_a_rollback_sees_what_was_changed_by_hand(site: Site) -> None:
    site.app.release()
    assert site.deploy().exit == 0
    site.link.unlink()
    site.link.symlink_to(site.path.parent)
    refused = site.rollback()
    assert (refused.exit, refused.outcome) == (2, "refused"), refused
    assert "its image is" in refused.notes
    assert site.rollback(force="yes").exit == 0
    assert site.picture().version == "1"


def test_old_environments_go_with_their_releases(site: Site) -> None:
    for _ in range(3):
        site.app.release()
        assert site.deploy(keep=2).exit == 0
    kept = sorted(entry.name for entry in (site.state / "releases").iterdir())
    assert len(kept) == 2
    # Two releases can be undone: the environment before the older one is needed, too.
    assert len(site.environments()) == 3
    assert site.rollback(keep=2).exit == 0
    assert site.rollback(keep=2).exit == 0
    assert site.picture().version == "2"


def test_without_a_stop_command_what_may_run_is_said(make_site: SiteMaker) -> None:
    site = make_site(stop_command="")
    site.app.release(breakages=[breakages.crash])
    outcome = site.deploy(health_timeout=4)
    assert outcome.exit == 1, outcome
    site.app.release(breakages=[breakages.crash_later])
    outcome = site.deploy(health_url="")
    assert outcome.exit == 0
    assert site.rollback(health_url="", force="yes").exit == 3


def test_status_and_logs(site: Site) -> None:
    answers = site.status()
    assert answers["image"] == answers["release"] == site.current
    assert answers["heads"] == "002"
    assert (answers["running"], answers["healthy"]) == ("yes", "yes")
    append(site.path.parent / "app.log", "one\ntwo\n")
    assert site.logs(1) == ["two"]


def test_the_check_refuses_and_touches_nothing(site: Site) -> None:
    before = site.picture()
    site.app.release(mutate=lambda tree: (tree.root / "requirements.txt").rename(tree.root / "needs.txt"))
    (site.path / "requirements.txt").touch()
    missing = site.deploy(python="python0.0")
    assert (missing.exit, missing.outcome) == (2, "refused")
    assert "python0.0 is not installed" in missing.notes
    assert site.picture() == before


def test_variables_of_the_file_are_data(tmp_path: Path) -> None:
    (tmp_path / "env").write_bytes(
        b"\xef\xbb\xbf# a comment=1\nA=$(touch ran) `touch ran`; touch ran\r\nexport B = 'it is # all' \n"
        b'C="a=b"\n'
        b"D=word # a comment\nE=\n2F=no\nG-H=no\nUID=7\nI=\xff\nno line\nJ=#x\n"
    )
    program = resource("venv/engine.sh").split("with_file='")[1].split("'\n")[0]
    command = [sys.executable, "-I", "-S", "-c", program, "env", "/usr/bin/env"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, env={}, check=True)
    assert {line for line in done.stdout.splitlines() if not line.startswith(b"LC_CTYPE")} == {
        b"A=$(touch ran) `touch ran`; touch ran",
        b"B=it is # all",
        b"C=a=b",
        b"D=word",
        b"E=",
        b"UID=7",
        b"I=\xff",
        b"J=#x",
    }
    assert not (tmp_path / "ran").exists()
