"""A server under random use, against a simple model: deployments that succeed, fail or hang, undo that fails
once, kills at random statements, cancel, recovery and rollback in any order. The three files must always be
all of one release, and of the one that the records name.

The default is a few seconds; BACKSTAY_EXAMPLES=1000 tries as many stories.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from deploy.plan import Plan, Step
from tests.runner.bench import SHELLS, ended, said, tool
from tests.runner.world import KILL_RUNNER, World, points, three

EXAMPLES = int(os.environ.get("BACKSTAY_EXAMPLES", "6"))
SLEEP = tool("sleep")
POINTS = points()[1]
WAYS = {
    "good": "",
    "fails": "exit 3",
    "hangs": f"exec {SLEEP} 30",
    "cancels": f"touch cancel; exec {SLEEP} 30",
    "is killed": f"{KILL_RUNNER}; exec {SLEEP} 30",
    "fails, and its undo once": "touch ~/bad.undo; exit 1",
}
CHECK = Step("check", "echo checking", "", 100)
BACK = Plan("rollback", (CHECK,))


class Story(RuleBasedStateMachine):
    """``stacks``: what may be deployed now, each with the oldest first; ``open``: a kill left work."""

    def __init__(self) -> None:
        super().__init__()
        self.stacks: list[list[str]] = [[]]
        self.open = False

    @initialize(shell=st.sampled_from(SHELLS), how=st.sampled_from(["runner", "all"]))
    def begin(self, shell: str, how: str) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.world = World(Path(self.folder.name) / "world", shell, killing=how)

    def teardown(self) -> None:
        if hasattr(self, "world"):
            try:
                self.world.wait_quiet()
            finally:
                self.world.kill_all()
                self.folder.cleanup()

    @rule(way=st.sampled_from(list(WAYS)), where=st.integers(0, 2), point=st.sampled_from([""] * 6 + POINTS))
    def deploy(self, way: str, where: int, point: str) -> None:
        after = ["", "", ""]
        after[where] = WAYS[way]
        plan = three(*after)
        if way == "hangs":
            plan = Plan("deploy", tuple(Step(s.name, s.do, s.undo, 2) for s in plan.steps))
        self.world.kill_at(point)
        items = self.world.run("deploy", plan=plan)
        self.world.kill_at("")
        new = f"r{self.world.number:03}"
        end, code = ended(items)
        after_it = [[*stack, new] for stack in self.stacks]
        if end == "deployed":
            self.settled(after_it)
        elif end == "lost":
            self.killed(after_it if way == "good" else [])
        else:
            assert (end, code) in {("failed", 1), ("cancelled", 130), ("refused", 2)}, items
            assert way != "good" or point, items
            self.settled(self.stacks)

    @rule(point=st.sampled_from([""] * 3 + POINTS))
    def rollback(self, point: str) -> None:
        self.world.kill_at(point)
        items = self.world.run("rollback", "", plan=BACK)
        self.world.kill_at("")
        end, code = ended(items)
        after_it = [stack[:-1] for stack in self.stacks if stack]
        if end == "rolled-back":
            self.settled(after_it)
        elif end == "lost":
            self.killed(after_it)
        elif code == 3:
            assert self.open
        else:
            assert "nothing to go back to" in said(items, "refuse")[0].text("text")
            self.settled([stack for stack in self.stacks if not stack])

    @precondition(lambda self: self.open)
    @rule(point=st.sampled_from([""] * 3 + POINTS))
    def recover(self, point: str) -> None:
        self.world.kill_at(point)
        items = self.world.run("recover")
        self.world.kill_at("")
        end, code = ended(items)
        if end != "lost":
            assert code != 3, items
            self.settled(self.stacks)

    def killed(self, after_it: list[list[str]]) -> None:
        self.stacks, self.open = self.stacks + after_it, True

    def settled(self, allowed: list[list[str]]) -> None:
        """Nothing is unfinished: the server is one of those, and its records agree."""
        now = self.world.files()
        self.stacks = [stack for stack in allowed if (stack[-1] if stack else "start") == now]
        self.open = False
        assert self.stacks, f"{now} is none of {allowed}"
        assert self.world.record("current") == now.replace("start", "")
        # Killed between its outcome and the end, a release is named there still; it has ended all the same.
        left = self.world.record("unfinished")
        assert not left or self.world.outcome(int(left[1:]))[-2:] not in ("", " 3")


# Shrinking runs hundreds of stories again; without it, a failure is shown as it was found.
phases = [Phase.explicit, Phase.reuse, Phase.generate]
Story.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=8,
    deadline=None,
    phases=phases,
    suppress_health_check=list(HealthCheck),
)
TestStory = Story.TestCase
