"""`fab db.*` on a real server: questions, exact moves, backups that are whole, and the way back."""

import json
import subprocess
from collections.abc import Callable

import pytest

from ..apps import migrations
from . import engine
from .site import Site
from .ways import builds

ROWS = "SELECT id, email, avatar_url FROM users ORDER BY id"
#: What a dump has to keep apart: names that need quotes, rows that look like a dump's own words.
ODDITIES = """
CREATE SCHEMA "my other";
CREATE TABLE "my other"."a (b) c" (t text);
INSERT INTO "my other"."a (b) c" VALUES ('COPY public.users (id) FROM stdin;'), (E'\\\\.'), (NULL);
CREATE TYPE mood AS ENUM ('glad', 'sad');
CREATE TABLE moods (id serial PRIMARY KEY, mood mood);
INSERT INTO moods (mood) VALUES ('glad'), ('sad');
CREATE FUNCTION twice(n int) RETURNS int LANGUAGE sql AS 'SELECT 2 * n';
SELECT lo_from_bytea(0, 'large');
"""


@pytest.fixture(scope="module")
def shop(site: Callable[..., Site]) -> Site:
    """An application at revision 003, with rows in it."""
    made = site("db")
    made.app.release(migrations=[migrations.AVATAR_URL])
    made.deploy()
    rows = "SELECT n || '@example.org', 'p' || n FROM generate_series(1, 9) n"
    made.sql(f"INSERT INTO users (email, avatar_url) {rows}")
    return made


def test_questions_change_nothing(shop: Site) -> None:
    asked = {
        "003 (head)": shop.fab("db.current"),
        "002 -> 003 (head) (current), add avatar url": shop.fab("db.history"),
        "No new upgrade operations detected.": shop.fab("db.check"),
        "ALTER TABLE users DROP COLUMN avatar_url;": shop.fab("db.sql", "--range", "003:002"),
    }
    for words, done in asked.items():
        assert (done.code, done.after) == (0, done.before), done.told
        assert words in done.out, done.told
        assert "password" not in done.out + done.err
    assert shop.fab("db.sql", "--range", "nope; reboot").code == 2
    assert "Can't locate revision" in shop.fab("db.sql", "--range", "nope").err


def test_the_guides_three_rollbacks_and_every_value_back(shop: Site) -> None:
    rows, release = shop.sql(ROWS), shop.current
    assert shop.fab("db.downgrade", "-1").code == 2
    down = shop.act("db.downgrade", "-1", "--yes")
    assert (down.code, down.result["outcome"], down.after.heads) == (0, "done", ("002",)), down.told
    assert (down.result["undone"], down.after.image) == (["003"], down.before.image)
    assert shop.act("db.downgrade", "001", "--yes").after.heads == ("001",)
    base = shop.act("db.downgrade", "base", "--yes")
    assert (base.code, base.after.heads, base.result["undone"]) == (0, (), ["001"]), base.told
    up = shop.act("db.upgrade", "--to", "002")
    assert (up.code, up.after.heads, up.result["applied"]) == (0, ("002",), ["001", "002"]), up.told
    assert shop.act("db.upgrade").after.heads == ("003",)
    assert shop.sql(ROWS) == []
    back = shop.act("db.restore", down.result["backup"], "--yes", "--confirm", shop.project)
    assert back.code == 0, back.told
    assert (shop.sql(ROWS), back.after.schema) == (rows, down.before.schema)
    assert (back.after.health, shop.current) == (200, release)


def test_a_backup_is_whole_and_goes_into_another_database(shop: Site) -> None:
    shop.sql(ODDITIES)
    done = shop.act("db.backup")
    assert (done.code, done.result["outcome"]) == (0, "done"), done.told
    listed = shop.fab("db.backups", "--json")
    newest = json.loads(listed.out.splitlines()[0])
    assert newest["backup"] == done.result["backup"], listed.told
    assert (newest["rows"], newest["heads"]) == (9 + 1 + 2 + 3, ["003"])
    file = shop.state / "backups" / f"{newest['backup']}.dump"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert shop.fab("db.restore", newest["backup"]).code == 2
    assert shop.act("db.restore", newest["backup"], "--into", "fresh").code == 0
    assert shop.act("db.restore", newest["backup"], "--into", "snapcheck").code == 1
    assert shop.lab.state.psql(shop.project, "db", ROWS, "snapcheck", "fresh") == shop.sql(ROWS)
    # All that came later goes, all that went comes back, also in other schemas.
    shop.sql(
        'DROP SCHEMA "my other" CASCADE; CREATE VIEW v AS SELECT 1; '
        "CREATE TABLE later (u int REFERENCES users)"
    )
    assert shop.act("db.restore", newest["backup"], "--yes", "--confirm", "snapcheck").code == 0
    assert shop.sql('SELECT count(*) FROM "my other"."a (b) c"') == ["3"]
    assert shop.sql("SELECT mood, twice(id) FROM moods ORDER BY id") == ["glad|2", "sad|4"]
    assert shop.sql(
        "SELECT to_regclass('later'), to_regclass('v'), count(*) FROM pg_largeobject_metadata"
    ) == ["||1"]
    shop.sql('DROP TABLE moods; DROP FUNCTION twice; DROP TYPE mood; DROP SCHEMA "my other" CASCADE')


def test_a_dropped_column_after_a_rollback_and_a_restore(shop: Site) -> None:
    rows = shop.sql(ROWS)
    shop.app.release(migrations=[migrations.DROP_AVATAR_URL])
    refused = shop.act("deploy")
    refused.failed_at("check", 2)
    assert "drop-column users.avatar_url" in refused.output
    deployed = shop.deploy("--yes")
    back = shop.act("rollback", "--yes")
    assert (back.code, set(shop.sql("SELECT coalesce(avatar_url, '-') FROM users"))) == (0, {"-"}), back.told
    assert f"fab db.restore {deployed.result['backup']}" in back.output
    restored = shop.act("db.restore", deployed.result["backup"], "--yes", "--confirm", shop.project)
    assert (restored.code, shop.sql(ROWS)) == (0, rows), restored.told
    # The same release, failing: the schema is undone, and that data is missing is said.
    shop.take_back()
    with builds(1) as change:
        shop.app.release(migrations=[migrations.DROP_AVATAR_URL], breakages=[change])
        failed = shop.act("deploy", "--yes")
    assert (failed.code, failed.after.schema) == (3, failed.before.schema), failed.told
    saved = next(fact["value"] for fact in failed.records if fact.get("name") == "backup")
    assert shop.act("db.restore", saved, "--yes", "--confirm", shop.project).code == 0
    assert shop.sql(ROWS) == rows
    shop.take_back()


@pytest.mark.parametrize("each", ["", "1"])
def test_three_revisions_of_which_the_second_fails(shop: Site, each: str) -> None:
    env = shop.path / ".env"
    usual = env.read_text()
    env.write_text(usual + f"ALEMBIC_TRANSACTION_PER_MIGRATION={each}\n")
    three = [migrations.add_table("one"), migrations.BAD_SQL, migrations.add_table("three")]
    shop.app.release(migrations=three)
    done = shop.act("deploy")
    env.write_text(usual)
    done.failed_at("migrate")
    assert done.result["undone"] == (["004"] if each else [])
    shop.take_back()


def test_a_backup_that_does_not_hold_all_rows_stops_the_deployment(shop: Site) -> None:
    """pg_dump in the container loses a table's data, and says nothing of it."""
    container = shop.lab.state.container_of(shop.project, "db") or ""
    real = "/usr/lib/postgresql/15/bin/pg_dump"
    false = f'#!/bin/sh\nexec {real}.real "$@" --exclude-table-data=users\n'
    inside = f"mv {real} {real}.real; printf '%s' '{false}' >{real}; chmod 755 {real}"
    subprocess.run(["docker", "exec", container, "sh", "-c", inside], check=True)
    shop.app.release(migrations=[migrations.add_table("parcels")])
    done = shop.act("deploy")
    subprocess.run(["docker", "exec", container, "mv", f"{real}.real", real], check=True)
    done.failed_at("migrate")
    assert "public.users: 9, not 0" in done.output
    shop.take_back()


def test_a_restore_without_the_daemon_goes_on_when_it_is_back(shop: Site) -> None:
    """Docker does not answer from the restore's begin on; the database runs on, and is what it was."""
    rows, saved = shop.sql(ROWS), shop.act("db.backup").result["backup"]
    shop.sql("INSERT INTO users (email) VALUES ('late@example.org')")
    before, socket = shop.look(), shop.root / "docker.sock"
    socket.symlink_to(engine.SOCKET)
    shop.configure(f'[compose]\ncommand = "env DOCKER_HOST=unix://{socket} docker compose"\n')
    process = shop.start("db.restore", saved, "--yes", "--confirm", shop.project)
    shop.wait(lambda: shop.step_now() == "restore")
    socket.unlink()
    told = process.communicate(timeout=200)
    assert (process.returncode, "docker on the server does not answer" in told[0]) == (3, True), told
    socket.symlink_to(engine.SOCKET)
    recovered = shop.fab("recover")
    assert recovered.code == 0, recovered.told
    assert (shop.look(), len(shop.sql(ROWS))) == (before, len(rows) + 1), recovered.told
    shop.configure()
    restored = shop.act("db.restore", saved, "--yes", "--confirm", shop.project)
    assert (restored.code, shop.sql(ROWS)) == (0, rows), restored.told
