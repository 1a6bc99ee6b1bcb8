"""Releases and their steps.

Revision ID: 001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "releases",
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("app", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("commit_before", sa.Text(), nullable=False),
        sa.Column("commit_after", sa.Text(), nullable=False),
        sa.Column("heads_before", sa.JSON(), nullable=False),
        sa.Column("heads_after", sa.JSON(), nullable=False),
        sa.Column("image_before", sa.Text(), nullable=False),
        sa.Column("image_after", sa.Text(), nullable=False),
        sa.Column("applied", sa.JSON(), nullable=False),
        sa.Column("undone", sa.JSON(), nullable=False),
        sa.Column("backup", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_releases"),
        sa.UniqueConstraint("app", "target", "host", "id", name="uq_releases"),
    )
    op.create_index("ix_releases_app_target_started_at", "releases", ["app", "target", "started_at"])
    op.create_table(
        "steps",
        sa.Column("release", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["release"], ["releases.number"], name="fk_steps_release", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("release", "position", name="pk_steps"),
    )


def downgrade() -> None:
    op.drop_table("steps")
    op.drop_index("ix_releases_app_target_started_at", table_name="releases")
    op.drop_table("releases")
