"""The last words of ``fab plan``: what `fab deploy` does about it, and no more than that."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from deploy.view import Forecast, Remark, Revision, Stop, Way, show_forecast

DROP = Remark("danger", "drop-column", "users.email", "Its values are lost.", "Stop using it first.")
REVISION = Revision(
    id="003",
    title="drop email",
    down=("002",),
    path="versions/003.py",
    dialect="postgresql",
    transactional=True,
    up=Way(("ALTER TABLE users DROP COLUMN email",)),
    undo=Way(("ALTER TABLE users ADD COLUMN email TEXT",)),
    undoable="loses data",
    because="",
    findings=(DROP,),
)
PLAIN = Forecast(
    app="shop",
    target="production",
    before="9" * 40,
    after="3" * 40,
    commits=(),
    commit_count=0,
    gone=(),
    gone_count=0,
    changed=(),
    heads=("002",),
    code=("003",),
    unasked="",
    unreadable="",
    stops=(),
    revisions=(),
    commands=("git merge",),
)


@pytest.mark.parametrize(
    ("forecast", "last"),
    [
        (PLAIN, "To do it: fab deploy"),
        (
            replace(PLAIN, revisions=(REVISION,)),
            "fab deploy asks before it applies them; without a terminal it wants --yes.",
        ),
        (replace(PLAIN, revisions=(replace(REVISION, findings=()),)), "To do it: fab deploy"),
        (replace(PLAIN, stops=(Stop("the history was rewritten", "Merge it."),)), "  Merge it."),
        (replace(PLAIN, after="9" * 40), "Nothing to do: that commit is there, and no migration is pending."),
    ],
)
def test_the_last_line_says_what_comes_next(forecast: Forecast, last: str) -> None:
    screen = io.StringIO()
    show_forecast(forecast, screen, {"TERM": "dumb"})
    lines = screen.getvalue().splitlines()
    assert lines[-1] == last
    assert all(len(line) <= 80 for line in lines)
    if forecast.stops:
        assert lines[-2] == "In the way: the history was rewritten"
    if forecast.dangers:
        assert "    DANGER: drop-column users.email" in lines
        assert lines[-2] == "Dangerous: 003."


def test_a_linter_that_failed_is_named() -> None:
    screen = io.StringIO()
    show_forecast(replace(PLAIN, revisions=(REVISION,), unlinted="squawk did not judge: x."), screen, {})
    assert "  squawk did not judge: x.\n" in screen.getvalue()
