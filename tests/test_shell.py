"""Every value becomes exactly its bytes in every POSIX shell, and runs nothing."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from deploy import shell

SHELLS = {"dash": ["dash"], "busybox": ["busybox", "sh"], "bash": ["bash", "--posix"]}
EXAMPLES = max(15, int(os.environ.get("BACKSTAY_EXAMPLES", "0")))
slow = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
HOSTILE = [
    "",
    " ",
    "'",
    "''",
    '"',
    "\\",
    "\\'",
    "$(touch canary)",
    "`touch canary`",
    "';touch canary;'",
    "\n",
    "a\nb\n",
    "\n\n",
    "$HOME ${IFS} $$ $?",
    "-n",
    "--",
    "-rf /",
    "!!",
    "~",
    "*",
    "[a-z]?",
    "a b\tc",
    "äöü 漢字 🚢",
    "\x01\x1b[31m\x7f",
    "&& touch canary",
    "| touch canary #",
    "%s\\n",
    "\r",
    "=x",
    "{a,b}",
]
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0")) | st.text(
    "'\"\\$`()\n ;&|<>*?[]{}!#~%-=ab", max_size=30
)
WORDS = st.lists(st.sampled_from(HOSTILE) | TEXT, max_size=6)


def run(words: list[str], script: str, folder: Path) -> bytes:
    done = subprocess.run([*words, "-c", script], capture_output=True, cwd=folder, check=True, timeout=20)
    assert done.stderr == b""
    assert list(folder.iterdir()) == []
    return done.stdout


@pytest.mark.parametrize("name", SHELLS)
@slow
@given(values=WORDS)
def test_a_word_is_its_bytes(name: str, values: list[str], tmp_path: Path) -> None:
    quoted = " ".join(shell.quote(value) for value in values)
    out = run(SHELLS[name], f"for word in {quoted}; do printf '%s\\0' \"$word\"; done", tmp_path)
    assert out == b"".join(value.encode() + b"\0" for value in values)
    out = run(SHELLS[name], f"printf '%s\\0' {shell.command(['x', *values])}", tmp_path)
    assert out == b"".join(value.encode() + b"\0" for value in ["x", *values])


@pytest.mark.parametrize("name", SHELLS)
@slow
@given(values=WORDS)
def test_an_assignment_is_its_bytes(name: str, values: list[str], tmp_path: Path) -> None:
    named = {f"v{n}": value for n, value in enumerate(values)}
    script = shell.assignments(named) + "".join(f"printf '%s\\0' \"${key}\"\n" for key in named)
    assert run(SHELLS[name], script, tmp_path) == b"".join(value.encode() + b"\0" for value in values)


@slow
@given(WORDS)
def test_python_reads_it_back(values: list[str]) -> None:
    assert shlex.split(shell.command(values)) == values


def test_kinds_of_values() -> None:
    values = shell.assignments({"a": True, "b": False, "c": 7, "d": ("x y", "z"), "e": ()})
    assert values == "a='yes'\nb=''\nc='7'\nd='x y\nz'\ne=''\n"


@pytest.mark.parametrize("name", ["", "A", "1a", "a-b", "a b", "a=b", "ä", "a\n", "_a"])
def test_a_name_that_is_none(name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        shell.assignments({name: "x"})


def test_what_no_word_can_hold() -> None:
    with pytest.raises(ValueError, match="NUL"):
        shell.quote("a\0b")
    with pytest.raises(ValueError, match="line end"):
        shell.assignments({"a": ("x\ny",)})
