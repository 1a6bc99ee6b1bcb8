from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.embedded import EmbeddedServer, shims
from deploy.errors import AuthError, UnreachableError
from deploy.transport import Transport, connect
from tests.ssh.conftest import Server
from tests.ssh.test_connection import output, wait_until


@pytest.fixture
def transport(ours: Server) -> Iterator[Transport]:
    with connect(ours.address) as opened:
        yield opened


def alive(pid: int) -> bool:
    """Whether the process is there and is no zombie."""
    status = subprocess.run(
        ["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return status.stdout.strip()[:1] not in ("", "Z")


def test_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "of the caller")
    with EmbeddedServer(home=home, path=["/usr/bin", "/bin"], env={"MORE": "said"}) as server:
        found = Server(server.port, server.client_key_path, server.known_hosts_path, server.host_key_line)
        with connect(found.address) as transport:
            said = output(transport.execute("pwd; echo $HOME $PATH $MORE:$SECRET:")).decode().split()
    assert said == [str(home), str(home), "/usr/bin:/bin", "said::"]


def test_shell(home: Path, tmp_path: Path) -> None:
    shell = tmp_path / "shell"
    shell.write_text('#!/bin/sh\necho "shell got $*"\n')
    shell.chmod(0o755)
    with EmbeddedServer(home=home, shell=str(shell)) as server:
        found = Server(server.port, server.client_key_path, server.known_hosts_path, server.host_key_line)
        with connect(found.address) as transport:
            assert output(transport.execute("a 'b'")) == b"shell got -c a 'b'\n"
    with EmbeddedServer(home=home, shell="/missing") as server:
        found = Server(server.port, server.client_key_path, server.known_hosts_path, server.host_key_line)
        with connect(found.address) as transport:
            channel = transport.execute("true")
            assert output(channel) == b""
            assert b"/missing" in channel.stderr
            assert channel.exit_status == 127


def test_files_are_private_and_go_away(home: Path) -> None:
    with EmbeddedServer(home=home) as server:
        key = server.client_key_path
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert stat.S_IMODE(key.parent.stat().st_mode) == 0o700
    assert not key.parent.exists()


HANGS_UP = """
import socket, struct, sys
from pathlib import Path
from deploy.embedded import EmbeddedServer
with EmbeddedServer(Path(sys.argv[1]), ["/usr/bin", "/bin"]) as server:
    client = socket.create_connection((server.host, server.port))
    client.recv(100)
    client.send(b"SSH-2.0-client\\r\\n")
    client.recv(1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
"""


def test_a_client_that_hangs_up_is_no_news(home: Path) -> None:
    done = subprocess.run([sys.executable, "-c", HANGS_UP, home], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_openssh_gets_along_with_it(ours: Server) -> None:
    words = ["ssh", "-F", "none", "-i", str(ours.key), "-p", str(ours.port), "-o", "IdentitiesOnly=yes"]
    words += ["-o", f"UserKnownHostsFile={ours.known_hosts}", "-o", "BatchMode=yes", ours.host]
    done = subprocess.run(
        [*words, "cat; echo err >&2; exit 5"], input=b"in" * 500_000, capture_output=True, check=False
    )
    assert (done.stdout, done.stderr, done.returncode) == (b"in" * 500_000, b"err\n", 5)


def test_only_its_own_key_is_let_in(ours: Server, home: Path) -> None:
    with EmbeddedServer(home=home) as other, pytest.raises(AuthError):
        connect(replace(ours.address, identity=other.client_key_path))


def test_no_shell_no_terminal_no_files_no_forwarding(ours: Server) -> None:
    import paramiko

    with connect(ours.address) as transport:
        line = transport.connection.transport
        for ask in ("invoke_shell", "get_pty", "invoke_subsystem"):
            session = line.open_session()
            arguments = ["sftp"] if ask == "invoke_subsystem" else []
            with pytest.raises(paramiko.SSHException):
                getattr(session, ask)(*arguments)
        with pytest.raises(paramiko.ChannelException):
            line.open_channel("direct-tcpip", ("127.0.0.1", ours.port), ("127.0.0.1", 0), timeout=5)


def test_environment_of_one_command(transport: Transport) -> None:
    session = transport.connection.create_session()
    session.set_environment_variable("GIVEN", "a value")
    session.exec_command("echo $GIVEN")
    assert session.makefile().read() == b"a value\n"
    assert output(transport.execute("echo $GIVEN")) == b"\n"


def test_each_command_has_its_own_session(transport: Transport) -> None:
    pid, group, session = output(transport.execute("ps -o pid=,pgid=,sid= -p $$")).split()
    assert pid == group == session != str(os.getsid(0)).encode()


def test_disconnect_hangs_up_but_for_those_who_left(
    transport: Transport, embedded: EmbeddedServer, tmp_path: Path
) -> None:
    setsid = shutil.which("setsid") or str(shims(tmp_path / "shims") / "setsid")
    script = (
        f"{setsid} sh -c 'echo $$ > {tmp_path}/left; exec sleep 60' </dev/null >/dev/null 2>&1 &\n"
        f"trap 'echo hup > {tmp_path}/hup; exit' HUP; exec 2>/dev/null; echo $$; while :; do sleep 0.1; done"
    )
    pieces = transport.execute(script).read()
    pid = int(next(pieces))
    wait_until((tmp_path / "left").exists)
    embedded.drop_connections()
    wait_until(lambda: not alive(pid))
    assert (tmp_path / "hup").read_text() == "hup\n"
    left = int((tmp_path / "left").read_text())
    assert alive(left)
    os.kill(left, signal.SIGKILL)


def test_disconnect_ends_input_and_output(
    transport: Transport, embedded: EmbeddedServer, tmp_path: Path
) -> None:
    script = f"cat; sleep 0.5; echo x || echo broken > {tmp_path}/output; echo > {tmp_path}/input"
    transport.execute(f"exec 2>/dev/null; trap '' HUP PIPE; {script}")
    time.sleep(0.3)
    embedded.drop_connections()
    wait_until((tmp_path / "input").exists)
    assert (tmp_path / "output").read_text() == "broken\n"


def test_several_connections(ours: Server) -> None:
    with contextlib.ExitStack() as stack:
        transports = [stack.enter_context(connect(ours.address)) for _ in range(4)]
        channels = [transport.execute("echo $$") for transport in transports]
        assert len({output(channel) for channel in channels}) == 4


def test_a_stall_ends(ours: Server, embedded: EmbeddedServer) -> None:
    with connect(ours.address) as transport:
        channel = transport.execute("echo one; sleep 0.5; echo two")
        pieces = channel.read(tick=0.2)
        assert next(filter(None, pieces)) == b"one\n"
        embedded.stall()
        time.sleep(1)
        assert next(pieces) == b""
        embedded.stall(False)
        assert b"".join(pieces) == b"two\n"


def test_close_leaves_nothing(home: Path) -> None:
    before = set(threading.enumerate())
    server = EmbeddedServer(home=home, path=["/usr/bin", "/bin"])
    found = Server(server.port, server.client_key_path, server.known_hosts_path, server.host_key_line)
    transport = connect(found.address)
    pid = int(next(transport.execute("echo $$; exec sleep 60").read()))
    server.close()
    server.close()
    transport.close()
    wait_until(lambda: not alive(pid))
    wait_until(lambda: set(threading.enumerate()) <= before)
    with pytest.raises(UnreachableError):
        connect(replace(found.address, known_hosts="/dev/null", identity=None))
    with socket.create_server(("127.0.0.1", server.port)):
        pass


# The shims against the real ones.


@pytest.fixture(params=["real", "shim"])
def tools(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A folder with ``flock`` and ``setsid``, the system's or ours."""
    if request.param == "shim":
        return shims(tmp_path / "it's shims")
    found = shutil.which("flock"), shutil.which("setsid")
    if not all(found):
        pytest.skip("this system has none")
    return Path(str(found[0])).parent


Run = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def sh(tools: Path, tmp_path: Path) -> Run:
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}

    def run(script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=20
        )

    return run


@pytest.mark.parametrize("options", ["-n", "-n -x", "-x -n", "-nx", "", "-s", "-n -s"])
def test_lock_on_a_descriptor(sh: Run, options: str) -> None:
    assert sh(f"exec 9>lock; flock {options} 9 && echo got").stdout == "got\n"


@pytest.mark.parametrize(
    ("held", "wanted", "status"),
    [("-x", "-n", 1), ("-x", "-n -x", 1), ("-x", "-n -s", 1), ("-s", "-n -s", 0), ("-s", "-n", 1)],
)
def test_lock_that_is_held(sh: Run, held: str, wanted: str, status: int) -> None:
    done = sh(f"exec 8>lock 9>lock; flock {held} 8; flock {wanted} 9; echo $?")
    assert (done.stdout, done.stderr) == (f"{status}\n", "")


def test_unlock(sh: Run) -> None:
    assert sh("exec 8>lock 9>lock; flock 8; flock -u 8; flock -n 9; echo $?").stdout == "0\n"


def test_lock_lives_as_long_as_the_descriptor(sh: Run) -> None:
    holder = "(exec 9>lock; flock 9; sleep 0.7) & sleep 0.3"
    script = f"{holder}; exec 9>lock; flock -n 9 || echo held; wait; flock -n 9"
    assert sh(script).stdout == "held\n"
    assert sh(script).returncode == 0


def test_waiting_for_a_lock(sh: Run) -> None:
    began = time.monotonic()
    assert (
        sh("(exec 9>lock; flock 9; sleep 0.8) & sleep 0.3; exec 9>lock; flock 9; echo got").stdout == "got\n"
    )
    assert time.monotonic() - began > 0.7


def test_lock_on_a_file_for_a_command(sh: Run) -> None:
    done = sh("flock lock sh -c 'flock -n lock true || echo held; echo \"$1\"; exit 3' sh 'a b'; echo $?")
    assert done.stdout == "held\na b\n3\n"
    assert sh("flock -n lock true; echo $?").stdout == "0\n"


def test_command_that_is_missing(sh: Run) -> None:
    assert sh("flock lock missing-command 2>/dev/null; echo $?").stdout == "69\n"


def test_descriptor_that_is_not_open(sh: Run) -> None:
    done = sh("flock -n 7")
    assert done.returncode == 65
    assert done.stderr


def test_new_session(sh: Run) -> None:
    pid, group, session = sh(
        "setsid ps -o pid=,pgid=,sid= -p $$; setsid sh -c 'ps -o pid=,pgid=,sid= -p $$'"
    ).stdout.split()[-3:]
    assert pid == group == session


def test_new_session_in_the_background_keeps_its_pid(sh: Run) -> None:
    """The shell's ``$!`` is the runner itself, as no shell without job control makes it a group leader."""
    done = sh("setsid sh -c 'echo $$ > pid' & echo $!; wait; cat pid")
    shown, own = done.stdout.split()
    assert shown == own


def test_new_session_for_a_group_leader(tools: Path, tmp_path: Path) -> None:
    """It has to fork then: the caller comes back at once."""
    process = subprocess.run(
        [str(tools / "setsid"), "sh", "-c", f"sleep 0.3; ps -o pid=,sid= -p $$ > {tmp_path}/said"],
        start_new_session=True,
        timeout=10,
        check=True,
    )
    assert process.returncode == 0
    said = tmp_path / "said"
    wait_until(lambda: said.exists() and said.read_text().endswith("\n"))
    pid, session = said.read_text().split()
    assert pid == session


def test_status_of_the_command(sh: Run) -> None:
    assert sh("setsid sh -c 'exit 4'; echo $?").stdout == "4\n"
    assert sh("setsid missing-command 2>/dev/null; echo $?").stdout == "127\n"
