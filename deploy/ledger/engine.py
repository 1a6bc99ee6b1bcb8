"""From a URL to connections: which databases serve as a ledger, and how each is opened and written."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import URL, Connection, Engine, NullPool, create_engine, event, make_url

from deploy.ledger import place
from deploy.ledger.errors import LedgerError

#: Seconds to wait for a server to answer and for somebody else's lock.
WAIT = 5

#: What may be written before ``://``, and what it means.
_DRIVERS = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
_EXAMPLES = (
    "Examples: sqlite:////srv/team/ledger.db, postgresql+psycopg://user:password@db.example.org/backstay\n"
    "In a user name or password write @ as %40, / as %2F, : as %3A and % as %25."
)


def parse(text: str) -> URL:
    """The ledger's URL: ``text``, else the environment's, else the default file; ``LedgerError`` if bad."""
    text = text or os.environ.get(place.VARIABLE, "")
    url = _parsed(text) if text else URL.create("sqlite", database=str(place.default_file()))
    driver = _DRIVERS.get(url.drivername)
    if driver is None:
        raise LedgerError(f"The ledger cannot be kept in {url.drivername}.", _EXAMPLES)
    if driver == "sqlite" and url.database in (None, "", ":memory:"):
        raise LedgerError("The ledger's URL names no file.", _EXAMPLES)
    return url.set(drivername=driver)


def _parsed(text: str) -> URL:
    try:
        return make_url(text)
    except Exception:
        # Whatever the parser says may quote the URL and with it a password, so nothing of it is kept.
        raise LedgerError("The ledger's URL cannot be understood.", _EXAMPLES) from None


def shown(url: URL) -> str:
    """The ledger as words for people, never with a password: those may stand in the query too."""
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    return url.set(query={}).render_as_string(hide_password=True)


def build(url: URL) -> Engine:
    """An engine for a parsed URL, and the default file's folder; ``LedgerError`` if the driver is missing."""
    if url.get_backend_name() == "sqlite" and url.database == str(place.default_file()):
        place.make_default_folder()
    try:
        # No pool: a deployment takes minutes, and no connection shall idle that long between two questions.
        engine = create_engine(url, poolclass=NullPool, hide_parameters=True, connect_args=_arguments(url))
    except ImportError as error:
        raise LedgerError(
            "The driver for PostgreSQL is not installed.", "Run: pip install 'backstay[postgresql]'"
        ) from error
    event.listen(engine, "begin", _begin)
    return engine


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that may write, committed at the end."""
    # IMMEDIATE takes SQLite's write lock at once: what is then read is still true when it is written.
    with engine.execution_options(backstay_begin="BEGIN IMMEDIATE").begin() as connection:
        yield connection


def _arguments(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        # The journal mode stays SQLite's own: WAL needs shared memory, and a home folder may be on NFS.
        return {"timeout": WAIT}
    # A connection pooler may give a prepared statement's connection to somebody else.
    arguments: dict[str, Any] = {"prepare_threshold": None}
    return arguments if "connect_timeout" in url.query else {**arguments, "connect_timeout": WAIT}


def _begin(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{WAIT}s'")
        return
    # Python's sqlite3 begins no transaction before CREATE TABLE: a failed migration would stay half applied.
    connection.exec_driver_sql(connection.get_execution_options().get("backstay_begin", "BEGIN"))
