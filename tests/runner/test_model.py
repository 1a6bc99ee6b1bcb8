"""A server under random use, against a model: deployments of one to six steps that succeed, fail, hang,
cancel or are killed, undo that fails, kills at random statements and instants, recovery and rollback in any
order. The files must always be those of one release, and of the one that the records name.

The default is a few seconds; BACKSTAY_EXAMPLES=1000 tries as many stories.
"""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from deploy import events
from deploy.plan import Plan, Step
from tests.runner.bench import SHELLS, ended, said, tool
from tests.runner.world import KILL_RUNNER, World, change, points

EXAMPLES = int(os.environ.get("BACKSTAY_EXAMPLES", "40"))
#: As many classes share the stories, so that they can be told at the same time.
SHARES = 4
#: Nothing has to outlive the power, so a disk in memory will do.
PLACE = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
SLEEP = tool("sleep")
POINTS = points()[1]
FILES = 6
#: What may go wrong in a step.
WAYS = {
    "nothing": "",
    "fails": "exit 3",
    "hangs": f"exec {SLEEP} 30",
    "is killed": "kill -s KILL $$",
    "cancels": f"touch cancel; exec {SLEEP} 30",
    "cancels and ends": "touch cancel",
    "kills the runner": f"{KILL_RUNNER}; exec {SLEEP} 30",
}
#: With which a release may be deployed all the same.
HARMLESS = {"nothing", "cancels and ends"}
BACK = Plan("rollback", (Step("check", "echo checking", "", 100),))
ENDS = {"deployed", "rolled-back", "failed", "refused", "cancelled", "lost", "refuse", "answer"}
Release = tuple[str, tuple[str, ...]]

maybe_killed = st.one_of(st.just(""), st.just(""), st.sampled_from(POINTS))
#: Seconds until all is killed at once; 0: never.
maybe_reset = st.one_of(st.just(0.0), st.just(0.0), st.floats(0.02, 0.4))
bad_undos = st.sampled_from([0, 0, 0, 0, 1, 2, 4])


class Story(RuleBasedStateMachine):
    """``stacks``: what may be deployed now, each with the oldest first, as names and what the files say;
    ``open``: a kill or an undo that failed left work."""

    def __init__(self) -> None:
        super().__init__()
        self.stacks: list[list[Release]] = [[("", ("start",) * FILES)]]
        self.open = False

    @initialize(
        shell=st.sampled_from(SHELLS), applets=st.integers(0, 3), how=st.sampled_from(["runner", "all"])
    )
    def begin(self, shell: str, applets: int, how: str) -> None:
        self.folder = tempfile.TemporaryDirectory(dir=PLACE)
        place = Path(self.folder.name) / "world"
        self.world = World(place, shell, applets=applets > 0, killing=how, count=FILES, tick="0.04")

    def teardown(self) -> None:
        if hasattr(self, "world"):
            try:
                self.world.wait_quiet()
            finally:
                self.world.kill_all()
                self.folder.cleanup()

    @rule(
        what=st.sampled_from(["deploy", "rollback", "recover"]),
        # File 0 is a step that changes nothing.
        files=st.lists(st.integers(0, FILES), min_size=1, max_size=6, unique=True),
        where=st.integers(0, 5),
        way=st.sampled_from(["nothing"] * 4 + list(WAYS)),
        half=st.booleans(),
        bad=bad_undos,
        point=maybe_killed,
        reset=maybe_reset,
    )
    def act(
        self,
        what: str,
        files: list[int],
        where: int,
        way: str,
        half: bool,
        bad: int,
        point: str,
        reset: float,
    ) -> None:
        """A deployment instead, where there is nothing to recover or to go back to."""
        if bad:
            (self.world.home / "bad.undo").write_text(f"{bad}\n")
        if what == "recover" and self.open:
            self.recover(point, reset)
        elif what == "rollback" and (self.open or any(len(stack) > 1 for stack in self.stacks)):
            self.rollback(point, reset)
        else:
            where %= len(files)
            steps = [
                step(number, way, half) if n == where else step(number) for n, number in enumerate(files)
            ]
            self.deploy(files, tuple(steps), way, point, reset)

    def deploy(self, files: list[int], steps: tuple[Step, ...], way: str, point: str, reset: float) -> None:
        items = self.carry_out("deploy", Plan("deploy", steps), point, reset)
        new = f"r{self.world.number:03}"
        after_it = [[*stack, (new, with_files(stack[-1][1], new, files))] for stack in self.stacks]
        end, code = ended(items)
        if end == "deployed":
            assert way in HARMLESS, items
            self.settled(after_it)
        elif end == "lost":
            self.left_open(self.stacks + (after_it if way in HARMLESS else []))
        elif code == 3:
            self.not_undone(items)
        else:
            assert (end, code) in {("failed", 1), ("cancelled", 130), ("refused", 2)}, items
            assert way != "nothing" or point or reset, items
            self.settled(self.stacks)

    def rollback(self, point: str, reset: float) -> None:
        items = self.carry_out("rollback", BACK, point, reset)
        after_it = [stack[:-1] for stack in self.stacks if len(stack) > 1]
        end, code = ended(items)
        if end == "rolled-back":
            self.settled(after_it)
        elif end == "lost":
            self.left_open(self.stacks + after_it)
        elif end == "refuse":
            text = said(items, "refuse")[0].text("text")
            if not (self.open and "is not finished" in text):
                assert "nothing to go back to" in text, items
                self.settled([stack for stack in self.stacks if len(stack) == 1])
        elif code == 3:
            self.not_undone(items)
            self.stacks += after_it
        else:
            assert (end, code) == ("failed", 1), items
            assert point or reset, items
            self.settled(self.stacks)

    def recover(self, point: str, reset: float) -> None:
        items = self.carry_out("recover", None, point, reset)
        end, code = ended(items)
        if code == 3:
            self.not_undone(items)
        elif end != "lost":
            self.settled(self.stacks)

    def carry_out(self, verb: str, plan: Plan | None, point: str, reset: float) -> list[events.Item]:
        """What is said of it. The runner dies at that point; all is killed after so many seconds."""
        world = self.world
        self.armed = (world.home / "bad.undo").exists()
        world.kill_at(point)
        words = ("",) if verb == "rollback" else ()
        process = world.start(verb, *words, plan=plan)  # type: ignore[arg-type]
        world.kill_at("")
        timer = threading.Timer(reset, world.kill_all)
        if reset:
            timer.start()
        items = world.watch(process)
        timer.cancel()
        if timer.is_alive():
            timer.join()
        if said(items, "busy"):
            # What a killed runner left has the lock until it has ended, and seconds are short here.
            assert self.open, items
            world.kill_all()
            return self.carry_out(verb, plan, point, 0)
        # Where all was killed, nobody is left to say so.
        said_so = bool(items) and isinstance(items[-1], events.Event) and ended(items)[0] in ENDS
        return items if said_so else [*items, events.Event("lost", 0, {})]

    def left_open(self, allowed: list[list[Release]]) -> None:
        self.stacks, self.open = allowed, True

    def not_undone(self, items: list[events.Item]) -> None:
        """That is said only where an undo failed; what is left is still on record."""
        assert self.armed, items
        assert self.world.record("unfinished"), items
        self.open = True

    def settled(self, allowed: list[list[Release]]) -> None:
        """Nothing is unfinished: the server is one of those, and its records agree."""
        now = (self.world.record("current"), self.world.each())
        self.stacks = [stack for stack in allowed if stack[-1] == now]
        self.open = False
        assert self.stacks, f"{now} is none of {allowed}"
        # Killed between its outcome and the end, a release is named there still; it has ended all the same.
        left = self.world.record("unfinished")
        assert not left or self.world.outcome(int(left[1:]))[-2:] not in ("", " 3")


def step(number: int, way: str = "nothing", half: bool = False) -> Step:
    """A step that changes that file; what goes wrong does so before or after the second half of it."""
    timeout = 2 if way == "hangs" else 400
    if not number:
        return Step("look", f". ./values.sh; . ./lib.sh\necho looking\n{WAYS[way]}", "", timeout)
    return change(
        number, *([""] if half else [WAYS[way]]), between=WAYS[way] if half else "", timeout=timeout
    )


def with_files(before: tuple[str, ...], new: str, files: list[int]) -> tuple[str, ...]:
    return tuple(new if number in files else said for number, said in enumerate(before, 1))


# Shrinking runs hundreds of stories again; without it, a failure is shown as it was found.
phases = [Phase.explicit, Phase.reuse, Phase.generate]
TOLD = settings(
    max_examples=max(1, EXAMPLES // SHARES),
    stateful_step_count=6,
    deadline=None,
    derandomize=False,
    print_blob=True,
    phases=phases,
    suppress_health_check=list(HealthCheck),
)


def share(number: int) -> type:
    """A class of its own, with its part of the stories."""
    told = type(f"Story{number}", (Story,), {}).TestCase  # type: ignore[attr-defined]
    told.settings = TOLD
    told.pytestmark = [pytest.mark.timeout(300 + 10 * EXAMPLES)]
    return told


TestStory1, TestStory2, TestStory3, TestStory4 = (share(number) for number in range(1, SHARES + 1))
