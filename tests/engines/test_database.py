"""`fab db.*` and backups with SQLite, where no transaction takes a migration back."""

from __future__ import annotations

import re
import sqlite3

import pytest

from deploy import recipe
from deploy.engines.venv import Venv
from tests.apps import breakages, migrations
from tests.runner.bench import tool

from .site import Site

PEOPLE = "select id || ' ' || email || ' ' || coalesce(avatar_url, '-') from users"


@pytest.fixture
def avatars(site: Site) -> Site:
    """The site at revision 003, with a value in each row's new column."""
    site.app.release(migrations=[migrations.AVATAR_URL])
    assert site.deploy().exit == 0
    with sqlite3.connect(site.database) as database:
        database.execute("update users set avatar_url = 'p' || id")
    return site


def test_down_and_up_and_every_value_back(avatars: Site) -> None:
    site, people, release = avatars, avatars.query(PEOPLE), avatars.current
    assert people == ["1 ann@example.org p1", "2 bob@example.org p2"]
    down = site.operate("db.downgrade", revision="-1")
    assert (down.exit, down.outcome, down.facts["undone"]) == (0, "done", "003"), down
    assert site.query("select version_num from alembic_version") == ["002"]
    # What was changed by hand is seen, and the deployed release is still the same one.
    assert "its heads is 002, not 003" in site.rollback().notes
    up = site.operate("db.upgrade", revision="head")
    assert (up.exit, up.facts["applied"], up.facts["heads.after"]) == (0, "003", "003"), up
    assert site.query(PEOPLE) == ["1 ann@example.org -", "2 bob@example.org -"]
    site.http("/users", {"email": "cid@example.org"})
    back = site.operate("db.restore", backup_id=down.facts["backup"])
    assert (back.exit, back.outcome) == (0, "done"), back
    assert site.query(PEOPLE) == people
    assert site.picture().version == site.app.version
    # What was written since is in the backup that the restore made first.
    with sqlite3.connect(site.state / "backups" / f"{back.facts['backup']}.dump") as kept:
        assert kept.execute("select count(*) from users").fetchone() == (3,)
    assert site.current == release
    assert site.operate("db.upgrade", revision="head").facts["heads.after"] == "003"
    assert site.operate("db.downgrade", revision="base").exit == 0
    assert site.query("select name from sqlite_master where type = 'table'") == ["alembic_version"]
    assert site.operate("db.restore", backup_id=down.facts["backup"]).exit == 0
    assert site.query(PEOPLE) == people


def test_a_dropped_column_after_a_rollback_and_a_restore(avatars: Site) -> None:
    site, people = avatars, avatars.query(PEOPLE)
    site.app.release(migrations=[migrations.DROP_AVATAR_URL])
    dropped = site.deploy(consent="yes")
    assert dropped.exit == 0
    back = site.rollback()
    assert back.exit == 0, back
    assert "users.avatar_url was dropped, and is in the backup" in back.notes
    assert site.query(PEOPLE) == ["1 ann@example.org -", "2 bob@example.org -"]
    assert site.operate("db.restore", backup_id=dropped.facts["backup"]).exit == 0
    assert site.query(PEOPLE) == people


def test_a_failed_release_that_dropped_data_says_so(avatars: Site) -> None:
    site, before, people = avatars, avatars.picture(), avatars.query(PEOPLE)
    site.app.release(migrations=[migrations.DROP_AVATAR_URL], breakages=[breakages.crash])
    failed = site.deploy(consent="yes")
    assert (failed.exit, failed.facts["lost"]) == (3, "users.avatar_url"), failed
    assert site.picture() == before
    # Nothing is left to undo, so the way to the backup is free.
    assert site.operate("db.restore", backup_id=failed.facts["backup"].removesuffix("-2")).exit == 0
    assert site.query(PEOPLE) == people


def test_three_revisions_of_which_the_second_fails(site: Site) -> None:
    before = site.picture()
    site.app.release(
        migrations=[migrations.add_table("one"), migrations.HALF_DONE, migrations.add_table("three")]
    )
    failed = site.deploy()
    assert failed.exit == 3, failed
    # Exactly what could not be undone, and no more.
    assert "but these tables are not: half_done" in failed.notes
    assert failed.facts["undone"] == "003"
    now = site.picture()
    assert [line for line in now.schema if line not in before.schema] == [
        "CREATE TABLE half_done (\n\tn INTEGER\n)"
    ]
    assert (now.heads, now.users, now.commit) == (before.heads, before.users, before.commit)


def test_a_failed_downgrade_goes_up_again(avatars: Site) -> None:
    site = avatars
    site.app.release(migrations=[migrations.BAD_DOWNGRADE, migrations.add_table("parcels")])
    assert site.deploy().exit == 0
    before = site.picture()
    failed = site.operate("db.downgrade", revision="003")
    assert (failed.exit, failed.outcome) == (1, "failed"), failed
    assert site.picture() == before


def test_what_cannot_be_done_touches_nothing(avatars: Site) -> None:
    site, before = avatars, avatars.picture()
    for kind, more in {
        "db.downgrade": {"revision": "nope"},
        "db.upgrade": {"revision": "nope"},
        "db.restore": {"backup_id": "../../nope"},
        "db.backup": {"backup_mode": "off"},
    }.items():
        refused = site.operate(kind, **more)  # type: ignore[arg-type]
        assert (refused.exit, refused.outcome) == (2, "refused"), refused
    site.app.release(migrations=[migrations.add_table("parcels")])
    for mode in ("false", "true", "echo half; exit 1"):
        failed = site.deploy(backup_mode=mode)
        assert (failed.exit, "backup" in failed.notes) == (1, True), failed
        assert not list((site.state / "backups").glob(".*"))
    assert site.picture() == before


def test_a_damaged_backup_leaves_the_database_as_it_was(avatars: Site) -> None:
    site = avatars
    saved = site.operate("db.backup").facts["backup"]
    file = site.state / "backups" / f"{saved}.dump"
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
    whole = file.read_bytes()
    before = site.picture()
    file.write_bytes(whole[: len(whole) // 2])
    failed = site.operate("db.restore", backup_id=saved)
    assert (failed.exit, failed.outcome) == (1, "failed"), failed
    assert site.picture() == before
    file.write_bytes(whole)
    # A file of its own beside the one in use, which is not touched; and never over one that is there.
    assert site.operate("db.restore", into="copy.db", backup_id=saved).exit == 0
    with sqlite3.connect(site.database.parent / "copy.db") as copy:
        assert copy.execute("select count(*) from users").fetchone() == (2,)
    assert site.operate("db.restore", into="snapcheck.db", backup_id=saved).exit == 1
    assert site.picture() == before


def test_an_interrupted_restore_is_undone(avatars: Site) -> None:
    site = avatars
    old = site.operate("db.backup").facts["backup"]
    assert site.operate("db.downgrade", revision="-1").exit == 0
    before = site.picture()
    plan = recipe.operation(site.target, Venv(), "db.restore")
    process = site.bench.start("operate", plan=plan, backup_id=old, revision="", into="")
    site.bench.watch(process, lambda item: "'step': 'start', 'state': 'begin'" in repr(item))
    site.bench.kill_all()
    refused = site.operate("db.backup")
    assert (refused.exit, "fab recover" in repr(refused.items)) == (None, True), refused
    recovered = site.recover()
    assert recovered.exit == 1, recovered
    assert site.picture() == before


def test_without_room_for_a_backup_nothing_is_migrated(avatars: Site) -> None:
    site = avatars
    site.app.release(migrations=[migrations.add_table("parcels")])
    before, kept = site.picture(), site.backups()
    small = 'case $* in *backups*) echo; echo "tmpfs 20000 10500 9500 53% /state" ;;'
    site.bench.script("df", f'#!/bin/sh\n{small} *) exec {tool("df")} "$@" ;; esac\n')
    refused = site.deploy()
    (site.bench.bin / "df").unlink()
    assert (refused.exit, refused.outcome) == (1, "failed"), refused
    assert "has no room for a backup" in refused.notes
    assert "10 MB are free" in refused.notes
    assert (site.picture(), site.backups()) == (before, kept)


def test_which_backups_stay(avatars: Site) -> None:
    site = avatars
    of_release = site.backups()
    saved = [site.operate("db.backup", backup_keep=2).facts["backup"] for _ in range(3)]
    # The last two, and what the undo of the deployed releases may need.
    assert site.backups() == sorted({*of_release, *saved[-2:]})
    info = site.state / "backups" / f"{saved[-2]}.info"
    info.write_text(re.sub(r"(?m)^at .*", "at 1000", info.read_text()))
    newest = site.operate("db.backup").facts["backup"]
    assert set(site.backups()) == {*of_release, saved[-1], newest}
