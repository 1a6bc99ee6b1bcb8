"""The line does what it says, against a plain echo server."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from .proxy import End, Line, Way


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """The address of a server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_answer_all, args=(listener,), daemon=True).start()
        yield listener.getsockname()
        listener.shutdown(socket.SHUT_RDWR)


def _answer_all(listener: socket.socket) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_answer, args=(client,), daemon=True).start()


def _answer(client: socket.socket) -> None:
    with client:
        try:
            while data := client.recv(65536):
                client.sendall(data)
        except OSError:
            return


def _connect(line: Line) -> socket.socket:
    return socket.create_connection(("127.0.0.1", line.port), timeout=5)


def _send_all(client: socket.socket, data: bytes) -> None:
    client.sendall(data)
    client.shutdown(socket.SHUT_WR)


def _read(client: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (more := client.recv(size - len(data))):
        data += more
    return data


def test_passes_bytes_and_the_end_of_them(echo: tuple[str, int]) -> None:
    sent = bytes(range(256)) * 4000
    with Line(echo) as line, _connect(line) as client:
        threading.Thread(target=_send_all, args=(client, sent)).start()
        assert _read(client, len(sent) + 1) == sent
        assert line.accepted == 1


def test_delays_each_way_without_slowing_the_stream(echo: tuple[str, int]) -> None:
    with Line(echo, up=Way(delay=0.2), down=Way(delay=0.1)) as line, _connect(line) as client:
        start = time.monotonic()
        for _ in range(5):
            client.sendall(b"x" * 1000)
            time.sleep(0.02)
        assert _read(client, 1) == b"x"
        assert 0.29 < time.monotonic() - start < 0.6
        assert len(_read(client, 4999)) == 4999
        assert time.monotonic() - start < 0.9


def test_limits_the_rate(echo: tuple[str, int]) -> None:
    with Line(echo, down=Way(rate=100_000)) as line, _connect(line) as client:
        start = time.monotonic()
        client.sendall(b"x" * 40_000)
        assert len(_read(client, 40_000)) == 40_000
        assert 0.3 < time.monotonic() - start < 1.5


def test_a_stalled_line_delivers_later(echo: tuple[str, int]) -> None:
    with Line(echo) as line, _connect(line) as client:
        line.stall()
        client.sendall(b"held")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(1)
        line.resume()
        client.settimeout(5)
        assert _read(client, 4) == b"held"


@pytest.mark.parametrize("how", ["rst", "fin"])
def test_cuts_on_demand_also_while_stalled(echo: tuple[str, int], how: End) -> None:
    with Line(echo) as line, _connect(line) as client:
        client.sendall(b"x")
        assert _read(client, 1) == b"x"
        line.stall()
        assert line.cut(how) == 1
        if how == "rst":
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        else:
            assert client.recv(1) == b""
        assert line.connections == 0


@pytest.mark.parametrize("how", ["rst", "fin"])
def test_cuts_after_so_many_bytes(echo: tuple[str, int], how: End) -> None:
    with Line(echo, down=Way(cut_after=7), cut_with=how) as line, _connect(line) as client:
        client.sendall(b"0123456789")
        assert _read(client, 7) == b"0123456"
        if how == "rst":
            with pytest.raises(ConnectionResetError):
                client.recv(1)
        else:
            assert client.recv(1) == b""


def test_refuses_then_listens_on_the_same_port(echo: tuple[str, int]) -> None:
    with Line(echo) as line:
        with _connect(line) as kept:
            line.refuse()
            with pytest.raises(ConnectionRefusedError):
                _connect(line)
            kept.sendall(b"still here")
            assert _read(kept, 10) == b"still here"
        line.listen()
        with _connect(line) as client:
            client.sendall(b"x")
            assert _read(client, 1) == b"x"


def test_a_dead_target_resets_the_client() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        target = closed.getsockname()
    # It may come as soon as the connection does.
    with Line(target) as line, pytest.raises(ConnectionResetError), _connect(line) as client:
        client.recv(1)


def test_nothing_is_left(echo: tuple[str, int]) -> None:
    before = threading.active_count()
    with Line(echo) as line, _connect(line):
        assert threading.active_count() > before
    with pytest.raises(ConnectionRefusedError):
        _connect(line)
    assert not line._thread.is_alive()
