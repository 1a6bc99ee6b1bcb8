"""One deployment with one fault, and what came of it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
import traceback
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from deploy import events
from tests.chaos.client import Client, wait_until
from tests.chaos.faults import ALL, Fault, Scene
from tests.chaos.place import Place
from tests.chaos.world import Writer


@dataclass(frozen=True)
class Moment:
    """So long after the begin, or the end, of a step or of its undo."""

    event: str
    step: str
    state: str
    after: float

    def __str__(self) -> str:
        undo = "undo of " if self.event == "undo" else ""
        return f"{self.after:.2f} s after the {self.state} of {undo}{self.step}"

    @property
    def mark(self) -> bytes:
        """What the journal then has."""
        return f'"event":"{self.event}","step":"{self.step}","state":"{self.state}"'.encode()


@dataclass
class Verdict:
    """``ended``: new, old or wrong; ``problems`` says what is wrong."""

    index: int
    fault: str
    kind: str
    moment: str
    ended: str = "wrong"
    recovered: bool = False
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    told: str = ""

    @property
    def fields(self) -> dict[str, object]:
        """For JSON."""
        return asdict(self)


def moment_of(fault: Fault, kind: str, lengths: Mapping[str, float], rng: random.Random) -> Moment:
    """A boundary, or a random instant within a step; of a bad release, often within an undo."""
    undo = kind == "bad" and fault.steps == ALL and rng.random() < 0.5
    name = rng.choice(fault.steps[1:] if undo else fault.steps)
    state = rng.choice(("begin", "begin", "done")) if name != "restart" or undo else "begin"
    at_boundary = rng.random() < 0.35
    after = 0.0 if state == "done" or at_boundary else rng.uniform(0, lengths[name])
    return Moment("undo" if undo else "step", name, state, after)


def run(world: Place, fault: Fault, seed: str, index: int, *, plain: bool = False) -> Verdict:
    """Deploy once under a fault; the world is clean before and afterwards, unless the verdict is wrong.

    ``plain``: with the plain script, the same release, fault and moment.
    """
    rng = random.Random(f"{seed} {index} {fault.name}")
    kind = fault.kind or rng.choice(("good", "good", "bad"))
    moment = moment_of(fault, kind, world.lengths, rng)
    verdict = Verdict(index, fault.name, kind, str(moment))
    began = time.monotonic()
    trial = (PlainTrial if plain else Trial)(world, fault, kind, moment, rng, verdict)
    try:
        trial.carry_out()
    except Exception:
        verdict.problems.append(traceback.format_exc()[-3000:])
        for client in trial.clients:
            client.signal(signal.SIGKILL)
    if verdict.problems:
        verdict.ended = "wrong"
    verdict.seconds = round(time.monotonic() - began, 1)
    return verdict


class Trial:
    """Carries one out."""

    def __init__(
        self, world: Place, fault: Fault, kind: str, moment: Moment, rng: random.Random, verdict: Verdict
    ) -> None:
        self.world, self.fault, self.kind, self.moment, self.rng = world, fault, kind, moment, rng
        self.verdict = verdict
        self.clients: list[Client] = []

    def carry_out(self) -> None:
        """The deployment, the fault, the end of both, and what is to be said of it."""
        world = self.world
        self.before = world.picture()
        self.known = {folder.name for folder in world.releases()}
        changes = [self.fault.change(self.rng)] if self.fault.change else []
        world.release(self.kind, self.rng.randint(0, 2), changes, self.fault.migrations)
        with ExitStack() as stack:
            world.configure(**dict(self.fault.settings))
            if self.fault.before:
                self.fault.before(world, self.rng, stack)
            with Writer(world, f"r{self.verdict.index}.{world.number}") as writer:
                scene = self.deploy()
                self.check(world.quiet(), "something of the release is still at work")
                if world.record("unfinished"):
                    stack.close()
                    self.recover(scene)
        self.judge(writer)
        self.tidy()

    def check(self, true: object, words: str) -> None:
        """Note a problem unless it is true."""
        if not true:
            self.verdict.problems.append(words)

    def deploy(self) -> Scene:
        """Start, strike at the moment, and wait for the end."""
        world = self.world
        client = self.start()
        scene = Scene(world, self.rng, client, self.start)
        self.clients.append(client)
        wait_until(lambda: self.reached() or not client.alive, 60)
        wait_until(lambda: not client.alive, self.moment.after, 0.005)
        self.fault.strike(scene)
        self.verdict.notes = scene.notes
        self.clients += scene.others
        self.ended(scene)
        return scene

    def start(self) -> Client:
        """One more deployment."""
        return self.world.fab("deploy", "--yes", "--json")

    def ended(self, scene: Scene) -> None:
        """Wait for the end; what the client says of it must agree with the journal and the exit code."""
        client = scene.client
        code = client.wait(150)
        codes = [other.wait(150) for other in scene.others]
        self.verdict.told = client.told[-1500:]
        if scene.others and "once" in self.fault.name:
            self.check(set([code, *codes]) <= {0, 1, 3, 4}, f"exit codes {code} {codes}")
        elif client.result:
            self.said = (code, client.result)
        self.check(
            "Traceback" not in client.err.read_text() and "itself has a fault" not in client.told, client.told
        )
        if code in (0, 1) and client.result and not scene.others:
            self.followed(client)

    said: tuple[int, dict[str, object]] | None = None

    def reached(self) -> bool:
        """Whether the moment's event is in the journal of the new release."""
        for folder in self.world.releases():
            if folder.name not in self.known:
                try:
                    return self.moment.mark in (folder / "journal").read_bytes()
                except OSError:
                    return False
        return False

    def followed(self, client: Client) -> None:
        """What the client showed is the journal, no line lost and none doubled."""
        release = str(client.result["release"])
        if not release or release not in {folder.name for folder in self.world.releases()}:
            return
        shown = [r["line"] for r in client.records if r["event"] == "output"]
        lines = [item.line for item in self.world.journal(release) if isinstance(item, events.Output)]
        self.check(len(shown) == len(lines), f"{len(shown)} lines were shown, the journal has {len(lines)}")

    def recover(self, scene: Scene) -> None:
        """What the record calls unfinished is said so; `recover` or the next `deploy` ends it."""
        world, name = self.world, self.world.record("unfinished")
        self.verdict.recovered = True
        status = world.fab("status", "--json")
        status.wait()
        said = status.records[-1] if status.records else {}
        self.check(
            said.get("interrupted") == name, f"status does not say that {name} is interrupted: {status.told}"
        )
        code, words = self.settle()
        if code != 0 and self.fault.stops:
            self.check(code in (2, 3) and "itself has a fault" not in words, words)
            self.check(self.nothing_worse(), f"a wrong undo: {world.picture()}")
            for repair in scene.repairs:
                repair()
            code, words = self.settle()
        self.check(world.quiet(), "something of the recovery is still at work")
        self.check(code == 0, f"it was not settled: exit {code}\n{words}")
        self.check(not world.record("unfinished"), f"still unfinished\n{words}")

    def settle(self) -> tuple[int, str]:
        """0 when it is done: `recover`, or a deployment that goes no further than to settle what it found."""
        if self.rng.random() < 0.6:
            client = self.world.fab("recover", "--json")
            return client.wait(), client.told
        client = self.world.fab("deploy", "--json", "--ref", "no-such-branch")
        code = client.wait()
        settled = [r for r in client.records if r.get("step") == "recover" and r.get("state") == "done"]
        return (0 if code == 2 and settled else code or 99), client.told

    def nothing_worse(self) -> bool:
        """After a clear stop: nothing of what was there before the release is gone."""
        now = self.world.picture()
        return set(self.before.tables) <= set(now.tables)

    def judge(self, writer: Writer) -> None:
        """Which of the two allowed states it is, and whether words and rows agree with it."""
        world, now = self.world, self.world.picture()
        if now == self.before:
            self.verdict.ended = "old"
        elif self.kind == "good" and self.became(now):
            self.verdict.ended = "new"
        else:
            self.check(
                False, f"before {self.before}\nnow    {now}\nwanted {world.app.head} {world.app.heads}"
            )
        self.check(Path(os.devnull).is_char_device(), f"{os.devnull} is no device any more")
        lost = writer.missing()
        self.check(not lost, f"{len(lost)} of {len(writer.rows)} acknowledged rows are gone: {lost[:3]}")
        if self.said and not self.verdict.recovered:
            code, _ = self.said
            wanted = {0: "new", 1: "old", 2: "old", 130: "old"}.get(code, self.verdict.ended)
            if code != 130 or ("twice" not in self.fault.name and "three" not in self.fault.name):
                self.check(wanted == self.verdict.ended, f"exit code {code}, but it is {self.verdict.ended}")

    def became(self, now: Any) -> bool:
        """Whether that is the new release."""
        return self.world.became(self.before, now, self.known)

    def tidy(self) -> None:
        """The next one begins on a clean world."""
        world = self.world
        if self.verdict.ended == "new":
            world.keep()
        else:
            world.take_back()
        for client in self.clients:
            for file in (client.out, client.err):
                Path(file).unlink(missing_ok=True)
        shutil.rmtree(world.root / "kept", ignore_errors=True)


class PlainTrial(Trial):
    """The same with the plain script: it has no journal and no words to check, only the server's state."""

    def start(self) -> Client:
        return self.world.plain()

    def reached(self) -> bool:
        moment, client = self.moment, self.clients[-1]
        step = "pull" if moment.step == "check" else moment.step
        mark = "downgrade begin" if moment.event == "undo" else f"{step} {moment.state}"
        return f"== {mark}" in client.told

    def ended(self, scene: Scene) -> None:
        for client in (scene.client, *scene.others):
            with suppress(TimeoutError):
                client.wait(30)
        self.verdict.told = scene.client.told[-1500:]
        self.world.quiet(5)
        self.world.kill_all()

    def became(self, now: Any) -> bool:
        wanted = self.world.app
        new = (wanted.head, self.before.branch, "", wanted.heads, wanted.version)
        return bool((now.commit, now.branch, now.changed, now.heads, now.version) == new)
