"""The demo's server: a home with a checkout, behind a real SSH server on loopback."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shlex
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deploy.embedded import EmbeddedServer, shims

#: Seconds that a release which is going on gets to undo itself when the demo is interrupted.
_PATIENCE = 90.0

# What systemd does on other servers. The log says when it listens.
RESTART = """\
sh ~/stop.sh
cd ~/snapcheck/backend || exit
"$VENV/bin/python" -m uvicorn main:app --port "$PORT" </dev/null >~/snapcheck.log 2>&1 &
echo $! >~/snapcheck.pid
until grep -q 'running on' ~/snapcheck.log; do
    kill -s 0 $! 2>/dev/null || exit
    sleep 0.2
done
"""
STOP = """\
[ -s ~/snapcheck.pid ] || exit 0
pid=$(cat ~/snapcheck.pid)
kill "$pid" 2>/dev/null
while kill -s 0 "$pid" 2>/dev/null; do sleep 0.1; done
rm -f ~/snapcheck.pid
"""


class DemoServer:
    """``ssh`` is how to get there, ``port`` where the application answers."""

    def __init__(self, home: Path, environ: Mapping[str, str]) -> None:
        self.home, self.checkout, self.database = home, home / "snapcheck", home / "snapcheck.db"
        self._path = environ.get("PATH", os.defpath)
        self.port = _free_port()
        tools = home / "bin"
        tools.mkdir(parents=True)
        if not all(shutil.which(name, path=self._path) for name in ("flock", "setsid")):
            shims(tools)
        _script(tools / "python3", f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        _script(home / "restart.sh", RESTART)
        _script(home / "stop.sh", STOP)
        self.ssh = EmbeddedServer(
            home, [tools, *self._path.split(os.pathsep)], env=_for_pip(home / "wheels", environ)
        )

    def environment_file(self) -> None:
        """The application's settings, which are on the server alone."""
        text = f"DATABASE_URL=sqlite:///{self.database}\nPORT={self.port}\n"
        (self.checkout / ".env").write_text(text)

    def http(self, path: str, body: object = None) -> tuple[str, Any]:
        """The request in words, and the application's answer; None when there is none."""
        data = None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.port}{path}"
        words = f"POST {url} {data.decode()}" if data else f"GET {url}"
        try:
            with _OPENER.open(
                urllib.request.Request(url, data, {"Content-Type": "application/json"}), timeout=10
            ) as answer:
                return words, json.load(answer)
        except urllib.error.URLError:
            return words, None

    def tables(self) -> dict[str, list[str]]:
        """The database's tables and their columns."""
        address = f"{self.database.as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(address, uri=True)) as database:
            names = [
                name for (name,) in database.execute("select name from sqlite_master where type = 'table'")
            ]
            return {
                name: [row[1] for row in database.execute(f"pragma table_info({name})")] for name in names
            }

    def close(self) -> None:
        """Stop what works there, the application and the SSH server; after it nothing runs."""
        self._cancel()
        lock = self.checkout / ".git" / "backstay.lock"
        if lock.exists():
            with lock.open() as file:
                _wait_for(file.fileno())
        self.ssh.close()
        home = {"HOME": str(self.home), "PATH": self._path}
        subprocess.run(["sh", str(self.home / "stop.sh")], env=home, check=False, timeout=20)

    def _cancel(self) -> None:
        """Ask a release that is going on to stop and undo itself, as ``fab cancel`` does."""
        state = self.home / ".local/state/backstay/snapcheck"
        with contextlib.suppress(OSError):
            release = (state / "unfinished").read_text().strip()
            (state / "releases" / release / "cancel").touch()


# A proxy of the user's is not asked for what is on this machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _for_pip(wheels: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """What pip on the server needs to find packages: ``wheels``, or else the user's own settings."""
    if wheels.exists():
        source = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels.as_uri(), "PIP_CONFIG_FILE": os.devnull}
    else:
        source = {name: value for name, value in environ.items() if name.startswith("PIP_")}
    return {**source, "PIP_QUIET": "1"}


def _script(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o755)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def _wait_for(lock: int) -> None:
    """Wait until the lock is free: each step holds it, so then none is at work."""
    until = time.monotonic() + _PATIENCE
    while time.monotonic() < until:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(0.1)
        else:
            return
