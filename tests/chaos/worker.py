"""Carries trials out in a world of its own: numbers come on standard input, verdicts go out as JSON."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

from tests.chaos.faults import FAULTS
from tests.chaos.lab import LabWorld
from tests.chaos.lab_faults import LAB
from tests.chaos.place import Place
from tests.chaos.run import run
from tests.chaos.world import World
from tests.lab import Lab

KINDS: dict[str, Callable[[Path], Place]] = {"fast": World, "plain": World, "lab": LabWorld}


def main(seed: str, kind: str) -> None:
    """Until standard input ends. A world that a fault left in a wrong state is thrown away."""
    # Ended by a signal, it tidies up all the same.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    # What it starts does not hold the pipe: its end is seen at once, even if it is killed.
    verdicts = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    faults, world = {fault.name: fault for fault in (*FAULTS, *LAB)}, None
    with (
        Lab().session() if kind == "lab" else nullcontext(),
        tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as folder,
    ):
        number = 0
        try:
            for line in sys.stdin:
                index, name = json.loads(line)
                if world is None:
                    number += 1
                    world = KINDS[kind](Path(folder) / f"world{number}")
                verdict = run(world, faults[name], seed, index, plain=kind == "plain")
                if verdict.problems:
                    world.close()
                    world = None
                print(json.dumps(verdict.fields), file=verdicts, flush=True)
        finally:
            if world:
                world.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
