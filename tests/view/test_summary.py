"""The result says what is on the server, and never more than is known."""

from __future__ import annotations

import pytest

from deploy.events import Note, State, StepView
from deploy.view import Change, Result, result_from_state
from deploy.view.verdict import verdict
from deploy.view.words import ASCII, UNICODE, duration, ticking

FACTS = {"commit.before": "a" * 40, "commit.after": "b" * 40, "heads.before": "", "heads.after": "001 002",
         "image.before": "sha256:" + "1" * 64, "image.after": "sha256:" + "2" * 64, "applied": "001 002",
         "backup": "/b"}  # fmt: skip


def state(outcome: str = "deployed", code: int | None = 0, **more: object) -> State:
    given = {"kind": "deploy", "began": 10.0, "now": 14.5, "facts": FACTS, "release": "r"} | more
    return State(outcome=outcome, exit_code=code, **given)  # type: ignore[arg-type]


def steps(**states: str) -> tuple[StepView, ...]:
    return tuple(StepView(name, state) for name, state in states.items())  # type: ignore[arg-type]


def test_a_good_deployment() -> None:
    assert result_from_state(state()) == Result(
        "deployed",
        0,
        "deploy",
        "r",
        "",
        Change("a" * 40, "b" * 40),
        Change((), ("001", "002")),
        Change(FACTS["image.before"], FACTS["image.after"]),
        applied=("001", "002"),
        backup="/b",
        seconds=4.5,
    )


@pytest.mark.parametrize(
    ("outcome", "code", "kind", "after"),
    [
        ("deployed", 0, "deploy", "b" * 40),
        ("deployed", 0, "recover", "b" * 40),
        ("failed", 1, "deploy", "a" * 40),
        ("refused", 2, "deploy", "a" * 40),
        ("refused", 4, "deploy", "a" * 40),
        ("cancelled", 130, "deploy", "a" * 40),
        ("failed", 3, "deploy", None),
        ("rolled-back", 0, "rollback", "b" * 40),
        ("rolled-back", 0, "deploy", "a" * 40),
        ("rolled-back", 0, "recover", "a" * 40),
        ("failed", 3, "rollback", None),
    ],
)
def test_after_is_what_is_there_now(outcome: str, code: int, kind: str, after: str | None) -> None:
    broken = steps(pull="undo-failed")
    given = state(outcome, code, kind=kind, steps=broken if code == 3 else ())
    assert result_from_state(given).commit == Change("a" * 40, after)


def test_detached_knows_only_what_was() -> None:
    result = result_from_state(state("", None, steps=steps(pull="done")))
    assert (result.outcome, result.exit_code, result.commit) == ("detached", 5, Change("a" * 40, None))


def test_unknown_facts_stay_unknown() -> None:
    result = result_from_state(state(facts={}))
    assert (result.commit, result.heads, result.image) == (Change(), Change(), Change())


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (state("failed", 1, steps=steps(pull="undo-failed")), 3),
        (state("rolled-back", 0, steps=steps(pull="undo-failed")), 3),
        (state("failed", 0), 3),
        (state("failed", None), 1),
        (state("", None, lost=True), 3),
        (state("cancelled", 130), 130),
        (state("something new", None), 3),
    ],
)
def test_the_exit_code_does_not_flatter(given: State, code: int) -> None:
    assert result_from_state(given).exit_code == code


def test_what_the_caller_says_counts() -> None:
    result = result_from_state(state("", None), outcome="cancelled", exit_code=130)
    assert (result.outcome, result.exit_code, result.commit.after) == ("cancelled", 130, "a" * 40)


def test_what_is_left_to_do() -> None:
    broken = state(
        "failed",
        3,
        steps=steps(check="done", pull="done", migrate="undo-failed", build="undone", restart="waiting"),
        notes=(Note("warn", "w", "not this"), Note("error", "e", "Start it")),
    )
    result = result_from_state(broken)
    assert result.left == (
        "The undo of migrate failed; its output is above.",
        "Not undone: pull.",
        "Start it",
        "Run: fab recover",
    )
    assert (result.commit.after, result.heads.after, result.image.after) == (
        "b" * 40,
        None,
        FACTS["image.before"],
    )


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (
            Result("deployed", 0, heads=Change(("1", "2"), ("3",)), seconds=3),
            "Deployed · migrations 1, 2 → 3 · 3 s",
        ),
        (Result("deployed", 0, heads=Change((), ("1",)), seconds=3), "Deployed · migrations none → 1 · 3 s"),
        (
            Result("deployed", 0, heads=Change(("1", "2"), ("2", "1"))),
            "Deployed · migrations 2, 1 · 0 s",
        ),
        (
            Result("rolled-back", 0, "rollback", commit=Change("b" * 40, "a" * 40), seconds=123),
            "Rolled back to aaaaaaa · 2 m 03 s",
        ),
        (Result("rolled-back", 0, "rollback"), "Rolled back · 0 s"),
        (
            Result("rolled-back", 0, commit=Change("a" * 40, "a" * 40)),
            "Undone. The server is exactly as it was: commit aaaaaaa.",
        ),
        (Result("failed", 1, failed_at="check"), "Failed at check. The server is exactly as it was."),
        (
            Result("failed", 1, image=Change("", ""), heads=Change((), ())),
            "Failed. The server is exactly as it was: migrations none, nothing running.",
        ),
        (Result("refused", 4), "Refused. This release changed nothing on the server."),
        (Result("detached", 5), "Detached. The work goes on on the server; to see it: fab attach"),
        (Result("detached", 130), "Detached. The work goes on on the server; to see it: fab attach"),
    ],
)
def test_last_words(result: Result, words: str) -> None:
    assert [said.text for said in verdict(result, UNICODE)] == [words]


def test_last_words_obey_nobody() -> None:
    result = Result(
        "deployed", 0, commit=Change(None, "\x1b[2J"), backup="/b\x07", image=Change(None, "\x9b1mx")
    )
    assert [said.text for said in verdict(result, ASCII)] == ["Deployed , image x, 0 s", "Backup: /b"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, "0 s"), (0.42, "0.4 s"), (2.0, "2 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.4, "59 s"),
     (59.6, "1 m 00 s"), (123, "2 m 03 s"), (3720, "1 h 02 m"), (-1, "0 s"), (float("nan"), "? s")],
)  # fmt: skip
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_time_that_goes_on_has_no_tenths() -> None:
    assert [ticking(2.97), ticking(12.9), ticking(float("inf"))] == ["2 s", "12 s", "? s"]
