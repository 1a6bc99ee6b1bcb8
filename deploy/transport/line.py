"""The bytes' way to the server: a socket of our own, and the watch over it."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import threading
import time
from typing import Any

import paramiko

from deploy.transport.settings import Settings


class Line:
    """A socket, or the like, that knows when it was last heard of (``heard``, monotonic seconds)."""

    def __init__(self, line: Any, process: subprocess.Popen[bytes] | None = None) -> None:
        self._line, self._process = line, process
        self.send = line.send
        self.heard = time.monotonic()
        self._complaint = b""
        self._listener = threading.Thread(target=self._listen, name="ssh-proxy", daemon=True)
        if process:
            self._listener.start()

    def recv(self, size: int) -> bytes:
        """As of a socket."""
        data: bytes = self._line.recv(size)
        self.heard = time.monotonic()
        return data

    def complaint(self) -> str:
        """The last thing a proxy command said on standard error, as the end of a message; may be empty."""
        if not self._process:
            return ""
        self._listener.join(0.5)
        said = self._complaint.decode("utf-8", "replace").strip()
        return f"\n  ProxyCommand says: {said}" if said else ""

    def close(self) -> None:
        """Close it, and end the proxy command, if that is what it is."""
        self._line.close()
        if self._process and self._process.poll() is None:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(1)

    def _listen(self) -> None:
        assert self._process
        assert self._process.stderr
        with self._process.stderr as errors:
            for line in errors:
                self._complaint = line.strip() or self._complaint

    def __getattr__(self, name: str) -> Any:
        return getattr(self._line, name)


def dial(settings: Settings, dead_after: float) -> Line:
    """A line to the server: the first of its addresses that answers. Raises the network's own errors."""
    found = socket.getaddrinfo(settings.host, settings.port, settings.family, socket.SOCK_STREAM)
    failures: dict[Any, OSError] = {}
    for family, kind, protocol, _, address in found:
        line = socket.socket(family, kind, protocol)
        try:
            line.settimeout(settings.connect_timeout)
            line.connect(address)
        except OSError as error:
            line.close()
            failures[address] = error
            continue
        _tune(line, dead_after)
        return Line(line)
    raise paramiko.ssh_exception.NoValidConnectionsError(failures)


def _tune(line: socket.socket, dead_after: float) -> None:
    # Nagle's algorithm holds small packets back for a round trip.
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    line.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(dead_after * 1000))


def through_command(command: str) -> Line:
    """A line through a ProxyCommand. A socket pair, unlike pipes, tells its end and can be waited for."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(
            ["/bin/sh", "-c", f"exec {command}"],
            stdin=theirs.fileno(),
            stdout=theirs.fileno(),
            stderr=subprocess.PIPE,
        )
    return Line(ours, process)


def through_host(transport: paramiko.Transport, settings: Settings, timeout: float) -> Line:
    """A line through a jump host's connection."""
    target = (settings.host, settings.port)
    return Line(transport.open_channel("direct-tcpip", target, ("127.0.0.1", 0), timeout=timeout))


class Watch:
    """Closes ``transport`` when its line was silent for ``dead_after`` seconds, in spite of questions.

    A question goes out after ``interval`` seconds of silence. Anything heard counts, and Paramiko goes on
    hearing while nobody reads the output: a slow reader is not a dead server. ``reason`` is filled in then.
    """

    def __init__(self, transport: paramiko.Transport, line: Line, interval: float, dead_after: float) -> None:
        self.reason = ""
        self._transport, self._line = transport, line
        self._interval, self._dead_after = interval, dead_after
        self._stop = threading.Event()
        # Asking may block on a full line, so the one who watches is not the one who asks.
        for work, name in ((self._ask, "ssh-ask"), (self._watch, "ssh-watch")):
            threading.Thread(target=work, name=name, daemon=True).start()

    def stop(self) -> None:
        """Watch no longer."""
        self._stop.set()

    def _ask(self) -> None:
        while not self._stop.wait(self._interval) and self._transport.is_active():
            if time.monotonic() - self._line.heard >= self._interval / 2:
                with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                    self._transport.global_request("keepalive@openssh.com", wait=True)

    def _watch(self) -> None:
        while self._transport.is_active():
            left = self._line.heard + self._dead_after - time.monotonic()
            if left <= 0:
                self.reason = f"nothing was heard of it for {self._dead_after:g} s"
                self._transport.close()
                return
            # In short pieces: a process that was stopped (Ctrl-Z) heard nothing, and that proves nothing.
            piece = min(left, self._dead_after / 10)
            slept = time.monotonic()
            if self._stop.wait(piece):
                return
            if time.monotonic() - slept > piece + self._dead_after / 2:
                self._line.heard = time.monotonic()
