"""The lab as a whole: up, down, status, clean."""

import contextlib
import fcntl
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from . import engine, images, server, state
from .system import ROOT, LabError, drop_policy, end, free_port, install, locked, remove, run, unmount

PACKAGES = (
    "docker.io", "iptables", "docker-compose", "openssh-server", "openssh-client", "busybox-static", "debootstrap",
    "debian-archive-keyring", "dash", "fish", "tcsh", "git", "sudo", "curl", "ca-certificates",
)  # fmt: skip
_KEEP = ROOT / "keep"
_IN_USE = Path("/run/backstay-lab.users")


def available() -> str | None:
    """None where the lab may be installed, else the reason why not; with CI=true the reason is an error."""
    reason = _obstacle()
    if reason and os.environ.get("CI") == "true":
        raise LabError(f"the lab is required here: {reason}")
    return reason


def _obstacle() -> str | None:
    if platform.system() != "Linux":
        return "the lab needs Linux"
    if platform.freedesktop_os_release().get("VERSION_CODENAME") != "bookworm":
        return "the lab needs Debian 12"
    if os.geteuid() != 0:
        return "the lab needs root: it starts a Docker engine and makes Unix users"
    return None


class Lab:
    """A real server on this machine. `docker` and `ssh` start and stop its parts; `state` reads what is on it."""

    def __init__(self, say: Callable[[str], None] = lambda text: None) -> None:
        self.docker = engine.Docker()
        self.ssh = server.Ssh()
        self.state = state
        self.root = ROOT
        self.home = server.home
        self.as_user = server.as_user
        self.wipe = self.docker.wipe
        self.free_port = free_port
        self._say = say

    def up(self, *, keep: bool = False) -> Self:
        """Have everything installed, made and running, whatever an earlier run left; `keep`: no session ends it."""
        with locked():
            ROOT.mkdir(mode=0o755, parents=True, exist_ok=True)
            drop_policy()
            install(self._wanted(), self._say)
            engine.install_plugins()
            self.docker.start()
            images.make_images(self._say)
            server.make_users()
            self.ssh.prepare()
            self.ssh.start()
            if keep:
                _KEEP.touch()
        return self

    def down(self) -> None:
        """Stop all that was started, remove the tests' projects and unmount; what was fetched and made is kept."""
        with locked():
            self.ssh.stop()
            self.ssh.drop()
            end(server.user_processes(), kill=True)
            self.docker.down()
            unmount(ROOT)
            _KEEP.unlink(missing_ok=True)

    def clean(self) -> None:
        """`down`, then remove images, users and the lab's folder. Debian packages stay."""
        if Path(engine.DOCKER).exists():
            if self.docker.answers():
                images.remove_images()
            self.down()
        with locked():
            engine.remove_plugins()
            server.remove_users()
            remove(ROOT)

    @contextlib.contextmanager
    def session(self) -> Iterator[Self]:
        """The lab for as long as the block runs; the last session on this machine to end takes it down, unless kept."""
        with _IN_USE.open("a") as mark:
            fcntl.flock(mark, fcntl.LOCK_SH)
            try:
                yield self.up()
            finally:
                if not _KEEP.exists() and _last(mark.fileno()):
                    self.down()

    def status(self) -> str:
        """What is there now, one line a part."""
        whose = "the lab's" if self.docker.ours() else "the machine's"
        version = "{{.Server.Version}}, API {{.Server.APIVersion}}"
        up = self.docker.answers()
        lines = [
            f"engine     {engine.docker('version', '-f', version)}, {whose}" if up else "engine     stopped",
            f"compose    {run(engine.DOCKER, 'compose', 'version', '--short', check=False).stdout.strip() or 'missing'}",
            f"ssh        127.0.0.1:{self.ssh.port}, {self.ssh.config}" if self.ssh.running() else "ssh        stopped",
            *(f"image      {r.name} {state.image_id(r.name) or 'missing'}" for r in images.RECIPES if up),
        ]
        return "\n".join(lines)

    def _wanted(self) -> tuple[str, ...]:
        foreign = Path(engine.DOCKER).exists() and self.docker.answers() and not self.docker.ours()
        return tuple(name for name in PACKAGES if not (foreign and name == "docker.io"))


def _last(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
