"""What a database says when it fails, as one ``LedgerError`` with a remedy and without secrets."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, quote_plus

from sqlalchemy import URL
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from deploy.ledger.engine import WAIT, shown
from deploy.ledger.errors import LedgerError

#: Longest piece of a database's own words that is repeated, in characters.
_CUT = 300

_NO_LEDGER = ("is not a ledger", "Give the ledger a database of its own.")
_LOCKED = (f"has been locked by somebody else for more than {WAIT} s", "Try again in a moment.")
_CORRUPT = ("is damaged or not a database", "Move the file away; a new ledger is then made.")
_UNWRITABLE = ("cannot be written", "Look at the owner and the permissions of the file and its folder.")

_SQLITE = {
    sqlite3.SQLITE_NOTADB: _CORRUPT,
    sqlite3.SQLITE_CORRUPT: _CORRUPT,
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_READONLY: _UNWRITABLE,
    sqlite3.SQLITE_PERM: _UNWRITABLE,
    sqlite3.SQLITE_CANTOPEN: ("cannot be opened", "Does its folder exist, and may you write there?"),
    sqlite3.SQLITE_FULL: ("cannot grow: the disk is full", "Make room on the disk."),
}
_POSTGRESQL = {
    "55P03": _LOCKED,
    "42P01": _NO_LEDGER,
    "42703": _NO_LEDGER,
    "3D000": ("does not exist", "Create the database, for example with createdb."),
    "42501": ("does not let this user in", "Let the user create and change tables in the ledger's database."),
}


@contextmanager
def guarded(url: URL) -> Iterator[None]:
    """Turn what SQLAlchemy and its drivers raise into ``LedgerError``."""
    try:
        yield
    except DBAPIError as error:
        raise _explained(error, url) from error
    except (SQLAlchemyError, OverflowError) as error:
        raise LedgerError(f"The ledger {shown(url)} failed: {_words(error, url)}") from error


def _explained(error: DBAPIError, url: URL) -> LedgerError:
    said = _words(error.orig or error, url)
    if isinstance(error.orig, sqlite3.Error):
        # The low byte of SQLite's code is the kind of failure, the rest its circumstances.
        problem = _SQLITE.get(getattr(error.orig, "sqlite_errorcode", 0) & 0xFF)
        if "no such table" in said or "no such column" in said or "has no column" in said:
            problem = _NO_LEDGER
    else:
        problem = _POSTGRESQL.get(getattr(error.orig, "sqlstate", None) or "")
    sentence, hint = problem or ("cannot be used", "")
    return LedgerError(f"The ledger {shown(url)} {sentence}: {said}", hint)


def _words(error: BaseException, url: URL) -> str:
    said = " ".join(str(error).split())
    for secret in _secrets(url):
        for form in (secret, quote(secret, safe=""), quote_plus(secret)):
            said = said.replace(form, "***")
    return said if len(said) <= _CUT else said[:_CUT] + " (cut)"


def _secrets(url: URL) -> list[str]:
    values = [str(url.password or "")]
    for name, value in url.query.items():
        if "password" in name:
            values.extend([value] if isinstance(value, str) else value)
    return [value for value in values if value]
