"""The lab's own faults: of the Docker daemon, the database, containers and migrations."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace

from tests.apps import breakages, migrations
from tests.apps.tree import Change
from tests.chaos import faults
from tests.chaos.client import wait_until
from tests.chaos.faults import Fault, Scene, killed
from tests.chaos.lab import LabWorld
from tests.lab import engine

ACTS = ("migrate", "build", "restart")


def daemon(kill: bool, away: tuple[float, float]) -> Callable[[Scene], None]:
    """The Docker daemon is stopped or killed, and comes back after so many seconds.

    One that was killed may keep ports of containers that are gone, so that nothing starts on them until it is
    restarted (https://github.com/moby/moby/issues/20486): that has to be said.
    """

    def strike(scene: Scene) -> None:
        docker = scene.world.lab.docker
        docker.stop(kill=kill)
        time.sleep(scene.rng.uniform(*away))
        docker.start()
        if kill:
            scene.repairs.append(docker.restart)

    return strike


def restart_sshd(scene: Scene) -> None:
    """sshd is gone for some seconds, and all connections with it."""
    ssh = scene.world.lab.ssh
    ssh.stop()
    ssh.drop()
    time.sleep(scene.rng.uniform(0, 3))
    ssh.start()


def unreachable(scene: Scene) -> None:
    """The Docker daemon does not answer for some seconds; what runs goes on."""
    socket = scene.world.socket
    socket.unlink()
    wait_until(lambda: not scene.client.alive, scene.rng.uniform(0, 8), 0.1)
    socket.symlink_to(engine.SOCKET)


def out_of_reach(scene: Scene) -> None:
    """The Docker daemon does not answer to the end; what runs goes on."""
    scene.world.socket.unlink()
    try:
        no_way(scene)
    finally:
        scene.world.socket.symlink_to(engine.SOCKET)


def daemon_away(scene: Scene) -> None:
    """The Docker daemon stays away until all has ended; what cannot be done without it is said."""
    docker = scene.world.lab.docker
    docker.stop(kill=scene.rng.random() < 0.5)
    try:
        no_way(scene)
    finally:
        docker.start()


def no_way(scene: Scene) -> None:
    """Without the daemon nothing can be undone: that is said, and nothing is made worse."""
    world = scene.world
    scene.client.wait(250)
    world.quiet()
    if world.record("unfinished"):
        recovery = world.fab("recover")
        code = recovery.wait()
        scene.notes.append(f"without the daemon: recover, exit {code}")
        if code != 3 or "docker on the server does not answer" not in recovery.told:
            raise AssertionError(recovery.told)


def container(world: LabWorld, service: str) -> str:
    """The service's container; empty when there is none."""
    return world.lab.state.container_of(world.site.project, service) or ""


def database(*words: str) -> Callable[[Scene], None]:
    """Something is done to the database's container."""

    def strike(scene: Scene) -> None:
        engine.docker(*words, container(scene.world, scene.world.site.database), check=False)

    return strike


def database_stopped(scene: Scene) -> None:
    """The database is stopped; somebody starts it when all has ended, if it is not up by then."""
    name = container(scene.world, scene.world.site.database)
    engine.docker("stop", "-t", "5", name, check=False)
    with contextlib.suppress(TimeoutError):
        scene.client.wait(200)
    engine.docker("start", name, check=False)


def main_process(service: str) -> Callable[[Scene], None]:
    """The first process of the service's container is killed, as for want of memory."""

    def strike(scene: Scene) -> None:
        world = scene.world
        name = container(world, service)
        killed(int(engine.docker("inspect", "-f", "{{.State.Pid}}", name, check=False) or 0))

    return strike


def compose_client(scene: Scene) -> None:
    """What runs the migration's container for us is killed; the container lives on."""
    for pid, words in scene.world.release_processes().items():
        if " run " in words and "-migrate" in words:
            scene.notes.append(f"killed {words[:120]}")
            killed(pid)


def in_container(strike: Callable[[Scene], None]) -> Callable[[Scene], None]:
    """The same, while the migration's container is there for certain."""

    def later(scene: Scene) -> None:
        wait_until(lambda: scene.world.strays() or not scene.client.alive, 60, 0.05)
        time.sleep(scene.rng.uniform(0, 3))
        strike(scene)

    return later


def all_at_once(scene: Scene) -> None:
    """All of the release is killed, but a migration's container; the next one may come."""
    scene.world.kill_all()
    if scene.rng.random() < 0.5:
        scene.others.append(scene.world.fab("deploy", "--yes", "--json"))


def locked(mode: str) -> Callable[[LabWorld, random.Random, ExitStack], None]:
    """Somebody's open transaction holds a table that the migration wants to change."""

    def before(world: LabWorld, _rng: random.Random, stack: ExitStack) -> None:
        words = ("psql", "-qU", "snapcheck", "-c")
        text = f"BEGIN; LOCK TABLE comments IN {mode} MODE; SELECT pg_sleep(600)"
        name = container(world, world.site.database)
        process = subprocess.Popen([engine.DOCKER, "exec", name, *words, text], stdout=subprocess.DEVNULL)
        stack.callback(process.wait)
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'BEGIN; LOCK%'"
        stack.callback(world.site.sql, end)
        held = "SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE 'BEGIN; LOCK%'"
        world.site.wait(lambda: world.site.sql(held), 30, "the lock")

    return before


def each_alone(world: LabWorld, _rng: random.Random, stack: ExitStack) -> None:
    """Each revision has a transaction of its own."""
    env = world.checkout / ".env"
    usual = env.read_text()
    env.write_text(usual + "ALEMBIC_TRANSACTION_PER_MIGRATION=1\n")
    stack.callback(env.write_text, usual)


def never_healthy(_rng: random.Random) -> Change:
    """The application is up, and does not listen in time."""
    return breakages.slow_start(60)


def dies(rng: random.Random) -> Change:
    """The application is healthy, and ends soon afterwards."""
    seconds = rng.uniform(0.5, 4)
    return lambda tree: breakages.crash_later(tree, seconds)


def full(_rng: random.Random) -> Change:
    """The build finds the disk full."""
    return lambda tree: breakages.append(tree.image, "RUN echo x >/dev/full\n")


WIDER = replace(
    migrations.AVATAR_URL,
    slug="wider",
    upgrade='op.add_column("comments", sa.Column("lang", sa.String()))',
    downgrade='op.drop_column("comments", "lang")',
    models=None,
)
SLEEPS = replace(migrations.sleeping(4, table="naps"), models=None)
DREAMS = replace(migrations.sleeping(4, in_database=True, table="dreams"), models=None)

#: Those of the fast world that mean something else, or more, where there are containers.
SHARED = {
    "client killed": 1,
    "Ctrl-C once": 2,
    "fab cancel": 1,
    "runner killed": 3,
    "runner killed, and its recovery": 3,
    "runner killed, next deployment at once": 2,
    "step killed": 3,
    "one process killed": 4,
    "disk full in a step": 2,
    "disk full before": 1,
    "two at once": 1,
}

OWN = (
    Fault("daemon restarted", daemon(False, (0, 1)), steps=ACTS, weight=3),
    Fault("daemon killed", daemon(True, (0, 4)), steps=ACTS, stops=True, weight=3),
    Fault("daemon away to the end", daemon_away, steps=ACTS, weight=2),
    Fault("daemon does not answer for a while", unreachable, steps=ACTS, weight=3),
    Fault("daemon does not answer to the end", out_of_reach, steps=ACTS, weight=2),
    Fault("sshd restarted", restart_sshd, weight=2),
    Fault("machine reset", faults.machine, weight=3),
    Fault("machine reset, and in its recovery", faults.reset_twice, weight=1),
    Fault("database restarted", database("restart", "-t", "5"), steps=ACTS, weight=2),
    Fault("database killed", main_process("db"), steps=ACTS, weight=2),
    Fault("database stopped", database_stopped, steps=("migrate",), weight=2),
    Fault("a lock in the migration's way", before=locked("ROW EXCLUSIVE"), migrations=(WIDER,), weight=1),
    Fault("a table is locked", before=locked("ACCESS EXCLUSIVE"), migrations=(WIDER,), weight=1),
    Fault(
        "second migration fails",
        before=each_alone,
        migrations=(SLEEPS, migrations.BAD_SQL),
        steps=("migrate",),
        weight=1,
    ),
    Fault(
        "migration's client killed",
        in_container(compose_client),
        migrations=(SLEEPS,),
        steps=("migrate",),
        weight=2,
    ),
    Fault(
        "step killed, migration at work",
        in_container(faults.step),
        migrations=(DREAMS,),
        steps=("migrate",),
        weight=2,
    ),
    Fault(
        "runner killed, migration at work",
        in_container(faults.runner(signal.SIGKILL)),
        migrations=(SLEEPS,),
        steps=("migrate",),
        weight=2,
    ),
    Fault(
        "all killed at once, migration at work",
        in_container(all_at_once),
        migrations=(SLEEPS, DREAMS),
        steps=("migrate",),
        weight=2,
    ),
    Fault("application killed", main_process("backend"), steps=("restart",), weight=3),
    Fault("application dies soon", change=dies, weight=1),
    Fault("health never comes", change=never_healthy, settings=(("patience", "6"),), weight=1),
    Fault("disk full in the build", change=full, weight=1),
)

LAB = tuple(
    replace(fault, name=f"lab: {fault.name}", world="lab")
    for fault in (
        *(replace(fault, weight=SHARED[fault.name]) for fault in faults.FAULTS if fault.name in SHARED),
        *OWN,
    )
)
