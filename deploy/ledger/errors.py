"""The one failure that the ledger knows."""

from __future__ import annotations

from deploy.errors import BackstayError


class LedgerError(BackstayError):
    """The ledger cannot be used. Servers are not concerned: a deployment warns and goes on without it."""

    exit_code = 2
