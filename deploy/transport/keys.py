"""Who we are: keys of the agent and of files, tried in ssh's order; never a prompt."""

from __future__ import annotations

import base64
import binascii
import re
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from paramiko.pkey import UnknownKeyType

from deploy.errors import AuthError
from deploy.transport.hostkeys import fingerprint
from deploy.transport.settings import Settings

_MAGIC = b"openssh-key-v1\0"
_PUBLIC = re.compile(rb"\s*(ssh-|ecdsa-|sk-|---- BEGIN SSH2 PUBLIC|-----BEGIN (RSA )?PUBLIC)")
#: Seconds to wait for the agent's list, and for a signature: there it may ask its user.
_LIST_TIMEOUT, _SIGN_TIMEOUT = 5.0, 30.0


class AgentAt(paramiko.Agent):  # type: ignore[misc]
    """The agent at a socket of our choice; Paramiko's own knows SSH_AUTH_SOCK alone. No socket: no keys."""

    def __init__(self, path: str) -> None:
        paramiko.agent.AgentSSH.__init__(self)
        if not path:
            return
        line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        line.settimeout(_LIST_TIMEOUT)
        try:
            line.connect(path)
            self._connect(line)
            line.settimeout(_SIGN_TIMEOUT)
        except (OSError, paramiko.SSHException):
            # A left-over SSH_AUTH_SOCK is common; key files may do.
            line.close()
            self._close()


@dataclass
class Keyring:
    """Keys already read, by file, and the key that each place took last: nothing is done twice."""

    files: dict[Path, paramiko.PKey] = field(default_factory=dict)
    accepted: dict[str, bytes] = field(default_factory=dict)

    def load(self, path: Path, passphrase: str | None) -> paramiko.PKey:
        """The private key in ``path``; AuthError says what is wrong with it and what to do."""
        if path not in self.files:
            self.files[path] = load(path, passphrase)
        return self.files[path]


@dataclass(frozen=True)
class Candidate:
    """A key that may be tried: how to call it, its public half (empty: not known yet), and how to get it."""

    name: str
    blob: bytes
    get: Callable[[], paramiko.PKey]


class Login:
    """Logs in; given to Paramiko as its ``auth_strategy``."""

    def __init__(self, settings: Settings, keyring: Keyring) -> None:
        self._settings, self._keyring = settings, keyring
        self._tried: list[str] = []
        self._problems: list[AuthError] = []

    def authenticate(self, transport: paramiko.Transport) -> None:
        """Log in on ``transport`` with the first key that is let in, else with the password, if given."""
        agent = AgentAt(self._settings.agent)
        try:
            if self._with_keys(transport, agent.get_keys()) or self._with_password(transport):
                return
        finally:
            agent.close()
        raise self._failure()

    def _with_keys(self, transport: paramiko.Transport, agent_keys: Sequence[paramiko.PKey]) -> bool:
        for candidate in candidates(self._settings, self._keyring, agent_keys):
            try:
                key = candidate.get()
            except AuthError as problem:
                self._problems.append(problem)
                continue
            try:
                further = transport.auth_publickey(self._settings.user, key)
            except paramiko.BadAuthenticationType as error:
                self._tried.append(f"{candidate.name} (it only takes {', '.join(error.allowed_types)})")
                return False
            except paramiko.AuthenticationException as error:
                self._tried.append(candidate.name)
                self._check_alive(transport, error)
                continue
            except paramiko.SSHException as error:
                raise self._not_signed(candidate, error) from error
            if further:
                return self._with_password(transport) or self._half_way(further)
            self._keyring.accepted[self._settings.place] = key.asbytes()
            return True
        return False

    def _with_password(self, transport: paramiko.Transport) -> bool:
        if self._settings.password is None:
            return False
        try:
            further = transport.auth_password(self._settings.user, self._settings.password)
        except paramiko.AuthenticationException as error:
            self._tried.append("the password")
            self._check_alive(transport, error)
            return False
        return self._half_way(further) if further else True

    def _check_alive(self, transport: paramiko.Transport, error: Exception) -> None:
        if transport.is_active() and "timeout" not in str(error).lower():
            return
        many = len(self._tried) > 2
        raise AuthError(
            f"{self._settings.place}: the server hung up or fell silent after {', '.join(self._tried)}",
            "So many keys are too many for it: name the right one with -i FILE, or with IdentityFile and\n"
            "IdentitiesOnly yes in ~/.ssh/config."
            if many
            else "Try again in a minute; the server's log (journalctl -u ssh) knows why.",
        ) from error

    def _half_way(self, further: Sequence[str]) -> bool:
        raise AuthError(
            f"{self._settings.place}: the server wants more than that ({', '.join(further)})",
            "Use an account for which a key is enough, or --prompt-for-login-password.",
        )

    def _not_signed(self, candidate: Candidate, error: Exception) -> AuthError:
        return AuthError(
            f"{self._settings.place}: no login with {candidate.name}: {error}",
            "If it is the agent's key: is the agent locked, or its question not answered? See ssh-add -l.",
        )

    def _failure(self) -> AuthError:
        place = self._settings.place
        problems = "".join(f"\n  not usable: {problem.message}" for problem in self._problems)
        hints = list(dict.fromkeys(problem.hint for problem in self._problems if problem.hint))
        if not self._tried:
            hints.append("Name a key file with -i FILE, or add one with ssh-add.")
            return AuthError(f"{place}: there is no key to log in with{problems}", "\n".join(hints))
        hints.append(
            f"Is the right one among them? Its public half belongs into ~{self._settings.user}/.ssh/"
            f"authorized_keys there. See what ssh does: ssh -v {self._settings.label}"
        )
        tried = "".join(f"\n  tried: {name}" for name in self._tried)
        return AuthError(f"{place}: the server let none of our keys in{tried}{problems}", "\n".join(hints))


def check_given(settings: Settings, keyring: Keyring) -> None:
    """Raise AuthError for a key file that was named and cannot be used, before anything is sent anywhere."""
    if not settings.given:
        return
    agent = AgentAt(settings.agent)
    held = {key.asbytes() for key in agent.get_keys()}
    agent.close()
    for path in settings.given:
        if public_half(path) not in held:
            keyring.load(path, settings.passphrase)


def candidates(
    settings: Settings, keyring: Keyring, agent_keys: Sequence[paramiko.PKey]
) -> Iterator[Candidate]:
    """The keys in the order to try them, each once.

    First the one accepted last time and the files that were named; then as ssh does it: the agent's keys that
    are configured, the agent's others, the configured files.
    """
    held = {key.asbytes(): _of_agent(key) for key in agent_keys}
    configured = [path for path in settings.identities if path.is_file()]
    listed = [_of_file(path, settings, keyring) for path in (*settings.given, *configured)]
    named, files = listed[: len(settings.given)], listed[len(settings.given) :]
    order = [held.get(one.blob, one) for one in named]
    order += [held[one.blob] for one in files if one.blob in held]
    order += [] if settings.identities_only else list(held.values())
    order += files
    last = keyring.accepted.get(settings.place)
    seen: set[bytes] = set()
    for one in sorted(order, key=lambda one: one.blob != last):
        mark = one.blob or one.name.encode()
        if mark not in seen:
            seen.add(mark)
            yield one


def _of_agent(key: paramiko.PKey) -> Candidate:
    comment = getattr(key, "comment", "")
    name = f"the agent's key {comment} ({key.get_name()} {fingerprint(key.asbytes())})"
    return Candidate(name, key.asbytes(), lambda: key)


def _of_file(path: Path, settings: Settings, keyring: Keyring) -> Candidate:
    return Candidate(str(path), public_half(path), lambda: keyring.load(path, settings.passphrase))


def public_half(path: Path) -> bytes:
    """The public key of a private key file, from the ``.pub`` beside it or its own head; empty: unknown."""
    try:
        words = path.with_name(path.name + ".pub").read_text().split()
        return base64.b64decode(words[1])
    except (OSError, ValueError, IndexError):
        pass
    try:
        body = b"".join(line for line in path.read_bytes().splitlines() if not line.startswith(b"-----"))
        data = base64.b64decode(body)
    except (OSError, binascii.Error):
        return b""
    return _head(data) if data.startswith(_MAGIC) else b""


def _head(data: bytes) -> bytes:
    """The public key in OpenSSH's private format: in clear after cipher, kdf, options and a count."""
    at = len(_MAGIC)
    try:
        for _ in range(3):
            at += 4 + struct.unpack_from(">I", data, at)[0]
        (size,) = struct.unpack_from(">I", data, at + 4)
    except struct.error:
        return b""
    return data[at + 8 : at + 8 + size]


def load(path: Path, passphrase: str | None) -> paramiko.PKey:
    """The private key in ``path``. Raises AuthError, never asks."""
    try:
        return paramiko.PKey.from_path(path)
    except TypeError:
        return _decrypt(path, passphrase)
    except OSError as error:
        raise AuthError(
            f"{path}: {error.strerror or error}", "Name another key file with -i FILE."
        ) from error
    except (ValueError, UnsupportedAlgorithm, UnknownKeyType, paramiko.SSHException) as error:
        raise _no_key(path, error) from error


def _decrypt(path: Path, passphrase: str | None) -> paramiko.PKey:
    remedy = f"Add it to the agent with ssh-add {path}, or give fab --prompt-for-passphrase."
    if passphrase is None:
        raise AuthError(f"{path} is encrypted, and its passphrase is not known", remedy)
    try:
        return paramiko.PKey.from_path(path, password=passphrase.encode())
    except (ValueError, TypeError, paramiko.SSHException) as error:
        raise AuthError(f"{path}: that is not its passphrase", remedy) from error
    except (UnsupportedAlgorithm, UnknownKeyType) as error:
        raise _no_key(path, error) from error


def _no_key(path: Path, error: Exception) -> AuthError:
    if _PUBLIC.match(path.read_bytes()):
        other = path.with_suffix("") if path.suffix == ".pub" else path
        return AuthError(f"{path} is a public key", f"Give its private half: {other}")
    return AuthError(
        f"{path} is no private key that can be used ({type(error).__name__})",
        "Keys are RSA, ECDSA or Ed25519, in OpenSSH's or PEM format; others can be used through ssh-agent.",
    )
