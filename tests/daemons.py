"""What the database servers of the tests' own have in common."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def as_server_user() -> dict[str, Any]:
    """Arguments for subprocess: they refuse to run as root."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


@contextmanager
def own_folder(prefix: str) -> Iterator[Path]:
    """A folder of the server's user, gone afterwards.

    Not below pytest's own folder, which its user alone may enter and whose name is too long for a socket.
    """
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def serving(argv: list[str | Path], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A server's process, ended afterwards."""
    server = subprocess.Popen(argv, **options)
    try:
        yield server
    finally:
        server.terminate()
        try:
            server.wait(30)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
