"""The ledger: the SQL database, on the laptop or shared by the team, of all releases of all targets.

Servers are the truth; the ledger mirrors their release records and answers what needs history.

Importing this package is cheap on purpose. SQLAlchemy costs 0.4 s to import and Alembic more, which a
deployment must not pay before its work on the server has started: ``Ledger.open`` loads the first, and the
second only when the schema has to change. Keep both out of ``errors``, ``entry``, ``place`` and ``store``.
"""

from deploy.ledger.entry import Entry, StepEntry, entry_from_state
from deploy.ledger.errors import LedgerError
from deploy.ledger.store import Ledger

__all__ = ["Entry", "Ledger", "LedgerError", "StepEntry", "entry_from_state"]
