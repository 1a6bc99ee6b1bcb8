"""The ledger as its users see it. SQLAlchemy is loaded by ``open``; see the package for why."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from deploy.ledger.entry import Entry

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


class Ledger:
    """An open ledger at the newest schema. Holds no connection between calls; there is nothing to close.

    Every method raises ``LedgerError`` when the database fails. It may be used from several threads.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str = "") -> Ledger:
        """The ledger at ``url``, else at ``BACKSTAY_LEDGER``, else in the user's data folder, ready for use.

        A new one is created, an older one upgraded. ``LedgerError`` for all that can be wrong with a
        database, a ledger newer than this code among it; such a one is left as it is.
        """
        from deploy.ledger import engine, failures, schema

        parsed = engine.parse(url)
        with failures.guarded(parsed):
            built = engine.build(parsed)
            schema.bring_to_head(built)
        return cls(built)

    def record(self, *entries: Entry) -> None:
        """Write the entries over those with the same app, target, host and id: all of them or none."""
        from deploy.ledger import queries

        with self._writing() as connection:
            for entry in entries:
                queries.put(connection, entry)

    def history(self, app: str, target: str, limit: int) -> list[Entry]:
        """The last ``limit`` releases of a target on whichever host, newest first."""
        from deploy.ledger import queries

        with self._reading() as connection:
            return queries.history(connection, app, target, limit)

    def latest(self, app: str, target: str) -> Entry | None:
        """The newest release of a target, whatever came of it; None when there is none."""
        return next(iter(self.history(app, target, 1)), None)

    def typical_seconds(self, app: str, target: str, step: str, kind: str = "deploy") -> float | None:
        """How long the step usually takes: the median of its last 20 done runs, in seconds, or None."""
        from deploy.ledger import queries

        with self._reading() as connection:
            return queries.typical_seconds(connection, app, target, step, kind)

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        from deploy.ledger import engine, failures

        with failures.guarded(self._engine.url), engine.writing(self._engine) as connection:
            yield connection

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        from deploy.ledger import failures

        with failures.guarded(self._engine.url), self._engine.connect() as connection:
            yield connection
