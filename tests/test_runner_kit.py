"""What the laptop sends: exactly these files, and a command that any login shell understands."""

from __future__ import annotations

import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from deploy import runner
from deploy.errors import UsageError
from deploy.plan import Plan, Step

PLAN = Plan(
    "deploy",
    (Step("check", "true", timeout=5), Step("pull", "do it", "undo it")),
    {"git.sh": "git"},
    "tidy",
)


def unpacked(archive: bytes) -> dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        found = {}
        for entry in tar:
            assert (entry.mode, entry.uid, entry.mtime) == (0o600, 0, 0)
            file = tar.extractfile(entry)
            assert file
            found[entry.name] = file.read().decode()
        return found


def test_the_files_of_a_plan() -> None:
    kit = runner.contents({"app": "shop"}, PLAN)
    ours = {"enter.sh", "execute.sh", "lib.sh", "mask.awk", "runner.sh"}
    assert ours <= set(kit)
    assert {name: text for name, text in kit.items() if name not in ours} == {
        "values.sh": "app='shop'\n",
        "git.sh": "git",
        "finish": "tidy",
        "steps/01-check/do": "true",
        "steps/01-check/undo": "",
        "steps/01-check/timeout": "5\n",
        "steps/02-pull/do": "do it",
        "steps/02-pull/undo": "undo it",
        "steps/02-pull/timeout": "900\n",
    }
    sent = unpacked(runner.pack(kit))
    assert sent.pop("sums").endswith("\nend\n")
    assert sent == kit


def test_the_sums_are_what_git_says(tmp_path: Path) -> None:
    kit = runner.contents({"by": "Zoë"}, PLAN)
    for name, text in kit.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    said = subprocess.run(
        ["git", "hash-object", "--no-filters", *kit], cwd=tmp_path, capture_output=True, check=True
    )
    lines = dict(line.split(" ", 1)[::-1] for line in runner.sums(kit).splitlines()[:-1])
    assert [lines[name] for name in kit] == said.stdout.decode().split()


def test_the_same_kit_gives_the_same_bytes() -> None:
    assert runner.pack(runner.contents({}, PLAN)) == runner.pack(runner.contents({}, PLAN))


def test_the_command_says_the_length_and_the_words() -> None:
    request = runner.request("follow", ["20261122T081502-3f2a9c1", "120"], {})
    assert f"head -c {len(request.stdin)} |" in request.command
    assert request.command.endswith("backstay follow 20261122T081502-3f2a9c1 120")
    assert not set("\n!\\") & set(request.command)


def test_an_empty_word_stays_a_word() -> None:
    assert runner.request("rollback", [""], {}).command.endswith(" rollback ''")


@pytest.mark.parametrize("word", ["it's", "a\\b", "wow!", "two\nlines", "\r", "\0"])
def test_words_that_login_shells_disagree_on_are_not_sent(word: str) -> None:
    with pytest.raises(UsageError, match="cannot be sent"):
        runner.request("attach", [word], {})


def test_files_beyond_ascii() -> None:
    kit = runner.contents({"by": "Zoë@büro"}, None)
    assert unpacked(runner.pack(kit))["values.sh"] == "by='Zoë@büro'\n"
