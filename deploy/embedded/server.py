"""The server: accepts connections on loopback and runs commands as the current user, much as sshd does."""

from __future__ import annotations

import contextlib
import getpass
import logging
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from types import TracebackType

import paramiko
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from deploy.embedded.session import Session

# A client that hangs up is no news.
logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)

_Start = Callable[[paramiko.Channel, bytes, Mapping[str, str]], Session]


class EmbeddedServer:
    """An SSH server on 127.0.0.1 with a random port, a throw-away host key and one throw-away client key.

    Commands run as the current user under ``shell -c``, in ``home``, with ``path`` as PATH and ``env`` added.
    No shell, terminal, sftp or forwarding. Use it as a context manager, or call ``close``.

    ``port``, ``user``      where and as whom to connect (any user name is accepted)
    ``host_key_line``       the server's line for known_hosts, without a line end
    ``known_hosts_path``    a file that holds this line
    ``client_key_path``     the private key that is let in, 0600
    """

    host = "127.0.0.1"

    def __init__(
        self,
        home: Path,
        path: Sequence[str | Path] = (),
        shell: str = "/bin/sh",
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.user = getpass.getuser()
        self._shell, self._home = shell, home
        self._env = _environment(home, path, shell, self.user, env or {})
        self._folder = tempfile.TemporaryDirectory(prefix="backstay-ssh-")
        self._host_key, _ = _new_key()
        self._client_key, private = _new_key()
        self._listener = socket.create_server((self.host, 0))
        self.port: int = self._listener.getsockname()[1]
        name, kind, key = f"[{self.host}]:{self.port}", self._host_key.get_name(), self._host_key.get_base64()
        self.host_key_line = f"{name} {kind} {key}"
        self.known_hosts_path = self._file("known_hosts", self.host_key_line + "\n")
        self.client_key_path = self._file("id_ed25519", private)
        self._refusing = False
        self._closed = False
        self._stalled = threading.Event()
        self._connections: list[_Connection] = []
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._accept, name="embedded-sshd", daemon=True)
        self._thread.start()

    def refuse_new(self, refuse: bool = True) -> None:
        """Hang up on new connections before the banner, as sshd does with too many of them; or stop that."""
        self._refusing = refuse

    def stall(self, stalled: bool = True) -> None:
        """Say nothing more and hear nothing more on open connections, without closing them; or go on."""
        if stalled:
            self._stalled.set()
        else:
            self._stalled.clear()

    def drop_connections(self) -> None:
        """Cut all open connections; their commands are treated as after a client's disconnect."""
        with self._lock:
            dropped, self._connections = self._connections, []
        for connection in dropped:
            connection.close()

    def close(self) -> None:
        """Stop listening, cut all connections, wait for the threads; may be called twice."""
        if self._closed:
            return
        self._closed = True
        # A blocked accept does not notice that its socket was closed: one connection wakes it.
        with contextlib.suppress(OSError):
            socket.create_connection((self.host, self.port), timeout=1).close()
        self._thread.join(5)
        self._listener.close()
        self.drop_connections()
        self._folder.cleanup()

    def __enter__(self) -> EmbeddedServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _file(self, name: str, text: str) -> Path:
        path = Path(self._folder.name, name)
        path.touch(0o600)
        path.write_text(text)
        return path

    def _accept(self) -> None:
        while not self._closed:
            try:
                line, _ = self._listener.accept()
            except OSError:
                return
            if self._refusing or self._closed:
                line.close()
                continue
            connection = _Connection(_Line(line, self._stalled), self._host_key, self._client_key, self._open)
            with self._lock:
                self._connections = [old for old in self._connections if old.active] + [connection]

    def _open(self, channel: paramiko.Channel, command: bytes, env: Mapping[str, str]) -> Session:
        return Session(channel, [self._shell, "-c", os.fsdecode(command)], self._home, {**self._env, **env})


class _Line:
    """A socket that can go silent both ways while it stays open. Calls ``before_read`` before each read."""

    def __init__(self, line: socket.socket, stalled: threading.Event) -> None:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._line, self._stalled = line, stalled
        self.before_read: Callable[[], None] = lambda: None

    def recv(self, size: int) -> bytes:
        self.before_read()
        self._pause()
        data = self._line.recv(size)
        self._hold()
        return data

    def send(self, data: bytes) -> int:
        self._pause()
        return self._line.send(data)

    def _pause(self) -> None:
        if self._stalled.is_set():
            time.sleep(0.05)
            raise TimeoutError

    def _hold(self) -> None:
        """What arrived while the stall began must wait, too: handed on it would be answered."""
        while self._stalled.is_set() and self._line.fileno() >= 0:
            time.sleep(0.05)

    def close(self) -> None:
        self._line.close()

    def __getattr__(self, name: str) -> object:
        return getattr(self._line, name)


class _Connection(paramiko.ServerInterface):  # type: ignore[misc]
    """One client: lets in the one key and starts a session for each exec."""

    def __init__(
        self, line: _Line, host_key: paramiko.PKey, client_key: paramiko.PKey, start: _Start
    ) -> None:
        self._client_key, self._start = client_key, start
        self._env: dict[int, dict[str, str]] = {}
        self._sessions: list[Session] = []
        self._accepted: list[Session] = []
        line.before_read = self._start_accepted
        self._transport = paramiko.Transport(line)
        self._transport.add_server_key(host_key)
        self._transport.start_server(event=threading.Event(), server=self)

    @property
    def active(self) -> bool:
        """Whether the client is still there or a command of it is still being wound up."""
        return self._transport.is_active() or any(session.is_alive() for session in self._sessions)

    def close(self) -> None:
        """Cut the line and wait until the commands' ends are closed."""
        self._transport.close()
        self._transport.join(5)
        for session in self._sessions:
            session.join(5)

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        same = key.asbytes() == self._client_key.asbytes()
        return int(paramiko.AUTH_SUCCESSFUL if same else paramiko.AUTH_FAILED)

    def check_channel_request(self, kind: str, chanid: int) -> int:
        refusal = paramiko.OPEN_FAILED_ADMINISTRATIVELY_PROHIBITED
        return int(paramiko.OPEN_SUCCEEDED if kind == "session" else refusal)

    def check_channel_env_request(self, channel: paramiko.Channel, name: bytes, value: bytes) -> bool:
        self._env.setdefault(channel.get_id(), {})[os.fsdecode(name)] = os.fsdecode(value)
        return True

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        self._accepted.append(self._start(channel, command, self._env.pop(channel.get_id(), {})))
        return True

    def _start_accepted(self) -> None:
        # Paramiko reads on only after it has answered the request. Started sooner, a command that is over at
        # once could close its channel before the answer.
        while self._accepted:
            session = self._accepted.pop(0)
            self._sessions = [*(old for old in self._sessions if old.is_alive()), session]
            session.start()


def _new_key() -> tuple[paramiko.PKey, str]:
    """A new Ed25519 key, and its private half as an OpenSSH file."""
    text = (
        Ed25519PrivateKey.generate()
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.OpenSSH,
            serialization.NoEncryption(),
        )
        .decode()
    )
    return paramiko.Ed25519Key.from_private_key(StringIO(text)), text


def _environment(
    home: Path, path: Sequence[str | Path], shell: str, user: str, extra: Mapping[str, str]
) -> dict[str, str]:
    """What a command finds in its environment: nothing of ours but the temporary folder and the language."""
    kept = {name: os.environ[name] for name in ("TMPDIR", "LANG", "LC_ALL") if name in os.environ}
    words = os.pathsep.join(str(part) for part in path) or os.defpath
    return {**kept, "HOME": str(home), "PATH": words, "SHELL": shell, "USER": user, "LOGNAME": user, **extra}
