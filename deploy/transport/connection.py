"""A Fabric connection that checks host keys, takes settings only from us, and notices a dead server."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from dataclasses import dataclass, replace
from select import select
from types import TracebackType
from typing import Any

import fabric
import paramiko

from deploy.errors import UnreachableError
from deploy.transport import channel, keys, line, mapping
from deploy.transport.hostkeys import Check
from deploy.transport.settings import Settings

# Paramiko's thread prints tracebacks through it; what matters arrives as an exception.
logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)


@dataclass(frozen=True)
class Timing:
    """Seconds to wait: for the greeting and key exchange, for the login, for a new channel; and how long the
    server may be silent before it is asked for a sign of life, and before it is given up."""

    handshake: float = 15.0
    login: float = 30.0
    channel: float = 30.0
    ask_after: float = 10.0
    dead_after: float = 25.0


class StrictConnection(fabric.Connection):  # type: ignore[misc]
    """``fabric.Connection`` for ``Settings``; opens itself strictly, however it comes to be opened.

    Errors of opening are TransportErrors; after a failed opening nothing is left open.
    """

    # Fabric takes attributes that the class does not name for settings.
    _settings: Any = None
    _timing: Any = None
    _keyring: Any = None
    _line: Any = None
    _watch: Any = None

    def __init__(
        self, settings: Settings, timing: Timing, keyring: keys.Keyring, config: fabric.Config | None = None
    ) -> None:
        gateway = None
        if settings.jumps:
            *nearer, last = settings.jumps
            gateway = StrictConnection(replace(last, jumps=tuple(nearer)), timing, keyring)
        super().__init__(
            settings.host,
            user=settings.user,
            port=settings.port,
            config=config or fabric.Config(ssh_config=paramiko.SSHConfig()),
            gateway=gateway or False,
            forward_agent=bool(settings.forward_agent),
            connect_kwargs={},
        )
        self._settings, self._timing, self._keyring = settings, timing, keyring
        # Fabric has put in one that accepts any key.
        self.client.set_missing_host_key_policy(paramiko.RejectPolicy())

    def derive_shorthand(self, host_string: str) -> dict[str, Any]:
        """The host is a host already; an IPv6 address must not be cut at its colons."""
        return {"host": host_string, "user": None, "port": None}

    @property
    def place(self) -> str:
        """Where it leads, for messages."""
        return str(self._settings.place)

    @property
    def lost_because(self) -> str:
        """Why the connection is gone, if that is known."""
        return str(self._watch.reason) if self._watch else ""

    def open(self) -> None:
        """Connect, check the host key, log in; does nothing when that is done already."""
        if self.is_connected:
            return
        keys.check_given(self._settings, self._keyring)
        check = Check(self._settings)
        try:
            with mapping.connecting(self._settings.place):
                self._line = self._dial()
                self._connect(check)
        except UnreachableError as error:
            error.message += self._line.complaint() if self._line else ""
            self.close()
            raise
        except BaseException:
            self.close()
            raise
        self.transport = self.client.get_transport()
        times = self._timing
        self._watch = line.Watch(self.transport, self._line, times.ask_after, times.dead_after)

    def close(self) -> None:
        """Close everything that was opened, the jump hosts too; harmless when nothing is open."""
        if self._watch:
            self._watch.stop()
        super().close()
        made = self.client.get_transport()
        if made:
            # Its timer would keep the process from ending; Paramiko stops it only when all went well.
            made.packetizer.complete_handshake()
        self.client.close()
        if self._line:
            self._line.close()
        if self.gateway:
            self.gateway.close()

    def create_session(self) -> paramiko.Channel:
        """A new session channel, with the agent behind it where that is wanted."""
        self.open()
        with mapping.connected(self._settings.place, lambda: self.lost_because):
            session = self.transport.open_session(timeout=self._timing.channel)
            if self._settings.forward_agent:
                session.request_forward_agent(self._forward)
        return session

    def _dial(self) -> line.Line:
        if self._settings.proxy_command:
            return line.through_command(self._settings.proxy_command)
        if self.gateway:
            self.gateway.open()
            with mapping.jumping(self.gateway.place, self._settings.place):
                return line.through_host(self.gateway.transport, self._settings, self._timing.channel)
        return line.dial(self._settings, self._timing.dead_after)

    def _connect(self, check: Check) -> None:
        def transport(sock: Any, **_options: Any) -> paramiko.Transport:
            made = paramiko.Transport(sock)
            choice = made.get_security_options()
            choice.key_types = check.algorithms(choice.key_types)
            return made

        self.client.set_missing_host_key_policy(check)
        self.client.connect(
            self._settings.host,
            port=self._settings.port,
            username=self._settings.user,
            sock=self._line,
            timeout=self._timing.handshake + 1,
            banner_timeout=self._timing.handshake,
            auth_timeout=self._timing.login,
            channel_timeout=self._timing.channel,
            auth_strategy=keys.Login(self._settings, self._keyring),
            transport_factory=transport,
        )

    def _forward(self, remote: paramiko.Channel) -> None:
        relay = threading.Thread(target=_relay, args=(remote, self._settings.forward_agent), daemon=True)
        relay.start()


def _relay(remote: paramiko.Channel, agent: str) -> None:
    """Bytes between a command's request for the agent and the agent, until one of them ends."""
    # Both may be gone at any time, and closing the channel tells the server, which may be gone as well.
    gone = contextlib.suppress(OSError, EOFError, paramiko.SSHException)
    with gone, contextlib.closing(remote), socket.socket(socket.AF_UNIX) as local:
        local.connect(agent)
        ends: dict[Any, Any] = {remote: local, local: remote}
        while True:
            for source in select([remote, local], [], [])[0]:
                data = source.recv(16384)
                if not data:
                    return
                ends[source].sendall(data)


class Transport:
    """An open connection to a server. ``connection`` is Fabric's, ``place`` says where it leads."""

    def __init__(self, settings: Settings, timing: Timing, config: fabric.Config | None = None) -> None:
        self.place = settings.place
        self.connection = StrictConnection(settings, timing, keys.Keyring(), config)
        self.connection.open()

    @property
    def active(self) -> bool:
        """Whether the connection is there, as far as is known."""
        return bool(self.connection.is_connected)

    def execute(self, command: str, stdin: bytes = b"") -> channel.Channel:
        """Run ``command`` in the account's login shell; its standard input gets ``stdin`` and stays open.

        Raises ConnectionLostError, or TransportError when the server refuses.
        """
        if not self.active:
            raise mapping.lost(self.place, self.connection.lost_because)
        session = self.connection.create_session()
        started = channel.start(session, command, self.place, lambda: str(self.connection.lost_because))
        if stdin:
            started.write(stdin)
        return started

    def reopen(self) -> None:
        """Close and connect anew, with keys already read and to the same settings. Raises as ``connect``."""
        self.close()
        self.connection.open()

    def close(self) -> None:
        """Close the connection; commands that still run see the end of their input."""
        self.connection.close()

    def __enter__(self) -> Transport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
