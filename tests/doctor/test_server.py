"""The server's checks: facts in, findings out. Each fires on its own fact, and on nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploy.config import Target
from deploy.config.keys import Health, Venv
from deploy.doctor import server
from deploy.doctor.facts import Complaint, Facts

TARGET = Target(host="server.example.org", path="/opt/shop", name="production", app="shop")
GOOD = Facts(
    answers={
        "missing": "",
        "user": "deploy",
        "system": "Debian GNU/Linux 12 (bookworm)",
        "git": "git version 2.39.5",
        "http": "curl python3 ",
        "memory": "MemTotal:2000000 MemAvailable:900000 SwapFree:0",
        "logind": 'b false as 1 "root" as 0',
        "folder.checkout": "/opt/shop",
        "disk.checkout": "9000000 400000 ext4 rw,relatime",
        "folder.state": "/home/deploy/.local/state/backstay/shop",
        "disk.state": "9000000 400000 ext4 rw,relatime",
        "folder.docker": "/var/lib/docker",
        "disk.docker": "9000000 - btrfs rw,relatime",
        "folder.repository": "/opt/shop/.git",
        "disk.repository": "9000000 400000 ext4 rw,relatime",
        "state.checkout": "/opt/shop",
        "state.unfinished": "",
        "state.current": "20261122T081502-3f2a9c1",
        "branch": "main",
        "changed": "",
        "unwritable": "",
        "remote.url": "git@example.org:team/shop.git",
        "remote.status": "0",
        "remote.commit": "3f2a9c1d3f2a9c1d3f2a9c1d3f2a9c1d3f2a9c1d",
        "docker": "27.3.1",
        "compose": "2.29.7",
        "buildx": "v0.17.1",
    }
)

CASES = {
    "missing flock": ({"missing": "flock setsid "}, "error tools", "flock, setsid"),
    "old git": ({"git": "git version 2.25.1"}, "error git", "2.25.1 is too old"),
    "other branch": ({"branch": "test"}, "error checkout", "on the branch test, not on main"),
    "detached": ({"branch": ""}, "error checkout", "on no branch"),
    "edited": ({"changed": "a.py b.py c.py d.py"}, "error checkout", "a.py, b.py, c.py and more"),
    "git at work": ({"index.lock": "/opt/shop/.git/index.lock"}, "error checkout", "another git"),
    "root was here": ({"unwritable": "/opt/shop/.git/objects/3f"}, "error rights", "objects/3f"),
    "no remote": ({"remote.url": "", "remote.status": ""}, "error remote", "no remote origin"),
    "no branch": ({"remote.status": "2"}, "error remote", "origin has no branch main"),
    "remote silent": ({"remote.status": "124"}, "error remote", "does not answer"),
    "remote shut": ({"remote.status": "128", "remote.error": "denied"}, "error remote", "shop.git: denied"),
    "token in URL": ({"remote.secret": "yes"}, "warning remote", "password or token"),
    "no git-lfs": ({"lfs": "missing"}, "error git lfs", "no git-lfs"),
    "disk full": ({"disk.docker": "200000 - btrfs rw"}, "error disk", "/var/lib/docker has 195 MB free"),
    "disk nearly full": ({"disk.docker": "1500000 - btrfs rw"}, "warning disk", "1464 MB free"),
    "no inodes": ({"disk.state": "9000000 12 ext4 rw"}, "error disk", "12 inodes"),
    "records locked": ({"state.locked": "/home/deploy"}, "error records", "may not write to /home/deploy"),
    "records of others": ({"state.checkout": "/opt/blog"}, "error records", "another checkout, /opt/blog"),
    "records in memory": ({"disk.state": "9000000 400000 tmpfs rw"}, "error records", "in memory"),
    "lock on NFS": ({"disk.repository": "9000000 - nfs4 rw"}, "warning lock", "nfs4"),
    "lock on sshfs": ({"disk.state": "9000000 - fuse.sshfs rw"}, "warning lock", "fuse.sshfs"),
    "interrupted": ({"state.unfinished": "20261122T081502-3f2a9c1"}, "error releases", "interrupted"),
    "left by others": (
        {"lock": "left", "lock.release": "r1", "lock.by": "bob@x"},
        "error releases",
        "r1 of bob@x",
    ),
    "at work": (
        {"lock": "held", "lock.release": "r1", "lock.by": "bob@x"},
        "warning releases",
        "r1 of bob@x",
    ),
    "foreign": (
        {"lock": "foreign", "lock.release": "r1", "lock.by": "bob@x"},
        "warning releases",
        "another user",
    ),
    "little memory": (
        {"memory": "MemTotal:500000 MemAvailable:200000 SwapFree:9000"},
        "warning memory",
        "204 MB",
    ),
    "logind": ({"logind": 'b true as 1 "root" as 0'}, "error logind", "KillUserProcesses"),
    "logind by file": ({"logind": "KillUserProcesses=yes"}, "error logind", "KillUserProcesses"),
    "logind for us": ({"logind": 'b true as 0 as 1 "deploy"'}, "error logind", "KillUserProcesses"),
    "podman": ({"docker.podman": "yes"}, "warning docker", "Podman"),
    "Compose without profiles": ({"compose": "1.27.4"}, "error compose", "1.27.4"),
    "Compose v1": ({"compose": "1.29.2"}, "warning compose", "without updates since 2023"),
    "Compose 2.5": ({"compose": "v2.5.1"}, "warning compose", "2.5.1"),
    "Compose 2.32.0": ({"compose": "2.32.0"}, "warning compose", "recreates containers"),
    "old buildx": ({"compose": "2.40.3", "buildx": "v0.16.2"}, "error compose", "buildx 0.16.2"),
}
FINE = {
    "killed, but not us": {"logind": 'b true as 2 "root" "deploy" as 0'},
    "killed, but only others": {"logind": 'b true as 0 as 1 "bob"'},
    "killed by file, but not us": {"logind": "KillUserProcesses=yes KillExcludeUsers=root deploy"},
    "noexec": {"disk.state": "9000000 400000 ext4 rw,noexec"},
    "other Compose": {"compose": "2.26.1-4", "buildx": ""},
    "new Compose": {"compose": "5.0.1", "buildx": "v0.30.0"},
    "new git": {"git": "git version 3.0.0"},
    "Apple's git": {"git": "git version 2.39.5 (Apple Git-154)"},
}


def bad(facts: Facts, target: Target = TARGET) -> list[tuple[str, str]]:
    """What is not ok, as words; every finding must say why and what to do."""
    found = [one for one in server.findings(facts, target) if one.level != "ok"]
    assert all(one.why and one.remedy for one in found), found
    return [(f"{one.level} {one.check}", one.what) for one in found]


def with_answers(**changes: str) -> Facts:
    return replace(GOOD, answers={**GOOD.answers, **changes})


def test_a_good_server_is_ok() -> None:
    assert bad(GOOD) == []
    checks = {one.check for one in server.findings(GOOD, TARGET)}
    assert checks >= {
        "tools",
        "git",
        "docker",
        "compose",
        "checkout",
        "rights",
        "remote",
        "disk",
        "logind",
        "clock",
    }


@pytest.mark.parametrize("name", CASES)
def test_each_fault_is_found_alone(name: str) -> None:
    changes, check, words = CASES[name]
    [(found, what)] = bad(with_answers(**changes))
    assert found == check
    assert words in what


@pytest.mark.parametrize("name", FINE)
def test_what_looks_like_a_fault_and_is_none(name: str) -> None:
    assert bad(with_answers(**FINE[name])) == []


def test_what_is_not_known_is_not_a_fault_of_the_server() -> None:
    assert bad(Facts()) == []


@pytest.mark.parametrize(
    ("ahead", "says"), [(90.0, "2 min ahead of"), (-7300.0, "2 h behind"), (400_000.0, "5 days")]
)
def test_a_clock_that_is_wrong(ahead: float, says: str) -> None:
    [(found, what)] = bad(replace(GOOD, ahead=ahead))
    assert found == "warning clock"
    assert says in what


def test_a_login_shell_that_talks() -> None:
    [(found, what)] = bad(replace(GOOD, greeting="Welcome!\nHave fun"))
    assert found == "warning login shell"
    assert "Welcome!" in what


@pytest.mark.parametrize("check", ["docker", "compose", "checkout"])
def test_what_the_servers_own_checks_say(check: str) -> None:
    said = Complaint(f"{check} is out of order", "Mend it.")
    left = {name: value for name, value in GOOD.answers.items() if name not in (check, "branch", "docker")}
    [(found, what)] = bad(Facts(left, complaints={check: (said,)}))
    assert (found, what) == (f"error {check}", f"{check} is out of order")


def test_nothing_to_ask_the_health_url_with() -> None:
    target = replace(TARGET, health=Health(url="http://127.0.0.1:8000/health"))
    assert bad(GOOD, target) == []
    assert bad(with_answers(http=""), target)[0][0] == "error health url"
    assert bad(with_answers(http=""), TARGET) == []


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"health": "no"}, ["warning health url"]),
        ({"health": "yes"}, []),
        ({"health": "no", "http": ""}, ["error health url"]),
        ({"health": "no", "lock": "held", "lock.release": "r1", "lock.by": "b"}, ["warning releases"]),
    ],
)
def test_a_health_url_that_does_not_answer(answers: dict[str, str], expected: list[str]) -> None:
    target = replace(TARGET, health=Health(url="http://127.0.0.1:8000/health"))
    assert [found for found, _ in bad(with_answers(**answers), target)] == expected


def test_environments_need_a_disk_to_run_from() -> None:
    target = replace(TARGET, engine="venv", venv=Venv(restart="true"))
    [(found, what)] = bad(with_answers(**{"disk.state": "9000000 400000 ext4 rw,noexec"}), target)
    assert found == "error records"
    assert "noexec" in what
