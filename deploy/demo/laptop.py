"""The demo's laptop: a home of its own, a developer's clone in it, and the real ``git`` and ``fab``."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

import deploy
from deploy.demo import example
from deploy.embedded import EmbeddedServer
from deploy.errors import UsageError

SETTINGS = """\
app    = "snapcheck"
host   = "demo"            # an alias in ~/.ssh/config
path   = "~/snapcheck"
engine = "venv"            # left out: Docker Compose

[venv]
workdir = "backend"        # where alembic.ini is
restart = "sh ~/restart.sh"
stop    = "sh ~/stop.sh"
logs    = "tail -n 5 ~/snapcheck.log"

[health]
url     = "http://127.0.0.1:{port}/health"
settle  = 1
timeout = "30s"
"""
FABFILE = "from deploy.tasks import namespace\n"
SSH_CONFIG = """\
Host demo
    HostName 127.0.0.1
    Port {server.port}
    User {server.user}
    IdentityFile "{server.client_key_path}"
    IdentitiesOnly yes
"""
_NOT_OURS = ("GIT_", "XDG_", "SSH_", "FABRIC_", "INVOKE_", "BACKSTAY_", "VIRTUAL_ENV", "PYTHONPATH")


class Laptop:
    """Works in ``work``. What it runs for the user to see goes to ``stdout``, the command first."""

    def __init__(self, home: Path, stdout: TextIO, environ: Mapping[str, str]) -> None:
        self.home, self.work = home, home / "snapcheck"
        self._stdout = stdout
        self._environ = _environment(home, environ)

    def prepare(self, server: EmbeddedServer, origin: Path, port: int) -> None:
        """Let ssh know the server; write the application with its settings, and push it to ``origin``."""
        ssh = self.home / ".ssh"
        ssh.mkdir(parents=True, mode=0o700)
        (ssh / "config").write_text(SSH_CONFIG.format(server=server))
        (ssh / "known_hosts").write_text(server.host_key_line + "\n")
        example.first_release(self.work)
        (self.work / "deploy.toml").write_text(SETTINGS.format(port=port))
        (self.work / "fabfile.py").write_text(FABFILE)
        self.quietly("git", "init", "--quiet", "--bare", str(origin))
        self.quietly("git", "init", "--quiet")
        self.quietly("git", "symbolic-ref", "HEAD", "refs/heads/main")
        self.quietly("git", "add", "--all")
        self.quietly("git", "commit", "--quiet", "-m", "First release")
        self.quietly("git", "remote", "add", "origin", str(origin))
        self.quietly("git", "push", "--quiet", "--set-upstream", "origin", "main")

    def release(self, message: str, change: Callable[[Path], None]) -> None:
        """A developer changes the application, commits and pushes."""
        change(self.work)
        self.quietly("git", "add", "--all")
        self._show(["git", "commit", "--quiet", "-m", message])
        self._show(["git", "push", "--quiet"])

    def fab(self, *words: str) -> int:
        """The real ``fab``; its exit code."""
        return self._show([sys.executable, "-m", "fabric", *words], shown=["fab", *words])

    def asked(self, *words: str) -> dict[str, Any]:
        """What a ``fab`` with --json answers in its last line."""
        said = self.quietly(sys.executable, "-m", "fabric", *words, "--json")
        answer: dict[str, Any] = json.loads(said.splitlines()[-1])
        return answer

    def quietly(self, *command: str) -> str:
        """The output of a command that is not shown; UsageError when it fails."""
        done = subprocess.run(
            command,
            cwd=self.work,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise UsageError(f"{shlex.join(command)} failed", done.stderr.strip())
        return done.stdout

    def tell(self, text: str) -> None:
        """One line on the screen."""
        self._stdout.write(f"{text}\n")
        self._stdout.flush()

    def _show(self, command: Sequence[str], shown: Sequence[str] = ()) -> int:
        """Run a command before the user's eyes; its exit code."""
        self.tell(f"$ {shlex.join(shown or command)}")
        # On a terminal it draws for itself.
        output = None if self._stdout.isatty() else subprocess.PIPE
        process = subprocess.Popen(
            command,
            cwd=self.work,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            text=True,
        )
        try:
            for line in process.stdout or ():
                self._stdout.write(line)
            return process.wait()
        finally:
            with deaf():
                process.terminate()
                process.wait()
            if process.stdout:
                process.stdout.close()


def _environment(home: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the user's own settings reaches the demo, and nothing of the demo the user's."""
    kept = {name: value for name, value in environ.items() if not name.startswith(_NOT_OURS)}
    git = {f"GIT_{who}_{what}": "demo" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    package = str(Path(deploy.__file__).resolve().parents[1])
    return {**kept, **git, "GIT_CONFIG_GLOBAL": os.devnull, "HOME": str(home), "PYTHONPATH": package}


@contextmanager
def deaf() -> Iterator[None]:
    """Without Ctrl-C and the like: it has been heard, and tidying up is not to be interrupted."""
    try:
        before = {each: signal.signal(each, signal.SIG_IGN) for each in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:
        # Not the main thread, which alone is interrupted.
        before = {}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
