"""A server for the runner: a home folder, a git checkout, and one POSIX shell, all on this machine, no SSH."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from deploy import events, runner
from deploy.plan import Plan, Step

SHELLS = {"dash": ["dash"], "busybox": ["busybox", "sh"], "bash": ["bash", "--posix"]}
LIMITS = {"output_limit": 200_000, "undo_timeout": 30}


@dataclass
class Bench:
    """``run`` sends a request as the SSH login shell would and returns the items that came back."""

    root: Path
    shell: str = "dash"
    values: dict[str, str | int] = field(default_factory=dict)
    number: int = 0

    def __post_init__(self) -> None:
        self.checkout = self.root / "a checkout"
        self.home = self.root / "home"
        self.state = self.home / ".local/state/backstay/shop"
        bin_folder = self.root / "bin"
        for folder in (self.checkout, self.home, bin_folder):
            folder.mkdir(parents=True)
        words = " ".join(SHELLS[self.shell])
        (bin_folder / "sh").write_text(
            f'#!/bin/{"dash" if self.shell == "dash" else "bash"}\nexec {words} "$@"\n'
        )
        (bin_folder / "sh").chmod(0o755)
        self.environ = {"HOME": str(self.home), "PATH": f"{bin_folder}:{os.environ['PATH']}"}
        subprocess.run(["git", "init", "-q", str(self.checkout)], check=True)

    def settings(self, **more: str | int) -> dict[str, str | int]:
        self.number += 1
        base = {
            "app": "shop",
            "path": str(self.checkout),
            "state": "",
            "by": "ann@laptop",
            "version": "0",
            "kind": "deploy",
        }
        return {**base, "id": f"r{self.number:03}", **LIMITS, **self.values, **more}

    def start(
        self, verb: runner.Verb, *words: str, plan: Plan | None = None, **more: str | int
    ) -> subprocess.Popen[bytes]:
        kind = {"kind": plan.kind} if plan else {}
        request = runner.request(verb, words, self.settings(**kind, **more), plan)
        process = subprocess.Popen(
            ["sh", "-c", request.command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environ,
            cwd=self.home,
        )
        assert process.stdin
        process.stdin.write(request.stdin)
        process.stdin.flush()
        return process

    def run(
        self, verb: runner.Verb, *words: str, plan: Plan | None = None, **more: str | int
    ) -> list[events.Item]:
        return self.watch(self.start(verb, *words, plan=plan, **more))

    def watch(self, process: subprocess.Popen[bytes]) -> list[events.Item]:
        """All items until the end, as the laptop reads them."""
        assert process.stdout and process.stdin and process.stderr
        decoder, items = events.Decoder(), []
        while data := os.read(process.stdout.fileno(), 65536):
            items += decoder.feed(data)
            if any(isinstance(item, events.Event) and item.name in {"end", "lost"} for item in items):
                break
        process.stdin.close()
        process.stdout.close()
        self.stderr = process.stderr.read().decode()
        process.stderr.close()
        process.wait(timeout=10)
        return items

    def lines(self, name: str = "trace") -> list[str]:
        file = self.home / name
        return file.read_text().splitlines() if file.exists() else []


def plan(steps: Iterable[Step | str], finish: str = "") -> Plan:
    """A plan; a step given by name alone traces its do and its undo."""
    made = [
        Step(s, f"echo do {s} | tee -a ~/trace", f"echo undo {s} | tee -a ~/trace", 20)
        if isinstance(s, str)
        else s
        for s in steps
    ]
    return Plan("deploy", tuple(made), {}, finish)
