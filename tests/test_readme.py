"""The README keeps its word: what it shows exists, and is run by a test."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from deploy.config import load

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
TESTS = "".join(file.read_text() for file in (ROOT / "tests").rglob("*.py"))
TABLE = {
    match[1]: re.findall(r"`(--[a-z-]+)", match[2])
    for match in re.finditer(r"^\| `fab ([a-z.]+)` \| (.*) \|$", README, re.M)
}


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", README, re.S)
    assert found, language
    return found[1]


def test_the_three_lines_are_enough(tmp_path: Path) -> None:
    (tmp_path / "deploy.toml").write_text(block("toml"))
    assert len(tomllib.loads(block("toml"))) == 3
    assert load(tmp_path, target=None, host=None, environ={}).path == "/opt/snapcheck"


def test_the_fabfile_is_one_line(tmp_path: Path) -> None:
    assert block("python").strip() == "from deploy.tasks import namespace"


@pytest.mark.parametrize("task", TABLE)
def test_each_task_has_the_options_it_is_said_to_have(task: str) -> None:
    fab = Path(sys.executable).parent / "fab"
    shown = subprocess.run([fab, "--help", task], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    there = set(re.findall(r"--(?:\[no-\])?([a-z-]+)", shown))
    assert [
        option for option in TABLE[task] if option.removeprefix("--").removeprefix("no-") not in there
    ] == []


@pytest.mark.parametrize(
    ("task", "option"), [(task, option) for task in TABLE for option in ["", *TABLE[task]]]
)
def test_each_is_run_by_a_test(task: str, option: str) -> None:
    assert f'"{task}"' in TESTS
    assert not option or f'"{option}"' in TESTS or f"{option} " in TESTS


def test_every_task_is_in_it() -> None:
    from deploy.tasks import namespace

    assert set(TABLE) == set(namespace.task_names)


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for name in re.findall(r"(?:^|`)make ([a-z]+)", README, re.M):
        assert re.search(rf"^{name}:", makefile, re.M), name


def test_its_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link
