"""Ready revisions. A history gives them their number and puts them on its head.

A body is what stands inside upgrade() or downgrade(), where `op`, `sa`, `os` and `time` are imported.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import indent

from .tree import append
from .tree import replace as replace_text

HEADER = '''"""{slug}

Revision ID: {revision}
Revises: {revises}
"""

import os
import time

import sqlalchemy as sa
from alembic import op

revision = {revision!r}
down_revision = {down!r}
branch_labels = None
depends_on = None


def upgrade() -> None:
{upgrade}


def downgrade() -> None:
{downgrade}
'''


@dataclass(frozen=True)
class Migration:
    """One revision to write.

    `parents` are revision ids; left out, it stands on the one head there is. `merge` takes all heads.
    `models` edits models.py, whose path it gets, as the revision's author would have done.
    """

    slug: str
    upgrade: str = "pass"
    downgrade: str = "pass"
    parents: tuple[str, ...] = ()
    merge: bool = False
    models: Callable[[Path], None] | None = None

    def on(self, *parents: str) -> "Migration":
        """The same revision on other parents: on one that is not the head it opens a branch."""
        return replace(self, parents=parents)

    def render(self, revision: str, parents: tuple[str, ...]) -> str:
        """The text of the revision's file."""
        down = parents[0] if len(parents) == 1 else parents or None
        return HEADER.format(
            slug=self.slug.replace("_", " "),
            revision=revision,
            revises=", ".join(parents),
            down=down,
            upgrade=indent(self.upgrade.strip(), "    "),
            downgrade=indent(self.downgrade.strip(), "    "),
        )


def _avatar_in_models(models: Path) -> None:
    email = "    email: Mapped[str] = mapped_column(String(320), unique=True)\n"
    replace_text(models, email, email + "    avatar_url: Mapped[str | None] = mapped_column(String)\n")


def _no_avatar_in_models(models: Path) -> None:
    replace_text(models, "    avatar_url: Mapped[str | None] = mapped_column(String)\n", "")


def _comment_index_in_models(models: Path) -> None:
    replace_text(models, 'ForeignKey("users.id")', 'ForeignKey("users.id"), index=True')


def _table_in_models(name: str) -> Callable[[Path], None]:
    text = f'''

class {name.title().replace("_", "")}(Base):
    """A table that a later release brought."""

    __tablename__ = "{name}"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(80))
'''
    return lambda models: append(models, text)


ADD_AVATAR = 'op.add_column("users", sa.Column("avatar_url", sa.String(), nullable=True))'
DROP_AVATAR = 'op.drop_column("users", "avatar_url")'

AVATAR_URL = Migration("add_avatar_url", ADD_AVATAR, DROP_AVATAR, models=_avatar_in_models)
"""The guide's example: a new column that may be empty."""

DROP_AVATAR_URL = Migration("drop_avatar_url", DROP_AVATAR, ADD_AVATAR, models=_no_avatar_in_models)
"""Drops the column, and its data, that AVATAR_URL made in an earlier revision."""

EMPTY_DOWNGRADE = Migration(
    "no_way_back", 'op.create_table("no_way_back", sa.Column("id", sa.Integer(), primary_key=True))'
)
"""Adds a table that its empty downgrade leaves behind."""

RAISING_DOWNGRADE = replace(
    EMPTY_DOWNGRADE, slug="way_back_raises", downgrade='raise NotImplementedError("there is no way back")'
)
"""As EMPTY_DOWNGRADE, but its downgrade says so by raising."""

BAD_SQL = Migration("bad_sql", 'op.execute("ALTER TABLE no_such_table ADD COLUMN x INTEGER")')
"""Fails, and leaves nothing."""

BAD_DOWNGRADE = Migration(
    "bad_downgrade",
    'op.create_table("bad_downgrade", sa.Column("id", sa.Integer(), primary_key=True))',
    'op.execute("ALTER TABLE no_such_table DROP COLUMN x")',
)
"""Goes up; its downgrade fails."""

HALF_DONE = Migration(
    "half_done",
    """
half = op.create_table("half_done", sa.Column("n", sa.Integer()))
op.bulk_insert(half, [{"n": 1}, {"n": 1}])
with op.get_context().autocommit_block():
    op.create_index("ux_half_done", "half_done", ["n"], unique=True, postgresql_concurrently=True)
""",
    'op.drop_table("half_done")',
)
"""Fails after its first half was committed: the table stays, on PostgreSQL with an invalid index.

Revisions that are applied in the same transaction before it stay applied too.
"""

CONCURRENT_INDEX = Migration(
    "concurrent_index",
    """
with op.get_context().autocommit_block():
    op.create_index("ix_comments_user_id", "comments", ["user_id"], postgresql_concurrently=True)
""",
    """
with op.get_context().autocommit_block():
    op.drop_index("ix_comments_user_id", "comments", postgresql_concurrently=True)
""",
    models=_comment_index_in_models,
)
"""Builds an index outside of any transaction, and drops it again; nothing fails."""

LEAKING = Migration("leaking", 'print("the database is", os.environ["DATABASE_URL"], flush=True)')
"""Prints the URL of the database with its password."""

MERGE = Migration("merge", merge=True)
"""Joins all heads."""


def add_table(name: str) -> Migration:
    """A new table with an id and a name; its downgrade drops it."""
    number = 'sa.Column("id", sa.Integer(), nullable=False)'
    text = 'sa.Column("name", sa.String(80), nullable=False)'
    key = f'sa.PrimaryKeyConstraint("id", name="pk_{name}")'
    return Migration(
        f"add_{name}",
        f'op.create_table("{name}", {number}, {text}, {key})',
        f'op.drop_table("{name}")',
        models=_table_in_models(name),
    )


def sleeping(seconds: float, *, in_database: bool = False, table: str = "sleeping") -> Migration:
    """Adds a table, then sleeps: in Python, or in a statement of PostgreSQL that outlives its client."""
    sleep = f'op.execute("SELECT pg_sleep({seconds})")' if in_database else f"time.sleep({seconds})"
    return Migration(
        "sleeping",
        f'op.create_table("{table}", sa.Column("id", sa.Integer(), primary_key=True))\n{sleep}',
        f'op.drop_table("{table}")',
    )
