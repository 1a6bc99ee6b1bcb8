"""What the ledger is like, without making or upgrading one."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from deploy.ledger.errors import LedgerError


@dataclass(frozen=True)
class Outlook:
    """``place`` is a file or a URL without its password; ``revision`` is empty for one yet to be made."""

    place: str
    revision: str
    head: str


def look(url: str = "") -> Outlook:
    """The ledger at ``url``, as ``Ledger.open`` finds it. Writes nothing; raises LedgerError."""
    from deploy.ledger import engine, failures, schema

    parsed = engine.parse(url)
    place = engine.shown(parsed)
    if parsed.get_backend_name() == "sqlite":
        file = Path(str(parsed.database))
        _check_writable(file)
        if not file.exists():
            return Outlook(place, "", schema.HEAD)
    with failures.guarded(parsed):
        return Outlook(place, schema.revision(engine.build(parsed)), schema.HEAD)


def _check_writable(file: Path) -> None:
    """SQLite writes beside its file, too, so the folder counts; one that is not there can be made."""
    folder = file.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    for path in (folder, file):
        if path.exists() and not os.access(path, os.W_OK | (os.X_OK if path.is_dir() else 0)):
            raise LedgerError(
                f"The ledger {file} cannot be written: {path} is not writable.", "Check its rights."
            )
    if not folder.is_dir():
        raise LedgerError(f"The ledger {file} cannot be made: {folder} is no folder.", "Name another ledger.")
