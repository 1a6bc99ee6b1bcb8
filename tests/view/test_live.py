"""The live view on terminals that shrink, flood and are tiny."""

from __future__ import annotations

import time

import pytest

from deploy.events import Event, Item, Output, State, advance
from deploy.view.live import LiveView
from deploy.view.screen import Screen
from deploy.view.sink import Sink
from deploy.view.words import UNICODE
from tests.view.recordings import CASES, EXPECTED, STEPS, play
from tests.view.terminal import Terminal


def opened(columns: int = 80, rows: int = 24) -> tuple[Terminal, LiveView]:
    terminal = Terminal(columns, rows)
    screen = Screen(Sink(terminal), terminal.size, colour=True)  # type: ignore[arg-type]
    return terminal, LiveView(screen, target="production", expected=EXPECTED, signs=UNICODE)


def event(name: str, at: float = 0.0, **fields: object) -> Event:
    return Event(name, at, {"event": name, **fields})


BEGUN: list[Item] = [
    event("release", kind="deploy", release="r", steps=STEPS),
    event("step", step="check", state="begin"),
]


def feed(view: LiveView, *items: Item, state: State | None = None) -> State:
    state = state or State()
    for item in items:
        state = advance(state, item)
        view.item(item, state)
    return state


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 8])
def test_the_drawing_never_leaves_a_tiny_terminal(rows: int) -> None:
    terminal, view = opened(20, rows)
    feed(view, *BEGUN, *(Output(f"line {number} " + "x" * 50) for number in range(9)))
    for tenth in range(50):
        view.tick(tenth / 10)
    kept = terminal.text().splitlines()
    assert kept[:2] == ["Deploying to", "production · r"]
    assert ["check" in line for line in kept[2:]] == [number == 0 for number in range(rows - 1)]


@pytest.mark.parametrize("columns", [79, 60, 41, 40, 39, 20])
def test_a_window_made_narrower_leaves_nothing_behind(columns: int) -> None:
    output = [Output("y" * length) for length in (200, 80, 79, 40, 1)]
    terminal, view = opened(80, 40)
    feed(view, *BEGUN, *output)
    view.tick(1.0)
    terminal.resize(columns, 40)
    view.tick(2.0)
    fresh, other = opened(columns, 40)
    feed(other, *BEGUN, *output)
    other.tick(1.0)
    other.tick(2.0)
    assert drawing(terminal) == drawing(fresh)
    assert len(drawing(terminal)) == 10


def drawing(terminal: Terminal) -> list[str]:
    """What is below the first line, which wraps as the terminal likes."""
    lines = terminal.text().splitlines()
    return lines[next(number for number, line in enumerate(lines) if "⠋" in line) :]


def test_a_window_made_wider_leaves_nothing_behind() -> None:
    terminal, view = opened(40, 24)
    feed(view, *BEGUN, Output("y" * 100))
    view.tick(1.0)
    terminal.resize(120, 24)
    view.tick(2.0)
    assert drawing(terminal)[:2] == ["⠋ check             1 s  usually 1 s", "    " + "y" * 100]


def test_wide_characters_are_cut_to_the_width() -> None:
    terminal, view = opened(20, 24)
    feed(view, *BEGUN, Output("漢" * 50))
    view.tick(1.0)
    view.tick(2.0)
    assert "    " + "漢" * 7 in terminal.text().splitlines()


def test_a_flood_is_drawn_now_and_then() -> None:
    terminal, view = opened()
    state = feed(view, *BEGUN)
    lines = [Output(f"line {number}") for number in range(200_000)]
    began = time.process_time()
    for number, line in enumerate(lines):
        view.item(line, state)
        if number % 100 == 0:
            view.tick(number / 100_000)
    assert time.process_time() - began < 1.0
    assert terminal.writes <= 21


def test_draws_at_most_ten_times_a_second() -> None:
    terminal, view = opened()
    feed(view, *BEGUN)
    for hundredth in range(100):
        view.tick(hundredth / 100)
    assert terminal.writes == 10


def test_hostile_output_is_only_text() -> None:
    terminal, view = opened()
    state = feed(
        view,
        event(
            "release",
            kind="deploy\x1b[2J",
            release="\x1b[2Jr",
            by="\x9b2J:smile:",
            steps=["\x1b]0;x\x07pull"],
        ),
        event("note", level="error", text="[/b] [red]x\x1b[2J\n[link=file:///]y", hint="\x07:warning:"),
        event("step", step="\x1b]0;x\x07pull", state="begin"),
        Output("\x1b[2J[/oops] :warning: 12"),
    )
    view.tick(1.0)
    feed(view, event("step", step="\x1b]0;x\x07pull", state="failed", rc=1), state=state)
    view.tick(2.0)
    assert terminal.text().splitlines() == [
        "Deploying to production · r · by :smile:",
        "! [/b] [red]x",
        "! [link=file:///]y",
        "    :warning:",
        "✗ pull           0 s  failed, exit 1",
        "    [/oops] :warning: 12",
    ]


def test_a_failing_step_shows_its_last_forty_lines_in_full() -> None:
    terminal, view = opened(80, 24)
    long = "z" * 500
    lines = [Output(f"{number} {long}") for number in range(60)]
    feed(view, *BEGUN, *lines, event("step", step="check", state="failed", rc=1))
    view.tick(1.0)
    shown = terminal.text().replace("\n", "").split("    ")
    assert shown[-40:] == [line.line for line in lines[20:]]
    assert "exit 1" in shown[-41]


def test_leaving_early_keeps_what_was_there() -> None:
    terminal, view = opened()
    feed(view, *BEGUN, Output("x"))
    view.tick(5.0)
    view.tick(7.0)
    view.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert terminal.text().splitlines() == [
        "Deploying to production · r",
        "· check             2 s  not finished",
    ]


def test_a_recovery_is_called_one() -> None:
    terminal, view = opened()
    state = feed(view, *BEGUN, event("lost"), event("release", kind="deploy", release="r", steps=STEPS))
    feed(view, event("undo", 10.0, step="check", state="begin"), state=state)
    view.tick(1.0)
    assert "Recovering production · r" in terminal.text().splitlines()


def test_lines_from_outside_a_step_are_shown_and_bounded() -> None:
    terminal, view = opened()
    feed(view, *(Output(f"stray {number}") for number in range(1000)))
    view.tick(1.0)
    strays = [line for line in terminal.text().splitlines() if "stray" in line]
    assert strays[0] == "    stray 0"
    assert len(strays) == 200


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("size", [(20, 5), (80, 3), (200, 50)])
def test_every_recording_ends_with_its_verdict_at_any_size(case: str, size: tuple[int, int]) -> None:
    terminal, view = opened(*size)
    list(play(CASES[case](), view))
    words = " ".join(terminal.text().split())
    assert words.count("waiting for") == 0
    ends = {"good": "Deployed", "failed": "Failed at migrate.", "incomplete": "!! INCOMPLETE at migrate",
            "refused": "Refused at check.", "cancelled": "Cancelled at build.", "lost": "Detached.",
            "killed": "!! INCOMPLETE at build"}  # fmt: skip
    assert words.count(ends[case]) == 1
