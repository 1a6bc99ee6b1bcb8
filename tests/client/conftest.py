"""A laptop with `fab`, and a server inside the process whose steps are scripts that a test writes."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded import EmbeddedServer

STEPS = ("check", "pull", "migrate", "build", "restart")
FABFILE = '''
from deploy.engines import ENGINES
from deploy.tasks import namespace

STEPS = @STEPS@
RUN = """
. ./values.sh
. ./lib.sh
export journal
[ ! -e "$path/%s" ] || . "$path/%s"
"""


class Scripted:
    """Each step runs a script of the checkout, where there is one; each undo too."""

    name = "compose"

    def scripts(self):
        do = {f"{step}.do.sh": RUN % (f"{step}.do", f"{step}.do") for step in STEPS}
        undo = {f"{step}.undo.sh": RUN % (f"{step}.undo", f"{step}.undo") for step in STEPS[1:]}
        rollback = {"rollback.do.sh": "exit 0"}
        return {**do, **undo, **rollback, "finish.sh": "", "status.sh": "", "logs.sh": '. "$path/logs"',
                "plan.sh": '. "$path/plan"'}

    def values(self, target):
        return {"services": "backend"}


ENGINES["compose"] = Scripted()
'''.replace("@STEPS@", repr(STEPS))


@dataclass
class Laptop:
    """``fab`` as a user calls it, in a folder with settings and an empty home."""

    folder: Path
    server: EmbeddedServer
    checkout: Path
    home: Path

    @property
    def environ(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("LANG", "TMPDIR") if name in os.environ}
        path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        return {**kept, "PATH": path, "HOME": str(self.home), "TERM": "dumb"}

    def write(self, name: str, script: str) -> None:
        """A step's script on the server: ``pull.do``, ``pull.undo``, ``logs``."""
        (self.checkout / name).write_text(script + "\n")

    def start(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["fab", *words],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def fab(self, *words: str, timeout: float = 60) -> Done:
        return finish(self.start(*words), timeout)

    def type(self, *words: str, answer: str) -> tuple[int, str]:
        """At a terminal, where somebody types one line; the exit code and all that was shown."""
        far, near = pty.openpty()
        process = subprocess.Popen(
            ["fab", *words], cwd=self.folder, env=self.environ, stdin=near, stdout=near, stderr=near
        )
        os.close(near)
        os.write(far, f"{answer}\n".encode())
        shown = b""
        with contextlib.suppress(OSError):
            while data := os.read(far, 4096):
                shown += data
        os.close(far)
        return process.wait(60), shown.decode()

    def result(self, *words: str) -> tuple[int, dict[str, Any]]:
        """Exit code and the result object of a ``--json`` call; every line must be an object."""
        done = self.fab(*words, "--json")
        objects = [json.loads(line) for line in done.out.splitlines()]
        assert objects, done
        assert objects[-1]["event"] == "result"
        assert objects[-1]["exit_code"] == done.code
        return done.code, objects[-1]

    def wait_for(self, name: str, seconds: float = 20) -> None:
        """Until a step's script has made that file in the checkout."""
        end = time.monotonic() + seconds
        while not (self.checkout / name).exists():
            assert time.monotonic() < end, f"{name} never came"
            time.sleep(0.02)


@dataclass
class Done:
    code: int
    out: str
    err: str


def finish(process: subprocess.Popen[str], timeout: float = 60) -> Done:
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        out, err = process.communicate()
        pytest.fail(f"fab did not end: {out}{err}")
    return Done(process.returncode, out, err)


@pytest.fixture
def laptop(tmp_path: Path) -> Iterator[Laptop]:
    folder, checkout, home = tmp_path / "laptop", tmp_path / "a checkout", tmp_path / "home"
    for each in (folder, checkout, home, tmp_path / "there"):
        each.mkdir()
    subprocess.run(["git", "init", "-q", str(checkout)], check=True)
    with EmbeddedServer(home=tmp_path / "there", path=os.environ["PATH"].split(os.pathsep)) as server:
        (folder / "fabfile.py").write_text(FABFILE)
        (folder / "deploy.toml").write_text(
            f'app = "shop"\nhost = "127.0.0.1:{server.port}"\npath = "{checkout}"\n'
            f'identity = "{server.client_key_path}"\nknown_hosts = "{server.known_hosts_path}"\n'
        )
        yield Laptop(folder, server, checkout, home)
