"""Bring the ledger's schema to head, once, whoever comes first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Engine, inspect

from deploy.ledger import engine as engines
from deploy.ledger import place
from deploy.ledger.errors import LedgerError

if TYPE_CHECKING:
    from alembic.config import Config

#: The newest revision in ``migrations/versions``. Known here so that an ordinary start need not load Alembic.
HEAD = "001"
#: What all who change the schema of a ledger on PostgreSQL lock: an arbitrary number, the same for all.
_LOCK = 0x6261636B73746179


def bring_to_head(engine: Engine) -> None:
    """Create or upgrade the ledger when needed; ``LedgerError`` for one that is newer or not a ledger."""
    with engine.connect() as connection:
        if _is_current(connection):
            return
    from alembic import command
    from alembic.util import CommandError

    with exclusive(engine) as connection:
        # Another process may have been faster.
        if _is_current(connection):
            return
        config = _config()
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            shown = engines.shown(engine.url)
            raise LedgerError(f"The ledger {shown} cannot be upgraded: {error}") from error


def revision(engine: Engine) -> str:
    """The ledger's revision, empty for one yet to be made; ``LedgerError`` as in ``bring_to_head``."""
    with engine.connect() as connection:
        return HEAD if _is_current(connection) else _version(connection)


@contextmanager
def exclusive(engine: Engine) -> Iterator[Connection]:
    """A transaction in which nobody else changes the schema; all of it is applied, or nothing."""
    with engines.writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        yield connection


def _is_current(connection: Connection) -> bool:
    found = _version(connection)
    if found == HEAD:
        return True
    if found:
        _check_older(connection, found)
    else:
        _check_empty(connection)
    return False


def _version(connection: Connection) -> str:
    if not inspect(connection).has_table("alembic_version"):
        return ""
    rows = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalars()
    return ",".join(sorted(rows))


def _check_older(connection: Connection, found: str) -> None:
    if found.isascii() and found.isdigit() and int(found) < int(HEAD):
        return
    raise LedgerError(
        f"The ledger {engines.shown(connection.engine.url)} was made by a newer backstay: "
        f"its schema is {found}, this one knows {HEAD}. It is left as it is.",
        "Update backstay: pip install --upgrade backstay",
    )


def _check_empty(connection: Connection) -> None:
    tables = set(inspect(connection).get_table_names()) - {"alembic_version"}
    if tables:
        raise LedgerError(
            f"The database {engines.shown(connection.engine.url)} is not a ledger: it holds other tables "
            f"({', '.join(sorted(tables)[:3])}). It is left as it is.",
            "Give the ledger a database of its own.",
        )


def _config() -> Config:
    from alembic.config import Config

    config = Config()
    # A percent sign starts an interpolation there.
    config.set_main_option("script_location", str(place.migrations_folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
