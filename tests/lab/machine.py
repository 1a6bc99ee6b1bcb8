"""The lab as a whole: up, down, status, clean."""

import contextlib
import fcntl
import functools
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from . import engine, images, server, state
from .system import ROOT, LabError, drop_policy, end, free_port, install, locked, remove, run, unmount

_PACKAGES = (
    *("docker.io", "iptables", "docker-compose", "openssh-server", "openssh-client", "sudo", "git", "curl"),
    *("busybox-static", "dash", "fish", "tcsh", "debootstrap", "debian-archive-keyring", "ca-certificates"),
)
_TOOLS = ("gawk", "original-awk", "postgresql-15", "mariadb-server-core", "mariadb-client")
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
    """A real server on this machine: `docker` and `ssh` start and stop its parts, `state` reads it."""

    def __init__(self, say: Callable[[str], None] = lambda text: None) -> None:
        self.docker = engine.Docker()
        self.ssh = server.Ssh()
        self.state = state
        self.root = ROOT
        self.home = server.home
        self.as_user = server.as_user
        self.run = functools.partial(run, check=False)
        self.wipe = self.docker.wipe
        self.free_port = free_port
        self._say = say

    def up(self, *, keep: bool = False) -> Self:
        """Have all installed, made and running, whatever an earlier run left; `keep`: no session ends it."""
        with locked():
            ROOT.mkdir(mode=0o755, parents=True, exist_ok=True)
            drop_policy()
            install(self._wanted(), self._say)
            self.docker.start()
            engine.install_plugins()
            images.make_images(self._say)
            server.make_users()
            self.ssh.prepare()
            self.ssh.start()
            if keep:
                _KEEP.touch()
        return self

    def tools(self) -> int:
        """Install what tests outside the lab use: shells, awks, an SSH server, databases. Gives 0."""
        with locked():
            ROOT.mkdir(mode=0o755, parents=True, exist_ok=True)
            install((*_TOOLS, *(name for name in _PACKAGES if "docker" not in name)), self._say)
        return 0

    def down(self) -> None:
        """Stop all that was started, remove the tests' projects, unmount; what was made is kept."""
        with locked():
            self.ssh.stop()
            self.ssh.drop()
            end(server.user_processes(), kill=True)
            self.docker.down()
            unmount(ROOT)
            _KEEP.unlink(missing_ok=True)

    def clean(self) -> None:
        """`down`, then remove images, users and the lab's folder. Debian packages stay."""
        if self.docker.answers() and not self.docker.ours():
            images.remove_images()
        self.down()
        with locked():
            engine.remove_plugins()
            server.remove_users()
            for part in ROOT.glob("*"):
                remove(part)

    @contextlib.contextmanager
    def session(self) -> Iterator[Self]:
        """The lab for a block's time; the last session on this machine to end takes it down, unless kept."""
        with _IN_USE.open("a") as mark:
            fcntl.flock(mark, fcntl.LOCK_SH)
            try:
                yield self.up()
            finally:
                if not _KEEP.exists() and _last(mark.fileno()):
                    self.down()

    def status(self) -> str:
        """What is there now, one line a part."""
        docker, up = functools.partial(engine.docker, check=False), self.docker.answers()
        parts = {
            "engine": up and docker("version", "-f", "{{.Server.Version}}"),
            "whose": up and ("the lab's" if self.docker.ours() else "the machine's"),
            "compose": docker("compose", "version", "--short"),
            "ssh": self.ssh.running() and f"{self.ssh.host}:{self.ssh.port}, {self.ssh.config}",
            **{recipe.name: up and state.image_id(recipe.name) for recipe in images.RECIPES},
        }
        return "\n".join(f"{name:18}{value or 'no'}" for name, value in parts.items())

    def _wanted(self) -> tuple[str, ...]:
        foreign = not self.docker.ours() and self.docker.answers()
        return tuple(name for name in _PACKAGES if not (foreign and name == "docker.io"))


def _last(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
