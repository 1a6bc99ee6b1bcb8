"""Every recording, literally as it is shown."""

from __future__ import annotations

import pytest

from tests.view.golden import FOLDER, LOOKS, shown
from tests.view.recordings import CASES

PAIRS = [(case, look) for case in CASES for look in LOOKS]


@pytest.mark.parametrize(("case", "look"), PAIRS)
def test_is_shown_as_written_down(case: str, look: str) -> None:
    assert shown(case, look) == (FOLDER / f"{case}.{look}.txt").read_text("utf-8")


def test_no_file_is_left_over() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {f"{case}.{look}.txt" for case, look in PAIRS}


def test_ascii_is_ascii() -> None:
    assert all(shown(case, "ascii").isascii() for case in CASES)
