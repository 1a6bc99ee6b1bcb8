"""The applications' files: the example, and three that differ from it as real applications do."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

EXAMPLE = Path(__file__).parents[2] / "examples" / "snapcheck"
GUIDE_COMPOSE = Path(__file__).with_name("guide-compose.yml")
PASSWORD = "s3cr3t-passw0rd"

VariantName = Literal["own", "guide", "other", "venv"]

# It continues the backend service, whose text the guide breaks off with "the rest of the configuration".
GUIDE_REST = """\
    command: sh -c "cd backend && uvicorn main:app --host 0.0.0.0 --port 8000"
    ports:
      - "127.0.0.1:${BACKEND_PORT}:8000"
    networks:
      - snapcheck_snapcheck-net

  db:
    image: postgres:15
    environment:
      - POSTGRES_USER=snapcheck
      - POSTGRES_DB=snapcheck
      - POSTGRES_PASSWORD=${POSTGRES_PASSWORD}
    volumes:
      - db-data:/var/lib/postgresql/data
    healthcheck:
      test: ["CMD", "pg_isready", "-h", "127.0.0.1", "-U", "snapcheck", "-d", "snapcheck"]
      interval: 2s
      timeout: 3s
      retries: 15
    networks:
      - snapcheck_snapcheck-net

networks:
  snapcheck_snapcheck-net:

volumes:
  db-data:
"""

OTHER_COMPOSE = """\
services:
  web:
    image: ${COMPOSE_PROJECT_NAME}-app
    build: .
    environment:
      DATABASE_URL: ${DATABASE_URL}
    depends_on:
      database:
        condition: service_healthy

  worker:
    image: ${COMPOSE_PROJECT_NAME}-app
    build: .
    command: ["python", "worker.py"]
    environment:
      DATABASE_URL: ${DATABASE_URL}
    depends_on:
      database:
        condition: service_healthy

  database:
    image: postgres:15
    environment:
      POSTGRES_USER: snapcheck
      POSTGRES_DB: snapcheck
      POSTGRES_PASSWORD: ${POSTGRES_PASSWORD}
    volumes:
      - data:/var/lib/postgresql/data
    healthcheck:
      test: ["CMD", "pg_isready", "-h", "127.0.0.1", "-U", "snapcheck", "-d", "snapcheck"]
      interval: 2s
      timeout: 3s
      retries: 15

volumes:
  data:
"""

OTHER_DEPLOY = """\
services:
  web:
    ports:
      - "127.0.0.1:${BACKEND_PORT}:8000"
    healthcheck:
      test: ["CMD", "python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health')"]
      interval: 3s
      timeout: 5s
      retries: 3
      start_period: 10s
    restart: unless-stopped

  worker:
    restart: unless-stopped

  database:
    restart: unless-stopped
"""

OTHER_DOCKERFILE = """\
FROM python:3.11-slim
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /srv/app
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY . .
ENTRYPOINT ["sh", "/srv/app/entrypoint.sh"]
CMD ["uvicorn", "main:app", "--host", "0.0.0.0", "--port", "8000"]
"""

OTHER_ENTRYPOINT = """\
#!/bin/sh
set -eu
exec "$@"
"""

OTHER_WORKER = '''"""Count the comments, again and again."""

import signal
import sys
import time

from sqlalchemy import func, select

from database import engine
from models import Comment


def stop(*_: object) -> None:
    """End at once; as process 1 it would ignore the signal otherwise."""
    sys.exit(0)


def main() -> None:
    """Count until a signal comes."""
    signal.signal(signal.SIGTERM, stop)
    while True:
        with engine.connect() as connection:
            print("comments:", connection.scalar(select(func.count(Comment.id))))
        time.sleep(2)


main()
'''


@dataclass(frozen=True)
class Variant:
    """What is particular about one application: its branch, its layout and how its files are written."""

    name: VariantName
    write: Callable[[Path], None]
    branch: str = "main"
    code: str = "backend"
    dockerfile: str | None = "Dockerfile.backend"
    compose_files: tuple[str, ...] = ("docker-compose.yml",)
    services: tuple[str, ...] = ("backend",)
    migrate_service: str | None = "db-migrate"
    database_service: str | None = "db"

    def env(self, project: str, port: int, folder: Path) -> str:
        """The text of the server's .env; without Docker the data lie in `folder`."""
        if self.dockerfile is None:
            return f"DATABASE_URL=sqlite:///{folder / 'data' / 'snapcheck.db'}\nBACKEND_PORT={port}\n"
        host = self.database_service
        return (
            f"COMPOSE_PROJECT_NAME={project}\n"
            f"DATABASE_URL=postgresql://snapcheck:{PASSWORD}@{host}:5432/snapcheck\n"
            f"POSTGRES_PASSWORD={PASSWORD}\n"
            f"BACKEND_PORT={port}\n"
        )


def write_own(root: Path) -> None:
    """The example as it is."""
    leftovers = shutil.ignore_patterns("__pycache__", "*.db", ".env", ".venv", ".pytest_cache", ".ruff_cache")
    shutil.copytree(EXAMPLE, root, ignore=leftovers, dirs_exist_ok=True)


def write_guide(root: Path) -> None:
    """The example with the guide's compose file: its block word for word, and below it what it leaves out."""
    write_own(root)
    (root / "docker-compose.yml").write_text(GUIDE_COMPOSE.read_text() + GUIDE_REST)


def write_other(root: Path) -> None:
    """Everything called and placed differently: two services of one image, Alembic at its root, two files."""
    write_own(root)
    for path in (root / "backend").iterdir():
        path.rename(root / path.name)
    (root / "backend").rmdir()
    for name in ("docker-compose.yml", "Dockerfile.backend", ".env.example", "README.md"):
        (root / name).unlink()
    (root / "compose.yml").write_text(OTHER_COMPOSE)
    (root / "compose.deploy.yml").write_text(OTHER_DEPLOY)
    (root / "Dockerfile").write_text(OTHER_DOCKERFILE)
    (root / "entrypoint.sh").write_text(OTHER_ENTRYPOINT)
    (root / "worker.py").write_text(OTHER_WORKER)


def write_venv(root: Path) -> None:
    """The example without Docker: a virtual environment and a SQLite file."""
    write_own(root)
    for name in ("docker-compose.yml", "Dockerfile.backend", ".dockerignore", ".env.example"):
        (root / name).unlink()


VARIANTS: dict[str, Variant] = {
    "own": Variant("own", write_own),
    "guide": Variant("guide", write_guide),
    "other": Variant(
        "other",
        write_other,
        branch="release",
        code="",
        dockerfile="Dockerfile",
        compose_files=("compose.yml", "compose.deploy.yml"),
        services=("web", "worker"),
        migrate_service="web",
        database_service="database",
    ),
    "venv": Variant(
        "venv",
        write_venv,
        dockerfile=None,
        compose_files=(),
        services=(),
        migrate_service=None,
        database_service=None,
    ),
}
