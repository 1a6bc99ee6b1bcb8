"""A server for the runner: a home folder, a git checkout and a POSIX shell, all on this machine, no SSH."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from deploy import events, runner
from deploy.plan import Plan, Step

SHELLS = ("dash", "busybox", "bash")
#: With busybox as the shell, busybox is the rest of the system too, as on Alpine.
APPLETS = [
    "awk",
    "cat",
    "chmod",
    "cp",
    "cut",
    "date",
    "dd",
    "flock",
    "grep",
    "gzip",
    "head",
    "id",
    "ls",
    "mkdir",
    "mkfifo",
    "mktemp",
    "mv",
    "rm",
    "sed",
    "setsid",
    "sort",
    "sync",
    "tar",
    "touch",
    "tr",
    "wc",
]
QUICK = (
    ("enter.sh", "sleep 1", "sleep 0.1"),
    ("execute.sh", "sleep 1", "sleep 0.1"),
    ("enter.sh", " tail -c", f" {shutil.which('tail')} -c"),
)
LIMITS = {"output_limit": 200_000, "undo_timeout": 300}
_MARK = "BACKSTAY_BENCH"


def tool(name: str) -> str:
    """Where the real program is, for scripts whose PATH begins with a false one."""
    found = shutil.which(name)
    assert found, f"{name} is not installed"
    return found


def short_sleep(second: float) -> str:
    """A `sleep` that takes so many seconds for one."""
    return f'#!/bin/sh\n[ "$*" != 1 ] || set -- {second}\nexec {tool("sleep")} "$@"\n'


@cache
def applets() -> set[str]:
    """Those of the APPLETS that this busybox has."""
    listed = subprocess.run(["busybox", "--list"], capture_output=True, text=True, check=True).stdout
    return set(APPLETS) & set(listed.split())


@dataclass
class Bench:
    """``run`` sends a request as the SSH login shell would and returns the items that came back.

    ``quick``: what the scripts take for a second is a tenth of one, and busybox's `tail`, which looks once a
    second whether there is more, is not used. ``applets``: the rest of the system is busybox too.
    """

    root: Path
    shell: str = "dash"
    quick: bool = True
    applets: bool = False
    values: dict[str, str | int] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    path: str = ""
    number: int = 0
    stderr: str = ""

    def __post_init__(self) -> None:
        self.checkout = Path(self.path or self.root / "a checkout")
        self.home = self.root / "home"
        self.bin = self.root / "bin"
        self.state = self.home / ".local/state/backstay/shop"
        # A session that is killed leaves its unpacked kit.
        temporary = self.root / "kits"
        for folder in (self.checkout, self.home, self.bin, temporary):
            folder.mkdir(parents=True)
        (self.bin / "sh").symlink_to(tool(self.shell))
        if self.applets or self.shell == "busybox":
            for name in applets():
                (self.bin / name).symlink_to(tool("busybox"))
        path = f"{self.bin}:{os.environ['PATH']}"
        base = {"HOME": str(self.home), "PATH": path, "TMPDIR": str(temporary), _MARK: str(self.root)}
        self.environ = {**base, **self.environ}
        # What git takes for a repository, in no time.
        for folder in ("objects", "refs"):
            (self.checkout / ".git" / folder).mkdir(parents=True)
        (self.checkout / ".git/HEAD").write_text("ref: refs/heads/main\n")

    @property
    def lock(self) -> Path:
        return self.checkout / ".git/backstay.lock"

    def script(self, name: str, text: str) -> None:
        """A program that comes before the system's."""
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def settings(self, **more: str | int) -> dict[str, str | int]:
        self.number += 1
        base = {
            "app": "shop",
            "path": str(self.checkout),
            "state": "",
            "by": "ann@laptop",
            "version": "0",
            "kind": "deploy",
        }
        return {**base, "id": f"r{self.number:03}", **LIMITS, **self.values, **more}

    def start(
        self, verb: runner.Verb, *words: str, plan: Plan | None = None, **more: str | int
    ) -> subprocess.Popen[bytes]:
        kind = {"kind": plan.kind} if plan else {}
        return self.send(self.request(verb, words, self.settings(**kind, **more), plan))

    def request(
        self,
        verb: runner.Verb,
        words: Iterable[str],
        values: Mapping[str, str | int],
        plan: Plan | None = None,
    ) -> runner.Request:
        if not self.quick:
            return runner.request(verb, words, values, plan)
        kit = runner.contents(values, plan)
        for name, old, new in QUICK:
            assert old in kit[name]
            kit[name] = kit[name].replace(old, new)
        return runner.wrap(verb, words, runner.pack(kit))

    def send(
        self, request: runner.Request, login_shell: tuple[str, ...] = ("sh", "-c")
    ) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [*login_shell, request.command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environ,
            cwd=self.home,
            start_new_session=True,
        )
        assert process.stdin
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(request.stdin)
            process.stdin.flush()
        return process

    def run(
        self, verb: runner.Verb, *words: str, plan: Plan | None = None, **more: str | int
    ) -> list[events.Item]:
        return self.watch(self.start(verb, *words, plan=plan, **more))

    def deploy(self, *steps: Step | str, finish: str = "", **more: str | int) -> list[events.Item]:
        return self.run("deploy", plan=plan(steps, finish), **more)

    def rollback(self, to: str = "", *steps: Step) -> list[events.Item]:
        return self.run("rollback", to, plan=Plan("rollback", steps or (Step("check", "echo checking"),)))

    def watch(
        self, process: subprocess.Popen[bytes], until: Callable[[events.Item], bool] | None = None
    ) -> list[events.Item]:
        """All items until the end (or until an item is as wanted), as the laptop reads them."""
        assert process.stdout
        decoder, items = events.Decoder(greeting=True), list[events.Item]()
        enough = until or _is_end
        while data := os.read(process.stdout.fileno(), 65536):
            items += decoder.feed(data)
            if any(enough(item) for item in items):
                break
        self.leave(process)
        return items

    def leave(self, process: subprocess.Popen[bytes]) -> None:
        """The laptop hangs up."""
        assert process.stdin
        assert process.stdout
        assert process.stderr
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.close()
        self.stderr = process.stderr.read().decode()
        process.stderr.close()
        process.wait(timeout=10)

    def release(self, number: int = 0) -> Path:
        return self.state / "releases" / f"r{number or self.number:03}"

    def journal(self, number: int = 0) -> list[events.Item]:
        decoder = events.Decoder()
        return decoder.feed((self.release(number) / "journal").read_bytes()) + decoder.finish()

    def outcome(self, number: int = 0) -> str:
        file = self.release(number) / "outcome"
        return file.read_text().strip() if file.exists() else ""

    def record(self, name: str) -> str:
        file = self.state / name
        return file.read_text().strip() if file.exists() else ""

    def lines(self, name: str = "trace") -> list[str]:
        file = self.home / name
        return file.read_text().splitlines() if file.exists() else []

    def runner_pid(self, number: int = 0) -> int:
        """The runner's own process: the leader of its session."""
        name = str(self.release(number) / "runner.sh")
        found = [pid for pid, words in self.processes().items() if name in words and session_of(pid) == pid]
        assert len(found) == 1, self.processes()
        return found[0]

    def processes(self) -> dict[int, list[str]]:
        """What this bench has started and is still alive, by process id."""
        mark = f"{_MARK}={self.root}".encode()
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    found[int(folder.name)] = (folder / "cmdline").read_bytes().decode().split("\0")
        return found

    def kill_all(self) -> None:
        """As when the power fails."""
        while left := self.processes():
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    def wait_for(self, name: str, timeout: float = 10) -> None:
        """Until that file is in the home folder."""
        wait_until(lambda: (self.home / name).exists(), timeout, lambda: f"no {name}: {self.processes()}")

    def wait_quiet(self, timeout: float = 10) -> None:
        """Until nothing that this bench started is alive."""
        wait_until(lambda: not self.processes(), timeout, lambda: str(self.processes()))


def wait_until(true: Callable[[], object], timeout: float = 10, words: Callable[[], str] = str) -> None:
    until = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < until, words()
        time.sleep(0.01)


def session_of(pid: int) -> int:
    """The session of a process; 0 when it is gone."""
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return 0


@contextlib.contextmanager
def bench(root: Path, shell: str = "dash", **more: object) -> Iterator[Bench]:
    """A bench, at whose end nothing is left running; what has to be killed is a failure."""
    made = Bench(root, shell, **more)  # type: ignore[arg-type]
    try:
        yield made
        made.wait_quiet()
    finally:
        made.kill_all()


def _is_end(item: events.Item) -> bool:
    return isinstance(item, events.Event) and item.name in {"end", "lost", "busy", "refuse", "answer"}


def plan(steps: Iterable[Step | str], finish: str = "", files: Mapping[str, str] | None = None) -> Plan:
    """A plan; a step given by name alone traces its do and its undo."""
    return Plan("deploy", tuple(s if isinstance(s, Step) else step(s) for s in steps), files or {}, finish)


def step(name: str, do: str = "", undo: str = "", timeout: int = 200) -> Step:
    """A step that traces its do and its undo, and does what else is said."""
    return Step(
        name, f"echo do {name} | tee -a ~/trace\n{do}", f"echo undo {name} | tee -a ~/trace\n{undo}", timeout
    )


def ended(items: list[events.Item]) -> tuple[str, int]:
    """The outcome and the exit code of the last word."""
    last = items[-1]
    assert isinstance(last, events.Event), items
    return (
        (last.text("outcome"), last.number("exit"))
        if last.name == "end"
        else (last.name, last.number("exit"))
    )


def said(items: list[events.Item], name: str) -> list[events.Event]:
    """The events of that name."""
    return [item for item in items if isinstance(item, events.Event) and item.name == name]


def output(items: list[events.Item]) -> list[str]:
    return [item.line for item in items if isinstance(item, events.Output)]
