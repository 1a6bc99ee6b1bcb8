"""The example application and the histories made of it, without Docker."""

import hashlib
import json
import os
import re
import shlex
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from . import History, breakages, dirty, migrations, untracked_in_way
from .history import git
from .tree import Tree
from .variants import EXAMPLE, GUIDE_COMPOSE, PASSWORD, VARIANTS, VariantName

GUIDE_BLOCK = "bf846e1f89db370de12c7098a4e5b49addb4ee6cc1d106044555c4130bd04c6b"
NAMES = sorted(VARIANTS)
ALEMBIC = """
import shlex, sys
from alembic.config import main

for command in sys.argv[1:]:
    print("alembic:", command, file=sys.stderr)
    main(argv=shlex.split(command), prog="alembic")
"""


def environment(url: str | None) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    inherited |= {"PYTHONDONTWRITEBYTECODE": "1"}
    return inherited if url is None else {**inherited, "DATABASE_URL": url}


def alembic(
    tree: Tree, *commands: str, url: str | None, cwd: Path | None = None, fails: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run Alembic's commands one after the other, in one process to save its start; the last one may fail."""
    done = subprocess.run(
        [sys.executable, "-c", ALEMBIC, *commands],
        cwd=cwd or tree.backend,
        env=environment(url),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode != 0) is fails, done.stdout + done.stderr
    assert done.stderr.count("alembic: ") == len(commands), done.stderr
    return done


def current(tree: Tree, url: str) -> list[str]:
    return heads(alembic(tree, "current", url=url))


def heads(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What `alembic current`, the only command that prints to standard output, printed."""
    return sorted(line.split()[0] for line in done.stdout.splitlines())


@contextmanager
def served(tree: Tree, url: str) -> Iterator[str]:
    """Run the application on a free port and lend its address; stop it afterwards."""
    command = [sys.executable, "-m", "uvicorn", "main:app", "--port", "0"]
    server = subprocess.Popen(
        command,
        cwd=tree.backend,
        env=environment(url),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stderr
    try:
        for line in server.stderr:
            if found := re.search(r"running on (http://\S+)", line):
                yield found[1]
                break
        else:
            pytest.fail(f"the application ended with {server.wait()} before it listened")
    finally:
        server.terminate()
        server.communicate(timeout=15)


def ask(url: str, body: object = None) -> tuple[int, object]:
    """Send a GET, or a POST when there is a body; return status and JSON answer."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'data.db'}"


@pytest.fixture
def app(tmp_path: Path) -> History:
    return History.create(tmp_path / "app", "own")


@pytest.mark.parametrize("variant", NAMES)
def test_a_checkout_is_clean_and_on_the_branch(tmp_path: Path, variant: VariantName) -> None:
    app = History.create(tmp_path / "app", variant, project="lab-x1", port=18001)
    checkout = app.clone_to(tmp_path / "a server" / "shop")
    assert git(checkout, "status", "--porcelain") == ""
    assert git(checkout, "symbolic-ref", "--short", "HEAD") == app.branch
    assert git(checkout, "rev-parse", "HEAD") == app.head == git(app.origin, "rev-parse", app.branch)
    assert (checkout / ".env").read_text() == app.env
    assert (checkout / ".env").stat().st_mode & 0o777 == 0o600
    assert app.heads == ("002",)
    assert app.version == "1"


@pytest.mark.parametrize("variant", NAMES)
def test_the_files_a_variant_names_exist(tmp_path: Path, variant: VariantName) -> None:
    app = History.create(tmp_path / "app", variant)
    assert all((app.work / name).is_file() for name in app.variant.compose_files)
    assert app.tree.main.is_file()
    assert (app.tree.backend / "alembic.ini").is_file()
    if app.tree.dockerfile is not None:
        assert app.tree.image.is_file()
        text = "".join((app.work / name).read_text() for name in app.variant.compose_files)
        assert all(f"\n  {service}:\n" in text for service in app.variant.services)
        assert PASSWORD in app.env
        assert PASSWORD not in text


def test_the_guide_variant_has_the_guides_text_word_for_word(tmp_path: Path) -> None:
    block = GUIDE_COMPOSE.read_bytes()
    assert hashlib.sha256(block).hexdigest() == GUIDE_BLOCK
    app = History.create(tmp_path / "app", "guide")
    assert (app.work / "docker-compose.yml").read_bytes().startswith(block)


def test_the_own_variant_is_the_example(app: History) -> None:
    for path in app.work.rglob("*"):
        if path.is_file() and ".git" not in path.parts and "__pycache__" not in path.parts:
            assert path.read_bytes() == (EXAMPLE / path.relative_to(app.work)).read_bytes()


@pytest.mark.parametrize("variant", ["own", "other", "venv"])
def test_up_and_down_again_on_sqlite(tmp_path: Path, variant: VariantName, url: str) -> None:
    app = History.create(tmp_path / "app", variant)
    app.release(migrations=[migrations.AVATAR_URL, migrations.add_table("tags"), migrations.CONCURRENT_INDEX])
    up, down = ["upgrade head", "current", "check"], ["downgrade 002", "current", "downgrade base", "current"]
    lines = alembic(app.tree, *up, *down, url=url).stdout.splitlines()
    assert lines == ["005 (head)", "No new upgrade operations detected.", "002"]


def test_alembic_works_from_any_folder(app: History, tmp_path: Path, url: str) -> None:
    ini = shlex.quote(str(app.tree.backend / "alembic.ini"))
    done = alembic(app.tree, f"-c {ini} upgrade head", f"-c {ini} current", url=url, cwd=tmp_path)
    assert heads(done) == ["002"]


def test_offline_mode_touches_no_database(app: History, tmp_path: Path, url: str) -> None:
    app.release(migrations=[migrations.AVATAR_URL])
    up = alembic(app.tree, "upgrade head --sql", url=url).stdout
    down = alembic(app.tree, "downgrade 003:002 --sql", url=url).stdout
    assert "ADD COLUMN avatar_url" in up
    assert "DROP COLUMN avatar_url" in down
    assert not (tmp_path / "data.db").exists()


def test_offline_mode_needs_no_server_and_bears_a_percent_sign(app: History) -> None:
    nobody = "postgresql://snapcheck:s%40%25cret@192.0.2.1:5432/snapcheck"
    done = alembic(app.tree, "upgrade head --sql", url=nobody)
    assert "id SERIAL" in done.stdout
    assert "VALUES ('001')" in done.stdout
    assert "cret" not in done.stdout + done.stderr


def test_an_empty_database_url_is_an_error_and_none_is_a_file_beside_the_code(app: History) -> None:
    assert "DATABASE_URL is set but empty" in alembic(app.tree, "current", url="", fails=True).stderr
    alembic(app.tree, "upgrade head", url=None)
    assert (app.tree.backend / "snapcheck.db").is_file()
    assert git(app.work, "status", "--porcelain") == ""


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_usual_scheme_means_psycopg_3(app: History, scheme: str) -> None:
    program = "import database; print(database.engine.dialect.driver, database.engine.url.port)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=app.tree.backend,
        env=environment(f"{scheme}://u:p@db:6543/d"),
        capture_output=True,
        text=True,
    )
    assert done.stdout == "psycopg 6543\n", done.stderr


def test_the_application_answers(app: History, url: str) -> None:
    alembic(app.tree, "upgrade head", url=url)
    with served(app.tree, url) as site:
        assert ask(f"{site}/health") == (200, {"status": "ok"})
        assert ask(f"{site}/version") == (200, {"version": "1"})
        assert ask(f"{site}/users", {"email": "a@example.org"}) == (201, {"id": 1, "email": "a@example.org"})
        assert ask(f"{site}/users", {"email": "a@example.org"})[0] == 409
        assert ask(f"{site}/users", {"email": "nobody"})[0] == 422
        assert ask(f"{site}/users") == (200, [{"id": 1, "email": "a@example.org"}])
        comment = {"user_id": 1, "text": "hello"}
        assert ask(f"{site}/comments", comment) == (201, {"id": 1, **comment})
        assert ask(f"{site}/comments", {"user_id": 9, "text": "hello"})[0] == 404
        assert ask(f"{site}/comments") == (200, [{"id": 1, **comment}])


def test_without_its_tables_the_application_is_not_healthy(app: History, url: str) -> None:
    with served(app.tree, url) as site:
        assert ask(f"{site}/health")[0] == 503


@pytest.mark.parametrize(("code", "schema"), [("old", "003"), ("new", "002")])
def test_the_code_bears_a_schema_one_release_off(app: History, url: str, code: str, schema: str) -> None:
    old = app.head
    app.release(migrations=[migrations.AVATAR_URL])
    alembic(app.tree, f"upgrade {schema}", url=url)
    if code == "old":
        git(app.work, "checkout", "--quiet", old)
    with served(app.tree, url) as site:
        assert ask(f"{site}/version") == (200, {"version": "1" if code == "old" else "2"})
        assert ask(f"{site}/health")[0] == 200
        assert ask(f"{site}/users", {"email": "a@example.org"})[0] == 201
        assert ask(f"{site}/users")[0] == 200


def add_news(tree: Tree) -> None:
    (tree.root / "NEWS").write_text("news\n")


def test_releases_are_commits_on_origin_and_count_up(app: History, tmp_path: Path) -> None:
    checkout = app.clone_to(tmp_path / "server")
    second = app.release("Second: $(true) `x` 'y'\n\nGrüße")
    third = app.release(version="7b")
    fourth = app.release(mutate=add_news)
    git(checkout, "pull", "--quiet", "--ff-only")
    assert git(checkout, "log", "--format=%H", "-3").split() == [fourth, third, second]
    assert git(app.work, "show", "--no-patch", "--format=%s", second) == "Second: $(true) `x` 'y'"
    assert (checkout / "NEWS").is_file()
    assert app.version == "4"


def test_a_branch_and_its_merge(app: History, url: str) -> None:
    app.release(migrations=[migrations.AVATAR_URL])
    app.release(migrations=[migrations.add_table("tags").on("002")])
    assert list(app.heads) == ["003", "004"]
    with pytest.raises(ValueError, match="several heads"):
        app.release(migrations=[migrations.BAD_SQL])
    assert heads(alembic(app.tree, "upgrade heads", "current", url=url)) == ["003", "004"]
    app.release(migrations=[migrations.MERGE])
    assert list(app.heads) == ["005"]
    assert heads(alembic(app.tree, "upgrade head", "current", url=url)) == ["005"]


def test_a_dropped_column_is_gone_and_comes_back_empty(app: History, url: str) -> None:
    app.release(migrations=[migrations.AVATAR_URL])
    app.release(migrations=[migrations.DROP_AVATAR_URL])
    alembic(app.tree, "upgrade 003", url=url)
    with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
        database.execute("INSERT INTO users (email, avatar_url) VALUES ('a@example.org', 'https://a')")
    database.close()
    alembic(app.tree, "upgrade head", "check", "downgrade 003", url=url)
    with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
        rows = database.execute("SELECT email, avatar_url FROM users").fetchall()
    database.close()
    assert rows == [("a@example.org", None)]


def test_bad_sql_fails_and_half_done_leaves_its_half(app: History, tmp_path: Path, url: str) -> None:
    app.release(migrations=[migrations.BAD_SQL])
    assert "no_such_table" in alembic(app.tree, "upgrade head", url=url, fails=True).stderr
    assert current(app.tree, url) == ["002"]

    half = History.create(tmp_path / "half")
    half.release(migrations=[migrations.HALF_DONE])
    alembic(half.tree, "upgrade head", url=url, fails=True)
    assert current(half.tree, url) == ["002"]
    again = alembic(half.tree, "upgrade head", url=url, fails=True)
    assert "table half_done already exists" in again.stderr


def test_downgrades_that_do_nothing_raise_or_fail(app: History, url: str) -> None:
    app.release(
        migrations=[migrations.EMPTY_DOWNGRADE, migrations.BAD_DOWNGRADE, migrations.sleeping(0)],
    )
    failed = alembic(app.tree, "upgrade head", "downgrade 004", "downgrade 003", url=url, fails=True)
    assert "no_such_table" in failed.stderr
    failed = alembic(app.tree, "stamp 003", "downgrade 002", "upgrade 003", url=url, fails=True)
    assert "already exists" in failed.stderr


@pytest.mark.parametrize(("setting", "transactions"), [("", 1), ("1", 2)])
def test_each_revision_gets_its_own_transaction_on_request(
    app: History, monkeypatch: pytest.MonkeyPatch, setting: str, transactions: int
) -> None:
    monkeypatch.setenv("ALEMBIC_TRANSACTION_PER_MIGRATION", setting)
    sql = alembic(app.tree, "upgrade head --sql", url="postgresql://u:p@192.0.2.1/d").stdout
    assert sql.count("COMMIT") == transactions


def test_a_leaking_revision_prints_the_url(app: History, url: str) -> None:
    app.release(migrations=[migrations.LEAKING])
    assert url in alembic(app.tree, "upgrade head", url=url).stdout


def started(tree: Tree, url: str) -> subprocess.CompletedProcess[bytes]:
    """Import the application as a server does when it starts."""
    command = [sys.executable, "-c", "import main, time; time.sleep(1)"]
    return subprocess.run(command, cwd=tree.backend, env=environment(url), capture_output=True, timeout=30)


def test_crashes(app: History, url: str) -> None:
    assert started(app.tree, url).returncode == 0
    app.release(breakages=[breakages.crash])
    assert b"broken on purpose" in started(app.tree, url).stderr
    app.release(breakages=[lambda tree: breakages.crash_later(tree, 0.3)])
    assert started(app.tree, url).returncode == 1
    app.release()
    assert started(app.tree, url).returncode == 0


def test_unhealthy_slow_and_leaking(app: History, url: str) -> None:
    alembic(app.tree, "upgrade head", url=url)
    app.release(breakages=[breakages.unhealthy, breakages.slow_start(0.1)])
    with served(app.tree, url) as site:
        assert ask(f"{site}/health")[0] == 500
        assert ask(f"{site}/users")[0] == 200
    app.release(breakages=[breakages.leak])
    assert url.encode() in started(app.tree, url).stdout


def test_hostile_output_is_hostile(app: History, url: str) -> None:
    app.release(breakages=[breakages.hostile_build, breakages.hostile_log])
    output = started(app.tree, url).stdout
    built = subprocess.run([sys.executable, app.work / "hostile.py"], capture_output=True, check=True).stdout
    assert built == output
    for part in (b"\x1b[2J", b"[bold]", b"\r100%", b"\xff\xfe", b'\n\x1e{"v":1', b"x" * 1_000_000):
        assert part in output
    app.release()
    assert not (app.work / "hostile.py").exists()


def test_breakages_of_the_image_last_for_one_release(app: History) -> None:
    sound = app.tree.image.read_text()
    app.release(breakages=[breakages.flood(1000), breakages.build])
    assert app.tree.image.read_text().endswith("RUN false\n")
    app.release()
    assert app.tree.image.read_text() == sound


def test_an_edited_revision_is_a_change_of_its_file(app: History) -> None:
    before = app.head
    app.release(mutate=breakages.edited("001"))
    changed = git(app.work, "diff", "--name-status", before, "--", "backend/migrations")
    assert changed == "M\tbackend/migrations/versions/001_initial.py"


def test_a_rewritten_branch_cannot_be_fast_forwarded(app: History, tmp_path: Path) -> None:
    checkout = app.clone_to(tmp_path / "server")
    new = app.rewrite_branch()
    assert git(app.origin, "rev-parse", app.branch) == new
    with pytest.raises(RuntimeError, match="fast-forward"):
        git(checkout, "pull", "--ff-only")


def test_local_edits_and_files_in_the_way_stop_a_pull(app: History, tmp_path: Path) -> None:
    edited, blocked = app.clone_to(tmp_path / "edited"), app.clone_to(tmp_path / "blocked")
    with pytest.raises(ValueError, match="add no file"):
        untracked_in_way(blocked)
    app.release(migrations=[migrations.AVATAR_URL])
    dirty(edited)
    untracked_in_way(blocked)
    for checkout in (edited, blocked):
        with pytest.raises(RuntimeError, match="would be overwritten"):
            git(checkout, "pull", "--ff-only")
    beside = app.clone_to(tmp_path / "beside")
    assert dirty(beside, "README.md").name == "README.md"
    assert git(beside, "status", "--porcelain") == "M README.md"


def test_a_submodule_comes_along(app: History, tmp_path: Path) -> None:
    app.add_submodule()
    checkout = app.clone_to(tmp_path / "server")
    note = checkout / "vendor" / "notes" / "note.txt"
    assert note.read_text() == "first note\n"
    app.move_submodule()
    git(checkout, "pull", "--quiet")
    git(checkout, "submodule", "--quiet", "update")
    assert note.read_text() == "second note\n"
