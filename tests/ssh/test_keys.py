from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from deploy.errors import AuthError
from deploy.transport import connect, resolve
from deploy.transport.keys import Keyring, candidates, load, public_half
from tests.ssh.conftest import Server, new_key, public


def refusal(server: Server, key: Path | None, **more: object) -> AuthError:
    with pytest.raises(AuthError) as caught:
        connect(server.with_key(key, **more))
    return caught.value


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
@pytest.mark.parametrize("form", ["RFC4716", "PEM"])
@pytest.mark.parametrize("passphrase", ["", "a passphrase"])
def test_loads_what_ssh_keygen_makes(kind: str, form: str, passphrase: str, tmp_path: Path) -> None:
    key = load(new_key(tmp_path / "key", kind, passphrase, form), passphrase or None)
    assert f"{key.get_name()} {key.get_base64()}" == public(tmp_path / "key")


@pytest.mark.parametrize("form", ["RFC4716", "PEM"])
def test_encrypted_key(form: str, tmp_path: Path) -> None:
    key = new_key(tmp_path / "key", "rsa", "right one", form)
    with pytest.raises(AuthError, match="is encrypted") as caught:
        load(key, None)
    assert str(key) in caught.value.message
    assert f"ssh-add {key}" in caught.value.hint
    assert "--prompt-for-passphrase" in caught.value.hint
    with pytest.raises(AuthError, match="not its passphrase"):
        load(key, "wrong one")


def test_a_passphrase_that_is_not_needed(tmp_path: Path) -> None:
    load(new_key(tmp_path / "key"), "for another key")


def test_files_that_are_no_private_key(tmp_path: Path) -> None:
    key = new_key(tmp_path / "key")
    (tmp_path / "text").write_text("hello")
    with pytest.raises(AuthError, match="is a public key") as caught:
        load(tmp_path / "key.pub", None)
    assert caught.value.hint.endswith(f": {key}")
    with pytest.raises(AuthError, match="no private key"):
        load(tmp_path / "text", None)
    with pytest.raises(AuthError, match="No such file"):
        load(tmp_path / "missing", None)
    with pytest.raises(AuthError, match="directory"):
        load(tmp_path, None)


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    new_key(tmp_path / "key").chmod(0)
    with pytest.raises(AuthError, match="Permission denied"):
        load(tmp_path / "key", None)


def test_public_half(tmp_path: Path) -> None:
    plain, locked = new_key(tmp_path / "plain"), new_key(tmp_path / "locked", passphrase="a passphrase")
    old = new_key(tmp_path / "old", "rsa", form="PEM")
    for key in (plain, locked):
        with_pub = public_half(key)
        key.with_name(key.name + ".pub").unlink()
        assert public_half(key) == with_pub != b""
    (tmp_path / "old.pub").unlink()
    assert public_half(old) == b""
    assert public_half(tmp_path / "missing") == b""
    cut = plain.read_bytes()[:80]
    plain.write_bytes(cut)
    assert isinstance(public_half(plain), bytes)


# The same against servers.


def test_key_that_was_named(server: Server) -> None:
    connect(server.address).close()


def test_key_that_is_not_known_there(server: Server, tmp_path: Path) -> None:
    error = refusal(server, new_key(tmp_path / "stranger"))
    assert "let none of our keys in" in error.message
    assert f"tried: {tmp_path / 'stranger'}" in error.message
    assert "authorized_keys" in error.hint


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_key_of_another_type_that_is_not_known_there(server: Server, kind: str, tmp_path: Path) -> None:
    assert "let none of our keys in" in refusal(server, new_key(tmp_path / "stranger", kind)).message


def test_no_key_at_all(server: Server) -> None:
    error = refusal(server, None)
    assert "there is no key to log in with" in error.message
    assert "-i FILE" in error.hint


def test_named_file_is_looked_at_before_connecting(ours: Server, tmp_path: Path) -> None:
    closed = replace(ours.with_key(tmp_path / "missing"), port=1)
    with pytest.raises(AuthError, match="No such file"):
        connect(closed)


def test_default_file_of_the_home(server: Server, home: Path) -> None:
    shutil.copy(server.key, home / ".ssh" / "id_ed25519")
    connect(server.with_key(None)).close()


def test_file_of_the_configuration_after_others(server: Server, tmp_path: Path) -> None:
    config = tmp_path / "config"
    files = [tmp_path / "missing", new_key(tmp_path / "stranger"), server.key]
    config.write_text("".join(f"IdentityFile {file}\n" for file in files))
    connect(server.with_key(None, ssh_config=config)).close()


def test_encrypted_file_is_passed_over_for_one_that_works(server: Server, home: Path, tmp_path: Path) -> None:
    new_key(home / ".ssh" / "id_rsa", "rsa", "a passphrase")
    shutil.copy(server.key, home / ".ssh" / "id_ed25519")
    connect(server.with_key(None)).close()


def test_encrypted_default_file_is_said(server: Server, home: Path) -> None:
    new_key(home / ".ssh" / "id_rsa", "rsa", "a passphrase")
    error = refusal(server, None)
    assert f"{home}/.ssh/id_rsa is encrypted" in error.message
    assert "ssh-add" in error.hint


def locked(server: Server, tmp_path: Path) -> Path:
    """The server's client key, encrypted with "a passphrase", without a .pub."""
    key = tmp_path / "locked"
    shutil.copy(server.key, key)
    change = ["ssh-keygen", "-q", "-p", "-P", "", "-N", "a passphrase", "-f", str(key)]
    subprocess.run(change, check=True, capture_output=True)
    return key


def test_encrypted_file_with_its_passphrase(server: Server, tmp_path: Path) -> None:
    connect(server.with_key(locked(server, tmp_path), passphrase="a passphrase")).close()


def test_encrypted_file_without_its_passphrase(server: Server, tmp_path: Path) -> None:
    key = locked(server, tmp_path)
    assert f"{key} is encrypted" in refusal(server, key).message
    assert "not its passphrase" in refusal(server, key, passphrase="another").message


def test_encrypted_file_whose_key_the_agent_has(
    server: Server, agent: Callable[[Path], None], tmp_path: Path
) -> None:
    agent(server.key)
    connect(server.with_key(locked(server, tmp_path))).close()


def test_reopening_needs_no_file_any_more(ours: Server, tmp_path: Path) -> None:
    key = locked(ours, tmp_path)
    with connect(ours.with_key(key, passphrase="a passphrase")) as transport:
        key.unlink()
        transport.reopen()
        channel = transport.execute("echo again")
        assert b"".join(channel.read()) == b"again\n"


def test_key_of_the_agent(server: Server, agent: Callable[[Path], None]) -> None:
    agent(server.key)
    connect(server.with_key(None)).close()


def test_identity_agent_of_the_configuration(
    server: Server, agent: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent(server.key)
    config = tmp_path / "config"
    config.write_text(f"IdentityAgent {os.environ['SSH_AUTH_SOCK']}\n")
    monkeypatch.delenv("SSH_AUTH_SOCK")
    connect(server.with_key(None, ssh_config=config)).close()
    config.write_text("IdentityAgent none\n")
    assert "no key" in refusal(server, None, ssh_config=config).message


def test_agent_that_is_gone(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "gone"))
    connect(server.address).close()


def test_too_many_keys_of_the_agent(
    start_sshd: Callable[..., Server], agent: Callable[[Path], None], tmp_path: Path
) -> None:
    server = start_sshd("MaxAuthTries 3")
    for number in range(4):
        agent(new_key(tmp_path / f"stranger{number}"))
    agent(server.key)
    error = refusal(server, None)
    assert "hung up" in error.message
    assert "IdentitiesOnly" in error.hint
    # A key that is named goes first.
    connect(server.address).close()
    config = tmp_path / "config"
    config.write_text(f"IdentitiesOnly yes\nIdentityFile {server.key}\n")
    connect(server.with_key(None, ssh_config=config)).close()


def test_order(agent: Callable[[Path], None], tmp_path: Path, ours: Server) -> None:
    names = ("named", "configured", "held", "held_and_configured")
    keys = {name: new_key(tmp_path / name) for name in names}
    for name in ("held", "held_and_configured"):
        agent(keys[name])
    config = tmp_path / "config"

    def order(keyring: Keyring, more: str = "") -> list[str]:
        files = "".join(f"IdentityFile {keys[name]}\n" for name in ("configured", "held_and_configured"))
        config.write_text(files + more)
        settings = resolve(replace(ours.with_key(keys["named"]), ssh_config=config))
        held = paramiko.Agent()
        found = list(candidates(settings, keyring, held.get_keys()))
        held.close()
        by_blob = {public_half(path): name for name, path in keys.items()}
        return [by_blob[one.blob] for one in found]

    assert order(Keyring()) == ["named", "held_and_configured", "held", "configured"]
    assert order(Keyring(), "IdentitiesOnly yes\n") == ["named", "held_and_configured", "configured"]
    place = resolve(ours.address).place
    last = Keyring(accepted={place: public_half(keys["held"])})
    assert order(last) == ["held", "named", "held_and_configured", "configured"]


def test_server_that_wants_a_password(start_sshd: Callable[..., Server]) -> None:
    server = start_sshd("PubkeyAuthentication no", "PasswordAuthentication yes")
    error = refusal(server, server.key)
    assert "only takes password" in error.message


def test_server_that_wants_two_things(start_sshd: Callable[..., Server]) -> None:
    server = start_sshd("PasswordAuthentication yes", "AuthenticationMethods publickey,password")
    assert "wants more than that (password)" in refusal(server, server.key).message


def test_secrets_are_not_shown(ours: Server) -> None:
    address = replace(ours.address, passphrase="hunter22", password="hunter23")
    assert "hunter" not in repr(address) + repr(resolve(address))


def test_forwarded_agent(sshd: Server, agent: Callable[[Path], None], tmp_path: Path) -> None:
    agent(new_key(tmp_path / "mine"))
    for wanted in (True, False):
        with connect(replace(sshd.address, forward_agent=wanted)) as transport:
            channel = transport.execute("ssh-add -l 2>&1")
            said = b"".join(channel.read()).decode()
        assert ("mine" in said) == wanted, said


def test_user_of_the_address(ours: Server) -> None:
    assert resolve(ours.address).user == getpass.getuser()
    with connect(replace(ours.address, user="somebody")) as transport:
        assert transport.place.startswith("somebody@")
