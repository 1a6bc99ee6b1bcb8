"""What the lab needs from the machine: commands, packages, processes, mounts, one lock."""

import contextlib
import fcntl
import os
import re
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(os.environ.get("BACKSTAY_LAB", "/var/cache/backstay-lab"))
PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
"""Without /usr/local/bin, where a machine may have a Docker client of another age."""

_LOCK = Path("/run/backstay-lab.lock")
_POLICY = Path("/usr/sbin/policy-rc.d")
_POLICY_TEXT = "#!/bin/sh\n# backstay lab: packages start no services\nexit 101\n"


class LabError(Exception):
    """The lab cannot do what was asked; the text says why."""


def environment() -> dict[str, str]:
    """The lab's own environment: the caller's, with a plain PATH and nothing that points Docker elsewhere."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("DOCKER_", "COMPOSE_", "BUILDX_"))}
    return {**kept, "PATH": PATH, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}


def run(
    *argv: str | Path,
    check: bool = True,
    input: str | None = None,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    timeout: float = 900,
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return its output as text.

    `LabError` when it takes longer than `timeout` seconds, or fails and `check` is set; 127: no such command.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            input=input or "",
            capture_output=True,
            text=True,
            errors="replace",
            cwd=cwd,
            env={**environment(), **(env or {})},
            timeout=timeout,
        )
    except FileNotFoundError as error:
        done = subprocess.CompletedProcess(words, 127, "", str(error))
    except subprocess.TimeoutExpired as error:
        raise LabError(f"no end after {timeout:g} s: {' '.join(words)}") from error
    if check and done.returncode:
        tail = "\n".join((done.stdout + done.stderr).splitlines()[-25:])
        raise LabError(f"exit {done.returncode}: {' '.join(words)}\n{tail}")
    return done


def daemon(program: str, *argv: str | Path, log: Path) -> None:
    """Start a program in a session of its own, as nobody's child, its output appended to `log`.

    It may have ended again when this returns: the caller waits for what it wants from it.
    """
    words = [program, *map(str, argv)]
    with log.open("ab") as out:
        fork = ["setsid", "--fork", *words]
        subprocess.run(fork, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=environment(), check=True)
    with contextlib.suppress(LabError):
        wait_for(program, lambda: bool(find(Path(program).name, " ".join(words))), 2)


def wait_for(what: str, ready: Callable[[], bool], seconds: float = 60) -> None:
    """Ask `ready` until it says yes; `LabError` after `seconds`."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise LabError(f"{what}: not ready after {seconds:g} s")
        time.sleep(0.05)


def tail(log: Path, lines: int = 8) -> str:
    """The last lines of a log, or nothing when there is none."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""


# -- packages


def install(packages: Iterable[str], say: Callable[[str], None]) -> None:
    """Install the Debian packages that are missing, starting none of their services."""
    wanted = list(packages)
    known = run("dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *wanted, check=False).stdout
    missing = [name for name in wanted if f"{name} installed" not in known.splitlines()]
    if missing:
        say(f"installing {' '.join(missing)}")
        lock = ("-o", "DPkg::Lock::Timeout=300")
        with _no_services():
            run("dpkg", "--configure", "-a")
            run("apt-get", *lock, "update")
            run("apt-get", *lock, "install", "-y", "--no-install-recommends", *missing)


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    if not _POLICY.exists():
        _POLICY.write_text(_POLICY_TEXT)
        _POLICY.chmod(0o755)
    try:
        yield
    finally:
        drop_policy()


def drop_policy() -> None:
    """Take away the file that keeps services from starting, if it is the lab's."""
    if _POLICY.exists() and _POLICY.read_text() == _POLICY_TEXT:
        _POLICY.unlink()


def mirror() -> str:
    """The address of the Debian mirror that this machine's apt is set up with."""
    question = ("Created-By: Packages", "Origin: Debian", "Codename: bookworm", "Component: main")
    found = run("apt-get", "indextargets", "--format", "$(REPO_URI)", *question).stdout.split()
    if not found:
        raise LabError("apt has no Debian bookworm mirror, or its lists are empty: run apt-get update")
    return found[0]


# -- processes


@dataclass(frozen=True)
class Process:
    """A living process: its id, owner, program file's name and its arguments, joined by blanks."""

    pid: int
    uid: int
    program: str
    args: str


def processes() -> Iterator[Process]:
    """All living processes but this one; zombies are not among them."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):
                args = (
                    (folder / "cmdline")
                    .read_bytes()
                    .rstrip(b"\0")
                    .replace(b"\0", b" ")
                    .decode(errors="replace")
                )
                program = os.path.basename(os.readlink(folder / "exe")).removesuffix(" (deleted)")
                yield Process(int(folder.name), folder.stat().st_uid, program, args)


def find(program: str, mark: str) -> list[int]:
    """The ids of the processes of a program that have `mark` in their arguments."""
    return [p.pid for p in processes() if p.program == program and mark in p.args]


def end(pids: Iterable[int], *, kill: bool = False, grace: float = 20) -> None:
    """End processes by id and wait for each: SIGTERM, after `grace` seconds SIGKILL (at once with `kill`)."""
    handles = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            handles.append(os.pidfd_open(pid))
    for number, seconds in ((signal.SIGTERM, 0 if kill else grace), (signal.SIGKILL, 10)):
        if seconds:
            for handle in handles:
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, number)
            deadline = time.monotonic() + seconds
            handles = [h for h in handles if not _gone(h, max(0, deadline - time.monotonic()))]
    if handles:
        raise LabError(f"{len(handles)} process(es) survive SIGKILL")


def _gone(handle: int, seconds: float) -> bool:
    ready, _, _ = select.select([handle], [], [], seconds)
    if ready:
        os.close(handle)
    return bool(ready)


# -- files and sockets


def write(path: Path, text: str, mode: int = 0o644) -> None:
    """Write a file beside its place, then rename it into place; folders are made on the way."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.new")
    beside.touch(mode=mode)
    beside.chmod(mode)
    beside.write_text(text)
    beside.rename(path)


def unmount(folder: Path) -> None:
    """Unmount all that is mounted below a folder, the innermost first."""
    lines = Path("/proc/self/mountinfo").read_text().splitlines()
    points = [re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), line.split()[4]) for line in lines]
    for point in reversed(points):
        if folder in Path(point).parents:
            run("umount", "--lazy", point)


def remove(folder: Path) -> None:
    """Remove a folder and all in it, but never what is mounted there."""
    unmount(folder)
    run("rm", "-rf", "--one-file-system", "--", folder)


def free_port() -> int:
    """A loopback TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def locked() -> Iterator[None]:
    """One at a time changes the lab."""
    with _LOCK.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
