"""What a server of ours looks like from the outside: its records, and the processes of its releases."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

from deploy import events


class Server:
    """A server with records in ``state``; ``processes`` is the world's own."""

    state: Path
    #: What is in the words of the first process of a session that a laptop has opened.
    entered: tuple[str, ...] = ("/enter.sh ", "head -c ")

    def record(self, name: str) -> str:
        """One of the state folder's records; empty when it is not there."""
        file = self.state / name
        return file.read_text().strip() if file.is_file() else ""

    def releases(self) -> list[Path]:
        """The folders of the releases, oldest first."""
        folder = self.state / "releases"
        return sorted(p for p in folder.iterdir() if p.name[0] != ".") if folder.is_dir() else []

    def journal(self, release: str) -> list[events.Item]:
        """What the release's journal says."""
        decoder = events.Decoder()
        return decoder.feed((self.state / "releases" / release / "journal").read_bytes()) + decoder.finish()

    def processes(self) -> dict[int, str]:
        """What runs on the server but the application, by process id; the words of each."""
        raise NotImplementedError

    def release_processes(self) -> dict[int, str]:
        """Those of releases: the runner, and what it started."""
        found = self.processes()
        session = {pid: _session(pid) for pid in found}
        laptops = {
            session[pid] for pid, words in found.items() if any(word in words for word in self.entered)
        }
        return {pid: words for pid, words in found.items() if session[pid] not in laptops}

    def runner(self) -> int | None:
        """The runner's process id: the leader of its session."""
        for pid, words in self.processes().items():
            if "/runner.sh /" in words and _session(pid) == pid:
                return pid
        return None

    def kill_all(self) -> None:
        """As when the power fails."""
        while left := self.processes():
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0
