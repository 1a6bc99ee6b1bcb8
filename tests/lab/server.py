"""The SSH server, its Unix users and the client's folder."""

import grp
import os
import pwd
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Literal

from .system import (
    PATH,
    ROOT,
    LabError,
    daemon,
    end,
    find,
    free_port,
    processes,
    remove,
    run,
    tail,
    wait_for,
    write,
)

DEPLOY, SECOND, SUDO, FISH, CSH = (f"backstay-{name}" for name in ("deploy", "second", "sudo", "fish", "csh"))
USERS = {DEPLOY: "/bin/sh", SECOND: "/bin/sh", SUDO: "/bin/sh", FISH: "/usr/bin/fish", CSH: "/usr/bin/tcsh"}
"""The server's users and their login shells. `SUDO` may sudo all; the others are in the group docker."""

PASSPHRASE = "correct horse"
Tools = Literal["both", "v1", "v2", "neither", "no-docker"]
"""What a user finds on PATH: Compose v1, v2, both, neither, or not even Docker."""

_SUDOERS = Path("/etc/sudoers.d/backstay-lab")


class Ssh:
    """An OpenSSH server on a loopback port of its own, and what a client needs to reach it.

    `client` is the client's folder: `ssh_config` with an alias for each user (`lab`, `lab-second`,
    `lab-sudo`, `lab-fish`, `lab-csh`) and `lab-jump`, which goes through `lab`; `known_hosts` with the pinned
    host key; the keys `id_ed25519`, `id_encrypted` (see `PASSPHRASE`) and `id_unauthorised`.
    """

    client = ROOT / "client"
    config = ROOT / "client/ssh_config"
    known_hosts = ROOT / "client/known_hosts"
    key = ROOT / "client/id_ed25519"
    encrypted_key = ROOT / "client/id_encrypted"
    unauthorised_key = ROOT / "client/id_unauthorised"
    host_key = ROOT / "ssh/host_ed25519.pub"
    log = ROOT / "ssh/log"
    host = "127.0.0.1"
    _server = ROOT / "ssh/sshd_config"
    _port = ROOT / "ssh/port"

    @property
    def port(self) -> int:
        """The port that the server listens on, the same from run to run where it can be."""
        return int(self._port.read_text())

    def alias(self, user: str) -> str:
        """The name of a user's entry in the client's `ssh_config`."""
        return "lab" if user == DEPLOY else user.replace("backstay-", "lab-")

    def running(self) -> list[int]:
        """The process ids of the listening server."""
        return find("sshd", str(self._server))

    def prepare(self) -> None:
        """Have all keys, and let every user in, with both Composes on PATH."""
        self._make_keys()
        for user in USERS:
            self.tools(user, "both")

    def start(self) -> None:
        """Have the server listen, where it listened before if it can."""
        if self.running() and self._accepts() and self._server.read_text() == self._settings():
            return
        self.stop()
        if not self._port.exists() or not _bindable(self.port):
            write(self._port, f"{free_port()}\n")
        write(self._server, self._settings())
        self._write_client()
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        daemon("/usr/sbin/sshd", "-D", "-f", self._server, "-E", self.log, log=self.log)
        wait_for("sshd", lambda: self._accepts() or not self.running(), 20)
        if not self._accepts():
            raise LabError(f"sshd did not come up:\n{tail(self.log)}")

    def stop(self) -> None:
        """Listen no more. Sessions that are open stay open, as with any sshd; see `drop`."""
        end(self.running())

    def restart(self) -> None:
        """Stop listening, then listen again on the same port."""
        self.stop()
        self.start()

    def drop(self) -> None:
        """Cut all open sessions."""
        end(find("sshd", "sshd: backstay-"), kill=True)

    def argv(self, *words: str, user: str = DEPLOY) -> list[str]:
        """An OpenSSH client's command line that runs `words` on the server."""
        return ["ssh", "-F", str(self.config), self.alias(user), *words]

    def run(self, command: str, *, user: str = DEPLOY, input: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command over OpenSSH as a user; never raises for its exit code."""
        return run(*self.argv(command, user=user), check=False, input=input)

    def tools(self, user: str, kind: Tools) -> None:
        """Choose what a user finds on PATH from the next session on (for `SUDO`: under sudo too)."""
        path = _path(kind)
        keys = [Path(f"{key}.pub").read_text().strip() for key in (self.key, self.encrypted_key)]
        write(ROOT / "ssh/authorized" / user, "".join(f'environment="PATH={path}" {key}\n' for key in keys))
        if user == SUDO:
            rule = f"{SUDO} ALL=(ALL:ALL) NOPASSWD: ALL\nDefaults:{SUDO} secure_path={path}\n"
            write(_SUDOERS, rule, 0o440)

    def _accepts(self) -> bool:
        with socket.socket() as probe:
            return self._port.exists() and probe.connect_ex((self.host, self.port)) == 0

    def _make_keys(self) -> None:
        pairs = {self.key: "", self.encrypted_key: PASSPHRASE, self.unauthorised_key: ""}
        pairs[self.host_key.with_suffix("")] = ""
        for key, phrase in pairs.items():
            if not Path(f"{key}.pub").exists():
                key.unlink(missing_ok=True)
                key.parent.mkdir(parents=True, exist_ok=True)
                run("ssh-keygen", "-q", "-t", "ed25519", "-N", phrase, "-C", key.name, "-f", key)

    def _settings(self) -> str:
        lines = {
            "ListenAddress": self.host,
            "Port": self.port,
            "HostKey": self.host_key.with_suffix(""),
            "PidFile": "none",
            "AuthorizedKeysFile": ROOT / "ssh/authorized/%u",
            "AllowUsers": " ".join(USERS),
            "PermitUserEnvironment": "yes",
            "UsePAM": "no",
            "PasswordAuthentication": "no",
            "KbdInteractiveAuthentication": "no",
            "AllowAgentForwarding": "yes",
            "AllowTcpForwarding": "yes",
            "MaxStartups": "200:30:400",
            "MaxSessions": "100",
            "UseDNS": "no",
            "LogLevel": "VERBOSE",
            "Subsystem": "sftp internal-sftp",
        }
        return "".join(f"{name} {value}\n" for name, value in lines.items())

    def _write_client(self) -> None:
        kind, blob, *_ = self.host_key.read_text().split()
        write(self.known_hosts, f"[{self.host}]:{self.port} {kind} {blob}\n")
        entries = {self.alias(user): f"    User {user}\n" for user in USERS}
        entries["lab-jump"] = f"    User {DEPLOY}\n    ProxyJump lab\n"
        common = {
            "HostName": self.host,
            "Port": self.port,
            "IdentityFile": self.key,
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "UserKnownHostsFile": self.known_hosts,
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
        }
        text = "".join(f"Host {name}\n{lines}" for name, lines in entries.items())
        write(self.config, text + "Host lab lab-*\n" + "".join(f"    {k} {v}\n" for k, v in common.items()))


def _bindable(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


# -- users


def home(user: str) -> Path:
    """A user's home folder on the server."""
    return ROOT / "home" / user


def make_users() -> None:
    """Have all users, each with a home folder and no password (which is not the same as a locked account)."""
    present = {entry.pw_name: entry.pw_dir for entry in pwd.getpwall()}
    members = grp.getgrnam("docker").gr_mem
    for user, shell in USERS.items():
        home(user).mkdir(parents=True, exist_ok=True)
        if user not in present:
            run("useradd", "-U", "-M", "-d", home(user), "-s", shell, "-p", "*", user)
            run("chown", "-R", f"{user}:{user}", home(user))
        if present.get(user, str(home(user))) != str(home(user)):
            run("usermod", "-d", home(user), user)
        if user != SUDO and user not in members:
            run("usermod", "-a", "-G", "docker", user)
        shutil.chown(home(user), user, user)


def user_processes() -> list[int]:
    """The ids of all processes that run as one of the lab's users."""
    ids = {entry.pw_uid for entry in pwd.getpwall() if entry.pw_name in USERS}
    return [p.pid for p in processes() if p.uid in ids]


def remove_users() -> None:
    """Remove the users and what they may do."""
    _SUDOERS.unlink(missing_ok=True)
    for entry in pwd.getpwall():
        if entry.pw_name in USERS:
            run("userdel", entry.pw_name)
            remove(home(entry.pw_name))


def as_user(
    user: str, *argv: str | Path, cwd: Path | None = None, input: str | None = None, check: bool = True
) -> subprocess.CompletedProcess[str]:
    """Run a command as one of the users, without SSH: what a person at the server's own keyboard does."""
    env = {"HOME": str(home(user)), "USER": user, "LOGNAME": user}
    return run("runuser", "-u", user, "--", *argv, cwd=cwd or home(user), input=input, check=check, env=env)


# -- what is on PATH

_NO_PLUGIN = """#!/bin/sh
if [ "${1:-}" = compose ]; then
    echo "docker: 'compose' is not a docker command." >&2
    exit 1
fi
exec /usr/bin/docker "$@"
"""


def _path(kind: Tools) -> str:
    if kind == "both":
        return PATH
    folder = ROOT / "path" / kind
    remove(folder)
    folder.mkdir(parents=True)
    hidden = {"no-docker": {"docker", "docker-compose"}, "v1": set()}.get(kind, {"docker-compose"})
    for source in ("/usr/bin", "/usr/sbin"):
        for name in set(os.listdir(source)) - hidden - set(os.listdir(folder)):
            (folder / name).symlink_to(f"{source}/{name}")
    if kind in ("v1", "neither"):
        (folder / "docker").unlink()
        write(folder / "docker", _NO_PLUGIN, 0o755)
    return str(folder)
