"""What ``fab init`` writes into an application's repository, as pure functions.

files and answers ─► bases (where the models are) ─► files (Alembic's own)
                  └► compose (the migration service) ─► plan: changes, what is kept, what is left to do
"""

from deploy.scaffold.bases import Base, named
from deploy.scaffold.plan import BASE_HINT, Answers, Change, Scaffold, backend_folder, find_bases, scaffold

__all__ = [
    "BASE_HINT",
    "Answers",
    "Base",
    "Change",
    "Scaffold",
    "backend_folder",
    "find_bases",
    "named",
    "scaffold",
]
