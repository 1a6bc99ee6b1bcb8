"""One command of one client: a process in its own session, and the bytes between it and the channel."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import paramiko

_PIECE = 65536
#: Seconds after which a pump looks whether the client is still there.
_LOOK = 0.1
#: What Paramiko raises when the client is gone.
_GONE = (OSError, EOFError, paramiko.SSHException)


class Session(threading.Thread):
    """Runs ``argv`` for ``channel`` until it has ended and its output is sent, or the client is gone.

    When the client is gone, the command's standard input and output are closed and its process group gets
    SIGHUP, as after the loss of a terminal: what should live on has to leave the group (``setsid``).
    """

    def __init__(
        self, channel: paramiko.Channel, argv: Sequence[str], home: Path, env: Mapping[str, str]
    ) -> None:
        super().__init__(name="embedded-session", daemon=True)
        self._channel, self._argv, self._home, self._env = channel, argv, home, env

    def run(self) -> None:
        try:
            process = subprocess.Popen(
                self._argv,
                cwd=self._home,
                env=dict(self._env),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            self._refuse(error)
            return
        feeder = threading.Thread(target=self._feed, args=(process,), name="embedded-stdin", daemon=True)
        feeder.start()
        try:
            self._send_output(process)
        finally:
            self._finish(process)
            feeder.join()

    def _refuse(self, error: OSError) -> None:
        with contextlib.suppress(*_GONE):
            self._channel.sendall_stderr(f"{error}\n".encode())
            self._channel.send_exit_status(127)
            self._channel.close()

    def _send_output(self, process: subprocess.Popen[bytes]) -> None:
        """Hand on both outputs until both have ended or the client is gone."""
        assert process.stdout
        assert process.stderr
        sinks = {process.stdout: self._channel.sendall, process.stderr: self._channel.sendall_stderr}
        while sinks and not self._channel.closed:
            ready, _, _ = select.select(list(sinks), [], [], _LOOK)
            for source in ready:
                data = os.read(source.fileno(), _PIECE)
                if not data:
                    del sinks[source]
                    continue
                try:
                    sinks[source](data)
                except _GONE:
                    return

    def _finish(self, process: subprocess.Popen[bytes]) -> None:
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()
        while process.poll() is None and not self._channel.closed:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_LOOK)
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGHUP)
            # Reaped in the background: a command may ignore SIGHUP and take its time.
            threading.Thread(target=process.wait, name="embedded-reaper", daemon=True).start()
        else:
            self._send_status(process.returncode)
        with contextlib.suppress(*_GONE):
            self._channel.close()

    def _send_status(self, status: int) -> None:
        # A command that a signal ended has no exit status in SSH; a shell would say 128 and the number.
        with contextlib.suppress(*_GONE):
            self._channel.shutdown_write()
            self._channel.send_exit_status(status if status >= 0 else 128 - status)

    def _feed(self, process: subprocess.Popen[bytes]) -> None:
        """Hand on the client's input until its end; the end of the client is the end of its input."""
        assert process.stdin
        os.set_blocking(process.stdin.fileno(), False)
        # Ends with b"" when the client has sent its end, has gone, or the channel was closed on our side.
        with contextlib.suppress(*_GONE):
            while data := self._channel.recv(_PIECE):
                self._write(process, memoryview(data))
        with contextlib.suppress(OSError):
            process.stdin.close()

    def _write(self, process: subprocess.Popen[bytes], data: memoryview) -> None:
        assert process.stdin
        while data and not self._channel.closed and process.poll() is None:
            _, ready, _ = select.select([], [process.stdin], [], _LOOK)
            if ready:
                data = data[os.write(process.stdin.fileno(), data) :]
