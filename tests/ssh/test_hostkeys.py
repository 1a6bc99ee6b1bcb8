from __future__ import annotations

import ast
import base64
import hashlib
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

import deploy
from deploy.errors import HostKeyError, SshConfigError
from deploy.transport import connect, resolve
from deploy.transport.hostkeys import fingerprint, judge, read
from deploy.transport.settings import Settings
from tests.ssh.conftest import Server, new_key, public


def settings(name: str = "example.org", port: int = 22, **more: object) -> Settings:
    key_name = name if port == 22 else f"[{name}]:{port}"
    plain = Settings(name, name, port, "deploy", key_name, (Path("/known_hosts"),))
    return replace(plain, **more)  # type: ignore[arg-type]


def verdict(lines: str, path: Path, name: str = "example.org", port: int = 22) -> str:
    """Why the ssh-ed25519 key "k" is refused under these lines; empty when it is accepted."""
    path.write_text(lines)
    try:
        judge(settings(name, port), read([path]), "ssh-ed25519", b"k")
    except HostKeyError as error:
        return error.message
    return ""


K, OTHER = base64.b64encode(b"k").decode(), base64.b64encode(b"other").decode()


@pytest.mark.parametrize(
    "lines",
    [
        f"example.org ssh-ed25519 {K}",
        f"EXAMPLE.org ssh-ed25519 {K} a comment",
        f"a,example.org,b ssh-ed25519 {K}",
        f"*.org ssh-ed25519 {K}",
        f"exampl?.org ssh-ed25519 {K}",
        f"# a comment\n\nnonsense\nexample.org ssh-ed25519 ***\n@marker example.org ssh-ed25519 {K}\n"
        f"@cert-authority * ssh-ed25519 {OTHER}\nexample.org ssh-ed25519 {K}",
        f"example.org ssh-ed25519 {OTHER}\nexample.org ssh-ed25519 {K}",
        f"example.org ssh-rsa {OTHER}\nexample.org ssh-ed25519 {K}",
        f"@revoked * ssh-ed25519 {OTHER}\nexample.org ssh-ed25519 {K}",
    ],
)
def test_accepts(lines: str, tmp_path: Path) -> None:
    assert verdict(lines, tmp_path / "known_hosts") == ""


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", "is unknown"),
        (f"example.com ssh-ed25519 {K}", "is unknown"),
        (f"*.org,!example.org ssh-ed25519 {K}", "is unknown"),
        (f"[example.org]:2222 ssh-ed25519 {K}", "is unknown"),
        (f"[e]xample.org ssh-ed25519 {K}", "is unknown"),
        (f"|1|broken ssh-ed25519 {K}", "is unknown"),
        (f"example.org ssh-ed25519 {OTHER}", "has CHANGED"),
        (f"example.org ssh-rsa {OTHER}", "only other types: ssh-rsa"),
        (f"@cert-authority *.org ssh-ed25519 {OTHER}", "certificate authority"),
        (f"@cert-authority *.org ssh-ed25519 {K}", "certificate authority"),
        (f"@revoked *.org ssh-ed25519 {K}", "revoked"),
        (f"example.org ssh-ed25519 {K}\n@revoked *.org ssh-ed25519 {K}", "revoked"),
    ],
)
def test_refuses(lines: str, said: str, tmp_path: Path) -> None:
    assert said in verdict(lines, tmp_path / "known_hosts")


def test_a_port_other_than_22_has_its_own_name(tmp_path: Path) -> None:
    line = f"[example.org]:2222 ssh-ed25519 {K}"
    assert verdict(line, tmp_path / "known_hosts", port=2222) == ""
    assert "unknown" in verdict(line, tmp_path / "known_hosts", port=2223)
    assert "unknown" in verdict(f"example.org ssh-ed25519 {K}", tmp_path / "known_hosts", port=2222)


def test_reads_what_ssh_keygen_hashes(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(f"[example.org]:2222 {public(new_key(tmp_path / 'host'))}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(path)], check=True, capture_output=True)
    (line,) = read([path])
    assert "example" not in path.read_text()
    assert line.is_for("[example.org]:2222")
    assert not line.is_for("example.org")


def test_fingerprint_is_that_of_ssh_keygen(tmp_path: Path) -> None:
    key = new_key(tmp_path / "host")
    said = subprocess.run(["ssh-keygen", "-lf", str(key)], check=True, capture_output=True, text=True).stdout
    assert fingerprint(base64.b64decode(public(key).split()[1])) in said


def test_several_files_and_a_missing_one(tmp_path: Path) -> None:
    (tmp_path / "one").write_text(f"a.org ssh-ed25519 {OTHER}\n")
    (tmp_path / "two").write_text(f"example.org ssh-ed25519 {K}\n")
    keys = read([tmp_path / "one", tmp_path / "none", tmp_path / "two"])
    judge(settings(), keys, "ssh-ed25519", b"k")


def test_file_of_revoked_keys(tmp_path: Path) -> None:
    known, revoked = tmp_path / "known_hosts", tmp_path / "revoked"
    known.write_text(f"example.org ssh-ed25519 {K}\n")
    revoked.write_text(f"# stolen\nssh-ed25519 {K} stolen\n")
    with pytest.raises(HostKeyError, match="revoked"):
        judge(settings(), read([known], revoked), "ssh-ed25519", b"k")
    revoked.write_bytes(b"SSHKRL\n\0\0\0\0")
    with pytest.raises(SshConfigError):
        read([known], revoked)
    with pytest.raises(SshConfigError):
        read([known], tmp_path / "missing")


def test_how_to_pin(tmp_path: Path) -> None:
    def hint(**more: object) -> str:
        with pytest.raises(HostKeyError) as caught:
            judge(settings(port=2222, **more), [], "ssh-ed25519", b"k")
        return caught.value.hint

    assert "ssh-keyscan -t ed25519 -p 2222 example.org >> /known_hosts" in hint()
    # Where ssh-keyscan does not reach, the line itself.
    line = f"echo '[example.org]:2222 ssh-ed25519 {K}' >> /known_hosts"
    assert line in hint(proxy_command="nc example.org 2222")
    assert line in hint(jumps=(settings("jump.example.org"),))
    assert "Compare the fingerprint" in hint()


def test_how_to_replace_a_changed_key(tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(f"\nexample.org ssh-ed25519 {OTHER}\n")
    with pytest.raises(HostKeyError) as caught:
        judge(settings(), read([path]), "ssh-ed25519", b"k")
    for blob in (b"k", b"other"):
        digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
        assert f"SHA256:{digest}" in caught.value.message
    assert f"{path}:2" in caught.value.message
    assert f"ssh-keygen -f {path} -R example.org" in caught.value.hint


# The same against servers.


def test_right_key(server: Server) -> None:
    with connect(server.address) as transport:
        assert transport.active


def test_unknown_key(server: Server) -> None:
    shown = fingerprint(base64.b64decode(server.line.split()[2]))
    with pytest.raises(HostKeyError) as caught:
        connect(server.knowing())
    assert shown in caught.value.message
    assert f"ssh-keyscan -t ed25519 -p {server.port} 127.0.0.1 >> {server.known_hosts}" in caught.value.hint
    assert server.known_hosts.read_text() == ""


def test_the_hint_pins_the_key(server: Server) -> None:
    with pytest.raises(HostKeyError) as caught:
        connect(server.knowing())
    command = caught.value.hint.splitlines()[-1]
    subprocess.run(command, shell=True, check=True, capture_output=True)
    connect(server.address).close()


def test_changed_key(server: Server, tmp_path: Path) -> None:
    name, other = server.line.split()[0], public(new_key(tmp_path / "other"))
    with pytest.raises(HostKeyError, match="has CHANGED") as caught:
        connect(server.knowing(f"{name} {other}"))
    assert fingerprint(base64.b64decode(server.line.split()[2])) in caught.value.message
    assert fingerprint(base64.b64decode(other.split()[1])) in caught.value.message


def test_revoked_key(server: Server) -> None:
    with pytest.raises(HostKeyError, match="revoked"):
        connect(server.knowing(server.line, f"@revoked {server.line}"))


def test_lines_that_cannot_be_read(server: Server) -> None:
    lines = ("@cert-authority * ssh-ed25519 AAAA", "x ssh-rsa %%%", "one", server.line)
    connect(server.knowing(*lines)).close()


def test_host_key_alias(server: Server, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("Host 127.0.0.1\n  HostKeyAlias The-Server\n")
    _, kind, key = server.line.split()
    address = replace(server.knowing(f"the-server {kind} {key}"), ssh_config=config)
    connect(address).close()
    with pytest.raises(HostKeyError) as caught:
        connect(replace(server.knowing(server.line), ssh_config=config))
    assert "echo 'the-server ssh-ed25519 " in caught.value.hint


def test_asks_for_the_type_that_is_known(start_sshd, tmp_path: Path) -> None:
    rsa = new_key(tmp_path / "rsa", "rsa")
    server = start_sshd(f"HostKey {rsa}")
    connect(server.knowing(f"[127.0.0.1]:{server.port} {public(rsa)}")).close()


def test_fabric_never_adds_a_key(ours: Server, home: Path) -> None:
    """However the connection is opened: by Fabric's own methods, too."""
    from deploy.transport.connection import StrictConnection, Timing
    from deploy.transport.keys import Keyring

    connection = StrictConnection(resolve(ours.knowing()), Timing(), Keyring())
    with pytest.raises(HostKeyError):
        connection.run("true", hide=True, in_stream=False)
    assert not list((home / ".ssh").iterdir())


def test_no_other_policy_in_the_code() -> None:
    for path in Path(deploy.__file__).parent.rglob("*.py"):
        names = {
            node.attr if isinstance(node, ast.Attribute) else node.id
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Attribute | ast.Name)
        }
        assert not names & {"AutoAddPolicy", "WarningPolicy", "save_host_keys"}, path
