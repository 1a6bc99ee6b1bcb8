"""Many trials at once, and their table."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from tests.chaos.faults import FAULTS, Fault
from tests.chaos.lab_faults import LAB
from tests.chaos.run import Verdict
from tests.lab import available

ROOT = Path(__file__).parents[2]
Trial = tuple[int, str]
WORLD = {fault.name: fault.world for fault in (*FAULTS, *LAB)}
SLOW = {fault.name for fault in (*FAULTS, *LAB) if fault.slow}
#: Of so many deployments one is on the lab, which takes longer.
LAB_SHARE = 6


def trials(seed: str, count: int, world: str = "both") -> list[Trial]:
    """So many trials: every fault, the likelier ones more often, in a random order. Numbers are from 1."""
    usable = [fault for fault in FAULTS if not fault.root or os.geteuid() == 0]
    rng = random.Random(seed)
    names, on_lab = deal(usable, count, rng), deal(LAB, count, rng)
    if world == "lab":
        names = on_lab
    elif world == "both" and not available():
        names = [on_lab.pop() if n % LAB_SHARE == 1 else name for n, name in enumerate(names)]
    return list(enumerate(names, 1))


def deal(faults: Sequence[Fault], count: int, rng: random.Random) -> list[str]:
    """So many names: each once, then by weight."""
    names: list[str] = []
    while len(names) < count:
        deck = [f.name for f in faults for _ in range(f.weight if names else 1)]
        rng.shuffle(deck)
        names += deck
    return names[:count]


def carry_out(
    seed: str, wanted: Sequence[Trial], workers: int, told: Callable[[Verdict], None], kind: str = "fast"
) -> list[Verdict]:
    """The verdicts, in the order of their numbers; ``told`` is called with each as it comes.

    ``kind``: "fast", or "plain" for the plain script in the fast world.
    """
    lock, done = threading.Lock(), list[Verdict]()
    queue = sorted(wanted, key=lambda trial: trial[1] not in SLOW)
    left = {world: [trial for trial in queue if WORLD[trial[1]] == world] for world in ("fast", "lab")}

    def work(world: str) -> None:
        process = None
        while True:
            with lock:
                if not left[world]:
                    break
                trial = left[world].pop(0)
            # One that died is followed by another: what is left is carried out all the same.
            process = process or begin(seed, kind if world == "fast" else world)
            verdict = carried_out(process, trial)
            if not verdict:
                process.wait()
                process, verdict = None, Verdict(*trial, "", "", problems=["it died"])
            with lock:
                done.append(verdict)
                told(verdict)
        if process:
            process.communicate()

    # There is one lab on a machine, and some of its faults stop what others would use.
    worlds = ["fast"] * min(workers, len(left["fast"])) + ["lab"] * bool(left["lab"])
    threads = [threading.Thread(target=work, args=(world,)) for world in worlds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(done, key=lambda verdict: verdict.index)


def begin(seed: str, kind: str) -> subprocess.Popen[str]:
    """A worker, with a world of its own."""
    argv = [sys.executable, "-m", "tests.chaos.worker", seed, kind]
    return subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def carried_out(worker: subprocess.Popen[str], trial: Trial) -> Verdict | None:
    """The worker's verdict; None when it died."""
    assert worker.stdin
    assert worker.stdout
    with suppress(BrokenPipeError):
        worker.stdin.write(json.dumps(trial) + "\n")
        worker.stdin.flush()
    line = worker.stdout.readline()
    return Verdict(**json.loads(line)) if line else None


def table(verdicts: Sequence[Verdict]) -> list[tuple[str, int, int, int, int, int]]:
    """Rows of fault, runs, ended new, ended old, needed recover, wrong; the sum last."""
    rows = []
    for name in WORLD:
        mine = [verdict for verdict in verdicts if verdict.fault == name]
        if mine:
            rows.append((name, *counts(mine)))
    return [*rows, ("all", *counts(verdicts))]


def counts(verdicts: Sequence[Verdict]) -> tuple[int, int, int, int, int]:
    """Runs, ended new, ended old, needed recover, wrong."""
    ended = [verdict.ended for verdict in verdicts]
    recovered = sum(verdict.recovered for verdict in verdicts)
    return len(ended), ended.count("new"), ended.count("old"), recovered, ended.count("wrong")
