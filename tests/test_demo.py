"""The demo: it tells its story to the end, on a machine with no more than macOS has, and leaves nothing."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.demo import example, main, story

ROOT = Path(__file__).parents[1]
# Neither flock nor setsid, nor curl.
TOOLS = """
awk basename cat chmod cp cut date dd df dirname env git grep gzip head hostname id ln ls mkdir mkfifo mktemp
mv readlink rm sed sh sleep sort ssh sync tail tar touch tr uname uniq wc xargs
"""


class Machine:
    """A home, a temporary folder and a PATH of few tools, busybox's where it has them."""

    def __init__(self, root: Path) -> None:
        self.home, self.temporary, self.bin = root / "home", root / "tmp", root / "bin"
        for folder in (self.home, self.temporary, self.bin):
            folder.mkdir()
        busybox = shutil.which("busybox")
        applets = (
            subprocess.run(["busybox", "--list"], capture_output=True, text=True).stdout.split()
            if busybox
            else []
        )
        for name in TOOLS.split():
            real = shutil.which(name)
            assert real, f"{name} is not installed"
            (self.bin / name).symlink_to(busybox if busybox and name in applets else real)
        kept = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
        self.environ = {
            **kept,
            "HOME": str(self.home),
            "TMPDIR": str(self.temporary),
            "PATH": str(self.bin),
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    @contextlib.contextmanager
    def demo(self) -> Iterator[subprocess.Popen[str]]:
        """``python -m deploy.demo`` in a process group of its own, as a terminal starts it."""
        command = [sys.executable, "-m", "deploy.demo"]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            assert process.stdout
            process.stdout.close()
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def processes(self) -> list[int]:
        """What was started here and is still alive: on the server, too, TMPDIR is this machine's."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if f"TMPDIR={self.temporary}".encode() in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
        return found

    def assert_nothing_left(self) -> None:
        until = time.monotonic() + 5
        while self.processes() and time.monotonic() < until:
            time.sleep(0.05)
        assert self.processes() == []
        assert list(self.temporary.iterdir()) == []
        assert [path for path in self.home.rglob("*") if path.is_file() and ".cache" not in path.parts] == []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.mark.timeout(600)
def test_the_story_is_true_and_leaves_nothing(machine: Machine) -> None:
    with machine.demo() as process:
        text, _ = process.communicate(timeout=580)
        assert process.returncode == 0, text
        machine.assert_nothing_left()
    commands = [line for line in text.splitlines() if line.startswith("$ fab")]
    deploys = ["$ fab deploy --yes --no-logs"] * 3
    assert commands == [*deploys, "$ fab rollback --yes", "$ fab status", "$ fab history"]
    assert text.count("The server is exactly as it was") == 1
    assert "ann@example.org" in text


@pytest.mark.timeout(300)
@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_leaves_nothing(machine: Machine, asked: signal.Signals) -> None:
    with machine.demo() as process:
        assert process.stdout
        seen = []
        for line in process.stdout:
            seen.append(line)
            if "build: begin" in line:
                break
        assert process.poll() is None, "".join(seen)
        # Ctrl-C reaches all that the terminal has started, kill the demo alone.
        if asked is signal.SIGINT:
            os.killpg(process.pid, asked)
        else:
            process.send_signal(asked)
        rest, _ = process.communicate(timeout=120)
        assert process.returncode == 130, rest
        assert "Stopped; nothing is left of it." in rest
        machine.assert_nothing_left()


def test_a_claim_that_is_not_so_is_an_error(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "_first", lambda stage: story._expect("two users are there", 1, 2))
    monkeypatch.setattr("tempfile.tempdir", str(machine.temporary))
    out = io.StringIO()
    assert main(out, {**machine.environ}) == 1
    assert "This is not what was promised: two users are there: 1, not 2" in out.getvalue()
    assert list(machine.temporary.iterdir()) == []


def test_without_git_it_says_so(tmp_path: Path) -> None:
    out = io.StringIO()
    assert main(out, {"PATH": str(tmp_path)}) == 2
    assert "the demo needs git" in out.getvalue()


def test_the_releases_are_changes_of_the_example(tmp_path: Path) -> None:
    example.first_release(tmp_path)
    first = {path: path.read_text() for path in tmp_path.rglob("*.py")}
    assert "psycopg" not in (tmp_path / "requirements.txt").read_text()
    example.avatar_release(tmp_path)
    example.broken_release(tmp_path)
    for path in tmp_path.rglob("*.py"):
        compile(path.read_text(), path, "exec")
    assert {path for path in tmp_path.rglob("*.py") if path.read_text() != first.get(path)} == {
        tmp_path / "backend" / name
        for name in (
            "main.py",
            "models.py",
            "migrations/versions/003_avatar_url.py",
            "migrations/versions/004_likes.py",
        )
    }
