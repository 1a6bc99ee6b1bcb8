"""What ``fab doctor`` shows: what is wrong first, each with its remedy to copy."""

from __future__ import annotations

import io

import pytest

from deploy.view import Finding, Report

OK = Finding("server", "tools", "ok", "all there")
WRONG = Finding("server", "git lfs", "warning", "there is none", "Files are missing.", "  sudo apt install x")
BROKEN = Finding(
    "server",
    "checkout",
    "error",
    "it is on the branch \033[31mtest",
    "A deployment refuses it, whoever begins it and from wherever, and says so in words that are too many.",
    'On the server:\n  git checkout main\nor set branch = "test".',
)
SHOWN = """\
shop on production
Server  1 error, 1 warning, 1 ok
  x checkout: it is on the branch test
    A deployment refuses it, whoever begins it and from wherever, and says so in
    words that are too many.
    -> On the server:
      git checkout main
    or set branch = "test".
  ! git lfs: there is none
    Files are missing.
    -> sudo apt install x
  + tools

1 error, 1 warning.
"""


def shown(*findings: Finding, encoding: str = "ascii") -> str:
    screen = io.TextIOWrapper(io.BytesIO(), encoding)
    report = Report(screen, {"TERM": "dumb"}, as_json=False)
    report.title("shop on production")
    report.group("server", findings)
    report.end(1)
    screen.seek(0)
    return screen.read()


def test_what_is_wrong_comes_first() -> None:
    assert shown(OK, WRONG, BROKEN) == SHOWN


@pytest.mark.parametrize("remedy", ["  fab recover", "Ask:\n  fab recover", "  fab status\n  fab recover"])
def test_a_command_is_in_its_column(remedy: str) -> None:
    lines = shown(Finding("server", "releases", "error", "x", "y", remedy), encoding="utf-8").splitlines()
    assert next(line for line in lines if "fab recover" in line).index("fab") == 6
    assert "    → " in "\n".join(lines)


def test_nothing_wrong_is_two_lines() -> None:
    assert shown(OK).splitlines()[1:] == ["Server  1 ok", "  + tools", "All 1 checks are ok."]
