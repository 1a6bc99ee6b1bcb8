"""Foreign text does nothing to a terminal, and what it says stays readable."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.view.clean import LIMIT, clean

_PIECES = ["\x1b", "[", "]", "0;t", "\x07", "\x1b\\", "\x9b", "\x9d", "\x9c", "\x90", "\b", "\t", "\r", "\n",
           "m", "31", "\u202e", "\ud800", "é", "漢", "\u0301", "[/b]", ":x:", "\x00", "\x7f"]  # fmt: skip
hostile = st.lists(st.sampled_from(_PIECES) | st.characters(), max_size=60).map("".join)
DIRECTIONS = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31;1mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://example.org\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0;1\x1b\\after", "after"),
        ("\x9d0;title\x9ctext", "text"),
        ("\x9b2Jtext", "text"),
        ("\x1b]0;never ended, still text", "0;never ended, still text"),
        ("\x1b[", ""),
        ("\x1b[31", ""),
        ("end\x1b", "end"),
        ("\x1b(Btext\x1bc", "text"),
        ("bell\x07", "bell"),
        ("_\bu_\bn", "un"),
        ("10%\b\b\b20%", "20%"),
        ("\b\bstart", "start"),
        ("a\tb", "a       b"),
        ("a\nb\r\nc", "a b c"),
        ("a\u202eb\u2066c\u200fd", "abcd"),
        ("a\ud83dz", "a\ufffdz"),
        ("[bold]x[/] :warning: list[int]", "[bold]x[/] :warning: list[int]"),
        ("naïve 漢字 👩‍💻 ✓", "naïve 漢字 👩‍💻 ✓"),
        ("\x1b[31\x1b[0mx", "x"),
    ],
)
def test_cleans(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(hostile)
def test_leaves_nothing_that_a_terminal_obeys(text: str) -> None:
    shown = clean(text)
    assert not [char for char in shown if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp")]
    assert not [char for char in shown if unicodedata.bidirectional(char) in DIRECTIONS]


@given(hostile, st.integers(1, 400))
def test_is_stable_and_bounded(text: str, times: int) -> None:
    shown = clean(text * times)
    assert clean(shown) == shown
    assert len(shown) <= LIMIT


@given(st.text(st.characters(exclude_categories=("C", "Z")), max_size=200))
def test_keeps_ordinary_text(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize("length", [LIMIT + 1, 16 * LIMIT, 16 * LIMIT + 1, 1_000_000])
def test_cuts_a_long_line_in_the_middle_and_says_so(length: int) -> None:
    shown = clean("<" + "x" * (length - 2) + ">")
    kept = shown.count("x") + 2
    assert shown.startswith("<x")
    assert shown.endswith("x>")
    assert f"[... {length - kept} characters left out ...]" in shown


def test_keeps_a_line_of_the_limit() -> None:
    assert clean("x" * LIMIT) == "x" * LIMIT


@pytest.mark.parametrize(
    "piece",
    ["x", "\x1b", "\x1b]", "\x9d", "\x1b[", "\x1b[3", "\x1bP\x1b", "a\b", "\b", "\t", "\x1b]x\x07", "\ud800"],
)
def test_a_long_line_is_quick(piece: str) -> None:
    line = piece * (1_000_000 // len(piece))
    began = time.process_time()
    clean(line)
    assert time.process_time() - began < 0.1
