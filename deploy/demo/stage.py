"""What the story is played on: a laptop and a server in one temporary folder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TextIO

from deploy.demo import example
from deploy.demo.laptop import Laptop, deaf
from deploy.demo.server import DemoServer
from deploy.errors import UsageError

_NEEDED = ("git", "tar", "gzip", "awk", "sed", "tail", "mkfifo")


class Stage:
    """``laptop`` and ``server``. A context manager: at its end nothing is left of it, no process and no file.

    Raises UsageError where this machine cannot have it.
    """

    laptop: Laptop
    server: DemoServer

    def __init__(self, stdout: TextIO, environ: Mapping[str, str]) -> None:
        self._stdout, self._environ = stdout, environ
        self._open = ExitStack()

    def __enter__(self) -> Stage:
        _check(self._environ)
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        with deaf():
            self._open.close()

    def _build(self) -> None:
        root = Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="backstay-demo-"))).resolve()
        self._say("Fetching the application's packages, once ...")
        _fetch_packages(root / "server" / "wheels")
        self.server = DemoServer(root / "server", self._environ)
        self._open.callback(self.server.close)
        self.laptop = Laptop(root / "laptop", self._stdout, self._environ)
        origin = root / "origin.git"
        self.laptop.prepare(self.server.ssh, origin, self.server.port)
        self.laptop.quietly(
            "git", "clone", "--quiet", "--branch", "main", str(origin), str(self.server.checkout)
        )
        self.server.environment_file()

    def ask(self, path: str, body: object = None) -> Any:
        """The application's answer to a request; both are shown."""
        words, answer = self.server.http(path, body)
        self._say(f"$ {words}\n{json.dumps(answer) if answer is not None else 'no answer'}")
        return answer

    def commit(self) -> str:
        """The commit that the server's checkout is at."""
        return self.laptop.quietly("git", "-C", str(self.server.checkout), "rev-parse", "HEAD").strip()

    def _say(self, text: str) -> None:
        self._stdout.write(f"{text}\n")
        self._stdout.flush()


def _check(environ: Mapping[str, str]) -> None:
    for name in _NEEDED:
        if shutil.which(name, path=environ.get("PATH")) is None:
            raise UsageError(f"the demo needs {name}, which is not installed")
    if find_spec("ensurepip") is None:
        hint = "On Debian and Ubuntu: apt install python3-venv"
        raise UsageError("this Python cannot make virtual environments, and the demo needs them", hint)


def _fetch_packages(folder: Path) -> None:
    """The application's packages, for the server's pip to have near; left out where there is no pip here."""
    if find_spec("pip") is None:
        return
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--dest", str(folder), *example.requirements()]
    if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False).returncode:
        raise UsageError(
            "pip could not fetch the application's packages", "The demo needs a package registry."
        )
