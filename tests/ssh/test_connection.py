from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import socket
import stat
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.embedded import EmbeddedServer
from deploy.errors import ConnectionLostError, TransportError, UnreachableError
from deploy.transport import Address, Channel, Timing, Transport, connect, pauses
from tests.ssh.conftest import Server, StartSshd

#: Sooner than in life, so that tests need not wait so long.
QUICK = Timing(handshake=2, login=5, channel=2, ask_after=0.3, dead_after=1.5)


def output(channel: Channel) -> bytes:
    channel.close_stdin()
    return b"".join(channel.read())


@pytest.fixture
def transport(server: Server) -> Iterator[Transport]:
    with connect(server.address) as opened:
        yield opened


def test_output_errors_and_status(transport: Transport) -> None:
    channel = transport.execute("echo out; echo err >&2; exit 7")
    assert output(channel) == b"out\n"
    assert (channel.stderr, channel.exit_status) == (b"err\n", 7)


def test_input_stays_open_until_it_is_closed(transport: Transport) -> None:
    channel = transport.execute("cat; echo end", stdin=b"one\n")
    pieces = channel.read(tick=0.3)
    # On a busy machine there are ticks before an answer, too.
    assert next(filter(None, pieces)) == b"one\n"
    assert next(pieces) == b""
    channel.write(b"two\n")
    assert next(filter(None, pieces)) == b"two\n"
    channel.close_stdin()
    assert b"".join(pieces) == b"end\n"


def test_input_can_be_closed_unused(transport: Transport) -> None:
    assert output(transport.execute("wc -c")).strip() == b"0"


def test_output_comes_as_it_is_made(transport: Transport) -> None:
    channel = transport.execute("echo one; sleep 3; echo two")
    pieces = channel.read()
    began = time.monotonic()
    assert next(pieces) == b"one\n"
    assert time.monotonic() - began < 2
    assert next(pieces) == b"two\n"


def test_much_in_and_much_out_at_the_same_time(transport: Transport) -> None:
    data = os.urandom(10_000_000)
    digest = hashlib.sha256()
    began = time.monotonic()
    channel = transport.execute("cat", stdin=data)
    channel.close_stdin()
    for piece in channel.read():
        digest.update(piece)
    assert digest.digest() == hashlib.sha256(data).digest()
    assert channel.exit_status == 0
    assert time.monotonic() - began < 10


def test_16_megabytes_take_seconds(transport: Transport) -> None:
    began = time.monotonic()
    size = sum(len(piece) for piece in transport.execute("head -c 16777216 /dev/zero").read())
    assert size == 16777216
    assert time.monotonic() - began < 8


def test_much_on_standard_error_does_not_block(transport: Transport) -> None:
    channel = transport.execute("head -c 8000000 /dev/zero >&2; echo last >&2; echo out")
    assert output(channel) == b"out\n"
    assert len(channel.stderr) == 65536
    assert channel.stderr.endswith(b"\0last\n")


def test_status_without_reading(transport: Transport) -> None:
    assert transport.execute("head -c 8000000 /dev/zero; exit 3").exit_status == 3


def test_input_that_nobody_reads(transport: Transport) -> None:
    channel = transport.execute("exec <&-; echo out; exit 4", stdin=bytes(5_000_000))
    assert output(channel) == b"out\n"
    assert channel.exit_status == 4


def test_several_commands_at_once(transport: Transport) -> None:
    channels = [transport.execute(f"sleep 1; echo {number}") for number in range(5)]
    began = time.monotonic()
    assert [output(channel) for channel in channels] == [f"{number}\n".encode() for number in range(5)]
    assert time.monotonic() - began < 4


def test_command_that_a_signal_ended(sshd: Server) -> None:
    with connect(sshd.address) as transport:
        channel = transport.execute("kill -9 $$")
        assert output(channel) == b""
        assert channel.exit_status == -1


def test_fabric_is_usable(transport: Transport) -> None:
    assert transport.connection.run("echo hello", hide=True, in_stream=False).stdout == "hello\n"


def test_bytes_are_not_touched(transport: Transport) -> None:
    data = bytes(range(256)) * 10
    assert output(transport.execute("cat", stdin=data)) == data


def test_leaving_ends_the_input(transport: Transport, tmp_path: Path) -> None:
    # Whoever loses a connection may be hung up on, before or after it sees the end of its input.
    channel = transport.execute(f"trap '' HUP; echo started; cat; echo ended > {tmp_path}/ended")
    assert next(channel.read()) == b"started\n"
    transport.close()
    assert not transport.active
    wait_until((tmp_path / "ended").exists)
    with pytest.raises(ConnectionLostError):
        list(channel.read())


def wait_until(done: Callable[[], object], seconds: float = 5) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


# Lost connections.


def test_cut_in_the_middle(ours: Server, embedded: EmbeddedServer) -> None:
    with connect(ours.address) as transport:
        channel = transport.execute("echo one; read x")
        pieces = channel.read()
        assert next(pieces) == b"one\n"
        embedded.drop_connections()
        with pytest.raises(ConnectionLostError) as caught:
            next(pieces)
        assert "fab attach" in caught.value.hint
        with pytest.raises(ConnectionLostError):
            _ = channel.exit_status
        with pytest.raises(ConnectionLostError):
            transport.execute("true")
        transport.reopen()
        assert output(transport.execute("echo back")) == b"back\n"


def test_cut_by_the_end_of_sshd(sshd: Server) -> None:
    with connect(sshd.address) as transport:
        channel = transport.execute("echo $PPID; read x")
        pieces = channel.read()
        os.kill(int(next(pieces)), signal.SIGKILL)
        with pytest.raises(ConnectionLostError):
            next(pieces)


def test_cut_between_output_and_status(ours: Server, embedded: EmbeddedServer) -> None:
    with connect(ours.address) as transport:
        channel = transport.execute("exec >&- 2>&-; read x")
        threading.Timer(0.5, embedded.drop_connections).start()
        with pytest.raises(ConnectionLostError):
            _ = channel.exit_status


def test_server_that_falls_silent(ours: Server, embedded: EmbeddedServer) -> None:
    with connect(ours.address, QUICK) as transport:
        pieces = transport.execute("echo one; read x").read()
        assert next(pieces) == b"one\n"
        embedded.stall()
        began = time.monotonic()
        with pytest.raises(ConnectionLostError, match=r"nothing was heard of it for 1.5 s"):
            next(pieces)
        assert 1 < time.monotonic() - began < 3


def test_server_that_falls_silent_while_it_is_sent_much(ours: Server, embedded: EmbeddedServer) -> None:
    with connect(ours.address, QUICK) as transport:
        embedded.stall()
        with pytest.raises(ConnectionLostError):
            list(transport.execute("cat", stdin=bytes(50_000_000)).read())


def test_sshd_that_is_stopped(sshd: Server) -> None:
    with connect(sshd.address, QUICK) as transport:
        pieces = transport.execute("echo $PPID; read x").read()
        pid = int(next(pieces))
        os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            with pytest.raises(ConnectionLostError, match="nothing was heard"):
                next(pieces)
            assert time.monotonic() - began < 3
        finally:
            os.kill(pid, signal.SIGKILL)


def test_quiet_command_is_not_a_dead_server(server: Server) -> None:
    with connect(server.address, QUICK) as transport:
        assert output(transport.execute("sleep 4; echo done")) == b"done\n"


def test_slow_reader_is_not_a_dead_server(server: Server) -> None:
    with connect(server.address, QUICK) as transport:
        channel = transport.execute("head -c 8000000 /dev/zero; echo done")
        pieces = channel.read()
        data = next(pieces)
        time.sleep(4)
        assert (data + b"".join(pieces)).endswith(b"done\n")
        assert channel.exit_status == 0


def test_stopped_client_does_not_blame_the_server(sshd: Server) -> None:
    """As after Ctrl-Z: the process that comes back has heard nothing for long, and goes on all the same."""
    code = (
        "import sys; from tests.ssh.test_connection import *; a = eval(sys.argv[1]);\n"
        "with connect(a, QUICK) as transport:\n"
        "    c = transport.execute('for i in 1 2 3 4 5 6 7 8 9; do echo $i; sleep 0.5; done')\n"
        "    for piece in c.read(): print(piece, flush=True)\n"
    )
    shown = f"Address({sshd.host!r}, None, {sshd.port}, Path({str(sshd.key)!r}), "
    shown += f"known_hosts=Path({str(sshd.known_hosts)!r}))"
    process = subprocess.Popen([sys.executable, "-c", code, shown], stdout=subprocess.PIPE)
    try:
        assert process.stdout
        assert process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        time.sleep(3)
        process.send_signal(signal.SIGCONT)
        rest = process.stdout.read()
        assert process.wait(20) == 0
        assert b"9" in rest
    finally:
        process.kill()
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]


def test_ctrl_c_gets_through(transport: Transport) -> None:
    channel = transport.execute("read x")
    sent: list[float] = []

    def interrupt() -> None:
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.4, interrupt)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        list(channel.read())
    assert time.monotonic() - sent[0] < 0.3


# Servers that are not there, or are something else.


@contextlib.contextmanager
def listener(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """Something that listens on loopback and does ``answer`` with each connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    line, _ = server.accept()
                    answer(line)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def refusal(address: Address, timing: Timing = QUICK) -> str:
    began, threads = time.monotonic(), threading.active_count()
    with pytest.raises(UnreachableError) as caught:
        connect(address, timing)
    assert time.monotonic() - began < 6
    assert caught.value.hint
    wait_until(lambda: threading.active_count() <= threads)
    return caught.value.message


def test_closed_port(ours: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert "nothing listens" in refusal(replace(ours.address, port=port))


def test_unknown_name(ours: Server) -> None:
    assert "no such host name" in refusal(replace(ours.address, host="nowhere.invalid"))


def test_not_an_ssh_server(ours: Server) -> None:
    with listener(lambda line: (line.sendall(b"HTTP/1.0 400 Bad\r\n\r\n" * 200), line.close())[1]) as port:
        assert "did not greet like an SSH server" in refusal(replace(ours.address, port=port))


def test_binary_garbage(ours: Server) -> None:
    with listener(lambda line: (line.sendall(os.urandom(4096)), line.close())[1]) as port:
        assert f":{port}" in refusal(replace(ours.address, port=port))


def test_silent_server(ours: Server) -> None:
    kept: list[socket.socket] = []
    with listener(kept.append) as port:
        assert "did not greet" in refusal(replace(ours.address, port=port))
    # Our side has hung up: nothing is left open after a failure.
    assert all(line.recv(100).startswith(b"SSH-2.0") and line.recv(1) == b"" for line in kept)
    for line in kept:
        line.close()


def test_server_that_falls_silent_after_its_greeting(ours: Server) -> None:
    kept: list[socket.socket] = []

    def greet(line: socket.socket) -> None:
        kept.append(line)
        line.sendall(b"SSH-2.0-Silent\r\n")

    with listener(greet) as port:
        assert "fell silent" in refusal(replace(ours.address, port=port))
    for line in kept:
        line.close()


def test_server_that_hangs_up(ours: Server, embedded: EmbeddedServer) -> None:
    embedded.refuse_new()
    assert f":{ours.port}" in refusal(ours.address)
    embedded.refuse_new(False)
    connect(ours.address).close()


def test_too_many_connections_for_sshd(start_sshd: StartSshd) -> None:
    server = start_sshd("MaxStartups 1:100:1")
    with contextlib.ExitStack() as stack:
        # One connection is allowed to be logging in; that of the fixture may still count.
        greeting = b""
        while not greeting.startswith(b"SSH"):
            line = stack.enter_context(socket.create_connection((server.host, server.port), timeout=5))
            greeting = line.recv(100)
        with pytest.raises(UnreachableError) as caught:
            connect(server.address, QUICK)
        assert "MaxStartups" in caught.value.hint


def test_failures_leave_nothing_behind(ours: Server, embedded: EmbeddedServer) -> None:
    def sockets() -> int:
        return sum(is_socket(int(name)) for name in os.listdir("/dev/fd"))

    embedded.refuse_new()
    before = sockets()
    for _ in range(5):
        with pytest.raises(UnreachableError):
            connect(ours.address, QUICK)
    with pytest.raises(TransportError):
        connect(ours.knowing(), QUICK)
    wait_until(lambda: sockets() <= before)


def is_socket(number: int) -> bool:
    with contextlib.suppress(OSError):
        return stat.S_ISSOCK(os.fstat(number).st_mode)
    return False


def test_all_addresses_are_tried(ours: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    real = socket.getaddrinfo

    def two(host: str, *rest: object) -> list[object]:
        """A name with a dead address before the one that works."""
        found = real(host, *rest)  # type: ignore[arg-type]
        return [(*found[0][:4], ("127.0.0.1", 1)), *found]

    monkeypatch.setattr(socket, "getaddrinfo", two)
    connect(ours.address).close()


def test_server_without_free_sessions(start_sshd: StartSshd) -> None:
    server = start_sshd("MaxSessions 1")
    with connect(server.address) as transport:
        transport.execute("read x")
        with pytest.raises(TransportError, match="no further session") as caught:
            transport.execute("true")
        assert "MaxSessions" in caught.value.hint


# Ways through others.


def jumping(tmp_path: Path, target: Server, jump: Server, *more: str) -> Address:
    both = tmp_path / "known_hosts"
    both.write_text(f"{target.line}\n{jump.line}\n")
    config = tmp_path / "config"
    lines = [f"Host 127.0.0.1\n  IdentityFile {target.key}\n  ProxyJump jump", *more]
    lines.append(f"Host jump\n  HostName localhost\n  HostKeyAlias [127.0.0.1]:{jump.port}")
    lines.append(f"  Port {jump.port}\n  IdentityFile {jump.key}\n")
    config.write_text("\n".join(lines))
    return replace(target.address, identity=None, known_hosts=both, ssh_config=config)


def test_jump_host(ours: Server, start_sshd: StartSshd, tmp_path: Path) -> None:
    jump = start_sshd("ListenAddress 127.0.0.1\nListenAddress ::1" if socket.has_ipv6 else "")
    with connect(jumping(tmp_path, ours, jump)) as transport:
        assert output(transport.execute("echo there")) == b"there\n"
        gateway = transport.connection.gateway
        assert gateway.is_connected
    assert not gateway.is_connected


def test_jump_host_whose_key_is_unknown(ours: Server, sshd: Server, tmp_path: Path) -> None:
    address = jumping(tmp_path, ours, sshd)
    (tmp_path / "known_hosts").write_text(ours.line + "\n")
    with pytest.raises(TransportError, match=r"host key of jump \(.*\) is unknown"):
        connect(address)


def test_key_behind_a_jump_host_is_unknown(ours: Server, sshd: Server, tmp_path: Path) -> None:
    address = jumping(tmp_path, ours, sshd)
    (tmp_path / "known_hosts").write_text(sshd.line + "\n")
    with pytest.raises(TransportError, match=r"host key of .*127.0.0.1.* is unknown"):
        connect(address)


def test_jump_host_that_does_not_get_there(ours: Server, sshd: Server, tmp_path: Path) -> None:
    address = replace(jumping(tmp_path, ours, sshd), port=1)
    with pytest.raises(UnreachableError, match=r"the jump host jump .* does not get there"):
        connect(address)


def test_jump_host_that_forwards_nothing(ours: Server, start_sshd: StartSshd, tmp_path: Path) -> None:
    jump = start_sshd("AllowTcpForwarding no")
    with pytest.raises(UnreachableError, match="does not get there") as caught:
        connect(jumping(tmp_path, ours, jump))
    assert "AllowTcpForwarding" in caught.value.hint


PIPE = (
    "import socket, sys, threading, os\n"
    "s = socket.create_connection((sys.argv[1], int(sys.argv[2])))\n"
    "def up():\n"
    "    while d := os.read(0, 65536): s.sendall(d)\n"
    "    os._exit(0)\n"
    "threading.Thread(target=up, daemon=True).start()\n"
    "while d := s.recv(65536): os.write(1, d)\n"
)


def through(tmp_path: Path, server: Server, command: str) -> Address:
    (tmp_path / "pipe.py").write_text(PIPE)
    (tmp_path / "config").write_text(f"ProxyCommand {command}\n")
    return replace(server.address, ssh_config=tmp_path / "config")


def test_proxy_command(server: Server, tmp_path: Path) -> None:
    address = through(tmp_path, server, f"{sys.executable} {tmp_path}/pipe.py %h %p")
    with connect(address) as transport:
        process = transport.connection._line._process
        assert output(transport.execute("cat", stdin=bytes(1_000_000))) == bytes(1_000_000)
        assert process.poll() is None
    assert process.poll() is not None


def test_proxy_command_that_is_killed(ours: Server, tmp_path: Path) -> None:
    address = through(tmp_path, ours, f"{sys.executable} {tmp_path}/pipe.py %h %p")
    with connect(address) as transport:
        pieces = transport.execute("echo one; read x").read()
        next(pieces)
        transport.connection._line._process.kill()
        with pytest.raises(ConnectionLostError):
            next(pieces)


def test_proxy_command_that_fails(ours: Server, tmp_path: Path) -> None:
    address = through(tmp_path, ours, "echo no way >&2; exit 1")
    assert "ProxyCommand says: no way" in refusal(address)


# Pauses, and the price of it all.


def test_pauses() -> None:
    assert list(pauses(50)) == [1, 2, 4, 8, 15, 15, 5]
    assert list(pauses(0)) == []
    assert sum(pauses(3600)) == 3600
    assert max(pauses(3600)) == 15


def test_costs_no_more_than_paramiko_alone(sshd: Server) -> None:
    """Connecting and one command, against Paramiko without any of ours; ssh -G is looked up before."""
    import paramiko

    from deploy.transport import resolve

    settings = resolve(sshd.address)

    def with_ours() -> None:
        with connect(settings) as transport:
            assert output(transport.execute("echo x")) == b"x\n"

    def without() -> None:
        client = paramiko.SSHClient()
        client.load_host_keys(str(sshd.known_hosts))
        client.connect(sshd.host, sshd.port, pkey=paramiko.PKey.from_path(sshd.key), allow_agent=False)
        assert client.exec_command("echo x")[1].read() == b"x\n"
        client.close()

    def seconds(work: Callable[[], None]) -> float:
        began = time.monotonic()
        work()
        return time.monotonic() - began

    pairs = [(seconds(with_ours), seconds(without)) for _ in range(7)]
    mine, theirs = (statistics.median(column) for column in zip(*pairs, strict=True))
    assert mine < theirs * 1.5 + 0.05
