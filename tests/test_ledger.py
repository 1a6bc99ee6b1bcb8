"""The ledger on real databases: the same contract on SQLite and on a PostgreSQL server of our own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import URL, create_engine, inspect, make_url, text
from sqlalchemy.exc import OperationalError

from deploy import events
from deploy.ledger import (
    Entry,
    Ledger,
    LedgerError,
    StepEntry,
    engine,
    entry_from_state,
    failures,
    place,
    schema,
)

from .postgresql import PASSWORD, new_database, postgresql, url_text

__all__ = ["postgresql"]
ROOT = Path(__file__).resolve().parents[1]
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)

# A migration that is in a released backstay stays as it is: write a new one instead.
MIGRATIONS = {"001_releases.py": "a5cbc8b44f02010c221c532e71de093b60db631d1e1125c7882da37f9329dc2e"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own, where ``XDG_DATA_HOME`` is not set."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.delenv("BACKSTAY_LEDGER", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    return folder


# --- databases


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database, of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.db"
    return url_text(new_database(request.getfixturevalue("postgresql")))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a SQLite ledger may be; nothing is there yet."""
    return tmp_path / "ledger.db"


@contextmanager
def _connection(url: str) -> Iterator[Any]:
    opened = create_engine(url)
    try:
        with opened.connect() as connection:
            yield connection
    finally:
        opened.dispose()


def _shape(url: str) -> dict[str, Any]:
    """Tables and their columns."""
    with _connection(url) as connection:
        seen = inspect(connection)
        return {name: [c["name"] for c in seen.get_columns(name)] for name in seen.get_table_names()}


def _entry(number: int = 1, **changes: Any) -> Entry:
    steps = (StepEntry("pull", "done", 1.5), StepEntry("migrate", "failed", 2.25, "timeout"))
    entry = Entry(
        id=f"2026112212{number:04}-3f2a9c1",
        app="shop",
        target="production",
        host="deploy@server.example.org",
        path="/srv/my shop",
        kind="deploy",
        by="ana@laptop",
        started_at=NOON + timedelta(minutes=number),
        steps=steps,
    )
    return replace(entry, **changes)


# --- the contract


def test_a_new_ledger_knows_nothing(url: str) -> None:
    ledger = Ledger.open(url)
    assert ledger.history("shop", "production", 10) == []
    assert ledger.latest("shop", "production") is None
    assert ledger.typical_seconds("shop", "production", "pull") is None


def test_an_entry_comes_back_as_it_was(url: str) -> None:
    entry = _entry(
        ended_at=NOON + timedelta(minutes=5, microseconds=123456),
        outcome="failed",
        exit_code=1,
        commit_before="a" * 40,
        commit_after="b" * 40,
        heads_before=("001",),
        heads_after=("002", "x1"),
        image_before="sha256:1",
        image_after="sha256:2",
        applied=("002", "x1"),
        undone=("x1",),
        backup="backup/before.dump",
        seconds=12.3,
        version="0.1.0",
    )
    Ledger.open(url).record(entry)
    assert Ledger.open(url).history("shop", "production", 10) == [entry]


def test_a_moment_is_kept_whatever_its_time_zone(url: str) -> None:
    east = datetime.fromisoformat("2026-11-22T23:30:00+05:30")
    ledger = Ledger.open(url)
    ledger.record(_entry(started_at=east))
    latest = ledger.latest("shop", "production")
    assert latest is not None
    assert latest.started_at == east
    assert latest.started_at.utcoffset() == timedelta(0)


def test_recording_again_replaces(url: str) -> None:
    ledger = Ledger.open(url)
    ledger.record(_entry())
    done = _entry(outcome="deployed", exit_code=0, steps=(StepEntry("pull", "done", 9.0),))
    ledger.record(done)
    ledger.record(done)
    assert ledger.history("shop", "production", 10) == [done]


@pytest.mark.parametrize("part", ["app", "target", "host", "id"])
def test_each_part_of_the_key_tells_entries_apart(url: str, part: str) -> None:
    ledger = Ledger.open(url)
    one, other = _entry(), _entry(**{part: "other"})
    ledger.record(one, other)
    found = ledger.history("shop", "production", 10)
    if part in ("app", "target"):
        assert found == [one]
        assert ledger.history(other.app, other.target, 10) == [other]
    else:
        assert sorted(found, key=repr) == sorted([one, other], key=repr)


def test_history_is_newest_first_and_limited(url: str) -> None:
    ledger = Ledger.open(url)
    entries = [_entry(number) for number in range(5)]
    ledger.record(*(entries[number] for number in (3, 0, 4, 1, 2)))
    assert ledger.history("shop", "production", 3) == entries[:1:-1]
    assert ledger.history("shop", "production", 0) == []
    assert ledger.history("shop", "production", -1) == []
    assert ledger.latest("shop", "production") == entries[4]


def test_typical_is_the_median_of_the_last_twenty_done(url: str) -> None:
    def run(number: int, seconds: float, state: str = "done", **changes: Any) -> Entry:
        return _entry(
            number, steps=(StepEntry("build", state, seconds), StepEntry("pull", "done", 7)), **changes
        )

    ledger = Ledger.open(url)
    ledger.record(*(run(number, 1000.0) for number in range(10)))
    ledger.record(*(run(10 + number, float(number)) for number in range(20)))
    ledger.record(run(40, 500, "failed"), run(41, 500, "undone"), run(42, 500, kind="rollback"))
    ledger.record(run(43, 500, app="other"), run(44, 500, target="staging"))
    assert ledger.typical_seconds("shop", "production", "build") == 9.5
    assert ledger.typical_seconds("shop", "production", "build", kind="rollback") == 500
    assert ledger.typical_seconds("shop", "production", "pull") == 7
    assert ledger.typical_seconds("shop", "production", "restart") is None


def test_several_entries_are_recorded_together_or_not_at_all(url: str) -> None:
    ledger = Ledger.open(url)
    with pytest.raises(LedgerError):
        ledger.record(_entry(1), _entry(2, exit_code=2**80))
    assert ledger.history("shop", "production", 10) == []


def test_what_no_database_takes_as_text_is_replaced(url: str) -> None:
    ledger = Ledger.open(url)
    ledger.record(_entry(by="a\0b\ud800c", heads_after=("x\0",), steps=(StepEntry("\udfff"),)))
    latest = ledger.latest("shop", "production")
    assert latest is not None
    assert (latest.by, latest.heads_after) == ("a\ufffdb\ufffdc", ("x\ufffd",))
    assert latest.steps == (StepEntry("\ufffd"),)


_words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
_lists = st.lists(_words, max_size=4).map(tuple)
_moments = st.datetimes(datetime(1970, 1, 1), datetime(2999, 1, 1), timezones=st.just(UTC))
_seconds = st.floats(0, 1e9)
_steps = st.lists(st.builds(StepEntry, _words, _words, _seconds, _words), max_size=4).map(tuple)
_codes = st.none() | st.integers(-(2**31), 2**31 - 1)
_entries = st.builds(
    Entry,
    **{name: _words for name in ("id", "app", "target", "host", "path", "kind", "by", "outcome", "backup")},
    **{name: _words for name in ("commit_before", "commit_after", "image_before", "image_after", "version")},
    **{name: _lists for name in ("heads_before", "heads_after", "applied", "undone")},
    started_at=_moments,
    ended_at=st.none() | _moments,
    exit_code=_codes,
    seconds=_seconds,
    steps=_steps,
)


@pytest.fixture(params=["sqlite", "postgresql"], scope="module")
def ledger(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """One ledger of each kind for many examples."""
    if request.param == "sqlite":
        return Ledger.open(f"sqlite:///{tmp_path_factory.mktemp('ledger')}/ledger.db")
    return Ledger.open(url_text(new_database(request.getfixturevalue("postgresql"))))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entry=_entries)
def test_any_entry_comes_back(ledger: Ledger, entry: Entry) -> None:
    ledger.record(entry)
    found = ledger.history(entry.app, entry.target, 1000)
    assert [e for e in found if (e.host, e.id) == (entry.host, entry.id)] == [entry]


# --- from the journal


def _journal(*more: bytes) -> events.State:
    begin = events.encode("release", 1000.0, release="r1", kind="deploy", by="ana", steps=["pull", "migrate"])
    return events.fold(events.Decoder().feed(begin + b"".join(more)))


def _of(state: events.State) -> Entry:
    return entry_from_state(state, app="shop", target="production", host="h", path="/srv/shop")


def _fact(name: str, value: str) -> bytes:
    record = {"v": 1, "at": 1001, "event": "fact", "name": name, "value": value}
    return events.SEPARATOR + json.dumps(record).encode() + b"\n"


def test_entry_of_a_failed_and_undone_release() -> None:
    facts = {
        "commit.before": "aaa", "commit.after": "bbb", "heads.before": "001", "heads.after": "002 x1",
        "image.before": "i1", "image.after": "i2", "applied": "002 x1", "undone": "x1 002",
        "backup": "b.dump", "version": "0.1.0",
    }  # fmt: skip
    state = _journal(
        *(_fact(name, value) for name, value in facts.items()),
        events.encode("step", 1001.0, step="pull", state="begin"),
        events.encode("step", 1002.5, step="pull", state="done"),
        events.encode("step", 1003.0, step="migrate", state="begin"),
        events.encode("step", 1005.0, step="migrate", state="failed", rc=1, why="timeout"),
        events.encode("undo", 1005.0, step="pull", state="begin"),
        events.encode("undo", 1006.0, step="pull", state="done"),
        events.encode("end", 1010.0, outcome="failed", exit=1),
    )
    assert _of(state) == Entry(
        id="r1", app="shop", target="production", host="h", path="/srv/shop", kind="deploy", by="ana",
        started_at=datetime.fromtimestamp(1000, UTC), ended_at=datetime.fromtimestamp(1010, UTC),
        outcome="failed", exit_code=1, commit_before="aaa", commit_after="bbb", heads_before=("001",),
        heads_after=("002", "x1"), image_before="i1", image_after="i2", applied=("002", "x1"),
        undone=("x1", "002"), backup="b.dump", seconds=10.0, version="0.1.0",
        steps=(StepEntry("pull", "undone", 1.5), StepEntry("migrate", "failed", 2.0, "timeout")),
    )  # fmt: skip


def test_entry_of_a_running_and_of_an_interrupted_release() -> None:
    running = _of(_journal(events.encode("alive", 1005.0)))
    assert (running.outcome, running.ended_at, running.seconds, running.exit_code) == ("", None, 0.0, None)
    lost = _of(_journal(events.encode("lost", 1005.0)))
    assert (lost.outcome, lost.ended_at, lost.seconds, lost.exit_code) == ("interrupted", None, 0.0, None)


def test_a_journal_that_names_no_release_cannot_be_recorded() -> None:
    with pytest.raises(LedgerError, match="does not name its release"):
        _of(events.State())


@pytest.mark.parametrize("at", [-5.0, 1e300, float("inf"), float("nan")])
def test_a_mad_clock_can_be_recorded(at: float, file: Path) -> None:
    state = _journal(
        events.encode("step", 1001.0, step="pull", state="begin"),
        events.encode("step", at, step="pull", state="done"),
        events.encode("end", at, outcome="deployed", exit=0),
    )
    entry = _of(replace(state, began=at))
    ledger = Ledger.open(f"sqlite:///{file}")
    ledger.record(entry)
    assert ledger.latest("shop", "production") == entry


# --- schema


def _alembic(
    *arguments: str, url: str = "", folder: Path = ROOT, **env: str
) -> subprocess.CompletedProcess[str]:
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **({"BACKSTAY_LEDGER": url} if url else {}), **env}
    command = [sys.executable, "-m", "alembic", *arguments]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, check=False)


def _done(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_up_and_down_and_up_again(url: str) -> None:
    _done(_alembic("upgrade", "head", url=url))
    up = _shape(url)
    assert {"releases", "steps"} < set(up)
    assert "No new upgrade operations" in _done(_alembic("check", url=url))
    _done(_alembic("downgrade", "base", url=url))
    assert set(_shape(url)) == {"alembic_version"}
    ledger = Ledger.open(url)
    ledger.record(_entry())
    assert _shape(url) == up
    assert f"{schema.HEAD} (head)" in _done(_alembic("current", url=url))


def test_the_constant_is_the_real_head() -> None:
    assert _done(_alembic("heads")).split() == [schema.HEAD, "(head)"]


def test_sql_alone_opens_and_creates_nothing(home: Path, url: str) -> None:
    assert "CREATE TABLE releases" in _done(_alembic("upgrade", "head", "--sql"))
    assert list(home.rglob("*")) == []
    sql = _done(_alembic("upgrade", "head", "--sql", url=url))
    assert sql.startswith("BEGIN")
    assert "VALUES ('001')" in sql
    assert "DROP TABLE releases" in _done(_alembic("downgrade", "001:base", "--sql", url=url))
    if url.startswith("sqlite"):
        assert not Path(url.removeprefix("sqlite:///")).exists()
    else:
        assert _shape(url) == {}


def test_the_default_file_is_upgraded_by_alembic_too(home: Path) -> None:
    _done(_alembic("upgrade", "head"))
    assert Ledger.open().history("shop", "production", 1) == []
    assert [path.name for path in home.rglob("*.db")] == ["ledger.db"]


def test_alembic_says_what_is_wrong_without_a_traceback(tmp_path: Path) -> None:
    result = _alembic("upgrade", "head", url=f"sqlite:///{tmp_path}/missing/ledger.db")
    assert result.returncode != 0
    assert "cannot be opened" in result.stdout + result.stderr
    assert "Traceback" not in result.stderr


def test_new_revisions_are_numbered(tmp_path: Path) -> None:
    shutil.copy(ROOT / "alembic.ini", tmp_path)
    shutil.copytree(ROOT / "migrations", tmp_path / "migrations")
    url = f"sqlite:///{tmp_path}/ledger.db"
    _done(_alembic("upgrade", "head", url=url, folder=tmp_path))
    _done(_alembic("revision", "-m", "more words", url=url, folder=tmp_path))
    _done(_alembic("revision", "-m", "named", "--rev-id", "x7", url=url, folder=tmp_path))
    names = {path.name for path in (tmp_path / "migrations" / "versions").glob("*.py")}
    assert names == {"001_releases.py", "002_more_words.py", "x7_named.py"}
    _done(_alembic("upgrade", "head", url=url, folder=tmp_path))


def test_applied_migrations_are_not_edited() -> None:
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (ROOT / "migrations" / "versions").glob("*.py")
    }
    assert {name: found.get(name) for name in MIGRATIONS} == MIGRATIONS
    assert set(found) == set(MIGRATIONS), "add the new migration's checksum here"


def test_a_failed_upgrade_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    broken = tmp_path / "migrations 100% broken"
    shutil.copytree(ROOT / "migrations", broken)
    path = broken / "versions" / "001_releases.py"
    path.write_text(
        path.read_text().replace(
            "\n\n\ndef downgrade", '\n    op.execute("SELECT 1 FROM missing")\n\n\ndef downgrade'
        )
    )
    with monkeypatch.context() as patch:
        patch.setattr(place, "migrations_folder", lambda: broken)
        with pytest.raises(LedgerError, match="missing"):
            Ledger.open(url)
    assert _shape(url) == {}
    Ledger.open(url).record(_entry())


def test_a_ledger_without_its_migrations_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(place, "__file__", str(tmp_path / "site-packages" / "deploy" / "ledger" / "place.py"))
    with pytest.raises(LedgerError, match="not installed"):
        place.migrations_folder()


def test_an_installed_package_carries_its_migrations(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "migrations", tmp_path / "deploy" / "ledger" / "migrations")
    # What else is called "migrations" beside an installed package is not ours.
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "env.py").write_text("raise SystemExit('not ours')")
    code = "from deploy.ledger import Ledger, place; Ledger.open(); print(place.migrations_folder())"
    result = _python(code, folder=tmp_path)
    assert _done(result).strip() == str(tmp_path / "deploy" / "ledger" / "migrations")


def _python(code: str, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(folder)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_nothing_costly_is_imported_before_it_is_needed() -> None:
    Ledger.open()
    code = """
import sys
import deploy.ledger
assert "sqlalchemy" not in sys.modules and "alembic" not in sys.modules
deploy.ledger.Ledger.open()
assert "sqlalchemy" in sys.modules and "alembic" not in sys.modules
"""
    _done(_python(code))


def test_first_use_by_several_processes_at_once(url: str, tmp_path: Path) -> None:
    go = tmp_path / "go"
    code = f"""
import pathlib, sys, time
from deploy.ledger import queries, schema, Ledger
import alembic.command
print("ready", flush=True)
while not pathlib.Path({str(go)!r}).exists():
    time.sleep(0.001)
Ledger.open(sys.argv[1])
"""
    command = [sys.executable, "-c", code, url]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, env=env, cwd=ROOT, **pipes) for _ in range(4)]
    try:
        for process in processes:
            assert process.stdout.readline() == "ready\n"
        go.touch()
        for process in processes:
            _, said = process.communicate(timeout=60)
            assert process.returncode == 0, said
    finally:
        for process in processes:
            process.kill()
            process.wait()
    with _connection(url) as connection:
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all() == [
            schema.HEAD
        ]


# --- where the default file is


def test_the_default_file_is_for_its_user_alone(home: Path) -> None:
    Ledger.open().record(_entry())
    file = home / ".local/share/backstay/ledger.db"
    assert file.is_file()
    assert file.parent.stat().st_mode & 0o777 == 0o700
    # With write-ahead logging, which does not work on NFS, the header would say 2.
    assert file.read_bytes()[18:20] == b"\x01\x01"


def test_the_default_folder_follows_the_platform(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert place.default_file() == home / "Library/Application Support/backstay/ledger.db"
    monkeypatch.setenv("XDG_DATA_HOME", "not/absolute")
    assert place.default_file() == home / "Library/Application Support/backstay/ledger.db"
    monkeypatch.setenv("XDG_DATA_HOME", "/data 100%?#")
    assert place.default_file() == Path("/data 100%?#/backstay/ledger.db")


def test_a_data_folder_with_a_strange_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data 100%?#x=1"))
    Ledger.open().record(_entry())
    assert (tmp_path / "data 100%?#x=1" / "backstay" / "ledger.db").is_file()


def test_the_environment_names_the_ledger_and_a_url_wins(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BACKSTAY_LEDGER", f"sqlite:///{tmp_path}/named.db")
    Ledger.open()
    Ledger.open(f"sqlite:///{tmp_path}/given.db")
    assert sorted(path.name for path in tmp_path.glob("*.db")) == ["given.db", "named.db"]
    assert list(home.rglob("*")) == []


# --- what can be wrong


@contextmanager
def _unprivileged() -> Iterator[None]:
    """Permissions do not bind root: be nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def readable() -> Iterator[Path]:
    """A folder that everybody may enter, unlike pytest's own."""
    folder = Path(tempfile.mkdtemp(prefix="backstay-ro-"))
    try:
        yield folder
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_folder_that_cannot_be_created(readable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(readable))
    readable.chmod(0o555)
    with _unprivileged(), pytest.raises(LedgerError, match="Permission denied") as caught:
        Ledger.open()
    assert str(readable) in caught.value.message
    assert caught.value.hint


def test_a_folder_that_cannot_be_written(readable: Path) -> None:
    readable.chmod(0o555)
    with _unprivileged(), pytest.raises(LedgerError, match="cannot be opened"):
        Ledger.open(f"sqlite:///{readable}/ledger.db")


def test_a_file_that_cannot_be_written_can_still_be_read(readable: Path) -> None:
    url = f"sqlite:///{readable}/ledger.db"
    Ledger.open(url).record(_entry())
    (readable / "ledger.db").chmod(0o444)
    readable.chmod(0o555)
    with _unprivileged():
        ledger = Ledger.open(url)
        assert ledger.history("shop", "production", 1) == [_entry()]
        with pytest.raises(LedgerError, match="cannot be written"):
            ledger.record(_entry(2))


def test_a_file_that_is_no_database(file: Path) -> None:
    file.write_bytes(b"Dear diary, " * 1000)
    with pytest.raises(LedgerError, match="file is not a database") as caught:
        Ledger.open(f"sqlite:///{file}")
    assert "Move the file away" in caught.value.hint
    assert file.read_bytes() == b"Dear diary, " * 1000


def test_a_damaged_file(file: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{file}")
    ledger.record(_entry())
    whole = file.read_bytes()
    file.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    with pytest.raises(LedgerError, match="damaged"):
        ledger.history("shop", "production", 1)


def _stamp(url: str, version: str) -> None:
    with _connection(url) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :v"), {"v": version})
        connection.commit()


@pytest.mark.parametrize("version", ["999", "1f9a3c", "²"])
def test_a_newer_ledger_is_left_alone(url: str, version: str) -> None:
    Ledger.open(url).record(_entry())
    _stamp(url, version)
    before = _shape(url)
    with pytest.raises(LedgerError, match="made by a newer backstay") as caught:
        Ledger.open(url)
    assert "pip install --upgrade backstay" in caught.value.hint
    assert _shape(url) == before
    _stamp(url, schema.HEAD)
    assert Ledger.open(url).history("shop", "production", 9) == [_entry()]


def test_somebody_elses_database_is_left_alone(url: str) -> None:
    with _connection(url) as connection:
        connection.execute(text("CREATE TABLE customers (id integer)"))
        connection.commit()
    with pytest.raises(LedgerError, match=r"other tables \(customers\)"):
        Ledger.open(url)
    assert set(_shape(url)) == {"customers"}


def test_somebody_elses_database_with_the_same_version(url: str) -> None:
    with _connection(url) as connection:
        connection.execute(text("CREATE TABLE alembic_version (version_num varchar(32))"))
        connection.execute(text(f"INSERT INTO alembic_version VALUES ('{schema.HEAD}')"))
        connection.commit()
    with pytest.raises(LedgerError, match="is not a ledger"):
        Ledger.open(url).history("shop", "production", 1)
    with pytest.raises(LedgerError, match="is not a ledger"):
        Ledger.open(url).record(_entry())


def test_a_locked_file_is_waited_for_and_then_reported(file: Path) -> None:
    ledger = Ledger.open(f"sqlite:///{file}")
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        start = time.monotonic()
        with pytest.raises(LedgerError, match="locked by somebody else for more than 5 s"):
            ledger.record(_entry())
        assert 4 < time.monotonic() - start < 15
    ledger.record(_entry())


@pytest.mark.parametrize(
    "use",
    [
        lambda ledger: ledger.record(_entry()),
        lambda ledger: ledger.latest("shop", "production"),
    ],
    ids=["writing", "reading"],
)
def test_a_locked_table_is_waited_for_and_then_reported(
    postgresql: URL, use: Callable[[Ledger], object]
) -> None:
    url = url_text(new_database(postgresql))
    ledger = Ledger.open(url)
    with _connection(url) as other:
        other.execute(text("LOCK TABLE releases"))
        start = time.monotonic()
        with pytest.raises(LedgerError, match="locked by somebody else for more than 5 s"):
            use(ledger)
        assert 4 < time.monotonic() - start < 15
        other.rollback()
    ledger.record(_entry())


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("s3cret", "cannot be understood"),
        ("postgresql+psycopg://u:s3cret@h:s3cret/db", "cannot be understood"),
        ("mysql://u:s3cret@h/db", "cannot be kept in mysql"),
        ("postgresql+asyncpg://u:s3cret@h/db", r"cannot be kept in postgresql\+asyncpg"),
        ("sqlite://", "names no file"),
        ("sqlite:///:memory:", "names no file"),
    ],
)
def test_a_bad_url(url: str, problem: str) -> None:
    with pytest.raises(LedgerError, match=problem) as caught:
        Ledger.open(url)
    assert "postgresql+psycopg://" in caught.value.hint
    assert "s3cret" not in _everything(caught.value)


def _everything(error: BaseException) -> str:
    """All that a traceback of the error would show of messages."""
    words = f"{error} {getattr(error, 'hint', '')}"
    return words + (_everything(error.__cause__) if error.__cause__ else "")


def test_a_server_that_is_not_there() -> None:
    start = time.monotonic()
    with pytest.raises(
        LedgerError, match=r"postgresql\+psycopg://u:\*\*\*@127.0.0.1:1/db cannot be used"
    ) as caught:
        Ledger.open("postgresql://u:s3cret@127.0.0.1:1/db?application_name=x&sslpassword=t0psecret")
    assert time.monotonic() - start < 15
    assert "refused" in caught.value.message
    assert not {"s3cret", "t0psecret"} & set(caught.value.message.split())
    assert "s3cret" not in caught.value.message
    assert "t0psecret" not in caught.value.message


def test_a_wrong_password_and_a_missing_database(postgresql: URL) -> None:
    with pytest.raises(LedgerError, match="password authentication failed") as caught:
        Ledger.open(url_text(postgresql.set(password="s3cret")))
    assert "s3cret" not in _everything(caught.value)
    with pytest.raises(LedgerError, match="does not exist"):
        Ledger.open(url_text(postgresql.set(database="nowhere")))


def test_a_driver_that_repeats_the_password() -> None:
    url = engine.parse("postgresql://u:s3%25cret@h/db?sslpassword=t0psecret")
    said = RuntimeError("cannot use s3%cret,\n s3%25cret or t0psecret " + "x" * 1000)
    with pytest.raises(LedgerError) as caught, failures.guarded(url):
        raise OperationalError(None, None, said)
    assert "cannot use ***, *** or *** xx" in caught.value.message
    assert caught.value.message.endswith("xx (cut)")
    assert len(caught.value.message) < 500


def test_a_user_who_may_not_create_tables(postgresql: URL) -> None:
    database = new_database(postgresql)
    with _connection(url_text(database)) as connection:
        connection.execute(text("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
        connection.execute(text(f"CREATE ROLE r{database.database} LOGIN PASSWORD 's3cret'"))
        connection.commit()
    guest = database.set(username=f"r{database.database}", password="s3cret")
    with pytest.raises(LedgerError, match="permission denied"):
        Ledger.open(url_text(guest))


def test_a_missing_driver() -> None:
    code = """
import sys
sys.modules["psycopg"] = None
from deploy.ledger import Ledger, LedgerError
try:
    Ledger.open("postgresql+psycopg://u:s3cret@127.0.0.1:1/db")
except LedgerError as error:
    print(error.message, error.hint)
"""
    said = _done(_python(code))
    assert "pip install 'backstay[postgresql]'" in said
    assert "s3cret" not in said


def test_the_short_name_means_our_driver(postgresql: URL) -> None:
    url = url_text(new_database(postgresql))
    for name in ("postgresql://", "postgres://"):
        ledger = Ledger.open(url.replace("postgresql+psycopg://", name, 1))
        ledger.record(_entry())
    assert make_url(url).password == PASSWORD
    assert Ledger.open(url).history("shop", "production", 9) == [_entry()]


def test_several_threads_share_a_ledger(url: str) -> None:
    from concurrent.futures import ThreadPoolExecutor

    ledger = Ledger.open(url)
    record: Callable[[int], None] = lambda number: ledger.record(_entry(number % 3))  # noqa: E731
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(record, range(24)))
    assert ledger.history("shop", "production", 99) == [_entry(2), _entry(1), _entry(0)]
