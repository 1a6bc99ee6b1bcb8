"""The Docker engine: one that is already here, or one started by hand with a data folder of its own."""

import contextlib
import os
import socket
from pathlib import Path

from .system import ROOT, LabError, daemon, end, find, mirror, remove, run, tail, unmount, wait_for, write

DOCKER = "/usr/bin/docker"
SOCKET = Path("/var/run/docker.sock")
PREFIX = "lab"
"""Compose projects whose names start so are the tests' own."""

_LABEL = "com.docker.compose.project"
_PLUGINS = Path("/usr/local/lib/docker/cli-plugins")
_NEXT = "trixie"


def docker(*args: str | Path, check: bool = True, input: str | None = None, timeout: float = 900) -> str:
    """What `docker ARGS` prints, as root, without the last newline."""
    return run(DOCKER, *args, check=check, input=input, timeout=timeout).stdout.rstrip("\n")


class Docker:
    """The engine behind the default socket. Tests may stop, kill and start it."""

    log = ROOT / "docker.log"
    _data = ROOT / "docker"
    _state = ROOT / "exec"
    _pid = ROOT / "docker.pid"

    def answers(self) -> bool:
        """Whether an engine answers on the default socket."""
        with contextlib.suppress(LabError):
            return SOCKET.exists() and bool(docker("version", "-f", "{{.Server.Version}}", timeout=10))
        return False

    def ours(self) -> list[int]:
        """The process ids of the engine that the lab started; empty when there is none."""
        return find("dockerd", f"--data-root {self._data}")

    def start(self) -> None:
        """Have an engine that answers: one that is here already, or our own, whatever a killed one left."""
        if self.answers():
            return
        if not self.ours() and _listening():
            if not self._systemd("start"):
                raise LabError(f"something that is no Docker engine listens on {SOCKET}")
            return
        self._end(kill=True)
        self._sweep()
        self._data.mkdir(parents=True, exist_ok=True)
        write(ROOT / "docker.json", "{}\n")
        folders = ("--data-root", self._data, "--exec-root", self._state, "--pidfile", self._pid)
        options = ("--config-file", ROOT / "docker.json", "--storage-driver", "overlay2", "--group", "docker")
        daemon("dockerd", *folders, *options, "--host", f"unix://{SOCKET}", log=self.log)
        with contextlib.suppress(LabError):
            wait_for("dockerd", lambda: self.answers() or not self.ours())
        if not self.answers():
            raise LabError(f"dockerd did not come up:\n{tail(self.log)}")

    def stop(self, *, kill: bool = False) -> None:
        """Stop the engine and with it all containers; `kill` ends it without warning, containers live on."""
        if self.ours():
            self._end(kill=kill)
        elif self.answers() and not self._systemd("stop"):
            raise LabError("the engine is not the lab's and not systemd's: it cannot be stopped from here")

    def restart(self) -> None:
        """Stop the engine, then start it."""
        self.stop()
        self.start()

    def down(self) -> None:
        """Remove the tests' projects; when the engine is the lab's, stop it and unmount what it used."""
        if not self.answers() and (self.ours() or self._shims()):
            self.start()
        if self.answers():
            for project in _projects():
                self.wipe(project)
        if self.ours():
            docker("image", "prune", "-f")
            self._end()
        if not self._shims():
            self._sweep()

    def wipe(self, project: str) -> None:
        """Remove a Compose project's containers, networks, volumes and the images that were built for it."""
        if not project.startswith(PREFIX):
            raise LabError(f"{project}: the lab removes only projects whose names start with {PREFIX!r}")
        label = ("--filter", f"label={_LABEL}={project}")
        _discard(("rm", "-f", "-v"), docker("ps", "-aq", *label))
        _discard(("network", "rm"), docker("network", "ls", "-q", *label))
        _discard(("volume", "rm", "-f"), docker("volume", "ls", "-q", *label))
        for parting in "-_":
            tags = "{{.Repository}}:{{.Tag}}"
            pattern = f"reference={project}{parting}*"
            _discard(("rmi", "-f"), docker("image", "ls", "--filter", pattern, "--format", tags))

    def _shims(self) -> list[int]:
        return find("containerd-shim-runc-v2", str(self._state))

    def _end(self, *, kill: bool = False) -> None:
        end(self.ours(), kill=kill, grace=40)
        end(find("containerd", str(self._state)), kill=kill)

    def _sweep(self) -> None:
        for stale in (self._pid, self._state / "containerd/containerd.pid", SOCKET):
            if not (stale == SOCKET and _listening()):
                stale.unlink(missing_ok=True)
        if not self._shims():
            unmount(self._data)
            remove(self._state)

    @staticmethod
    def _systemd(word: str) -> bool:
        if not Path("/run/systemd/system").exists():
            return False
        return run("systemctl", word, "docker.socket", "docker.service", check=False).returncode == 0


def _listening() -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(SOCKET)) == 0


def _projects() -> set[str]:
    """The tests' projects of which anything is left."""
    form = ("--filter", f"label={_LABEL}", "--format", f'{{{{.Label "{_LABEL}"}}}}')
    rows = (docker(*kind, *form) for kind in (("ps", "-a"), ("network", "ls"), ("volume", "ls")))
    return {name for row in rows for name in row.splitlines() if name.startswith(PREFIX)}


def _discard(words: tuple[str, ...], names: str) -> None:
    if names:
        docker(*words, *names.splitlines())


# -- Compose v2 and buildx, from the next Debian suite


def install_plugins() -> None:
    """Give the Docker CLI its `compose` and `buildx`, unless it has them; they are fetched once and kept."""
    missing = [name for name in ("compose", "buildx") if not _works(name)]
    if not missing:
        return
    kept = ROOT / "plugins"
    if any(not (kept / f"docker-{name}").exists() for name in missing):
        _fetch_plugins(kept)
    _PLUGINS.mkdir(parents=True, exist_ok=True)
    for name in missing:
        link = _PLUGINS / f"docker-{name}"
        if link.is_symlink():
            link.unlink()
        link.symlink_to(kept / link.name)
        if not _works(name):
            raise LabError(f"docker {name} does not run: {link}")


def remove_plugins() -> None:
    """Take the lab's plugins away from the Docker CLI."""
    for link in _PLUGINS.glob("docker-*"):
        if link.is_symlink() and Path(os.readlink(link)).is_relative_to(ROOT):
            link.unlink()


def _works(name: str) -> bool:
    return run(DOCKER, name, "version", check=False).returncode == 0


def _fetch_plugins(kept: Path) -> None:
    work = ROOT / "apt"
    remove(work)
    (work / "lists/partial").mkdir(parents=True)
    write(work / "sources.list", f"deb {mirror()} {_NEXT} main\n")
    parts = {"Etc::sourcelist": "sources.list", "Etc::sourceparts": "none", "State::lists": "lists"}
    parts |= {"Cache::pkgcache": "pkg.bin", "Cache::srcpkgcache": "src.bin"}
    options = [word for key, name in parts.items() for word in ("-o", f"Dir::{key}={work / name}")]
    options += ["-o", "APT::Sandbox::User=root", "-o", "APT::Get::List-Cleanup=0"]
    run("apt-get", *options, "update")
    run("apt-get", *options, "download", f"docker-compose/{_NEXT}", f"docker-buildx/{_NEXT}", cwd=work)
    for package in work.glob("*.deb"):
        run("dpkg", "-x", package, work / "files")
    kept.mkdir(parents=True, exist_ok=True)
    for plugin in (work / "files/usr/libexec/docker/cli-plugins").iterdir():
        plugin.rename(kept / plugin.name)
    remove(work)
