"""Two servers with one contract: ours inside the process, and OpenSSH's as the current user on loopback."""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from deploy.embedded import EmbeddedServer
from deploy.transport import Address

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


@dataclass(frozen=True)
class Server:
    """Where a test may connect, with what, and the server's line for known_hosts."""

    port: int
    key: Path
    known_hosts: Path
    line: str
    host: str = "127.0.0.1"

    @property
    def address(self) -> Address:
        user = getpass.getuser()
        return Address(self.host, user, self.port, identity=self.key, known_hosts=self.known_hosts)

    def knowing(self, *lines: str) -> Address:
        """The address with other lines in known_hosts."""
        self.known_hosts.write_text("".join(f"{line}\n" for line in lines))
        return self.address

    def with_key(self, key: Path | None, **more: object) -> Address:
        """The address with another key file."""
        return replace(self.address, identity=key, **more)  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without keys, agent or configuration; the real one is never looked at."""
    folder = tmp_path / "home"
    (folder / ".ssh").mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return folder


def new_key(path: Path, kind: str = "ed25519", passphrase: str = "", form: str = "RFC4716") -> Path:
    """A key pair made by ssh-keygen."""
    made = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", path.name, "-f", str(path)]
    made += ["-m", form] if form != "RFC4716" else []
    made += ["-b", "2048"] if kind == "rsa" else []
    subprocess.run(made, check=True, stdin=subprocess.DEVNULL)
    return path


def public(path: Path) -> str:
    """``type base64`` of a key made by ``new_key``."""
    return " ".join(path.with_name(path.name + ".pub").read_text().split()[:2])


@pytest.fixture
def embedded(home: Path) -> Iterator[EmbeddedServer]:
    with EmbeddedServer(home=home, path=os.environ["PATH"].split(os.pathsep)) as server:
        yield server


StartSshd = Callable[..., Server]


@pytest.fixture
def start_sshd(tmp_path: Path) -> Iterator[StartSshd]:
    """Start OpenSSH's sshd with more lines of configuration; all are ended again."""
    if SSHD is None:
        if os.environ.get("CI") == "true":
            pytest.fail("sshd is missing: install openssh-server")
        pytest.skip("sshd is missing")
    started: list[subprocess.Popen[bytes]] = []

    def start(*lines: str, authorized: str = "") -> Server:
        folder = tmp_path / f"sshd{len(started)}"
        folder.mkdir()
        server = _configure(folder, lines, authorized)
        log = (folder / "log").open("wb")
        command = [SSHD, "-D", "-e", "-f", str(folder / "sshd_config")]
        started.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log))
        log.close()
        _wait_for(server.port, folder / "log")
        return server

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def _configure(folder: Path, lines: tuple[str, ...], authorized: str) -> Server:
    host_key, client_key = new_key(folder / "host_key"), new_key(folder / "client_key")
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "authorized_keys").write_text(f"{public(client_key)}\n{authorized}\n")
    # The first value of a key is the one that counts.
    config = [
        *lines,
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {host_key}",
        f"PidFile {folder}/pid",
        f"AuthorizedKeysFile {folder}/authorized_keys",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "PermitRootLogin yes",
        "StrictModes no",
        "UsePAM no",
    ]
    (folder / "sshd_config").write_text("\n".join(config) + "\n")
    line = f"[127.0.0.1]:{port} {public(host_key)}"
    (folder / "known_hosts").write_text(line + "\n")
    return Server(port, client_key, folder / "known_hosts", line)


def _wait_for(port: int, log: Path) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.02)
    pytest.fail(f"sshd did not start: {log.read_text()}")


@pytest.fixture
def sshd(start_sshd: StartSshd) -> Server:
    return start_sshd()


@pytest.fixture
def ours(embedded: EmbeddedServer) -> Server:
    return Server(embedded.port, embedded.client_key_path, embedded.known_hosts_path, embedded.host_key_line)


@pytest.fixture(params=["ours", "sshd"])
def server(request: pytest.FixtureRequest) -> Server:
    """Each of the two servers: what holds for one must hold for the other."""
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], None]]:
    """A real ssh-agent; call it with a key file to add."""
    path = tmp_path / "agent"
    process = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(path)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    while not path.exists():
        time.sleep(0.01)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))

    def add(key: Path) -> None:
        subprocess.run(["ssh-add", "-q", str(key)], check=True, stdin=subprocess.DEVNULL)

    yield add
    process.terminate()
    process.wait(10)
