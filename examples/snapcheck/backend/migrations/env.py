"""What Alembic runs before the revisions: it opens the database, or in offline mode writes SQL alone."""

import os
from logging.config import fileConfig
from typing import Any

from alembic import context

# Absolute: Alembic loads this file by its path, so it has no parent package.
from database import database_url
from models import Base
from sqlalchemy import Connection, create_engine, pool

LOCK_TIMEOUT = "5s"

# The URL stays out of the Alembic configuration, which would read a percent sign in a password as its own.
url = database_url()


def settings() -> dict[str, Any]:
    """Return what both modes have in common."""
    return {
        "target_metadata": Base.metadata,
        # SQLite can change few things about a table in place.
        "render_as_batch": url.get_backend_name() == "sqlite",
        "transaction_per_migration": os.environ.get("ALEMBIC_TRANSACTION_PER_MIGRATION") == "1",
    }


def run_offline() -> None:
    """Write the SQL of the revisions to standard output; no database is touched."""
    context.configure(url=url, literal_binds=True, dialect_opts={"paramstyle": "named"}, **settings())
    with context.begin_transaction():
        context.run_migrations()


def limit_lock_waits(connection: Connection) -> None:
    """Make a revision fail that waits long for a lock: all other queries would queue behind it."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET lock_timeout = '{LOCK_TIMEOUT}'")
        # The setting lasts for the session; Alembic opens its own transaction.
        connection.commit()


def run_online() -> None:
    """Carry the revisions out on the database."""
    with create_engine(url, poolclass=pool.NullPool).connect() as connection:
        limit_lock_waits(connection)
        context.configure(connection=connection, **settings())
        with context.begin_transaction():
            context.run_migrations()


if context.config.config_file_name is not None:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)

if context.is_offline_mode():
    run_offline()
else:
    run_online()
