"""python -m tests.lab tools|up|down|status|clean"""

import argparse
import sys

from .machine import Lab, available
from .system import LabError


def main() -> int:
    """Run one word of the command line; 0 when done, 1 when the lab could not."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description="A real server on this machine.")
    parser.add_argument("word", choices=["tools", "up", "down", "status", "clean"])
    word = parser.parse_args().word
    lab = Lab(say=lambda text: print(text, file=sys.stderr, flush=True))
    try:
        reason = available()
        if word == "tools":
            # What the other tests use of a system; where they may not install it, they skip what they lack.
            return 0 if reason else lab.tools()
        if reason:
            raise LabError(reason)
        if word == "up":
            lab.up(keep=True)
        elif word == "down":
            lab.down()
        elif word == "clean":
            lab.clean()
        if word in ("up", "status"):
            print(lab.status())
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
