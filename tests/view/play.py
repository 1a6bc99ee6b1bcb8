"""Show a recorded release in this terminal:  python -m tests.view.play CASE [--speed 4] [--json | --plain]"""

from __future__ import annotations

import argparse
import os
import sys
import time

from deploy.view import open_view
from tests.view.recordings import CASES, EXPECTED, play


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--speed", type=float, default=1.0, help="times as fast")
    parser.add_argument("--json", dest="mode", action="store_const", const="json", default="auto")
    parser.add_argument("--plain", dest="mode", action="store_const", const="plain")
    asked = parser.parse_args()
    view = open_view(
        asked.mode, sys.stdout, sys.stderr, environ=os.environ, target="production", expected=EXPECTED
    )
    for _ in play(CASES[asked.case](), view, lambda seconds: time.sleep(seconds / asked.speed)):
        pass


if __name__ == "__main__":
    main()
