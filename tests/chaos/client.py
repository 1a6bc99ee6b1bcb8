"""``fab`` as a process of its own, forked from one that has loaded what it needs: the start costs nothing."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "fabric.main",
        "deploy.commands",
        "deploy.tasks",
        "deploy.ledger.tables",
        "alembic.command",
        "tests.chaos.client",
    ]
)


def fab(words: list[str], folder: str, environ: dict[str, str], out: str, err: str) -> None:
    """Become ``fab WORDS`` in that folder."""
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    for number, name in ((1, out), (2, err)):
        file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        os.dup2(file, number)
        os.close(file)
    sys.stdout, sys.stderr = open(1, "w", buffering=1), open(2, "w", buffering=1)  # noqa: SIM115
    from fabric.main import program

    program.run(["fab", *words])


class Client:
    """One call of ``fab``; its output goes to files."""

    def __init__(self, words: list[str], folder: Path, environ: Mapping[str, str], place: Path) -> None:
        self.words = words
        self.out, self.err = Path(f"{place}.out"), Path(f"{place}.err")
        arguments = (words, str(folder), dict(environ), str(self.out), str(self.err))
        self.process = FORKS.Process(target=fab, args=arguments, daemon=True)
        self.process.start()

    def signal(self, number: int) -> None:
        """Send it a signal, if it is there."""
        if self.process.is_alive() and self.process.pid:
            os.kill(self.process.pid, number)

    def wait(self, seconds: float = 120) -> int:
        """Its exit status, negative for a signal; TimeoutError when it does not end (it is killed then)."""
        self.process.join(seconds)
        if self.process.exitcode is None:
            self.signal(signal.SIGKILL)
            self.process.join()
            raise TimeoutError(f"fab {' '.join(self.words)} did not end within {seconds:.0f} s")
        return self.process.exitcode

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process.is_alive()

    @property
    def records(self) -> list[dict[str, Any]]:
        """What --json printed so far; a torn last line is left out."""
        lines = self.out.read_text(errors="replace").split("\n")[:-1] if self.out.exists() else []
        return [json.loads(line) for line in lines if line]

    @property
    def result(self) -> dict[str, Any]:
        """The last object of --json; empty when there is none."""
        records = self.records
        return records[-1] if records and records[-1]["event"] == "result" else {}

    @property
    def told(self) -> str:
        """What it printed, for a report."""
        out = self.out.read_text(errors="replace")[-3000:] if self.out.exists() else ""
        err = self.err.read_text(errors="replace")[-2000:] if self.err.exists() else ""
        return f"fab {' '.join(self.words)}: exit {self.process.exitcode}\n{out}{err}"


def wait_until(true: Any, seconds: float, pause: float = 0.01) -> bool:
    """Whether it came true within that time."""
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(pause)
    return True
