"""The laptop's checks: what there is in, findings out; and how the facts are gathered from real files."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.doctor import laptop
from deploy.doctor.laptop import Package
from deploy.errors import AuthError, ConfigError, ConnectionLostError, HostKeyError, UnreachableError
from deploy.ledger import outlook as ledger
from deploy.ledger.errors import LedgerError
from deploy.transport.outlook import KeyFile, Outlook, look
from deploy.transport.settings import Settings
from deploy.view import Finding

KEY = KeyFile("/home/ann/.ssh/id_ed25519")
GOOD = Outlook("deploy@server.example.org", files=(KEY,), agent="/run/agent", agent_keys=1, forwards=True)
LOCKED = replace(KEY, problem="id_ed25519 is encrypted, and its passphrase is not known", remedy="ssh-add")
GONE = replace(KEY, named=True, problem="/home/ann/x: No such file or directory", remedy="Name another.")

CASES = {
    "no ssh": (replace(GOOD, ssh_client=False), "warning ssh"),
    "no key": (replace(GOOD, files=(), agent_keys=0), "error keys"),
    "encrypted, no agent": (replace(GOOD, files=(LOCKED,), agent="", agent_keys=0), "error keys"),
    "named, not there": (replace(GOOD, files=(GONE, KEY)), "error keys"),
    "open to others": (replace(GOOD, files=(replace(KEY, exposed=True),)), "warning keys"),
    "agent gone": (replace(GOOD, agent_keys=None), "warning agent"),
    "agent full": (replace(GOOD, agent_keys=6), "warning agent"),
    "unknown host": (replace(GOOD, pinned=False), "error host key"),
    "known_hosts unreadable": (replace(GOOD, problem="known_hosts cannot be read"), "error host key"),
}
FINE = {
    "encrypted, agent": replace(GOOD, files=(LOCKED,)),
    "only the agent": replace(GOOD, files=()),
    "a password": replace(GOOD, files=(), agent="", agent_keys=0, password=True),
    "agent full, key named": replace(GOOD, agent_keys=9, files=(replace(KEY, named=True),)),
    "agent full, IdentitiesOnly": replace(GOOD, agent_keys=9, only_named=True),
}


def way(outlook: Outlook, forward: bool = False) -> list[Finding]:
    return [
        *laptop.judge_ssh(outlook),
        *laptop.judge_keys(outlook),
        *laptop.judge_agent(outlook, forward),
        *laptop.judge_host_key(outlook),
    ]


def bad(findings: list[Finding]) -> list[str]:
    assert all(one.why and one.remedy for one in findings if one.level != "ok"), findings
    return [f"{one.level} {one.check}" for one in findings if one.level != "ok"]


def test_a_good_laptop_is_ok() -> None:
    assert bad(way(GOOD)) == []
    assert {one.check for one in way(GOOD)} == {"ssh", "keys", "agent", "host key"}


@pytest.mark.parametrize("name", CASES)
def test_each_fault_is_found_alone(name: str) -> None:
    outlook, wanted = CASES[name]
    assert bad(way(outlook)) == [wanted]


@pytest.mark.parametrize("name", FINE)
def test_what_looks_like_a_fault_and_is_none(name: str) -> None:
    assert bad(way(FINE[name])) == []


def test_an_agent_to_forward() -> None:
    assert bad(way(GOOD, forward=True)) == []
    assert bad(way(replace(GOOD, agent="", agent_keys=0, forwards=False), forward=True)) == ["warning agent"]


def test_packages() -> None:
    assert laptop.packages()
    assert bad(list(laptop.judge_packages(laptop.packages()))) == []
    old = [
        Package("paramiko", "3.5.1", "5.0"),
        Package("rich", "", "14.0"),
        Package("fabric", "3.2.10", "3.2.2"),
    ]
    [found] = laptop.judge_packages(old)
    assert found.what == "paramiko 3.5.1 (needs 5.0), rich is missing (needs 14.0)"


def test_settings_and_ledger() -> None:
    found = laptop.judge_settings(ConfigError("/w/deploy.toml", "path", "is required", "Set it."))
    assert (found.level, found.what) == ("error", "/w/deploy.toml: path is required")
    assert laptop.judge_ledger_error(LedgerError("It is locked.", "Wait.")).level == "warning"
    assert "made by the first" in laptop.judge_ledger(ledger.Outlook("/l.db", "", "001")).what
    assert "upgraded by the next" in laptop.judge_ledger(ledger.Outlook("/l.db", "000", "001")).what


@pytest.mark.parametrize(
    ("error", "check"),
    [
        (HostKeyError("x", "y"), "host key"),
        (AuthError("x", "y"), "login"),
        (UnreachableError("x", "y"), "connection"),
        (ConnectionLostError("x", "y"), "connection"),
    ],
)
def test_no_connection(error: UnreachableError, check: str) -> None:
    assert bad([laptop.judge_connection(error)]) == [f"error {check}"]


def test_looking_at_keys_and_known_hosts(tmp_path: Path) -> None:
    from deploy.embedded import EmbeddedServer

    with EmbeddedServer(home=tmp_path, path=["/bin"]) as server:
        settings = Settings(
            label="shop",
            host="127.0.0.1",
            port=server.port,
            user="ann",
            host_key_name=f"[127.0.0.1]:{server.port}",
            known_hosts=(server.known_hosts_path,),
            given=(server.client_key_path, tmp_path / "gone"),
            agent=str(tmp_path / "no-agent"),
        )
        seen = look(settings)
        assert (seen.pinned, seen.agent_keys) == (True, None)
        assert [(file.exposed, bool(file.problem)) for file in seen.files] == [(False, False), (False, True)]
        server.client_key_path.chmod(0o644)
        server.known_hosts_path.write_text("")
        seen = look(settings)
        assert (seen.pinned, seen.files[0].exposed) == (False, True)


def test_looking_at_a_ledger_makes_none(tmp_path: Path) -> None:
    from deploy.ledger import Ledger

    file = tmp_path / "new" / "ledger.db"
    assert ledger.look(f"sqlite:///{file}").revision == ""
    assert not file.parent.exists()
    file.parent.mkdir()
    Ledger.open(f"sqlite:///{file}")
    before = file.read_bytes()
    found = ledger.look(f"sqlite:///{file}")
    assert found.revision == found.head
    assert file.read_bytes() == before
    file.write_bytes(b"no database" * 100)
    with pytest.raises(LedgerError, match="damaged"):
        ledger.look(f"sqlite:///{file}")
    (tmp_path / "file").write_text("")
    with pytest.raises(LedgerError, match="no folder"):
        ledger.look(f"sqlite:///{tmp_path}/file/ledger.db")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_ledger_that_cannot_be_written(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(LedgerError, match="not writable"):
        ledger.look(f"sqlite:///{tmp_path}/ledger.db")
