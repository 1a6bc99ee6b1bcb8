"""``python -m tests.chaos``: deployments under faults, and the table of what came of them."""

from __future__ import annotations

import argparse
import secrets
import sys
import time

from tests.chaos.run import Verdict
from tests.chaos.suite import carry_out, table, trials


def main() -> int:
    """0 when no deployment ended in a wrong state."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--runs", type=int, default=310, help="how many deployments; some have no fault")
    parser.add_argument("--seed", default=secrets.token_hex(4), help="what the faults and moments come from")
    parser.add_argument("--workers", type=int, default=3, help="how many servers at once")
    parser.add_argument("--only", type=int, nargs="*", help="the numbers of the deployments to repeat")
    parser.add_argument("--plain", action="store_true", help="with the plain script, to compare")
    parser.add_argument("--world", choices=("fast", "lab", "both"), default="both", help="which servers")
    parser.add_argument("--fault", nargs="+", help="these alone, in turn")
    given = parser.parse_args()
    given.world = "fast" if given.plain else given.world
    wanted = [t for t in trials(given.seed, given.runs, given.world) if not given.only or t[0] in given.only]
    if given.fault:
        wanted = [(index, given.fault[index % len(given.fault)]) for index, _ in wanted]
    print(f"seed {given.seed}", flush=True)
    began = time.monotonic()
    verdicts = carry_out(given.seed, wanted, given.workers, tell, "plain" if given.plain else "fast")
    for name, *counted in [("fault", "runs", "new", "old", "recover", "wrong"), *table(verdicts)]:
        print(f"{name:44}" + "".join(f"{count:>9}" for count in counted))
    print(f"{time.monotonic() - began:.0f} s")
    for verdict in verdicts:
        if verdict.problems:
            again = f"--seed {given.seed} --only {verdict.index} --fault '{verdict.fault}'"
            print(f"\nrepeat with --runs {given.runs} --world {given.world} {again}")
            print(f"{verdict.fault}, {verdict.kind} release, {verdict.moment}")
            print(*verdict.notes, *verdict.problems, verdict.told, sep="\n")
    return any(verdict.problems for verdict in verdicts)


def tell(verdict: Verdict) -> None:
    """One line as it comes."""
    words = f"{verdict.ended}{', recovered' if verdict.recovered else ''}"
    where = f"{verdict.index:>4}  {verdict.fault}, {verdict.kind}, {verdict.moment}"
    print(f"{where}: {words} ({verdict.seconds} s)", *verdict.problems, sep="\n", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
