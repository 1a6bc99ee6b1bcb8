from __future__ import annotations

import getpass
import os
import pwd
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import fabric
import pytest

from deploy.errors import SshConfigError, UsageError
from deploy.transport import Address, Settings, resolve
from deploy.transport.settings import interpret


@pytest.mark.parametrize(
    ("text", "host", "user", "port"),
    [
        ("example.org", "example.org", "", None),
        ("deploy@example.org", "example.org", "deploy", None),
        ("deploy@example.org:2222", "example.org", "deploy", 2222),
        ("example.org:22", "example.org", "", 22),
        ("ssh://deploy@example.org:2222", "example.org", "deploy", 2222),
        ("ssh://example.org/", "example.org", "", None),
        ("[2001:db8::1]:2222", "2001:db8::1", "", 2222),
        ("deploy@[2001:db8::1]", "2001:db8::1", "deploy", None),
        ("deploy@2001:db8::1", "2001:db8::1", "deploy", None),
        ("::1", "::1", "", None),
    ],
)
def test_parse(text: str, host: str, user: str, port: int | None) -> None:
    assert Address.parse(text) == Address(host, user, port)


@pytest.mark.parametrize("text", ["", "@", "a:b", "a@b@c", "-oProxyCommand=x", "deploy@", "host:", "a/b"])
def test_parse_refuses(text: str) -> None:
    with pytest.raises(UsageError):
        Address.parse(text)


@pytest.fixture(params=["ssh", "no ssh", "ssh, home of the password database"])
def by(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """Each way to read the configuration: what they have in common must come out the same."""
    if request.param == "no ssh":
        monkeypatch.setenv("PATH", str(tmp_path))
    elif "home" in request.param:
        monkeypatch.setenv("HOME", pwd.getpwuid(os.getuid()).pw_dir)
    way: str = request.param
    return way


Say = Callable[..., Settings]


@pytest.fixture
def say(tmp_path: Path) -> Say:
    """Resolve an address with a configuration file of these lines."""

    def resolved(config: str, address: Address | str = "example.org") -> Settings:
        (tmp_path / "config").write_text(config)
        address = Address.parse(address) if isinstance(address, str) else address
        return resolve(replace(address, ssh_config=tmp_path / "config"))

    return resolved


def test_nothing_configured(by: str, say: Say) -> None:
    found = say("")
    assert (found.host, found.port, found.user) == ("example.org", 22, getpass.getuser())
    assert found.host_key_name == "example.org"
    ssh = Path.home() / ".ssh"
    assert found.known_hosts[:2] == (ssh / "known_hosts", ssh / "known_hosts2")
    assert Path("/etc/ssh/ssh_known_hosts") in found.known_hosts
    assert {ssh / "id_ed25519", ssh / "id_rsa", ssh / "id_ecdsa"} <= set(found.identities)
    assert (found.given, found.agent, found.forward_agent, found.proxy_command) == ((), "", "", "")
    assert (found.jumps, found.connect_timeout) == ((), 10.0)


def test_alias(by: str, say: Say) -> None:
    found = say(
        "Host web\n  HostName server.example.org\n  User deploy\n  Port 2222\n  ConnectTimeout 1m\n", "web"
    )
    assert (found.host, found.port, found.user) == ("server.example.org", 2222, "deploy")
    assert found.host_key_name == "[server.example.org]:2222"
    assert found.connect_timeout == 60.0
    assert found.place == "web (deploy@server.example.org:2222)"


def test_what_is_given_wins(by: str, say: Say, tmp_path: Path) -> None:
    given = Address(
        "web",
        "me",
        22,
        identity=tmp_path / "key",
        known_hosts=tmp_path / "known",
        connect_timeout=3,
        forward_agent=False,
    )
    config = "Host web\n  User deploy\n  Port 2222\n  IdentityFile /other\n  UserKnownHostsFile /elsewhere\n"
    found = say(config + "  ConnectTimeout 9\n  ForwardAgent yes\n", given)
    assert (found.user, found.port, found.known_hosts) == ("me", 22, (tmp_path / "known",))
    assert (found.given, found.identities) == ((tmp_path / "key",), (Path("/other"),))
    assert (found.connect_timeout, found.forward_agent) == (3, "")


def test_strict_host_key_checking_is_no_setting(by: str, say: Say) -> None:
    """It must neither loosen anything nor stop the connection."""
    assert say("StrictHostKeyChecking no\nUserKnownHostsFile /dev/null\n").known_hosts == tuple(
        say("UserKnownHostsFile none\n").known_hosts
    )


def test_agent_and_keys(by: str, say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/agent")
    monkeypatch.setenv("OTHER", "/other")
    assert say("").agent == "/agent"
    assert say("IdentityAgent none\n").agent == ""
    assert say("IdentityAgent SSH_AUTH_SOCK\n").agent == "/agent"
    assert say("IdentityAgent $OTHER\n").agent == "/other"
    assert say("IdentityAgent ~/agent\n").agent == str(Path.home() / "agent")
    assert say("ForwardAgent yes\nIdentityAgent /mine\n").forward_agent == "/mine"
    assert say("ForwardAgent $OTHER\n").forward_agent == "/other"
    assert say("IdentitiesOnly yes\n").identities_only
    assert not say("IdentitiesOnly no\n").identities_only
    found = say(f'IdentityFile "~/.ssh/my key"\nIdentityFile {"/keys/%h-%r"}\n', "deploy@example.org")
    assert found.identities == (Path.home() / ".ssh/my key", Path("/keys/example.org-deploy"))


def test_proxy_command(by: str, say: Say) -> None:
    found = say("ProxyCommand nc -X 5 %h %p '%r' 100%% $HOME ${HOME}\n", "deploy@h:2222")
    assert found.proxy_command == "nc -X 5 h 2222 'deploy' 100% $HOME ${HOME}"
    assert say("ProxyCommand none\n").proxy_command == ""


def test_tokens_of_the_host_name(by: str, say: Say) -> None:
    assert say("HostName %h.example.org\n", "web").host == "web.example.org"


def test_files_with_known_hosts(by: str, say: Say) -> None:
    found = say('UserKnownHostsFile /a "/b c"\nGlobalKnownHostsFile /d\n')
    assert found.known_hosts == (Path("/a"), Path("/b c"), Path("/d"))


def test_include(by: str, say: Say, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "1.conf").write_text("Host web\n  User deploy\n")
    (tmp_path / "more" / "2.conf").write_text(f"Include {tmp_path}/more/deep\n")
    (tmp_path / "more" / "deep").write_text("Host web db\n  Port 2222\n")
    config = f"Include {tmp_path}/more/*.conf\nConnectTimeout 7\nHost web\n  User nobody\n"
    web, other = say(config, "web"), say(config, "example.org")
    assert (web.user, web.port, web.connect_timeout) == ("deploy", 2222, 7)
    assert (other.user, other.port, other.connect_timeout) == (getpass.getuser(), 22, 7)


def test_include_within_a_host(by: str, say: Say, tmp_path: Path) -> None:
    (tmp_path / "more").write_text("Port 2222\n")
    config = f"Host web\n  Include {tmp_path}/more\n  User deploy\n"
    web, other = say(config, "web"), say(config, "example.org")
    assert (web.user, web.port) == ("deploy", 2222)
    assert (other.user, other.port) == (getpass.getuser(), 22)


def test_relative_include_of_the_home(home: Path) -> None:
    (home / ".ssh" / "config").write_text("Include conf.d/*\n")
    (home / ".ssh" / "conf.d").mkdir()
    (home / ".ssh" / "conf.d" / "web").write_text("Host web\n  User deploy\n  IdentityFile ~/.ssh/web\n")
    found = resolve(Address("web"))
    assert (found.user, found.identities) == ("deploy", (home / ".ssh" / "web",))


def test_match(by: str, say: Say) -> None:
    config = "Match host server.example.org\n  User deploy\nMatch all\n  Port 2222\n"
    assert (say(config, "server.example.org").user, say(config).user) == ("deploy", getpass.getuser())
    assert say(config).port == 2222


@pytest.mark.parametrize(
    "criterion", ["exec true", "user deploy", "tagged x", "final all", "localnetwork 10/8"]
)
def test_match_that_paramiko_would_take_as_true(
    criterion: str, say: Say, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SshConfigError, match="cannot be followed without ssh"):
        say(f"Match host a {criterion}\n  User root\n")


def test_match_exec_with_ssh(say: Say) -> None:
    assert say("Match exec true\n  User deploy\nMatch exec false\n  Port 2222\n").user == "deploy"


def test_broken_configuration(by: str, say: Say) -> None:
    with pytest.raises(SshConfigError):
        say("Port nonsense\n")


def test_missing_configuration(by: str, tmp_path: Path) -> None:
    with pytest.raises(SshConfigError, match="is not there"):
        resolve(Address("example.org", ssh_config=tmp_path / "missing"))


def test_include_of_itself(say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SshConfigError):
        say(f"Include {tmp_path}/config\n")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SshConfigError, match="includes itself"):
        say(f"Include {tmp_path}/config\n")


def test_a_host_that_could_be_an_option(by: str, say: Say, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("")
    found_or_error: object = None
    try:
        found_or_error = say("", Address(f"-oProxyCommand=touch {tmp_path}/ran"))
    except SshConfigError as error:
        found_or_error = error
    assert found_or_error
    assert not (tmp_path / "ran").exists()


def test_token_that_is_not_known() -> None:
    with pytest.raises(SshConfigError, match="%C"):
        interpret(Address("h"), {"identityfile": ["/keys/%C"]})


def test_address_family(by: str, say: Say) -> None:
    assert say("AddressFamily inet6\n").family == socket.AF_INET6
    assert say("").family == socket.AF_UNSPEC


# Jump hosts.


def test_jump_hosts(by: str, say: Say) -> None:
    config = (
        "Host web\n  ProxyJump me@near:2201,far\n  ForwardAgent yes\n"
        "Host far\n  HostName far.example.org\n  User there\n  ProxyJump elsewhere\n"
        "Host near\n  HostName near.example.org\n"
    )
    address = Address("web", "deploy", passphrase="p", password="secret", known_hosts="/known")
    found = say(config, address)
    near, far = found.jumps
    assert (near.user, near.host, near.port) == ("me", "near.example.org", 2201)
    assert (far.user, far.host, far.port, far.jumps) == ("there", "far.example.org", 22, ())
    assert near.known_hosts == far.known_hosts == (Path("/known"),)
    # The password is the target's alone.
    assert (found.password, near.password, far.password) == ("secret", None, None)


def test_jump_host_with_a_jump_host(by: str, say: Say) -> None:
    found = say("Host web\n  ProxyJump near\nHost near\n  ProxyJump nearest\n", "web")
    assert [jump.host for jump in found.jumps] == ["nearest", "near"]
    assert all(not jump.jumps for jump in found.jumps)


def test_jump_host_for_everybody_but_itself(by: str, say: Say) -> None:
    config = "Host * !jump.example.org\n  ProxyJump jump.example.org\n"
    assert [jump.host for jump in say(config).jumps] == ["jump.example.org"]
    assert say(config, "jump.example.org").jumps == ()


def test_jump_hosts_in_a_circle(by: str, say: Say) -> None:
    with pytest.raises(SshConfigError, match="circle"):
        say("Host a\n  ProxyJump b\nHost b\n  ProxyJump c\nHost c\n  ProxyJump b\n", "a")
    with pytest.raises(SshConfigError, match=r"circle|loop"):
        say("Host *\n  ProxyJump jump.example.org\n")


def test_no_jump_host(by: str, say: Say) -> None:
    assert say("Host web\n  ProxyJump none\nHost *\n  ProxyJump jump\n", "web").jumps == ()


# Fabric's command line.


def test_what_fab_was_told(tmp_path: Path) -> None:
    config = fabric.Config(
        overrides={
            "connect_kwargs": {"key_filename": ["/key"], "passphrase": "p", "password": "w", "timeout": 4}
        },
    )
    config.set_runtime_ssh_path(str(tmp_path / "config"))
    (tmp_path / "config").write_text("Host web\n  User deploy\n  Port 2222\n")
    config.load_ssh_config()
    given = Address.of(fabric.Connection("web", config=config))
    assert given == Address(
        "web",
        identity=["/key"],
        passphrase="p",
        password="w",
        connect_timeout=4,
        ssh_config=str(tmp_path / "config"),
    )
    assert given.identities == (Path("/key"),)
    explicit = Address.of(fabric.Connection("me@web:23", config=config))
    assert (explicit.host, explicit.user, explicit.port) == ("web", "me", 23)


def test_nothing_was_told() -> None:
    assert Address("h", "u", 23).with_options(fabric.Config()) == Address("h", "u", 23)


def test_account_without_an_entry(say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", missing)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SshConfigError, match="has no name") as caught:
        say("User deploy\n")
    assert "USER" in caught.value.hint
    monkeypatch.setenv("USER", "somebody")
    assert say("User deploy\n").user == "deploy"
    assert say("").user == "somebody"


def test_import_is_light() -> None:
    code = "import sys, deploy.transport; sys.exit('paramiko' in sys.modules or 'fabric' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_public_names() -> None:
    import deploy.transport as package

    assert all(getattr(package, name) for name in package.__all__)
    assert list(package.__all__) == sorted(package.__all__)


def test_ssh_is_here() -> None:
    """Most of this file means nothing without it."""
    assert shutil.which("ssh")
