"""The ledger's Alembic environment, for ``alembic`` in the repository and for ``Ledger.open``."""

from __future__ import annotations

from logging.config import fileConfig
from typing import Any

from alembic import context
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection

from deploy.ledger import LedgerError, engine, failures, schema
from deploy.ledger.tables import metadata


def number(_context: Any, _revision: Any, directives: list[Any]) -> None:
    """Give a new revision the next number, unless ``--rev-id`` names one."""
    if getattr(context.config.cmd_opts, "rev_id", None) is None:
        head = ScriptDirectory.from_config(context.config).get_current_head()
        directives[0].rev_id = f"{int(head or 0) + 1:03}"


def run(**where: Any) -> None:
    """Run the migrations against ``where``: a connection, or a URL for SQL alone."""
    context.configure(
        target_metadata=metadata,
        # SQLite can change a table only by copying it; on PostgreSQL a batch is a plain ALTER.
        render_as_batch=True,
        transactional_ddl=True,
        process_revision_directives=number,
        **where,
    )
    with context.begin_transaction():
        context.run_migrations()


def run_offline() -> None:
    """Write SQL for the kind of database that the URL names; nothing is opened or created."""
    run(url=engine.parse(""), literal_binds=True, dialect_opts={"paramstyle": "named"})


def run_online() -> None:
    """Run on the connection of ``Ledger.open``, which holds the lock, or on one of our own."""
    given: Connection | None = context.config.attributes.get("connection")
    if given is not None:
        run(connection=given)
        return
    url = engine.parse("")
    with failures.guarded(url), schema.exclusive(engine.build(url)) as connection:
        run(connection=connection)


if context.config.config_file_name is not None:
    fileConfig(context.config.config_file_name, disable_existing_loggers=False)

try:
    run_offline() if context.is_offline_mode() else run_online()
except LedgerError as error:
    # The one failure that the alembic command prints without a traceback.
    raise CommandError(f"{error.message}\n{error.hint}".strip()) from error
