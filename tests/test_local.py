"""Revisions and Alembic's commands in the developer's repository, from its models to its own database."""

from __future__ import annotations

import os
import pty
import shlex
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from .test_init import MODELS, ROOT, application, fab, texts

#: What stands in for Compose: the "image" is a copy of the repository, made by `build`.
COMPOSE = """\
#!/bin/sh
cd {image} || exit
case " $* " in
    *" build "*) rm -rf code && cp -r {folder} code ;;
    *" --user root "*) ;;
    *" run "*) echo "PermissionError: [Errno 13] Permission denied: 'versions'" >&2; exit 1 ;;
esac
printf '%s\\n' "$*" >>said
while [ "$1" != db-migrate ]; do shift || exit 0; done
shift
cd code && DATABASE_URL={url} PATH={programs}:$PATH exec sh "$@"
"""


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    """An application after `fab init`, seen from a Python that has what it needs."""
    folder = application(tmp_path / "my shop")
    done = fab(folder, "init", "--yes", "--sequential")
    assert done.returncode == 0, done.stderr
    assert "db.revision" in done.stdout
    return folder


def url(folder: Path) -> str:
    return f"sqlite:///{folder.parent}/x.db"


def add_comments(folder: Path) -> None:
    table = (
        'class Comment(Base):\n    __tablename__ = "comments"\n    id = Column(Integer, primary_key=True)\n'
    )
    with (folder / "backend/models.py").open("a") as file:
        file.write(f"\n\n{table}")


def local(folder: Path, *words: str, code: int = 0, **environ: str) -> str:
    """What a task prints; all of it."""
    done = fab(folder, *words, **{"DATABASE_URL": url(folder), **environ})
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def tables(folder: Path) -> set[str]:
    with sqlite3.connect(folder.parent / "x.db") as database:
        return {name for (name,) in database.execute("select name from sqlite_master where type = 'table'")}


def test_from_the_models_to_the_database_and_back(ready: Path) -> None:
    made = local(ready, "db.revision", "--autogenerate", "-m", "Initial tables")
    assert "Wrote backend/migrations/versions/001_initial_tables.py (revision 001)" in made
    assert "not up to date" in local(ready, "db.revision", "--autogenerate", "-m", "x", code=1)
    assert "The database is at 001." in local(ready, "db.upgrade", "--local")
    assert tables(ready) == {"users", "slides", "alembic_version"}
    assert "agree" in local(ready, "db.check", "--local")
    before = texts(ready / "backend/migrations/versions")
    assert "Nothing to write" in local(ready, "db.revision", "--autogenerate", "--message", "none")
    assert texts(ready / "backend/migrations/versions") == before

    add_comments(ready)
    differs = local(ready, "db.check", "--local", code=1)
    assert "Detected added table 'comments'" in differs
    assert 'fab db.revision --autogenerate -m "…"' in differs
    there = {"DATABASE_URL": url(ready)}
    words = ("db.revision", "--autogenerate", "-m", "Add comments")
    assert "Wrote migrations/versions/002_add_comments.py" in local(ready / "backend", *words, **there)
    empty = local(ready, "db.revision", "-m", "by hand", "--rev-id", "abc")
    assert "abc_by_hand.py" in empty
    assert "at abc." in local(ready, "db.upgrade", "--local")
    assert "002 -> abc (head) (current), by hand" in local(ready, "db.history", "--local")
    # The guide's three rollbacks.
    assert "at 002." in local(ready, "db.downgrade", "-1", "--local", "--yes")
    assert "at 001." in local(ready, "db.downgrade", "001", "--local", "--yes")
    assert "at no revision." in local(ready, "db.downgrade", "base", "--local", "--yes")
    assert tables(ready) == {"alembic_version"}


def test_a_downgrade_asks_and_says_what_goes_where(ready: Path) -> None:
    local(ready, "db.revision", "--autogenerate", "-m", "tables")
    local(ready, "db.upgrade", "--local")
    assert "--yes" in local(ready, "db.downgrade", "-1", "--local", code=2)
    far, near = pty.openpty()
    argv = [sys.executable, "-m", "deploy", "db.downgrade", "-1", "--local"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "DATABASE_URL": url(ready)}
    with subprocess.Popen(argv, cwd=ready, env=environ, stdin=near, stdout=near, stderr=near) as process:
        os.close(near)
        said = ""
        while "Go on?" not in said:
            said += os.read(far, 4000).decode()
        os.write(far, b"n\n")
        assert process.wait(20) == 2
    os.close(far)
    for words in (
        f"Undo in the database {ready.parent}/x.db",
        "001 tables",
        "It drops",
        "users",
        "No backup",
    ):
        assert words in said
    assert "users" in tables(ready)


def test_what_is_missing_is_said(ready: Path, tmp_path: Path) -> None:
    assert "a revision needs a message" in local(ready, "db.revision", code=2)
    assert "--rev-id" in local(ready, "db.revision", "-m", "x", "--rev-id", "a/../b", code=2)
    assert "there is no Python" in local(ready, "db.revision", "-m", "x", "--env", "nowhere", code=2)
    (ready / "docker-compose.yml").rename(ready / "none.yml")
    unset = local(ready, "db.current", "--local", code=2, DATABASE_URL="")
    assert "DATABASE_URL is not set" in unset
    gone = local(ready, "db.upgrade", "--local", code=1, DATABASE_URL="sqlite:////nowhere/at/all.db")
    assert "the database says: unable to open database file" in gone
    (ready / "backend/models.py").write_text("import nothing_of_that_name\n" + MODELS)
    assert "No module named 'nothing_of_that_name'" in local(ready, "db.check", "--local", code=2)
    (ready / "backend/models.py").write_text("raise RuntimeError('of the application')\n")
    broken = fab(ready, "db.check", "--local", DATABASE_URL=url(ready))
    assert (broken.returncode, "error: RuntimeError: of the application" in broken.stderr) == (1, True)
    shutil.copytree(ready / "backend", ready / "other")
    assert "several alembic.ini: backend/alembic.ini, other/alembic.ini" in local(
        ready, "db.current", "--local", code=2
    )
    bare = application(tmp_path / "bare")
    # What other tests left in the folders above is none of its.
    (bare / "deploy.toml").write_text('app = "shop"\nhost = "server.example.org"\npath = "/srv/shop"\n')
    assert "fab init" in local(bare, "db.revision", "-m", "x", code=2)


def test_through_compose_the_file_lands_here(ready: Path, tmp_path: Path) -> None:
    """Where no Python here can run them, and the container's user may not even write to its own folder."""
    programs, image = tmp_path / "programs", tmp_path / "image"
    programs.mkdir()
    image.mkdir()
    words = {"image": image, "folder": ready, "url": url(ready), "programs": Path(sys.executable).parent}
    script = programs / "docker-compose"
    script.write_text(COMPOSE.format(**{name: shlex.quote(str(word)) for name, word in words.items()}))
    script.chmod(0o755)
    # A docker without Compose.
    (programs / "docker").write_text("#!/bin/sh\nexit 1\n")
    (programs / "docker").chmod(0o755)
    there = {"DATABASE_URL": "", "PATH": f"{programs}:/usr/bin:/bin"}
    made = local(ready, "db.revision", "--autogenerate", "-m", "tables", **there)
    assert "With the service db-migrate (Docker Compose)" in made
    file = ready / "backend/migrations/versions/001_tables.py"
    assert "create_table('users'" in file.read_text()
    # Nothing was written by the container's user.
    assert file.stat().st_uid == os.getuid()
    assert "run --rm -T --user root --entrypoint sh db-migrate" in (image / "said").read_text()
