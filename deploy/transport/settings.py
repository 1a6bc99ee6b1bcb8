"""From a server's name to all that a connection needs: what was given, else what ssh's configuration says.

OpenSSH itself reads its configuration (``ssh -G``), so Include, Match, tokens and canonical names mean here
what they mean to ``ssh``. Without an ``ssh`` on the PATH, see ``ssh_config``.
"""

from __future__ import annotations

import getpass
import os
import pwd
import re
import shutil
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deploy.errors import SshConfigError, UsageError

#: Longest chain of jump hosts.
_HOPS = 8
_TARGET = re.compile(
    r"(?:ssh://)?(?:(?P<user>[^@]+)@)?(?:\[(?P<six>[^\]]+)\]|(?P<bare>[^@\[\]/:]+))(?::(?P<port>\d+))?/?"
)

Options = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Address:
    """Which server, and what the user says of it; what is left out comes from ssh's configuration.

    ``host``            a name, an address, or an alias of ssh's configuration
    ``identity``        private key files, tried before all others; they must be there
    ``passphrase``      of encrypted key files; ``password`` of the account
    ``forward_agent``   whether commands may use the agent here; None: as configured
    ``known_hosts``     the only file to look for host keys in
    ``connect_timeout`` seconds for each address; None: as configured, else 10
    ``ssh_config``      the file to read instead of ~/.ssh/config and the system's
    """

    host: str
    user: str = ""
    port: int | None = None
    identity: Path | str | Sequence[Path | str] | None = None
    passphrase: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    forward_agent: bool | None = None
    known_hosts: Path | str | None = None
    connect_timeout: float | None = None
    ssh_config: Path | str | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """``[ssh://][user@]host[:port]``, with an IPv6 address in brackets or bare and without a port."""
        if text.count(":") > 1 and "[" not in text and "//" not in text:
            user, _, host = text.rpartition("@")
            return cls(host, user)
        found = _TARGET.fullmatch(text)
        if not found or text.startswith("-"):
            raise UsageError(f"{text!r} is no server", "Write user@host, host or user@host:port.")
        port = int(found["port"]) if found["port"] else None
        return cls(found["six"] or found["bare"], found["user"] or "", port)

    @classmethod
    def of(cls, connection: Any) -> Address:
        """What fab's command line says: the Connection that -H makes, and -i, -S, -t and the prompts."""
        ssh, config = connection.ssh_config, connection.config
        user, port = connection.user, connection.port
        address = cls(
            connection.original_host,
            "" if user in (config.user, ssh.get("user")) else user,
            None if str(port) in (str(config.port), ssh.get("port")) else port,
        )
        return address.with_options(config)

    def with_options(self, config: Any) -> Address:
        """This address with what fab's -i, -S, -t and prompts have put into Fabric's configuration."""
        given = config.connect_kwargs
        return replace(
            self,
            identity=given.get("key_filename") or self.identity,
            passphrase=given.get("passphrase") or self.passphrase,
            password=given.get("password") or self.password,
            connect_timeout=given.get("timeout") or config.timeouts.connect or self.connect_timeout,
            forward_agent=config.forward_agent or self.forward_agent,
            ssh_config=getattr(config, "_runtime_ssh_path", None) or self.ssh_config,
        )

    @property
    def identities(self) -> tuple[Path, ...]:
        """The key files given, as paths."""
        given = self.identity or ()
        return tuple(Path(one).expanduser() for one in ([given] if isinstance(given, str | Path) else given))


@dataclass(frozen=True)
class Settings:
    """All that is needed to connect, with nothing left to look up.

    ``label`` is the name the user knows the server by, ``host`` where to dial, ``host_key_name`` what
    known_hosts lists it under, ``given`` key files that must exist, ``identities`` those that may, ``agent``
    and ``forward_agent`` sockets of agents (empty: none), ``jumps`` the hosts to go through, nearest first.
    """

    label: str
    host: str
    port: int
    user: str
    host_key_name: str
    known_hosts: tuple[Path, ...]
    revoked_keys: Path | None = None
    given: tuple[Path, ...] = ()
    identities: tuple[Path, ...] = ()
    identities_only: bool = False
    agent: str = ""
    forward_agent: str = ""
    passphrase: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    proxy_command: str = ""
    jumps: tuple[Settings, ...] = ()
    family: int = socket.AF_UNSPEC
    connect_timeout: float = 10.0

    @property
    def place(self) -> str:
        """``user@host:port``, with the label where it differs."""
        where = f"[{self.host}]" if ":" in self.host else self.host
        text = f"{self.user}@{where}" + ("" if self.port == 22 else f":{self.port}")
        return text if self.label in (self.host, text) else f"{self.label} ({text})"


def resolve(address: Address) -> Settings:
    """The settings for ``address``. Reads files and runs ``ssh -G``; opens no connection.

    Raises SshConfigError when the configuration is broken or asks for what cannot be followed.
    """
    return _resolve(address, _HOPS)


def _resolve(address: Address, hops: int) -> Settings:
    options = read_options(address)
    settings = interpret(address, options)
    jumps = _first(options, "proxyjump")
    if jumps in ("", "none"):
        return settings
    return replace(settings, proxy_command="", jumps=_chain(address, jumps.split(","), hops))


def _chain(address: Address, names: Sequence[str], hops: int) -> tuple[Settings, ...]:
    """The jump hosts, nearest first. Only the nearest may have jump hosts of its own, as with ``ssh -J``."""
    if hops <= len(names):
        raise SshConfigError(f"the jump hosts of {address.host} go in a circle", "Look at ProxyJump there.")
    first, *rest = [_hop(address, name) for name in names]
    nearest = _resolve(first, hops - len(names))
    others = [replace(interpret(one, read_options(one)), proxy_command="") for one in rest]
    return (*nearest.jumps, replace(nearest, jumps=()), *others)


def _hop(address: Address, name: str) -> Address:
    """The jump host ``name``: same files and key files as the target, never its password."""
    hop = Address.parse(name.strip())
    return replace(address, host=hop.host, user=hop.user, port=hop.port, password=None, forward_agent=False)


def interpret(address: Address, options: Options) -> Settings:
    """Settings out of what was given and ssh's options (lower-case names, as ``ssh -G`` prints them).

    Pure but for the environment's HOME, SSH_AUTH_SOCK and user name.
    """
    host = _first(options, "hostname") or address.host
    port = address.port or _port(_first(options, "port"))
    user = address.user or _first(options, "user") or _me()
    alias = _first(options, "hostkeyalias")
    tokens = {"%": "%", "h": host, "n": address.host, "p": str(port), "r": user, "d": str(home())}
    tokens |= {"u": _me(), "i": str(os.getuid()), "k": alias or address.host}
    agent = _agent(_first(options, "identityagent"), tokens)
    proxy = _first(options, "proxycommand")
    revoked = _first(options, "revokedhostkeys")
    name = (alias or host).lower()
    return Settings(
        label=address.host,
        host=host,
        port=port,
        user=user,
        host_key_name=name if port == 22 or alias else f"[{name}]:{port}",
        known_hosts=_known_hosts(address, options, tokens),
        revoked_keys=None if revoked in ("", "none") else _path(revoked, tokens),
        given=address.identities,
        identities=_identities(options, tokens),
        identities_only=_first(options, "identitiesonly") == "yes",
        agent=agent,
        forward_agent=_forwarded(address.forward_agent, _first(options, "forwardagent"), agent),
        passphrase=address.passphrase,
        password=address.password,
        proxy_command="" if proxy == "none" else _expand(proxy, tokens, names=False),
        family={"inet": socket.AF_INET, "inet6": socket.AF_INET6}.get(_first(options, "addressfamily"), 0),
        connect_timeout=address.connect_timeout or _seconds(_first(options, "connecttimeout")) or 10.0,
    )


def read_options(address: Address) -> Options:
    """What ssh's configuration says of ``address``."""
    from deploy.transport import ssh_config

    own_home = home() == _home_of_ssh()
    if own_home and address.ssh_config and not Path(address.ssh_config).is_file():
        raise SshConfigError(f"{address.ssh_config} is not there")
    # An account without an entry, as in some containers, is none to ssh.
    _me()
    ssh = shutil.which("ssh") if _home_of_ssh() else None
    if ssh and own_home:
        return _ask(ssh, address, ["-F", str(address.ssh_config)] if address.ssh_config else [], "")
    text = ssh_config.flatten(address.ssh_config, home())
    if not ssh:
        return ssh_config.lookup(text, address)
    # To ssh, "~" is the home in the password database, whatever HOME says; the rest of the world takes HOME.
    return _ask(ssh, address, ["-F", "/dev/stdin"], text + ssh_config.defaults(home()))


def _ask(ssh: str, address: Address, file: Sequence[str], text: str) -> Options:
    words = [ssh, "-G", *file]
    words += ["-l", address.user] if address.user else []
    words += ["-p", str(address.port)] if address.port else []
    try:
        done = subprocess.run(
            [*words, "--", address.host],
            input=text,
            capture_output=True,
            text=True,
            timeout=30,
            errors="surrogateescape",
        )
    except subprocess.TimeoutExpired:
        raise SshConfigError(f"ssh -G {address.host} gave no answer", "Look at Match exec there.") from None
    if done.returncode:
        problem = done.stderr.strip().splitlines()
        raise SshConfigError(
            f"ssh cannot make sense of {address.host}: {problem[0] if problem else 'no reason given'}",
            f"See what ssh says: ssh -G {address.host}",
        )
    options: dict[str, list[str]] = {}
    for line in done.stdout.splitlines():
        key, _, value = line.partition(" ")
        options.setdefault(key.lower(), []).append(value)
    return options


def home() -> Path:
    """The user's home: HOME, else what the password database says."""
    return Path.home()


def _home_of_ssh() -> Path | None:
    """Where OpenSSH sees the user's home."""
    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return None


def _me() -> str:
    """The name of the user here."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        raise SshConfigError(
            f"the account here (uid {os.getuid()}) has no name", "Set USER in the environment."
        ) from None


def _first(options: Options, key: str) -> str:
    return next(iter(options.get(key, ())), "")


def _port(text: str) -> int:
    if text and not text.isdigit():
        raise SshConfigError(f"Port {text} is no number")
    return int(text or 22)


def _seconds(text: str) -> float:
    """ssh's way to write a time: 90, 90s, 1m30s; 0 for none."""
    units = {"": 1, "s": 1, "m": 60, "h": 3600}
    parts = re.findall(r"(\d+)([smh]?)", text.lower())
    return float(sum(int(number) * units[unit] for number, unit in parts))


def _paths(values: Sequence[str]) -> list[str]:
    """Paths of one or several options; ``ssh -G`` prints them bare, so a space within one stays within it."""
    return [part for value in values for part in re.split(r"\s+(?=[/~$%])", value.strip()) if part]


def _known_hosts(address: Address, options: Options, tokens: Mapping[str, str]) -> tuple[Path, ...]:
    if address.known_hosts:
        return (Path(address.known_hosts).expanduser(),)
    listed = _paths([*options.get("userknownhostsfile", ()), *options.get("globalknownhostsfile", ())])
    return tuple(_path(one, tokens) for one in listed if one not in ("none", "/dev/null"))


def _identities(options: Options, tokens: Mapping[str, str]) -> tuple[Path, ...]:
    listed = [one for one in options.get("identityfile", ()) if one != "none"]
    return tuple(_path(one, tokens) for one in listed)


def _agent(option: str, tokens: Mapping[str, str]) -> str:
    """The agent's socket; empty for none."""
    if option == "none":
        return ""
    if option in ("", "SSH_AUTH_SOCK"):
        return os.environ.get("SSH_AUTH_SOCK", "")
    if re.fullmatch(r"\$\w+", option):
        return os.environ.get(option[1:], "")
    return str(_path(option, tokens))


def _forwarded(given: bool | None, option: str, agent: str) -> str:
    wanted = option.lower() if given is None else ("yes" if given else "no")
    if wanted in ("", "no"):
        return ""
    if wanted == "yes":
        return agent
    return os.environ.get(option[1:], "") if option.startswith("$") else str(Path(option).expanduser())


def _path(text: str, tokens: Mapping[str, str]) -> Path:
    return Path(_expand(text, tokens)).expanduser()


def _expand(text: str, tokens: Mapping[str, str], names: bool = True) -> str:
    """Text with ssh's %-tokens replaced, and ${NAME} unless a shell will do that."""

    def value(found: re.Match[str]) -> str:
        known = tokens.get(found[1]) if found[1] else os.environ.get(found[2])
        if known is None:
            raise SshConfigError(f"{found[0]} in ssh's configuration is not known here: {text}")
        return known

    return re.sub(r"%(.)|\$\{(\w+)\}" if names else r"%(.)", value, text)
