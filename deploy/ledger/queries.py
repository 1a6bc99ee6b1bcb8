"""The few questions asked of the ledger, each on an open connection."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, fields
from statistics import median
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select
from sqlalchemy.dialects import postgresql, sqlite

from deploy.ledger.entry import Entry, StepEntry
from deploy.ledger.errors import LedgerError
from deploy.ledger.tables import releases, steps

#: How many of the last runs of a step say what is typical.
RUNS = 20

_KEY = ("app", "target", "host", "id")
_COLUMNS = tuple(field.name for field in fields(Entry) if field.name != "steps")
#: Characters that no database takes as text: NUL, and halves of UTF-16 pairs.
_FORBIDDEN = re.compile("[\x00\ud800-\udfff]")


def put(connection: Connection, entry: Entry) -> None:
    """Write the entry over the one with the same key; ``LedgerError`` unless that is exactly one row."""
    row = {name: _clean(getattr(entry, name)) for name in _COLUMNS}
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    # Inline: without RETURNING, which SQLite before 3.35 lacks (RHEL 9) and which hides the count of rows.
    statement = dialect.insert(releases).values(row).inline().execution_options(preserve_rowcount=True)
    touched = connection.execute(statement.on_conflict_do_update(index_elements=_KEY, set_=row)).rowcount
    if touched != 1:
        raise LedgerError(f"Recording {entry.id} touched {touched} rows of the ledger instead of one.")
    _put_steps(connection, row, entry.steps)


def _put_steps(connection: Connection, row: dict[str, Any], entries: Sequence[StepEntry]) -> None:
    same = (releases.c[name] == row[name] for name in _KEY)
    number = connection.execute(select(releases.c.number).where(*same)).scalar_one()
    connection.execute(delete(steps).where(steps.c.release == number))
    rows = [
        {"release": number, "position": position, **_step_row(step)} for position, step in enumerate(entries)
    ]
    if rows:
        connection.execute(insert(steps), rows)


def _step_row(step: StepEntry) -> dict[str, Any]:
    return {name: _clean(value) for name, value in asdict(step).items()}


def history(connection: Connection, app: str, target: str, limit: int) -> list[Entry]:
    """The last ``limit`` releases of a target, newest first."""
    found = connection.execute(
        select(releases)
        .where(releases.c.app == _clean(app), releases.c.target == _clean(target))
        .order_by(releases.c.started_at.desc(), releases.c.id.desc())
        .limit(max(limit, 0))
    ).all()
    of = _steps_of(connection, [row.number for row in found])
    return [_entry(row, of.get(row.number, ())) for row in found]


def typical_seconds(connection: Connection, app: str, target: str, step: str, kind: str) -> float | None:
    """The median of the step's last ``RUNS`` runs that were done, in seconds; None when there is none."""
    seconds = connection.execute(
        select(steps.c.seconds)
        .join(releases)
        .where(releases.c.app == _clean(app), releases.c.target == _clean(target), releases.c.kind == kind)
        .where(steps.c.name == _clean(step), steps.c.state == "done")
        .order_by(releases.c.started_at.desc(), releases.c.id.desc())
        .limit(RUNS)
    ).scalars()
    return median(found) if (found := seconds.all()) else None


def _steps_of(connection: Connection, numbers: list[int]) -> dict[int, tuple[StepEntry, ...]]:
    found = connection.execute(select(steps).where(steps.c.release.in_(numbers)).order_by(steps.c.position))
    of: dict[int, tuple[StepEntry, ...]] = {}
    for row in found:
        step = StepEntry(row.name, row.state, row.seconds, row.why)
        of[row.release] = (*of.get(row.release, ()), step)
    return of


def _entry(row: Row[Any], entries: tuple[StepEntry, ...]) -> Entry:
    values = {name: _value(getattr(row, name)) for name in _COLUMNS}
    return Entry(**values, steps=entries)


def _value(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _clean(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_clean(item) for item in value]
    return _FORBIDDEN.sub("\ufffd", value) if isinstance(value, str) else value
