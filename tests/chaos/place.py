"""What a trial needs of the world that it is carried out in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from deploy import events
from tests.apps.history import History
from tests.apps.migrations import Migration
from tests.apps.tree import Change
from tests.chaos.client import Client


class Picture(Protocol):
    """The server's own state, read without any code of the product; equal when nothing is different."""

    @property
    def tables(self) -> tuple[str, ...]:
        """The schema, one line for each part."""


class Place(Protocol):
    """A server with an application, its developer and a laptop. ``port``: where the application answers.
    ``lengths``: about how long each step and its undo take, in seconds."""

    root: Path
    state: Path
    app: History
    port: int
    number: int
    lengths: Mapping[str, float]

    def picture(self) -> Any:
        """What is there now; the application is given time to answer."""

    def became(self, before: Any, now: Any, known: set[str]) -> bool:
        """Whether that is the newest commit's release, and none of the ``known`` ones, all in order."""

    def release(
        self, kind: str, migrations: int, changes: Sequence[Change], more: Sequence[Migration]
    ) -> None:
        """Push a release with so many new tables, and ``more``."""

    def keep(self) -> None:
        """The newest commit stays: the next one stands on it."""

    def take_back(self) -> None:
        """The developer takes the newest commit back."""

    def configure(self, **settings: str) -> None:
        """Write the laptop's settings."""

    def fab(self, *words: str) -> Client:
        """Start ``fab``."""

    def plain(self) -> Client:
        """Start the plain script."""

    def record(self, name: str) -> str:
        """One of the state folder's records; empty when it is not there."""

    def releases(self) -> list[Path]:
        """The folders of the releases, oldest first."""

    def journal(self, release: str) -> list[events.Item]:
        """What the release's journal says."""

    def processes(self) -> dict[int, str]:
        """What runs on the server but the application, by process id; the words of each."""

    def release_processes(self) -> dict[int, str]:
        """Those of releases: the runner, and what it started."""

    def runner(self) -> int | None:
        """The runner's process id."""

    def kill_all(self) -> None:
        """Kill all of ``processes``."""

    def reset(self) -> None:
        """The machine is reset: all is killed at once, and the connections with it."""

    def quiet(self, seconds: float = 90) -> bool:
        """Whether nothing of a release is at work within that time."""

    def query(self, text: str) -> list[str]:
        """One column of the database."""

    def saved(self, table: str) -> set[str]:
        """The names that backups have in a table."""

    def close(self) -> None:
        """Nothing of it stays."""
