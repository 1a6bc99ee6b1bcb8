"""What goes to the server with a command is what that command reads."""

from __future__ import annotations

import pytest

from deploy import recipe
from deploy.engines import ENGINES


@pytest.mark.parametrize("engine", sorted(ENGINES))
def test_a_question_has_its_own_scripts_and_nobody_elses(engine: str) -> None:
    status, plan, doctor = (
        set(recipe.questions(ENGINES[engine], verb).files) for verb in ("status", "plan", "doctor")
    )
    assert {"plan.sh", "plan.py", "judge.py", "commands.sh"} <= plan - status - doctor
    assert {"doctor.sh", "examine.sh"} <= doctor - status - plan
    assert status == plan & doctor
    # What is named there is a file that exists.
    named = {name for names in recipe._OWN.values() for name in names}
    assert named <= plan | doctor | {"outline.awk"}
