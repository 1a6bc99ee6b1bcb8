"""`fab init`: what it writes into an application, and that what it writes works."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from sqlalchemy import URL

from deploy import scaffold
from deploy.config import load
from deploy.errors import UsageError
from deploy.scaffold import Answers, bases, compose, dockerfile

from .postgresql import new_database, postgresql, url_text

__all__ = ["postgresql"]

ROOT = Path(__file__).parent.parent
MODELS = """\
from sqlalchemy import Column, Integer, String
from sqlalchemy.orm import declarative_base

Base = declarative_base()


class User(Base):
    __tablename__ = "users"
    id = Column(Integer, primary_key=True)
    email = Column(String, unique=True)


class Slide(Base):
    __tablename__ = "slides"
    id = Column(Integer, primary_key=True)
    title = Column(String(200), nullable=False)
"""
COMPOSE = """\
# The application.
services:
  db:
    image: postgres:15   # the database
    healthcheck: {test: ["CMD", "pg_isready"]}

  # What answers.
  backend:
    build: .
    environment:
      - DATABASE_URL=${DATABASE_URL}
    depends_on:
      - db
    restart: unless-stopped   # always

volumes:
  data:
"""
DOCKERFILE = "FROM python:3.11-slim\nWORKDIR /app\nCOPY requirements.txt .\nCOPY backend backend\n"


def application(folder: Path) -> Path:
    """The guide's application before its first step."""
    files = {
        "backend/models.py": MODELS,
        "docker-compose.yml": COMPOSE,
        "Dockerfile": DOCKERFILE,
        "requirements.txt": "sqlalchemy",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def fab(folder: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """`fab`, where there may be no fabfile.py yet."""
    plain = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    return subprocess.run(
        [sys.executable, "-m", "deploy", *words],
        cwd=folder,
        env={**plain, "PYTHONPATH": str(ROOT), "HOME": str(folder), **environ},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


def alembic(folder: Path, url: str, *words: str) -> subprocess.CompletedProcess[str]:
    """The application's Alembic, from a folder that is not alembic.ini's."""
    argv = [sys.executable, "-m", "alembic", "-c", folder / "backend/alembic.ini", *words]
    environ = {**os.environ, "DATABASE_URL": url}
    return subprocess.run(argv, cwd="/", env=environ, capture_output=True, text=True)


def texts(folder: Path) -> dict[str, str]:
    return {str(f.relative_to(folder)): f.read_text() for f in folder.rglob("*") if f.is_file()}


# --- the whole of it


def test_written_once_and_with_leave(tmp_path: Path) -> None:
    folder = application(tmp_path)
    before = texts(folder)
    asked = fab(folder, "init")
    assert asked.returncode == 2
    assert "+++ b/backend/migrations/env.py" in asked.stdout
    assert "fab init --yes" in asked.stderr
    assert texts(folder) == before

    done = fab(folder, "init", "--yes", "--sequential", "--host", "ann@example.org", "--path", "/srv/shop")
    assert done.returncode == 0, done.stderr
    after = texts(folder)
    assert set(after) - set(before) == {
        "backend/alembic.ini",
        "backend/migrations/env.py",
        "backend/migrations/script.py.mako",
        ".dockerignore",
        "deploy.toml",
        "fabfile.py",
    }
    target = load(folder, target=None, host=None, environ={})
    assert (target.user, target.host, target.path) == ("ann", "example.org", "/srv/shop")
    assert after["requirements.txt"] == "sqlalchemy\nalembic>=1.13\n"

    again = fab(folder, "init", "--yes", "--sequential")
    assert (again.returncode, texts(folder)) == (0, after)
    assert "Nothing to write" in again.stdout

    env = folder / "backend/migrations/env.py"
    env.write_text("# somebody's own\n")
    kept = fab(folder, "init", "--yes")
    assert env.read_text() == "# somebody's own\n"
    assert "kept: backend/migrations/env.py" in kept.stdout
    fab(folder, "init", "--yes", "--overwrite", "--sequential")
    assert env.read_text() == after["backend/migrations/env.py"]


def test_several_bases_and_none(tmp_path: Path) -> None:
    folder = application(tmp_path)
    (folder / "backend/other.py").write_text(MODELS.replace("Base", "Other"))
    several = fab(folder, "init", "--yes")
    assert several.returncode == 2
    assert "several bases" in several.stderr
    assert fab(folder, "init", "--yes", "--base", "other:Other", "--backend", "backend").returncode == 0
    assert "from other import Other" in (folder / "backend/migrations/env.py").read_text()
    with pytest.raises(UsageError, match="no models"):
        scaffold.scaffold({"main.py": "print()"}, Answers("shop"))


def test_a_service_must_be_chosen() -> None:
    two = "services:\n  web:\n    build: .\n  worker:\n    build: .\n"
    tree = {"models.py": MODELS, "compose.yml": two}
    base = bases.find(tree)[0]
    with pytest.raises(UsageError, match="which service"):
        scaffold.scaffold(tree, Answers("shop", base=base))
    plan = scaffold.scaffold(tree, Answers("shop", base=base, service="web"))
    toml = next(change.after for change in plan.changes if change.path == "deploy.toml")
    assert 'services = ["web"]' in toml


# --- the compose file


ADDED = """\
  # Brings the database up to date and ends; the services that depend on it wait for that.
  db-migrate:
    build: .
    environment:
      - DATABASE_URL=${DATABASE_URL}
    command: alembic -c backend/alembic.ini upgrade head
    depends_on:
      db:
        condition: service_healthy
    restart: "no"

"""
COMMAND = ["alembic", "-c", "backend/alembic.ini", "upgrade", "head"]


def test_the_compose_file_keeps_every_other_byte() -> None:
    wanted = COMPOSE.replace("  # What answers.\n", ADDED + "  # What answers.\n").replace(
        "      - db\n",
        "      db:\n        condition: service_started\n"
        "      db-migrate:\n        condition: service_completed_successfully\n",
    )
    assert compose.add_migration(COMPOSE, "backend", COMMAND) == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: {backend: {build: .}}\n", "lines cannot be added"),
        ("services:\n  backend: {build: .}\n", "lines cannot be added"),
    ],
)
def test_one_that_is_no_block_is_left_to_its_owner(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        compose.add_migration(text, "backend", COMMAND)
    assert "db-migrate" in caught.value.hint


def test_anchors_and_merges() -> None:
    text = (
        "x-app: &app\n  build: .\nservices:\n  backend:\n    <<: *app\n    environment: &env\n      A: 1\n"
        "  worker:\n    <<: *app\n    environment: *env\n"
    )
    data = YAML(typ="safe", pure=True).load(compose.add_migration(text, "worker", COMMAND))
    assert data["services"]["db-migrate"]["environment"] == {"A": 1}
    assert data["services"]["db-migrate"]["build"] == "."


NAMES = st.sampled_from(["backend", "web", "db", "cache"])
COMMENTS = st.sampled_from(["", "  # a word: of theirs", "   #\tand - another"])


@given(
    services=st.lists(NAMES, min_size=1, max_size=4, unique=True),
    comment=COMMENTS,
    indent=st.sampled_from([2, 4]),
    depends=st.sampled_from(["none", "list", "table"]),
    end=st.sampled_from(["", "\n", "\n\nvolumes:\n  data:\n"]),
)
def test_whatever_the_file_looks_like(
    services: list[str], comment: str, indent: int, depends: str, end: str
) -> None:
    """The lines of the old file are in the new one, in their order, but for a short depends_on."""
    margin, lines = " " * indent, ["services:"]
    for name in services:
        lines += [f"{margin}{name}:{comment}", f"{margin * 2}build: .{comment}", ""]
    main, other = services[-1], services[0]
    lines.pop()
    if depends == "list" and main != other:
        lines += [f"{margin * 2}depends_on:", f"{margin * 2}- {other}"]
    elif depends == "table" and main != other:
        lines += [
            f"{margin * 2}depends_on:",
            f"{margin * 3}{other}:",
            f"{margin * 4}condition: service_started",
        ]
    text = "\n".join(lines) + end
    after = iter(compose.add_migration(text, main, COMMAND).splitlines())
    kept = [line for line in text.splitlines() if not line.strip().startswith("- ")]
    assert all(line in after for line in kept)


@pytest.mark.parametrize(
    ("text", "folder", "place"),
    [
        (DOCKERFILE, "backend", ("/app/backend", "/app")),
        ("FROM a\nWORKDIR /app\nCOPY backend/ .\n", "backend", ("/app", "/app")),
        (
            "FROM a\nWORKDIR /code\nCOPY --chown=me . /code\nWORKDIR backend\n",
            "backend",
            ("/code/backend", "/code/backend"),
        ),
        (
            'FROM a AS b\nCOPY . /x\nFROM c\nWORKDIR /y\nCOPY --from=b /x /y\nCOPY ["backend", "./b"]\n',
            "backend",
            ("/y/b", "/y"),
        ),
        ("FROM a\nCOPY other .\n", "backend", None),
        ("FROM a\nWORKDIR $HOME\nCOPY . .\n", "", None),
    ],
)
def test_where_the_image_has_it(text: str, folder: str, place: tuple[str, str] | None) -> None:
    assert dockerfile.place(text, folder) == place


# --- the models


@pytest.mark.parametrize(
    ("tree", "imports", "root"),
    [
        ({"b/models.py": MODELS}, "from models import Base", "b"),
        (
            {
                "b/app/db.py": "class Base(DeclarativeBase): pass",
                "b/app/user.py": "from app.db import Base\nclass U(Base): pass",
            },
            "import app.user  # noqa: F401  its models\nfrom app.db import Base",
            "b",
        ),
        (
            {
                "app/__init__.py": "",
                "app/db/__init__.py": "",
                "app/db/base.py": "class Base(DeclarativeBase): pass",
                "app/models.py": "from .db.base import Base\nclass U(Base): pass",
            },
            "import app.models  # noqa: F401  its models\nfrom app.db.base import Base",
            "",
        ),
        (
            {
                "app/models.py": "from sqlmodel import SQLModel\nclass U(SQLModel, table=True): pass",
                "app/__init__.py": "",
            },
            "import app.models  # noqa: F401  its models\nfrom sqlmodel import SQLModel",
            "",
        ),
        ({"m.py": "meta = MetaData()\nt = Table('t', meta)"}, "from m import meta", ""),
    ],
)
def test_where_the_models_are(tree: dict[str, str], imports: str, root: str) -> None:
    models = bases.models(tree, bases.find(tree)[0])
    assert (models.imports, models.root) == (imports, root)


# --- what was written, in use


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    folder = application(tmp_path)
    assert fab(folder, "init", "--yes", "--sequential").returncode == 0
    return folder


def test_on_sqlite(ready: Path) -> None:
    url = f"sqlite:///{ready}/x.db"
    assert "001_" in alembic(ready, url, "revision", "--autogenerate", "-m", "tables").stdout
    assert not (ready / "data.db").exists()
    sql = alembic(ready, f"sqlite:///{ready}/none.db", "upgrade", "head", "--sql")
    assert "CREATE TABLE users" in sql.stdout
    assert not (ready / "none.db").exists(), "offline mode opened the database"
    for words in (["upgrade", "head"], ["check"], ["downgrade", "-1"], ["upgrade", "head"]):
        done = alembic(ready, url, *words)
        assert done.returncode == 0, done.stderr
    with sqlite3.connect(ready / "x.db") as database:
        assert {"users", "slides"} <= {row[0] for row in database.execute("select name from sqlite_master")}
    twin = ready / "backend/migrations/versions/001_tables.py"
    (twin.parent / "001_twin.py").write_text(twin.read_text())
    refused = alembic(ready, url, "upgrade", "head")
    assert refused.returncode != 0
    assert "001 is present more than once" in refused.stdout + refused.stderr


def test_without_a_url(ready: Path) -> None:
    assert "DATABASE_URL is not set" in alembic(ready, "", "current").stdout


SLOW = """
import time
revision = "001"
down_revision = None
from alembic import op
def upgrade():
    op.execute("CREATE TABLE once (id int)")
    time.sleep(2)
def downgrade():
    op.execute("DROP TABLE once")
"""
CONCURRENTLY = """
revision = "002"
down_revision = "001"
from alembic import op
def upgrade():
    with op.get_context().autocommit_block():
        op.create_index("by_id", "once", ["id"], postgresql_concurrently=True)
def downgrade():
    op.drop_index("by_id")
"""


@pytest.fixture
def database(postgresql: URL) -> str:
    """The URL of an empty database."""
    return url_text(new_database(postgresql))


def test_two_at_once_on_postgresql(ready: Path, database: str) -> None:
    """One waits, none fails, and each revision runs once."""
    versions = ready / "backend/migrations/versions"
    versions.mkdir()
    (versions / "001_slow.py").write_text(SLOW)
    (versions / "002_index.py").write_text(CONCURRENTLY)
    argv = [sys.executable, "-m", "alembic", "-c", ready / "backend/alembic.ini", "upgrade", "head"]
    environ = {**os.environ, "DATABASE_URL": database}
    both = [subprocess.Popen(argv, env=environ, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    told = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0, 0], told
    assert sum("Running upgrade  -> 001" in text for text in told) == 1
    for words in (
        ["downgrade", "-1"],
        ["upgrade", "head"],
        ["upgrade", "head", "--sql"],
        ["downgrade", "base"],
    ):
        done = alembic(ready, database, *words)
        assert done.returncode == 0, done.stderr
    for file in versions.glob("*.py"):
        file.unlink()
    made = alembic(ready, database, "revision", "--autogenerate", "-m", "tables")
    assert "001_tables" in made.stdout, made.stderr
    for words in (["upgrade", "head"], ["check"], ["downgrade", "-1"]):
        done = alembic(ready, database, *words)
        assert done.returncode == 0, done.stderr
