"""A slow and breakable line: a TCP proxy on loopback, for tests of what a bad network does."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeVar

_T = TypeVar("_T")
End = Literal["rst", "fin"]
"""How a cut looks to both ends: an abrupt reset, or a close as if the other side had hung up."""

_RESET = struct.pack("ii", 1, 0)
_Queue = asyncio.Queue[tuple[float, bytes]]


@dataclass(frozen=True)
class Way:
    """One direction of a line.

    `delay` in seconds holds each byte for so long; `rate` in bytes a second limits each connection;
    after `cut_after` bytes a connection is cut.
    """

    delay: float = 0.0
    rate: float | None = None
    cut_after: int | None = None


class Line:
    """A line to `target`: it opens when entered and is gone when left. Clients connect to 127.0.0.1, `port`.

    `up` (client to server) and `down` may be given new values at any time; what is on its way keeps its
    delay. A TCP handshake is the kernel's and is not delayed. Every method has acted when it returns.
    """

    def __init__(
        self, target: tuple[str, int], *, up: Way = Way(), down: Way = Way(), cut_with: End = "rst"
    ) -> None:
        self.target = target
        self.up = up
        self.down = down
        self.cut_with: End = cut_with
        self.port = 0
        self.accepted = 0
        self._pairs: dict[asyncio.Task[None], list[socket.socket]] = {}
        self._listener: socket.socket | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._flowing = asyncio.Event()
        self._flowing.set()

    def __enter__(self) -> Self:
        self._thread.start()
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        self.refuse()
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def listen(self) -> None:
        """Take new connections, on the same port as before."""
        self._do(self._listen())

    def refuse(self) -> None:
        """Refuse new connections; open ones stay."""
        self._do(self._refuse())

    def stall(self) -> None:
        """Deliver nothing, in neither direction, on connections old and new; none is closed."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def resume(self) -> None:
        """Deliver again, first what was held back."""
        self._loop.call_soon_threadsafe(self._flowing.set)

    def cut(self, how: End | None = None) -> int:
        """Cut all open connections, `how` or as the line was told to; returns how many there were."""
        return self._do(self._cut(how or self.cut_with))

    @property
    def connections(self) -> int:
        """How many connections are open now."""
        return len(self._pairs)

    def _do(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
            self._listener.setblocking(False)
            self.port = self._listener.getsockname()[1]
            self._loop.add_reader(self._listener, self._accept)

    async def _refuse(self) -> None:
        self._accept()
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self) -> None:
        """Take in all who wait; called before a cut too, as they believe that they are connected."""
        with contextlib.suppress(BlockingIOError):
            while self._listener is not None:
                client, _ = self._listener.accept()
                self.accepted += 1
                ends = [client, socket.socket()]
                self._pairs[self._loop.create_task(self._serve(*ends))] = ends

    async def _cut(self, how: End) -> int:
        self._accept()
        pairs, self._pairs = self._pairs, {}
        for task in pairs:
            task.cancel()
        await asyncio.gather(*pairs, return_exceptions=True)
        for ends in pairs.values():
            _hang_up(ends, how)
        return len(pairs)

    async def _serve(self, client: socket.socket, server: socket.socket) -> None:
        how = self.cut_with
        try:
            for end in (client, server):
                end.setblocking(False)
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.sock_connect(server, self.target)
            async with asyncio.TaskGroup() as lanes:
                for way, source, sink in (("up", client, server), ("down", server, client)):
                    due: _Queue = asyncio.Queue(1024)
                    lanes.create_task(self._take(way, source, due))
                    lanes.create_task(self._give(way, sink, due))
            how = "fin"
        except* (OSError, _CutError):
            pass
        finally:
            task = asyncio.current_task()
            assert task is not None
            _hang_up(self._pairs.pop(task, []), how)

    async def _take(self, way: str, source: socket.socket, due: _Queue) -> None:
        data = b"-"
        while data:
            rate = getattr(self, way).rate
            data = await self._loop.sock_recv(source, max(1, int(rate / 20)) if rate else 16384)
            await due.put((self._loop.time() + getattr(self, way).delay, data))

    async def _give(self, way: str, sink: socket.socket, due: _Queue) -> None:
        data, sent = b"-", 0
        while data:
            when, data = await due.get()
            await asyncio.sleep(when - self._loop.time())
            await self._flowing.wait()
            now: Way = getattr(self, way)
            part = data if now.cut_after is None else data[: max(0, now.cut_after - sent)]
            await self._loop.sock_sendall(sink, part)
            sent += len(part)
            if now.cut_after is not None and sent >= now.cut_after:
                raise _CutError
            await asyncio.sleep(len(part) / now.rate if now.rate else 0)
        sink.shutdown(socket.SHUT_WR)


class _CutError(Exception):
    """A connection has carried as many bytes as it may."""


def _hang_up(ends: list[socket.socket], how: End) -> None:
    for end in ends:
        with contextlib.suppress(OSError):
            if how == "rst":
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            else:
                # Without this a close with bytes unread would reset after all.
                end.shutdown(socket.SHUT_WR)
        end.close()
