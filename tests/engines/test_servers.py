"""Backups and the way back with a database server, PostgreSQL or MariaDB, and no Docker."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from sqlalchemy import URL, create_engine, text

from deploy import recipe, resources
from deploy.engines.venv import Venv
from tests import mariadb as my
from tests import postgresql as pg
from tests.apps import migrations
from tests.apps.migrations import Migration
from tests.apps.tree import append
from tests.engines.conftest import site_maker
from tests.mariadb import mariadb
from tests.postgresql import postgresql
from tests.runner.bench import tool, wait_until

from .site import Outcome, Site

__all__ = ["mariadb", "postgresql"]

NOTE = Migration(
    "add_note",
    'op.add_column("users", sa.Column("note", sa.String(80)))',
    'op.drop_column("users", "note")',
)
TABLES = {
    "postgresql": "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1",
    "mysql": "SHOW TABLES",
}
ALONE = "with op.get_context().autocommit_block():\n    op.execute('{} INDEX CONCURRENTLY {}')"
UNIQUE_NOTE = Migration(
    "unique_note",
    ALONE.format("CREATE UNIQUE", "note_is_unique ON users (note)"),
    ALONE.format("DROP", "note_is_unique"),
)
DROP_NOTE = Migration("drop_note", NOTE.downgrade, NOTE.upgrade)

# Stand in for a client: a restore stops when the first half of a dump has gone through, once.
HALVES = {
    "pg_restore": """\
#!/bin/sh
case "$*" in *"-f -"*) ;; *) exec @real "$@" ;; esac
[ ! -e '@there' ] || exec @real "$@"
@real "$@" | sed '/^COPY/,$d'
: >'@there'
while :; do sleep 1; done
""",
    "mariadb": """\
#!/bin/sh
for last; do :; done
case $last in backstay_*) exec @real "$@" ;; esac
[ ! -e '@there' ] || exec @real "$@"
IFS= read -r line
case $line in
    *foreign_key*)
        { echo "$line"; sed '/^INSERT INTO/q'; : >'@there'; while :; do sleep 1; done; } | @real "$@"
        ;;
    *) { printf '%s\\n' "$line"; cat; } | @real "$@" ;;
esac
""",
}


@dataclass
class Database:
    """The database of a site, asked without any code of ours."""

    kind: str
    url: URL

    def query(self, statement: str) -> list[str]:
        if self.kind == "mysql":
            return my.query(self.url, statement)
        environ = {**os.environ, "PGPASSWORD": pg.PASSWORD}
        argv = ["psql", "-X", "-q", "-A", "-t", "-F\t", "-h", str(self.url.query["host"]), "-U", "owner"]
        words = [*argv, "-d", str(self.url.database), "-c", statement]
        return subprocess.run(
            words, env=environ, capture_output=True, text=True, check=True
        ).stdout.splitlines()


class Shop:
    """A release at revision 003, with users and their notes."""

    def __init__(self, site: Site, database: Database) -> None:
        self.site, self.db = site, database
        site.app.release(
            migrations=[NOTE], mutate=lambda tree: append(tree.root / "requirements.txt", "pymysql\n")
        )
        (site.path / ".env").write_text(
            f"DATABASE_URL={pg.url_text(database.url)}\nBACKEND_PORT={site.port}\n"
        )
        done = site.deploy()
        assert (done.exit, "read back: no tables yet" in done.notes) == (0, True), done
        site.add_users()
        database.query("CREATE VIEW v AS SELECT email FROM users")
        self.saved = site.operate("db.backup").facts["backup"]

    def seen(self) -> object:
        """What a restore that failed must leave."""
        query = self.db.query
        return (
            query("SELECT * FROM users ORDER BY id"),
            query("SELECT * FROM v ORDER BY 1"),
            query("SELECT version_num FROM alembic_version"),
            query(TABLES[self.db.kind]),
            self.site.http("/version"),
            self.site.http("/users"),
        )


def only(kind: str) -> pytest.MarkDecorator:
    """With one of the two."""
    return pytest.mark.parametrize("shop", [kind], indirect=True, scope="module")


@pytest.fixture(scope="module", params=["postgresql", "mysql"])
def shop(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    wheels: dict[str, str],
    quick_python: str,
) -> Iterator[Shop]:
    """One for all tests with a kind of database."""
    if request.param == "mysql":
        database = Database("mysql", my.new_database(request.getfixturevalue("mariadb")))
    else:
        database = Database("postgresql", pg.new_database(request.getfixturevalue("postgresql")))
    with site_maker(tmp_path_factory.mktemp("shop"), wheels, quick_python) as make:
        yield Shop(make(), database)


@contextmanager
def held(shop: Shop) -> Iterator[Callable[[], bool]]:
    """A restore stops in the middle; tells whether it has."""
    bench, there = shop.site.bench, shop.site.bench.home / "holding"
    name = "pg_restore" if shop.db.kind == "postgresql" else "mariadb"
    bench.script(name, HALVES[name].replace("@real", tool(name)).replace("@there", str(there)))
    try:
        yield there.exists
    finally:
        (bench.bin / name).unlink()
        there.unlink(missing_ok=True)


def test_a_dump_does_not_wait_long_for_a_lock(postgresql: URL) -> None:
    url = pg.new_database(postgresql)
    opened = create_engine(url)
    script = resources.resource("postgresql.sh").replace("5s", "1s")
    environ = {**os.environ, "PGHOST": str(url.query["host"]), "PGUSER": "owner", "PGPASSWORD": pg.PASSWORD}
    words = ["sh", "-c", script, "backstay", "dump", str(url.database)]
    with opened.begin() as connection:
        connection.execute(text("CREATE TABLE parcels (n INT)"))
    with opened.begin() as connection:
        connection.execute(text("LOCK TABLE parcels"))
        done = subprocess.run(words, env=environ, capture_output=True, text=True, timeout=30)
    opened.dispose()
    assert done.returncode != 0
    assert "backstay dumped" not in done.stderr
    assert "LOCK TABLE public.parcels" in done.stderr


def test_a_restore_that_is_stopped_in_the_middle(shop: Shop) -> None:
    site, db = shop.site, shop.db
    db.query("UPDATE users SET note = 'newer'")
    before = shop.seen()
    with held(shop) as holds:
        plan = recipe.operation(site.target, Venv(), "db.restore")
        process = site.bench.start("operate", plan=plan, revision="", into="", backup_id=shop.saved)
        wait_until(holds, 120, lambda: str(site.bench.processes()))
        if db.kind == "postgresql":
            ended = Outcome(site.bench.run("cancel", plan=site.questions))
            assert (ended.outcome, ended.exit) == ("cancelled", 130), ended
        else:
            # No transaction takes it back: half of it is there.
            assert db.query("SHOW TABLES LIKE 'alembic_version'") != db.query("SHOW TABLES LIKE 'users'")
            site.bench.kill_all()
        site.bench.leave(process)
        if db.kind == "mysql":
            recovered = site.recover()
            assert recovered.exit == 1, recovered
    assert shop.seen() == before


# A transaction takes it back with PostgreSQL.
@only("mysql")
def test_after_a_half_done_migration_every_value_is_back(shop: Shop) -> None:
    """With DDL that no transaction takes back: what is left is said, and the backup has all of it."""
    site, db = shop.site, shop.db
    db.query("UPDATE users SET note = email")
    before = shop.seen()
    site.app.release(migrations=[DROP_NOTE, migrations.HALF_DONE, migrations.add_table("three")])
    failed = site.deploy(consent="yes")
    assert (failed.exit, failed.facts["undone"], failed.facts["lost"]) == (3, "004", "users.note"), failed
    assert "but these tables are not: half_done" in failed.notes
    assert db.query("SELECT DISTINCT note FROM users") == ["NULL"]
    # Until a person has put that right there is no way on; then there is.
    refused = site.operate("db.backup")
    assert refused.exit is None, refused
    db.query("DROP TABLE half_done")
    recovered = site.recover()
    assert recovered.exit == 3, recovered
    saved = next(name for name in site.backups() if name == failed.facts["backup"].removesuffix("-2"))
    restored = site.operate("db.restore", backup_id=saved)
    assert (restored.exit, shop.seen()) == (0, before), restored
    assert pg.PASSWORD not in repr(failed) + repr(restored)


@only("postgresql")
def test_a_restore_after_which_the_application_does_not_start(shop: Shop) -> None:
    site, db = shop.site, shop.db
    db.query("UPDATE users SET note = 'newest'")
    before = shop.seen()
    start = site.path.parent / "start.sh"
    usual = start.read_text()
    start.write_text(f"[ -e ../once ] || {{ : >../once; exit 7; }}\n{usual}")
    failed = site.operate("db.restore", backup_id=shop.saved)
    start.write_text(usual)
    assert (failed.exit, failed.outcome) == (1, "failed"), failed
    assert shop.seen() == before


@only("postgresql")
def test_an_index_that_could_not_be_built_concurrently(shop: Shop) -> None:
    site, db = shop.site, shop.db
    invalid = "SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid"
    db.query("UPDATE users SET note = 'the same'")
    before = shop.seen()
    site.app.release(migrations=[migrations.add_table("more"), UNIQUE_NOTE])
    failed = site.deploy(consent="yes")
    assert (failed.exit, db.query(invalid)) == (3, ["note_is_unique"]), failed
    assert "a migration left invalid indexes: note_is_unique" in failed.notes
    # A person drops it, and then nothing is left to do.
    still = site.recover()
    assert (still.exit, "note_is_unique" in still.notes) == (3, True), still
    db.query("DROP INDEX CONCURRENTLY note_is_unique")
    recovered = site.recover()
    assert (recovered.exit, shop.seen()) == (1, before), recovered
