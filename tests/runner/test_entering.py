"""The one command, as login shells of all kinds read it; and values that are hostile."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.errors import UsageError
from deploy.plan import Plan, Step
from tests.runner.bench import Bench, bench, ended, output, plan, said

LOGIN_SHELLS = {
    "sh": ("sh", "-c"),
    "bash": ("bash", "-c"),
    "dash": ("dash", "-c"),
    "busybox": ("busybox", "sh", "-c"),
    "fish": ("fish", "-c"),
    "tcsh": ("tcsh", "-c"),
    "csh": ("tcsh", "-f", "-c"),
    "zsh": ("zsh", "-c"),
}


@pytest.mark.parametrize("name", LOGIN_SHELLS)
def test_from_every_login_shell(name: str, dash: Bench) -> None:
    words = LOGIN_SHELLS[name]
    if not shutil.which(words[0]):
        if os.environ.get("CI") and name != "zsh":
            pytest.fail(f"{words[0]} is not installed")
        pytest.skip(f"{words[0]} is not installed")
    process = dash.send(dash.request("deploy", [], dash.settings(), plan(["one", "two"])), words)
    assert ended(dash.watch(process)) == ("deployed", 0)
    assert dash.stderr == ""
    process = dash.send(dash.request("attach", ["r001"], dash.settings()), words)
    assert output(dash.watch(process)) == ["do one", "do two"]
    for word in (
        "$(touch canary)",
        "`touch canary`",
        "; touch canary",
        "&& touch canary",
        "$HOME * ~",
        "%self {a,b}",
    ):
        process = dash.send(dash.request("attach", [word], dash.settings()), words)
        items = dash.watch(process)
        assert ended(items) == ("refuse", 2)
        assert word in said(items, "refuse")[0].text("text")
    assert not (dash.home / "canary").exists()


def test_a_banner_of_the_login_shell_is_not_the_journal(server: Bench) -> None:
    request = server.request("deploy", [], server.settings(), plan(["one"]))
    banner = "echo 'Welcome to the server'; printf 'no line end> '; "
    items = server.watch(server.send(type(request)(banner + request.command, request.stdin)))
    assert ended(items) == ("deployed", 0)
    assert output(items) == ["do one"]


# --- hostile values: names, paths, branches, people ---

NAMES = [
    "it's here",
    "$(touch canary)",
    "`touch canary`",
    "a;touch canary",
    'quo"ted',
    "back\\slash\\",
    "-rf",
    "--help",
    "über 漢字 🚢",
    "star*?[x]",
    "  spaces  ",
    "$HOME",
    "a\tb",
    "#x",
    "%s%n",
    "~",
]


@pytest.fixture(params=["dash", "busybox", "bash"])
def shell(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def nothing_ran(folder: Path) -> None:
    found = subprocess.run(
        ["find", folder, "-name", "canary*"], capture_output=True, text=True, check=True
    ).stdout
    assert found == ""


@pytest.fixture(params=NAMES)
def hostile(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """A server whose paths and settings are all hostile."""
    name = str(request.param)
    settings: dict[str, str | int] = {
        "by": name,
        "version": name,
        "branch": name,
        "state": str(tmp_path / "of" / name),
    }
    with bench(tmp_path / "server", path=str(tmp_path / "co" / name), values=settings) as made:
        made.state = tmp_path / "of" / name
        yield made
        nothing_ran(tmp_path)


def test_a_kit_of_hostile_values(hostile: Bench) -> None:
    name = str(hostile.values["by"])
    shows = '. ./values.sh; printf "%s|" "$branch" "$path" "$state" >~/shown; fails'
    items = hostile.deploy("one", "two")
    assert ended(items) == ("deployed", 0)
    assert said(items, "release")[0].text("by") == name.replace("\t", " ")
    items = hostile.deploy(Step("show", shows, "echo undone >>~/trace"))
    assert ended(items) == ("failed", 1)
    assert (hostile.home / "shown").read_text() == "|".join(
        [name, str(hostile.checkout), str(hostile.state), ""]
    )
    assert ended(hostile.rollback()) == ("rolled-back", 0)
    assert hostile.lines() == ["do one", "do two", "undone", "undo two", "undo one"]


def test_who_is_busy_with_hostile_words(shell: str, tmp_path: Path) -> None:
    by = "ann\"\\\x1e{}\n$(touch canary) 'x'"
    with bench(tmp_path / "server", shell, values={"by": by}) as server:
        waits = "touch ~/waits; while [ ! -e ~/go ]; do :; done"
        process = server.start("deploy", plan=plan([Step("one", waits)]))
        server.wait_for("waits")
        busy = said(server.deploy("two"), "busy")[0]
        assert (busy.text("release"), busy.text("step")) == ("r001", "one")
        assert busy.text("by") == 'ann"\\{}'
        (server.home / "go").touch()
        assert ended(server.watch(process)) == ("deployed", 0)
        nothing_ran(tmp_path)


def test_a_home_folder_with_an_odd_name(shell: str, tmp_path: Path) -> None:
    with bench(tmp_path / "it's $(touch canary) ö", shell) as server:
        assert ended(server.deploy("one", state="~/re cords")) == ("deployed", 0)
        assert (server.home / "re cords/current").read_text() == "r001\n"
        back = Plan("rollback", (Step("check", ":"),))
        assert ended(server.run("rollback", "", plan=back, state="~/re cords")) == ("rolled-back", 0)
        nothing_ran(tmp_path)


def test_words_that_cannot_be_sent(dash: Bench) -> None:
    with pytest.raises(UsageError):
        dash.start("attach", "';touch canary;'")
