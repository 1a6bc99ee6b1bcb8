"""One command on the server: input, output as it comes, and how it ended."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator

import paramiko

from deploy.transport import mapping

#: Bytes of standard error that are kept: the last ones.
STDERR_KEPT = 65536
_PIECE = 65536
#: Longest wait at once, in seconds: how soon a signal and standard error are looked after.
_LOOK = 0.1


class Channel:
    """A running command. Standard input stays open until ``close_stdin``.

    All reading is done in ``read``; errors of a lost connection come up there and in ``exit_status``.
    """

    def __init__(self, channel: paramiko.Channel, place: str, reason: Callable[[], str]) -> None:
        self._channel, self._place, self._reason = channel, place, reason
        self._stderr = bytearray()
        self._input: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None

    @property
    def stderr(self) -> bytes:
        """Standard error so far, its last 64 KiB."""
        self._take_stderr()
        return bytes(self._stderr)

    def write(self, data: bytes) -> None:
        """Send ``data`` to the command's standard input, in the background; returns at once."""
        self._input.put(data)
        if self._writer is None:
            # Input and output at the same time: neither side may wait for the other.
            self._writer = threading.Thread(target=self._send, name="ssh-stdin", daemon=True)
            self._writer.start()

    def close_stdin(self) -> None:
        """Let the command see the end of its input, after all that was written."""
        if self._writer is None:
            with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
                self._channel.shutdown_write()
        else:
            self._input.put(None)

    def read(self, tick: float = 0.0) -> Iterator[bytes]:
        """Standard output in pieces as they come, until its end.

        With ``tick`` (seconds), an empty piece comes whenever nothing else did for so long. Ctrl-C gets
        through at once. Raises ConnectionLostError when the connection ends before the output does.
        """
        spoke = time.monotonic()
        while True:
            data = self._receive()
            if data == b"":
                return
            if data:
                yield data
                spoke = time.monotonic()
            elif tick and time.monotonic() - spoke >= tick:
                yield b""
                spoke = time.monotonic()

    @property
    def exit_status(self) -> int:
        """How the command ended; waits for it. -1 when a signal ended it. Drops output that was not read."""
        for _ in self.read():
            pass
        while not self._channel.status_event.wait(_LOOK):
            pass
        status = int(self._channel.recv_exit_status())
        if status == -1 and not self._whole():
            raise mapping.lost(self._place, self._reason())
        return status

    def close(self) -> None:
        """Leave the command: its input and output end, as when the connection is cut."""
        self._input.put(None)
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.close()

    def _receive(self) -> bytes | None:
        """A piece of output; empty at the end; None when nothing came for a while."""
        self._take_stderr()
        with mapping.connected(self._place, self._reason):
            try:
                data: bytes = self._channel.recv(_PIECE)
            except TimeoutError:
                return None
        if not data:
            self._take_stderr()
            if not self._whole():
                raise mapping.lost(self._place, self._reason())
        return data

    def _whole(self) -> bool:
        """Whether the server itself ended the output, or said how the command ended."""
        return bool(self._channel.eof_received or self._channel.exit_status != -1)

    def _take_stderr(self) -> None:
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            while self._channel.recv_stderr_ready():
                self._stderr += self._channel.recv_stderr(_PIECE)
                del self._stderr[:-STDERR_KEPT]

    def _send(self) -> None:
        # A command that ends without reading its input is no error; a lost line comes up in reading.
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            while (data := self._input.get()) is not None:
                # Paramiko copies the rest of what it is given once for each packet.
                for start in range(0, len(data), _PIECE):
                    self._send_piece(data[start : start + _PIECE])
            self._channel.shutdown_write()

    def _send_piece(self, piece: bytes) -> None:
        while piece:
            with contextlib.suppress(TimeoutError):
                piece = piece[self._channel.send(piece) :]


def start(session: paramiko.Channel, command: str, place: str, reason: Callable[[], str]) -> Channel:
    """Run ``command`` in a new session; ConnectionLostError or TransportError when that fails."""
    with mapping.connected(place, reason):
        session.exec_command(command)
        session.settimeout(_LOOK)
    return Channel(session, place, reason)
