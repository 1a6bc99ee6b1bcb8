"""``flock`` and ``setsid`` for systems without them (macOS), as tiny scripts for this Python."""

from __future__ import annotations

import sys
from pathlib import Path

_FLOCK = """\
import fcntl, os, sys

mode, wait, words = fcntl.LOCK_EX, 0, sys.argv[1:]
while words and words[0].startswith("-") and len(words[0]) > 1:
    for letter in words.pop(0)[1:]:
        if letter == "n":
            wait = fcntl.LOCK_NB
        elif letter in "sxu":
            mode = {"s": fcntl.LOCK_SH, "x": fcntl.LOCK_EX, "u": fcntl.LOCK_UN}[letter]
        else:
            sys.exit("flock: unknown option -" + letter)
if not words:
    sys.exit("flock: a file or a number of a descriptor is needed")
target, command = words[0], words[1:]
try:
    if command:
        fd = os.open(target, os.O_RDWR | os.O_CREAT, 0o666)
        os.set_inheritable(fd, True)
    else:
        fd = int(target)
    fcntl.flock(fd, mode | wait)
except BlockingIOError:
    sys.exit(1)
except (OSError, ValueError) as error:
    print("flock:", target, error, file=sys.stderr)
    sys.exit(65)
if command:
    try:
        os.execvp(command[0], command)
    except OSError as error:
        print("flock:", command[0], error, file=sys.stderr)
        sys.exit(69)
"""

_SETSID = """\
import os, sys

if len(sys.argv) < 2:
    sys.exit("setsid: a command is needed")
if os.getpid() == os.getpgrp() and os.fork():
    os._exit(0)
os.setsid()
try:
    os.execvp(sys.argv[1], sys.argv[1:])
except OSError as error:
    print("setsid:", sys.argv[1], error, file=sys.stderr)
    sys.exit(127 if isinstance(error, FileNotFoundError) else 126)
"""

# Isolated and without site: the fastest start, and nothing of the caller's Python settings gets in.
_WRAPPER = """\
#!/bin/sh
exec '{python}' -I -S '{script}' "$@"
"""


def shims(folder: Path) -> Path:
    """Write executable ``flock`` and ``setsid`` into ``folder`` (made if absent); returns the folder.

    The forms that work: ``flock [-n] [-s|-x|-u] FD``, ``flock [-n] [-s|-x] FILE COMMAND...``,
    ``setsid COMMAND...``. Exit statuses are those of util-linux.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, program in (("flock", _FLOCK), ("setsid", _SETSID)):
        script = folder / f"{name}.py"
        script.write_text(program)
        command = folder / name
        command.write_text(_WRAPPER.format(python=_quoted(sys.executable), script=_quoted(str(script))))
        command.chmod(0o755)
    return folder


def _quoted(text: str) -> str:
    """The inside of a single-quoted word of POSIX sh."""
    return text.replace("'", "'\\''")
