"""How long it takes, as a ratio against plain `ssh` in the same run: `make bench`. Pairs, against noise.

Two figures: five no-op steps (0.05 s each) over loopback SSH against one `ssh host` with all five, the whole
process; and `fab --list` against that of a bare fabfile. Exits with 1 when a bar is missed.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.ssh.conftest import SSHD, Server, _configure, _wait_for

STEPS = ("check", "pull", "migrate", "build", "restart")
FABFILE = """
from deploy.engines import ENGINES
from deploy.tasks import namespace


class FiveSteps:
    name = "compose"

    def scripts(self):
        do = {f"{step}.do.sh": f"echo {step}; sleep 0.05\\n" for step in %r}
        return {**do, "pull.undo.sh": "", "migrate.undo.sh": "", "finish.sh": ""}

    def values(self, target):
        return {}


ENGINES["compose"] = FiveSteps()
"""
BARE = """
from fabric import task


@task
def deploy(c):
    '''Deploy.'''
"""


@contextmanager
def running_sshd(root: Path) -> Iterator[Server]:
    """OpenSSH's own server, as the current user, on loopback."""
    folder = root / "sshd"
    folder.mkdir()
    server = _configure(folder, (), "")
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "sshd_config"], stdout=log, stderr=log)
    try:
        _wait_for(server.port, folder / "log")
        yield server
    finally:
        process.terminate()
        process.wait(10)


def timed(command: Sequence[str], folder: Path) -> float:
    """Seconds that a whole process takes."""
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stdout.decode()}{done.stderr.decode()}")
    return seconds


def compare(
    name: str, ours: Sequence[str], theirs: Sequence[str], folders: tuple[Path, Path], runs: int, bar: float
) -> bool:
    """Print both medians and the median of the ratios of pairs; whether it is within the bar."""
    pairs = []
    for run in range(runs + 1):
        pair = timed(ours, folders[0]), timed(theirs, folders[1])
        pairs += [pair] if run else []
    ratio = statistics.median(a / b for a, b in pairs)
    mine, other = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(f"{name:24} {mine:6.3f} s   against {other:6.3f} s   ratio {ratio:4.2f}   bar {bar}", flush=True)
    return ratio <= bar


def prepare(root: Path, server: Server) -> tuple[Path, list[str], list[str]]:
    """A laptop's folder, the fab command and the ssh command."""
    laptop, checkout = root / "laptop", root / "server"
    for folder in (laptop, checkout, root / "bare"):
        folder.mkdir()
    subprocess.run(["git", "init", "-q", str(checkout)], check=True)
    user = server.address.user
    (laptop / "fabfile.py").write_text(FABFILE % (STEPS,))
    (root / "bare" / "fabfile.py").write_text(BARE)
    (laptop / "deploy.toml").write_text(
        f'app = "bench"\nhost = "{user}@{server.host}:{server.port}"\npath = "{checkout}"\n'
        f'identity = "{server.key}"\nknown_hosts = "{server.known_hosts}"\nstate = "{root / "state"}"\n'
    )
    options = ["-F", "none", "-i", str(server.key), "-p", str(server.port)]
    options += ["-o", f"UserKnownHostsFile={server.known_hosts}", "-o", "BatchMode=yes"]
    steps = " && ".join(f"sh -c 'echo {step}; sleep 0.05'" for step in STEPS)
    return laptop, ["fab", "deploy", "--no-logs"], ["ssh", *options, f"{user}@{server.host}", steps]


def main() -> int:
    """0 when both bars are met."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench")
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with tempfile.TemporaryDirectory(prefix="backstay-bench-") as folder:
        root = Path(folder)
        os.environ.update(HOME=folder, XDG_DATA_HOME=str(root / "data"))
        with running_sshd(root) as server:
            laptop, fab, ssh = prepare(root, server)
            good = [
                compare("five no-op steps", fab, ssh, (laptop, root), runs, 1.5),
                compare(
                    "fab --list", ["fab", "--list"], ["fab", "--list"], (laptop, root / "bare"), runs, 1.3
                ),
            ]
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
