"""Many trials at once, and their table."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tests.chaos.faults import FAULTS
from tests.chaos.run import Verdict

ROOT = Path(__file__).parents[2]
Trial = tuple[int, str]


def trials(seed: str, count: int) -> list[Trial]:
    """So many trials: every fault, the likelier ones more often, in a random order. Numbers are from 1."""
    usable = [fault for fault in FAULTS if not fault.root or os.geteuid() == 0]
    rng = random.Random(seed)
    names: list[str] = []
    while len(names) < count:
        deck = (
            [fault.name for fault in usable]
            if not names
            else [f.name for f in usable for _ in range(f.weight)]
        )
        rng.shuffle(deck)
        names += deck
    return list(enumerate(names[:count], 1))


def carry_out(
    seed: str, wanted: Iterable[Trial], workers: int, told: Callable[[Verdict], None], kind: str = "fast"
) -> list[Verdict]:
    """The verdicts, in the order of their numbers; ``told`` is called with each as it comes.

    ``kind``: "fast", or "plain" for the plain script in the fast world.
    """
    left, lock, done = list(wanted), threading.Lock(), list[Verdict]()

    def work() -> None:
        argv = [sys.executable, "-m", "tests.chaos.worker", seed, kind]
        with subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdin
            assert process.stdout
            while True:
                with lock:
                    if not left:
                        break
                    trial = left.pop(0)
                process.stdin.write(json.dumps(trial) + "\n")
                process.stdin.flush()
                line = process.stdout.readline()
                verdict = (
                    Verdict(**json.loads(line)) if line else Verdict(*trial, "", "", problems=["it died"])
                )
                with lock:
                    done.append(verdict)
                    told(verdict)
                if not line:
                    break
            process.stdin.close()

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(done, key=lambda verdict: verdict.index)


def table(verdicts: Sequence[Verdict]) -> list[tuple[str, int, int, int, int, int]]:
    """Rows of fault, runs, ended new, ended old, needed recover, wrong; the sum last."""
    rows = []
    for name in dict.fromkeys(fault.name for fault in FAULTS):
        mine = [verdict for verdict in verdicts if verdict.fault == name]
        if mine:
            rows.append((name, *counts(mine)))
    return [*rows, ("all", *counts(verdicts))]


def counts(verdicts: Sequence[Verdict]) -> tuple[int, int, int, int, int]:
    """Runs, ended new, ended old, needed recover, wrong."""
    ended = [verdict.ended for verdict in verdicts]
    recovered = sum(verdict.recovered for verdict in verdicts)
    return len(ended), ended.count("new"), ended.count("old"), recovered, ended.count("wrong")
