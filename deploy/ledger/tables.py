"""The ledger's tables. Change them together with a new file in ``migrations/versions``."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)


class UtcDateTime(TypeDecorator[datetime]):
    """A moment with its time zone, on SQLite too, which knows none: there it is kept as UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The moment in UTC, as the database takes it."""
        if value is None:
            return None
        moment = value.astimezone(UTC)
        return moment.replace(tzinfo=None) if dialect.name == "sqlite" else moment

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """The moment in UTC, with its time zone."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


# SQLite can change a constraint in a later migration only when the constraint has a name.
metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

releases = Table(
    "releases",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("id", Text, nullable=False),
    Column("app", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("by", Text, nullable=False),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    Column("outcome", Text, nullable=False),
    Column("exit_code", Integer),
    Column("commit_before", Text, nullable=False),
    Column("commit_after", Text, nullable=False),
    Column("heads_before", JSON, nullable=False),
    Column("heads_after", JSON, nullable=False),
    Column("image_before", Text, nullable=False),
    Column("image_after", Text, nullable=False),
    Column("applied", JSON, nullable=False),
    Column("undone", JSON, nullable=False),
    Column("backup", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("version", Text, nullable=False),
    UniqueConstraint("app", "target", "host", "id"),
    Index(None, "app", "target", "started_at"),
)

steps = Table(
    "steps",
    metadata,
    Column("release", ForeignKey("releases.number", ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("name", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("why", Text, nullable=False),
)
