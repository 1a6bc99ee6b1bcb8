"""The guide's seven steps, a change and the three rollbacks: with `fab` alone, from two models on."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ..apps.history import git
from ..apps.tree import Tree, replace
from ..apps.variants import EXAMPLE, PASSWORD
from .site import ROOT, Site, quick

COMPOSE = """\
services:
  db:
    image: postgres:15
    environment:
      - POSTGRES_USER=snapcheck
      - POSTGRES_DB=snapcheck
      - POSTGRES_PASSWORD=${POSTGRES_PASSWORD}
    healthcheck:
      test: ["CMD", "pg_isready", "-h", "127.0.0.1", "-U", "snapcheck"]
      interval: 1s
      retries: 60

  backend:
    build:
      context: .
      dockerfile: Dockerfile.backend
    command: sh -c "cd backend && exec uvicorn main:app --host 0.0.0.0 --port 8000"
    environment:
      - DATABASE_URL=${DATABASE_URL}
    ports:
      - "127.0.0.1:${BACKEND_PORT}:8000"
    depends_on:
      db:
        condition: service_healthy
"""
AVATAR = "    avatar_url: Mapped[str | None] = mapped_column(String)\n"
TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"


class Story:
    """A repository, whose developer has Docker Compose and no Python with its requirements; and a server."""

    def __init__(self, site: Site) -> None:
        self.site, self.work = site, site.app.work
        self._empty()
        site.state = site.state.parent / "work"
        site.laptop = self.work

    def _empty(self) -> None:
        for entry in self.work.iterdir():
            if entry.name != ".git":
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        (self.work / "backend").mkdir()
        for name in ("backend/models.py", "backend/main.py", "backend/database.py", "Dockerfile.backend"):
            shutil.copy(EXAMPLE / name, self.work / name)
        (self.work / "requirements.txt").write_text("fastapi\nuvicorn\nsqlalchemy\npsycopg[binary]\n")
        (self.work / "docker-compose.yml").write_text(COMPOSE)
        (self.work / ".gitignore").write_text(".env\n__pycache__\n")
        quick(Tree(self.work, "backend", "Dockerfile.backend"))
        url = f"postgresql+psycopg://snapcheck:{PASSWORD}@db/snapcheck"
        said = f"DATABASE_URL={url}\nPOSTGRES_PASSWORD={PASSWORD}\nBACKEND_PORT={self.site.port}\n"
        for folder, project in (
            (self.work, f"{self.site.project}-laptop"),
            (self.site.path, self.site.project),
        ):
            (folder / ".env").write_text(f"COMPOSE_PROJECT_NAME={project}\n{said}")

    def fab(self, *words: str, code: int = 0) -> str:
        """What a task prints."""
        environ = {**self.site.environ, "PYTHONPATH": str(ROOT)}
        argv = [sys.executable, "-m", "deploy", "-S", str(self.site.lab.ssh.config), *words]
        done = subprocess.run(
            argv,
            cwd=self.work,
            env=environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def versions(self) -> list[str]:
        return sorted(file.name for file in (self.work / "backend/migrations/versions").glob("*.py"))

    def laptop_sql(self, statement: str) -> list[str]:
        site = self.site
        return site.lab.state.psql(f"{site.project}-laptop", "db", statement, "snapcheck", "snapcheck")

    def push(self, message: str) -> None:
        """The guide's sixth step."""
        git(self.work, "add", ".")
        git(self.work, "commit", "-q", "-m", message)
        git(self.work, "push", "-q", "origin", "main")


@pytest.fixture
def story(site: Callable[..., Site]) -> Story:
    made = site("steps", fast=False)
    return Story(made)


def test_the_seven_steps_a_change_and_three_rollbacks(story: Story) -> None:
    site, env = story.site, ("--env", "compose")
    try:
        # 1, 2, 3 and 7: Alembic, env.py, alembic.ini, the migration service.
        told = story.fab("init", "--yes", "--sequential", "--host", site.alias, "--path", str(site.path))
        assert 'fab db.revision --autogenerate -m "Initial tables"' in told
        # 4 and 5: the first revision, on the developer's own database.
        story.fab("db.revision", "--autogenerate", "-m", "Initial migration create all tables", *env)
        assert story.versions() == ["001_initial_migration_create_all_tables.py"]
        assert all(file.stat().st_uid == os.getuid() for file in Path(story.work).rglob("*"))
        assert "at 001." in story.fab("db.upgrade", "--local", *env)
        assert story.laptop_sql(TABLES) == ["alembic_version", "comments", "users"]
        assert "001 (head)" in story.fab("db.current", "--local", *env)
        # 6 and 7: commit, push; the server does the rest.
        story.push("Add Alembic migrations system")
        deployed = site.act("deploy")
        assert (deployed.code, deployed.after.heads, deployed.after.health) == (0, ("001",), 200), (
            deployed.told
        )
        site.add_user("ann@example.org")

        assert "001 (head)" in story.fab("db.current")

        # "Add a column to users", and the three rollbacks.
        replace(story.work / "backend/models.py", "unique=True)\n", f"unique=True)\n{AVATAR}")
        story.fab("db.revision", "--autogenerate", "-m", "Add avatar_url to users", *env)
        assert story.versions()[1:] == ["002_add_avatar_url_to_users.py"]
        assert "at 002." in story.fab("db.upgrade", *env)
        for to, heads in (("-1", "001"), ("001", "001"), ("base", "no revision")):
            assert f"at {heads}." in story.fab("db.downgrade", to, "--yes", *env)
        assert story.laptop_sql(TABLES) == ["alembic_version"]
        assert site.sql(TABLES) == ["alembic_version", "comments", "users"]
    finally:
        site.lab.wipe(f"{site.project}-laptop")
