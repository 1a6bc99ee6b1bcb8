"""The example application's releases, as changes of the files in a developer's clone."""

from __future__ import annotations

import shutil
from pathlib import Path

from deploy.errors import UsageError

_LEFTOVERS = ("__pycache__", ".venv", ".env", "*.db", "docker-compose.yml", "Dockerfile.*", ".dockerignore")

MIGRATION = '''"""{says}

Revision ID: {revision}
Revises: {before}
"""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    {upgrade}


def downgrade() -> None:
    {downgrade}
'''

AVATAR_URL = MIGRATION.format(
    says="add avatar_url to users",
    revision="003",
    before="002",
    upgrade='op.add_column("users", sa.Column("avatar_url", sa.String(), nullable=True))',
    downgrade='op.drop_column("users", "avatar_url")',
)

LIKES = MIGRATION.format(
    says="add likes",
    revision="004",
    before="003",
    upgrade='op.create_table("likes", sa.Column("id", sa.Integer(), primary_key=True))',
    downgrade='op.drop_table("likes")',
)


def source() -> Path:
    """The example's folder, in the installed package or in the checkout; raises UsageError."""
    here = Path(__file__).resolve()
    for folder in (here.parent / "snapcheck", here.parents[2] / "examples" / "snapcheck"):
        if (folder / "backend" / "main.py").is_file():
            return folder
    raise UsageError("the example application is missing from this installation", "Install backstay anew.")


def first_release(root: Path) -> None:
    """The example as it is, for SQLite and without Docker's files."""
    shutil.copytree(source(), root, ignore=shutil.ignore_patterns(*_LEFTOVERS), dirs_exist_ok=True)
    (root / "requirements.txt").write_text("".join(f"{line}\n" for line in requirements()))


def requirements() -> list[str]:
    """What the application needs, without the driver of PostgreSQL."""
    lines = (source() / "requirements.txt").read_text().splitlines()
    return [line for line in lines if not line.startswith("psycopg")]


def avatar_release(root: Path) -> None:
    """Version 2: users have an ``avatar_url``."""
    (_versions(root) / "003_avatar_url.py").write_text(AVATAR_URL)
    email = "    email: Mapped[str] = mapped_column(String(320), unique=True)\n"
    _replace(root / "backend/models.py", email, f"{email}    avatar_url: Mapped[str | None]\n")
    listed = "select(User.id, User.email).order_by"
    _replace(root / "backend/main.py", listed, listed.replace("email)", "email, User.avatar_url)"))
    _replace(root / "backend/main.py", 'RELEASE = "1"', 'RELEASE = "2"')


def broken_release(root: Path) -> None:
    """Version 3: its migration is sound, the application raises as it starts."""
    (_versions(root) / "004_likes.py").write_text(LIKES)
    main = root / "backend/main.py"
    _replace(main, 'RELEASE = "2"', 'RELEASE = "3"')
    main.write_text(main.read_text() + '\nraise RuntimeError("a fault that no test has found")\n')


def _versions(root: Path) -> Path:
    return root / "backend" / "migrations" / "versions"


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert text.count(old) == 1, f"{file} has changed"
    file.write_text(text.replace(old, new))
