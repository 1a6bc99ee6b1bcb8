"""What the laptop sends: a plan and its values as one archive, and the command that unpacks and enters it.

One SSH exec carries everything: the archive comes over standard input and its length is in the command, so
a half-sent one is never entered.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from deploy import shell
from deploy.errors import UsageError
from deploy.plan import Plan
from deploy.resources import resource
from deploy.shell import Values

Verb = Literal[
    "deploy",
    "rollback",
    "recover",
    "accept",
    "follow",
    "attach",
    "cancel",
    "status",
    "ask",
    "operate",
    "backups",
    "current",
    "doctor",
    "logs",
    "records",
    "plan",
]

_COMMON = ("enter.sh", "execute.sh", "lib.sh", "mask.awk", "runner.sh")

# The remote login shell may be any shell: no line end, no exclamation mark, no quote and no backslash inside.
_ENTER = (
    'sh -c \'umask 077; kit=$(mktemp -d) && head -c {size} | tar -xzf - -C "$kit" '
    '|| {{ rm -rf "$kit"; exit 97; }}; exec sh "$kit/enter.sh" "$@"\' backstay {words}'
)
# Within single quotes, shells disagree on these.
_NOT_SENT = re.compile(r"['\\!\n\r\0]")
#: Exit status of the command when the archive could not be unpacked.
NOT_UNPACKED = 97


@dataclass(frozen=True)
class Request:
    """A command for the server's login shell, and what it reads from standard input."""

    command: str
    stdin: bytes


def request(verb: Verb, words: Iterable[str], values: Values, plan: Plan | None = None) -> Request:
    """The request to enter the server with ``verb``: ``words`` are its arguments, ``values`` its settings."""
    return wrap(verb, words, pack(contents(values, plan)))


def wrap(verb: Verb, words: Iterable[str], archive: bytes) -> Request:
    """The request for a kit that is packed. Raises UsageError for a word that some login shell would run."""
    words = tuple(words)
    for word in words:
        if _NOT_SENT.search(word):
            raise UsageError(f"{word!r} holds a character that cannot be sent to the server")
    line = _ENTER.format(size=len(archive), words=shell.command((verb, *words)))
    return Request(line, archive)


def contents(values: Values, plan: Plan | None) -> dict[str, str]:
    """The files of the kit, by name."""
    kit = {name: resource(name) for name in _COMMON}
    kit["values.sh"] = shell.assignments(values)
    if plan:
        kit.update(plan.files)
        kit["finish"] = plan.finish
        for number, step in enumerate(plan.steps, 1):
            folder = f"steps/{number:02}-{step.name}"
            kit[f"{folder}/do"] = step.do
            kit[f"{folder}/undo"] = step.undo
            kit[f"{folder}/timeout"] = f"{step.timeout}\n"
    return kit


def sums(kit: Mapping[str, str]) -> str:
    """What git calls each file, its name, and a last line: by that the server sees that a record is torn."""
    lines = []
    for name, text in sorted(kit.items()):
        data = text.encode()
        blob = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False)
        lines.append(f"{blob.hexdigest()} {name}\n")
    return "".join([*lines, "end\n"])


def pack(kit: Mapping[str, str]) -> bytes:
    """A gzipped tar of ``kit`` and its sums, for its owner alone; the same kit gives the same bytes."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, text in sorted({**kit, "sums": sums(kit)}.items()):
            data = text.encode()
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), 0o600
            tar.addfile(entry, io.BytesIO(data))
    return gzip.compress(raw.getvalue(), mtime=0)
