"""The faults: small named values. ``before`` is done before a deployment begins, and undone by the stack that
it gets; ``strike`` is done at the chosen moment."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.apps.migrations import Migration
from tests.apps.tree import Change
from tests.chaos import app
from tests.chaos.client import Client, wait_until
from tests.chaos.world import World
from tests.lab.proxy import Way

ALL = ("check", "pull", "migrate", "build", "restart")


@dataclass
class Scene:
    """What a fault acts on: one deployment that is under way."""

    world: World
    rng: random.Random
    client: Client
    #: Starts one more such deployment.
    deploy: Callable[[], Client]
    others: list[Client] = field(default_factory=list)
    #: What was done, for the report.
    notes: list[str] = field(default_factory=list)
    #: What has to be put right before anybody can go on, after a clear stop.
    repairs: list[Callable[[], None]] = field(default_factory=list)


def nothing(_scene: Scene) -> None:
    """Strikes nobody."""


@dataclass(frozen=True)
class Fault:
    """``steps``: at which steps it strikes. ``kind``: of what release, when it is of one kind alone.
    ``stops``: whether a clear stop (exit code 3, and all is well after a repair) is right too.
    ``plain``: whether a plain script can meet it, which has neither a runner nor records."""

    name: str
    strike: Callable[[Scene], None] = nothing
    before: Callable[[World, random.Random, ExitStack], None] | None = None
    steps: tuple[str, ...] = ALL
    kind: str = ""
    change: Callable[[random.Random], Change] | None = None
    migrations: tuple[Migration, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    stops: bool = False
    root: bool = False
    #: Which world it is of.
    world: str = "fast"
    weight: int = 2
    plain: bool = True
    #: Whether it takes long, so that it had better begin early.
    slow: bool = False


def signals(number: int, times: int = 1) -> Callable[[Scene], None]:
    """The client gets a signal, maybe more than once."""

    def strike(scene: Scene) -> None:
        for _ in range(times):
            scene.client.signal(number)
            time.sleep(scene.rng.uniform(0.2, 0.8))

    return strike


def killed(pid: int | None, number: int = signal.SIGKILL) -> None:
    """Send a process a signal, if there is one."""
    if pid:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def runner(number: int) -> Callable[[Scene], None]:
    """The runner gets a signal."""
    return lambda scene: killed(scene.world.runner(), number)


def step(scene: Scene) -> None:
    """All processes of the step's session are killed; a plain script's session is its step."""
    found = scene.world.release_processes()
    steps = [p for p, words in found.items() if words.rstrip().endswith(("/do", "/undo")) and "exit" in words]
    for pid in steps or (found if not scene.world.runner() else ()):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)


def one(scene: Scene) -> None:
    """One process of the release, whichever it is."""
    found = scene.world.release_processes()
    if found:
        pid = scene.rng.choice(sorted(found))
        scene.notes.append(f"killed {found[pid][:200]}")
        killed(pid)


def machine(scene: Scene) -> None:
    """The machine is reset: all processes are killed at once, and the line with them."""
    scene.world.reset()


def session(scene: Scene) -> None:
    """What sshd started for the client is killed; the release is none of that."""
    world = scene.world
    releases = set(world.release_processes()) if world.runner() else set()
    for pid in set(world.processes()) - releases:
        killed(pid)


def restart_sshd(scene: Scene) -> None:
    """sshd is gone for two seconds, and all connections with it."""
    server = scene.world.server
    server.refuse_new()
    server.drop_connections()
    time.sleep(2)
    server.refuse_new(False)


def logind(scene: Scene) -> None:
    """KillUserProcesses=yes: the client is gone, and all of the user's processes end with the session."""
    scene.client.signal(signal.SIGKILL)
    scene.world.kill_all()


def cut(how: str, times: int = 1) -> Callable[[Scene], None]:
    """The line is cut, maybe again and again."""

    def strike(scene: Scene) -> None:
        for _ in range(times):
            scene.world.line.cut(how)  # type: ignore[arg-type]
            time.sleep(scene.rng.uniform(0.1, 2.5) if times > 1 else 0)

    return strike


def stall(seconds: float) -> Callable[[Scene], None]:
    """The line says nothing for so long."""

    def strike(scene: Scene) -> None:
        scene.world.line.stall()
        wait_until(lambda: not scene.client.alive, seconds, 0.1)
        scene.world.line.resume()

    return strike


def slow(delay: float) -> Callable[[World, random.Random, ExitStack], None]:
    """Every byte takes so many seconds, each way."""

    def before(world: World, _rng: random.Random, stack: ExitStack) -> None:
        world.line.up = world.line.down = Way(delay=delay)
        stack.callback(lambda: (setattr(world.line, "up", Way()), setattr(world.line, "down", Way())))

    return before


def cut_upload(world: World, rng: random.Random, stack: ExitStack) -> None:
    """The line is cut when so many bytes have gone up: in the handshake, the upload or soon after it. It is
    sound again after some seconds."""
    world.line.up = Way(cut_after=rng.randint(1500, 30000))
    sound = threading.Timer(rng.uniform(1, 4), lambda: setattr(world.line, "up", Way()))
    sound.start()
    stack.callback(sound.join)


def cancel(scene: Scene) -> None:
    """``fab cancel``, from elsewhere."""
    scene.others.append(scene.world.fab("cancel", "--json"))


def others(count: int) -> Callable[[Scene], None]:
    """So many more want to deploy at once."""

    def strike(scene: Scene) -> None:
        scene.others += [scene.deploy() for _ in range(count)]

    return strike


def at_once(scene: Scene) -> None:
    """The runner is killed, and the next deployment comes before its step has ended."""
    killed(scene.world.runner())
    scene.others.append(scene.deploy())


def twice(scene: Scene) -> None:
    """The runner is killed, and that of the recovery too, somewhere in it."""
    killed(scene.world.runner())
    scene.client.wait(60)
    recovery = scene.world.fab("recover", "--json")
    wait_until(lambda: bool(scene.world.runner()) or not recovery.alive, 20)
    time.sleep(scene.rng.uniform(0, 3))
    if scene.rng.random() < 0.5:
        scene.world.kill_all()
    else:
        killed(scene.world.runner())
    recovery.wait(60)


def reset_twice(scene: Scene) -> None:
    """The machine is reset, and once more during the recovery."""
    machine(scene)
    twice(scene)


def fill(world: World) -> Callable[[], None]:
    """The disk of the records is full; gives what makes room again."""
    ballast = world.disk / "ballast"
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        # What others write meanwhile makes a single one too large; the rest goes in small pieces.
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(world.disk).free - 1_000_000)
        file.seek(0, os.SEEK_END)
        while True:
            file.write(bytes(4096))
    return lambda: ballast.unlink(missing_ok=True)


def disk_full(scene: Scene) -> None:
    """The disk of the records gets full, until the client has ended."""
    empty = fill(scene.world)
    with contextlib.suppress(TimeoutError):
        scene.client.wait(60)
    empty()


def full_before(world: World, _rng: random.Random, stack: ExitStack) -> None:
    """The disk of the records is full from the start."""
    stack.callback(fill(world))


def remounted(option: str) -> Callable[[World, random.Random, ExitStack], None]:
    """The disk of the records is read-only, or forbids programs."""

    def before(world: World, _rng: random.Random, stack: ExitStack) -> None:
        back = {"ro": "rw", "noexec": "exec"}[option]
        subprocess.run(["mount", "-o", f"remount,{option}", str(world.disk)], check=True)
        stack.callback(subprocess.run, ["mount", "-o", f"remount,{back}", str(world.disk)], check=True)

    return before


def clock(world: World, _rng: random.Random, stack: ExitStack) -> None:
    """The server's clock jumps by days with every look, into the past and the future; its zone is odd."""
    date = shutil.which("date")
    jump = f'exec env TZ=Pacific/Kiritimati {date} -d "@$(($({date} +%s) + ($$ % 7 - 3) * 86400))" "$@"'
    world.script("date", f"#!/bin/sh\n{jump}\n")
    stack.callback((world.bin / "date").unlink)


def without(*names: str) -> Callable[[World, random.Random, ExitStack], None]:
    """The server lacks one of these programs."""

    def before(world: World, rng: random.Random, stack: ExitStack) -> None:
        name, farm = rng.choice(names), world.root / f"farm{world.calls}"
        farm.mkdir()
        for folder in reversed(os.environ["PATH"].split(os.pathsep)):
            for program in Path(folder).iterdir() if Path(folder).is_dir() else ():
                if program.name != name:
                    link = farm / program.name
                    link.unlink(missing_ok=True)
                    link.symlink_to(program)
        world.open(path=[farm])
        stack.callback(world.open)

    return before


def shells(world: World, rng: random.Random, stack: ExitStack) -> None:
    """The login shell is another one, or prints a banner, or both."""
    names = [name for name in ("fish", "tcsh", "bash", "dash") if shutil.which(name)]
    shell = world.script("login", f'#!/bin/sh\necho Welcome to this server\nexec {rng.choice(names)} "$@"\n')
    world.open(shell=str(shell))
    stack.callback(world.open)


def failing(times: int) -> Callable[[World, random.Random, ExitStack], None]:
    """The service manager fails so often after the new release was started: the undo of the restart fails."""

    def before(world: World, _rng: random.Random, stack: ExitStack) -> None:
        stack.callback(setattr, world.manager, "failing", 0)

    return before


def fail_undo(times: int) -> Callable[[Scene], None]:
    """The undo of the restart fails so often."""
    return lambda scene: setattr(scene.world.manager, "failing", times)


def torn(scene: Scene) -> None:
    """The machine is reset, and records of the release are torn or gone afterwards."""
    machine(scene)
    scene.world.quiet()
    name = scene.world.record("unfinished")
    folder = scene.world.state / "releases" / name
    if not name or not folder.is_dir():
        return
    kept = scene.world.root / "kept"
    shutil.copytree(folder, kept, symlinks=True, ignore=shutil.ignore_patterns("pipe", "gate"))

    def repair() -> None:
        shutil.rmtree(folder)
        shutil.move(kept, folder)

    scene.repairs.append(repair)
    scene.notes.append(f"torn: {tear(scene.rng, folder)}")


def tear(rng: random.Random, folder: Path) -> str:
    """Do one kind of damage to a release's records; says which."""
    facts = sorted(f for f in folder.glob("facts/*") if f.is_file())
    damage = rng.choice(("journal", "outcome", "facts", "fact", "empty", "values", "steps", "undo"))
    if damage == "journal":
        size = (folder / "journal").stat().st_size
        os.truncate(folder / "journal", rng.randint(0, size))
    elif damage == "outcome":
        (folder / "outcome").write_text("")
    elif damage in ("facts", "steps"):
        shutil.rmtree(folder / damage)
    elif damage == "values":
        os.truncate(folder / "values.sh", rng.randint(0, (folder / "values.sh").stat().st_size))
    elif damage == "undo":
        file = rng.choice([f for f in sorted(folder.glob("steps/*/undo")) if f.stat().st_size])
        os.truncate(file, rng.randint(1, file.stat().st_size))
    elif facts:
        file = rng.choice(facts)
        if damage == "fact":
            file.unlink()
        else:
            file.write_text("")
        return f"{damage} {file.name}"
    return damage


def hangs(_rng: random.Random) -> Change:
    """The installation never ends."""
    return app.build("\ntime.sleep(1000)\n")


def floods(_rng: random.Random) -> Change:
    """The installation writes 12 MB, of which the journal keeps four."""
    return app.build('\nfor _ in range(120):\n    print(("x" * 999 + "\\n") * 100)\n')


FAULTS = (
    Fault("none", weight=1),
    Fault("client killed", signals(signal.SIGKILL), weight=3),
    Fault("client SIGTERM", signals(signal.SIGTERM), weight=1),
    Fault("client SIGHUP", signals(signal.SIGHUP), weight=1),
    Fault("Ctrl-C once", signals(signal.SIGINT)),
    Fault("Ctrl-C twice", signals(signal.SIGINT, 2), weight=1),
    Fault("Ctrl-C three times", signals(signal.SIGINT, 3), weight=1),
    Fault("fab cancel", cancel, plain=False),
    Fault("runner killed", runner(signal.SIGKILL), weight=4, plain=False),
    Fault("runner SIGTERM", runner(signal.SIGTERM), weight=1, plain=False),
    Fault("runner SIGHUP", runner(signal.SIGHUP), weight=1, plain=False),
    Fault("runner killed, and its recovery", twice, weight=3, plain=False),
    Fault("runner killed, next deployment at once", at_once, weight=2, plain=False),
    Fault("step killed", step, weight=3),
    Fault("one process killed", one, weight=4),
    Fault("step hangs", change=hangs, settings=(("build_timeout", "3s"),), weight=1),
    Fault("step floods", change=floods, weight=1),
    Fault("machine reset", machine, weight=4),
    Fault("machine reset, and in its recovery", reset_twice, weight=2, plain=False),
    Fault("session killed", session, weight=2),
    Fault("sshd restarted", restart_sshd, weight=2),
    Fault("KillUserProcesses=yes", logind, weight=1),
    Fault("line reset", cut("rst"), weight=3),
    Fault("line closed", cut("fin"), weight=1),
    Fault("line reset four times", cut("rst", 4), weight=1),
    Fault("line reset in the upload", before=cut_upload, weight=2),
    Fault("line silent for 3 s", stall(3), weight=2),
    Fault("line silent for 40 s", stall(40), weight=1, slow=True),
    Fault("line of 150 ms", before=slow(0.15), weight=1),
    Fault("line of 1 s", before=slow(1.0), weight=1),
    Fault("disk full in a step", disk_full, root=True, weight=3, plain=False),
    Fault("disk full before", before=full_before, root=True, weight=1, plain=False),
    Fault("state folder read-only", before=remounted("ro"), root=True, weight=1, plain=False),
    Fault("state folder noexec", before=remounted("noexec"), root=True, weight=1, plain=False),
    Fault(
        "undo fails once",
        fail_undo(1),
        kind="bad",
        steps=("restart",),
        before=failing(1),
        weight=1,
        plain=False,
    ),
    Fault(
        "undo fails", fail_undo(9), kind="bad", steps=("restart",), before=failing(9), weight=2, plain=False
    ),
    Fault("two at once", others(1), weight=1),
    Fault("ten at once", others(9), weight=1, slow=True),
    Fault("clock jumps", before=clock, weight=1),
    Fault("a program is missing", before=without("flock", "setsid", "git", "mkfifo"), weight=1),
    Fault("another login shell, a banner", before=shells, weight=1),
    Fault("records torn", torn, stops=True, weight=3, plain=False),
)
