"""Findings of one group, in few words."""

from __future__ import annotations

from dataclasses import dataclass

from deploy.view import Finding, Group


@dataclass(frozen=True)
class Told:
    """Makes the findings of ``group``.

    An error makes a deployment be refused or fail, or cannot be undone; a warning is what bites later.
    """

    group: Group

    def ok(self, check: str, what: str) -> Finding:
        """It is as it should be."""
        return Finding(self.group, check, "ok", what)

    def warning(self, check: str, what: str, why: str, remedy: str) -> Finding:
        """Deployments work, and still."""
        return Finding(self.group, check, "warning", what, why, remedy)

    def error(self, check: str, what: str, why: str, remedy: str) -> Finding:
        """Deployments do not work so."""
        return Finding(self.group, check, "error", what, why, remedy)
