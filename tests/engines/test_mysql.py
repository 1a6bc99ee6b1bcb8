"""Dumps of MariaDB and their way back, without Alembic: the server's own scripts and a real database."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL

from deploy import resources
from tests.mariadb import mariadb, new_database, query
from tests.postgresql import PASSWORD
from tests.runner.bench import tool

__all__ = ["mariadb"]

#: What a dump has to keep apart: names that need quotes, values that look like a dump's own words.
ODD = r"""
CREATE TABLE users (id INT PRIMARY KEY AUTO_INCREMENT, email TEXT);
INSERT INTO users (email) VALUES ('ann@example.org'), ('bob@example.org');
CREATE TABLE `a (b) ``c` (t TEXT, b BLOB, u INT REFERENCES users (id), n INT AS (1) VIRTUAL);
INSERT INTO `a (b) ``c` (t, b) VALUES
('INSERT INTO `users` VALUES (1),(2);', NULL), ('it''s\n(\\', 'x'), (NULL, x'00ff');
CREATE TABLE none_in_it (n INT) ENGINE=MyISAM;
CREATE VIEW v AS SELECT email FROM users;
CREATE TRIGGER t BEFORE INSERT ON none_in_it FOR EACH ROW SET NEW.n = 1;
CREATE PROCEDURE p() INSERT INTO `none_in_it` VALUES (1);
"""
#: Stands in for a step: its functions, and the database's tools without an engine between.
STEP = """\
app=shop id=r1 path={folder} state={folder} journal=./journal backup_mode=auto
. ./lib.sh; . ./migrate.sh; . ./backup.sh; . ./dialects.sh
beside() {{ script=$(cat "$1"); shift; sh -c "$script" backstay "$@"; }}
no_dump() {{ fail "$@"; }}
{words}
"""


class Server:
    """A folder of a release, and a database."""

    def __init__(self, folder: Path, url: URL) -> None:
        self.folder, self.url, self.bin = folder, url, folder / "bin"
        for name, text in resources.folder(".").items():
            (folder / name).write_text(text)
        for name in ("facts", "bin"):
            (folder / name).mkdir()
        state = f"backstay dialect mariadb\nbackstay database {url.database}\n"
        (folder / "facts/state.before").write_text(state)
        self.environ = {"BACKSTAY_SOCKET": str(url.query["unix_socket"]), "BACKSTAY_USER": str(url.username)}

    def script(self, name: str, text: str) -> None:
        """A program that comes before the system's."""
        (self.bin / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.bin / name).chmod(0o755)

    def start(self, words: str, password: str = PASSWORD) -> subprocess.Popen[str]:
        text = STEP.format(folder=shlex.quote(str(self.folder)), words=words)
        path = f"{self.bin}:{os.environ['PATH']}"
        environ = {**os.environ, **self.environ, "MYSQL_PWD": password, "PATH": path}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(["sh", "-c", text], cwd=self.folder, env=environ, **pipes)  # type: ignore[call-overload,no-any-return]

    def run(self, words: str, **more: str) -> tuple[int, str]:
        """The exit code of a step, and all that it said."""
        (self.folder / "journal").unlink(missing_ok=True)
        process = self.start(words, **more)
        out = process.communicate(timeout=60)[0]
        journal = self.folder / "journal"
        return process.returncode, out + (journal.read_text() if journal.exists() else "")

    def backup(self) -> str:
        code, said = self.run('backup before "by hand"')
        assert code == 0, said
        return (self.folder / "facts/backup").read_text().strip()

    def rows(self, database: str | None = None) -> list[str]:
        url = self.url if database is None else self.url.set(database=database)
        return [
            *query(url, "SELECT * FROM users; SELECT * FROM v"),
            *query(url, "SELECT * FROM `a (b) ``c` ORDER BY t"),
            *query(url, "SHOW TABLES"),
        ]


@pytest.fixture
def server(mariadb: URL, tmp_path: Path) -> Iterator[Server]:
    """A database with odd things in it."""
    url = new_database(mariadb)
    query(url, ODD)
    yield Server(tmp_path, url)
    query(mariadb, f"DROP DATABASE {url.database}")


def test_a_backup_is_whole_and_comes_back(server: Server) -> None:
    rows, saved = server.rows(), server.backup()
    file = server.folder / "backups" / f"{saved}.dump"
    assert (file.stat().st_mode & 0o777, file.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    info = file.with_suffix(".info").read_text().splitlines()
    assert {"tables 3", "rows 5", "table a (b) `c 3", "table none_in_it 0", "table users 2"} <= set(info)
    for awk in ("gawk", "mawk", "busybox awk", "original-awk"):
        words = [*awk.split(), "-f", str(server.folder / "inserted.awk")]
        # MySQL's has all rows of a statement on one line.
        for dump in (
            file.read_bytes(),
            file.read_bytes().replace(b"VALUES\n", b"VALUES ").replace(b"),\n(", b"),("),
        ):
            found = subprocess.run(words, input=dump, capture_output=True, check=True).stdout.decode()
            assert sorted(found.splitlines()) == ["a (b) `c 3", "none_in_it 0", "users 2"], awk
    name = f"new{server.url.database}"[:60]
    assert server.run(f"new_database {saved} {name}")[0] == 0
    assert server.rows(name) == rows
    # It is nobody's but the user's now.
    assert server.run(f"drop_database {name}")[0] == 0
    code, said = server.run(f"new_database {saved} {name}")
    assert (code, "database exists" in said, server.rows(name)) == (1, True, rows)
    query(server.url, f"DROP DATABASE {name}")
    query(server.url, "DELETE FROM users; CREATE TABLE later (n INT REFERENCES users (id)); DROP PROCEDURE p")
    code, said = server.run(f"try_restore {saved}; restore_database {saved} before")
    assert (code, server.rows()) == (0, rows), said
    assert query(server.url, "CALL p(); SELECT n FROM none_in_it") == ["1"]
    assert not query(server.url, "SHOW DATABASES LIKE 'backstay%'")


def test_a_backup_of_a_database_that_is_written_to(server: Server) -> None:
    """Rows that come meanwhile are no fault."""
    # Slow enough for rows to come between all three snapshots.
    server.script("mariadb-dump", f'sleep 0.3\nexec {tool("mariadb-dump")} "$@"')
    insert = "INSERT INTO users (email) VALUES ('x'); SELECT SLEEP(0.01);\n" * 500
    with subprocess.Popen(
        ["mariadb", "-S", server.environ["BACKSTAY_SOCKET"], "-u", "root", str(server.url.database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    ) as writer:
        assert writer.stdin
        writer.stdin.write(insert.encode())
        writer.stdin.flush()
        code, said = server.run('backup before "by hand"')
        assert writer.poll() is None, "it wrote no more"
        writer.terminate()
    assert code == 0, said
    before, after = (
        next(
            line.split()[-1]
            for line in (server.folder / "facts/said").read_text().splitlines()
            if word in line
        )
        for word in ("rows users", "later users")
    )
    assert int(before) < int(after), "nothing came meanwhile"


def test_a_backup_that_fails(server: Server) -> None:
    real = tool("mariadb-dump")
    broken = {
        "users: 2, not 1": f"{real} \"$@\" | sed '/^(2,.bob/d;s/^(1,\\(.ann.*\\)),$/(1,\\1);/'",
        "cannot be read back": f'{real} "$@" | sed "/^-- Dump completed/d"',
        "the backup failed": f'{real} "$@" | head -c 2000; kill -9 $$',
    }
    for words, script in broken.items():
        server.script("mariadb-dump", f"case $* in *--version) exec {real} --version ;; esac\n{script}")
        code, said = server.run('backup before "by hand"')
        assert (code, words in said) == (1, True), said
    (server.bin / "mariadb-dump").unlink()
    code, said = server.run('backup before "by hand"', password="wrong-Secret")
    assert (code, "Access denied" in said, "wrong-Secret" in said) == (1, True, False), said
    server.environ["BACKSTAY_SOCKET"] += "-away"
    code, said = server.run('backup before "by hand"')
    assert (code, "Can't connect" in said, PASSWORD in said) == (1, True, False), said
    assert not list((server.folder / "backups").glob("*.info"))


def test_what_cannot_be_restored_touches_nothing(server: Server) -> None:
    saved = server.backup()
    file = server.folder / "backups" / f"{saved}.dump"
    whole = file.read_text(errors="surrogateescape")
    query(server.url, "UPDATE users SET email = 'new'")
    rows = server.rows()
    for damaged in (whole[:3000], whole.replace("(2,'bob@example.org')", "(1,'bob@example.org')")):
        file.write_text(damaged, errors="surrogateescape")
        code, said = server.run(f"try_restore {saved}; touch went-on")
        assert (code, server.rows(), (server.folder / "went-on").exists()) == (1, rows, False), said
        # No row of a statement that failed is on the screen.
        assert "ann@" not in said
        assert server.run("drop_trial")[0] == 0
        assert not query(server.url, "SHOW DATABASES LIKE 'backstay%'")
    file.write_text(whole, errors="surrogateescape")
    # A user that may not make a database restores without a trial, and is told.
    name = server.url.database
    query(server.url, f"CREATE OR REPLACE USER clerk IDENTIFIED BY 'pw'; GRANT ALL ON {name}.* TO clerk")
    server.environ["BACKSTAY_USER"] = "clerk"
    code, said = server.run(f"try_restore {saved} && touch went-on", password="pw")
    assert (code, "not tried before" in said, (server.folder / "went-on").exists()) == (0, True, True), said
