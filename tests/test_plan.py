"""A plan is data: it does not change, and two that are alike are equal."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from deploy.plan import Plan, Step


def test_a_step_does_not_change() -> None:
    step = Step("pull", "git fetch")
    with pytest.raises(FrozenInstanceError):
        step.do = "rm -rf /"  # type: ignore[misc]
    assert step == Step("pull", "git fetch", undo="", timeout=900)


def test_a_plan_does_not_change() -> None:
    plan = Plan("deploy", (Step("pull", "x"),))
    with pytest.raises(FrozenInstanceError):
        plan.steps = ()  # type: ignore[misc]
    assert plan == Plan("deploy", (Step("pull", "x"),), files={}, finish="")
