"""Where the ledger and its migrations are."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from deploy.ledger.errors import LedgerError

#: Names the ledger's URL when the settings name none; ``alembic`` in the repository asks it too.
VARIABLE = "BACKSTAY_LEDGER"


def default_file() -> Path:
    """The ledger of a user who chose none, in the user's data folder; nothing is created."""
    # The XDG specification says to ignore a relative path.
    chosen = os.environ.get("XDG_DATA_HOME", "")
    if os.path.isabs(chosen):
        return Path(chosen, "backstay", "ledger.db")
    data = "Library/Application Support" if sys.platform == "darwin" else ".local/share"
    return _home() / data / "backstay" / "ledger.db"


def make_default_folder() -> None:
    """Create the folder of the default file, for its user alone; ``LedgerError`` when that cannot be."""
    folder = default_file().parent
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise LedgerError(
            f"The ledger's folder {folder} cannot be created: {error.strerror}.",
            f"Make the folder writable, or name another ledger in {VARIABLE}.",
        ) from error


def migrations_folder() -> Path:
    """The ledger's Alembic environment: beside this file in a wheel, at the top in the repository."""
    here = Path(__file__).resolve()
    for folder in (here.parent / "migrations", here.parents[2] / "migrations"):
        if (folder / "env.py").is_file():
            return folder
    raise LedgerError("The ledger's migrations are not installed.", "Install backstay again.")


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:
        raise LedgerError(
            "There is no home folder to keep the ledger in.", f"Set HOME, or name the ledger in {VARIABLE}."
        ) from error
