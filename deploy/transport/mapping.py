"""The one place that knows what other libraries raise, and what it means to the user."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import fabric.exceptions
import paramiko
from paramiko.ber import BERException
from paramiko.buffered_pipe import PipeTimeout
from paramiko.hostkeys import InvalidHostKey
from paramiko.packet import NeedRekeyException
from paramiko.pkey import UnknownKeyType
from paramiko.sftp import SFTPError
from paramiko.ssh_exception import (
    CouldNotCanonicalize,
    MessageOrderError,
    NoValidConnectionsError,
    PartialAuthentication,
    UnableToAuthenticate,
)

from deploy.errors import (
    AuthError,
    BackstayError,
    ConnectionLostError,
    HostKeyError,
    SshConfigError,
    TransportError,
    UnreachableError,
)

_Make = Callable[[Exception, str], BackstayError]

_DROPPED = (
    "A busy sshd hangs up on new connections (MaxStartups), and newer ones do so after failed logins\n"
    "(PerSourcePenalties): wait a minute and try again. Or the port belongs to another service."
)
_CLOSED = "Is the port right, and sshd running? Does a firewall, or a VPN that is off, stand between?"
_PASSWORD = (
    "Name the key with -i FILE or IdentityFile, or add it with ssh-add; check that its public half is in\n"
    "~/.ssh/authorized_keys on the server, and the user name. See what ssh does: ssh -v HOST"
)


def _resolve(error: Exception, place: str) -> BackstayError:
    reason = getattr(error, "strerror", None) or error
    return UnreachableError(
        f"{place}: no such host name ({reason})", "Check the spelling, the network and the VPN."
    )


def _refused(_error: Exception, place: str) -> BackstayError:
    return UnreachableError(f"{place}: nothing listens on that port", _CLOSED)


def _silent(_error: Exception, place: str) -> BackstayError:
    return UnreachableError(f"{place}: no answer in time", _CLOSED)


def _no_route(error: Exception, place: str) -> BackstayError:
    return UnreachableError(
        f"{place}: {getattr(error, 'strerror', None) or error or 'network error'}", _CLOSED
    )


def _every_address(error: Exception, place: str) -> BackstayError:
    reasons = list(getattr(error, "errors", {}).values())
    return translate(reasons[-1], place) if reasons else _no_route(error, place)


def _hung_up(_error: Exception, place: str) -> BackstayError:
    return UnreachableError(f"{place}: the server hung up before the connection was made", _DROPPED)


def _ssh(error: Exception, place: str) -> BackstayError:
    """Paramiko says many different things with this one class; only the text tells them apart."""
    text = str(error)
    if "protocol banner" in text or "protocol version" in text:
        return UnreachableError(f"{place}: what answers there did not greet like an SSH server", _DROPPED)
    if "No existing session" in text or "Timeout" in text:
        return UnreachableError(f"{place}: the server began to talk and then fell silent", _CLOSED)
    if "Incompatible version" in text:
        return _incompatible(error, place)
    return TransportError(f"{place}: {text or 'the SSH connection failed'}", "See what ssh says: ssh -v HOST")


def _incompatible(error: Exception, place: str) -> BackstayError:
    return UnreachableError(
        f"{place}: no common way to talk SSH ({error})", "The server needs OpenSSH 7.2 or newer; update it."
    )


def _garbled(error: Exception, place: str) -> BackstayError:
    return UnreachableError(f"{place}: the SSH data is garbled ({error})", _DROPPED)


def _proxy(error: Exception, place: str) -> BackstayError:
    return UnreachableError(f"{place}: the ProxyCommand failed ({error})", "Run it by hand to see why.")


def _denied(error: Exception, place: str) -> BackstayError:
    return TransportError(
        f"{place}: the server opened no further session ({getattr(error, 'text', error)})",
        "It allows MaxSessions at once, by default 10; see its sshd_config.",
    )


def _host_key(error: Exception, place: str) -> BackstayError:
    return HostKeyError(f"{place}: {error}", "Compare the server's key with your known_hosts.")


def _auth(_error: Exception, place: str) -> BackstayError:
    return AuthError(f"{place}: the server let none of our keys in", _PASSWORD)


def _second_factor(error: Exception, place: str) -> BackstayError:
    kinds = ", ".join(getattr(error, "allowed_types", ()))
    return AuthError(
        f"{place}: the server wants more than a key ({kinds})", "Use an account for which a key is enough."
    )


def _config(error: Exception, place: str) -> BackstayError:
    return SshConfigError(f"{place}: ssh's configuration cannot be followed ({error})")


def _other(error: Exception, place: str) -> BackstayError:
    return TransportError(f"{place}: {type(error).__name__}: {error}")


TABLE: dict[type[Exception], _Make] = {
    # The network.
    socket.gaierror: _resolve,
    socket.herror: _resolve,
    NoValidConnectionsError: _every_address,
    ConnectionRefusedError: _refused,
    ConnectionResetError: _hung_up,
    ConnectionAbortedError: _hung_up,
    BrokenPipeError: _hung_up,
    ConnectionError: _hung_up,
    EOFError: _hung_up,
    TimeoutError: _silent,
    OSError: _no_route,
    # SSH.
    paramiko.SSHException: _ssh,
    paramiko.ssh_exception.IncompatiblePeer: _incompatible,
    MessageOrderError: _garbled,
    paramiko.BadHostKeyException: _host_key,
    InvalidHostKey: _host_key,
    paramiko.AuthenticationException: _auth,
    paramiko.BadAuthenticationType: _auth,
    paramiko.PasswordRequiredException: _auth,
    UnableToAuthenticate: _auth,
    paramiko.auth_strategy.AuthFailure: _auth,
    PartialAuthentication: _second_factor,
    UnknownKeyType: _auth,
    BERException: _auth,
    paramiko.ProxyCommandFailure: _proxy,
    paramiko.ChannelException: _denied,
    PipeTimeout: _silent,
    paramiko.ConfigParseError: _config,
    CouldNotCanonicalize: _config,
    NeedRekeyException: _other,
    SFTPError: _other,
    # Fabric.
    fabric.exceptions.NothingToDo: _other,
    fabric.exceptions.GroupException: _other,
    fabric.exceptions.InvalidV1Env: _other,
}


def translate(error: Exception, place: str) -> BackstayError:
    """Our error for one of theirs, raised while connecting to ``place``. Ours come back as they are."""
    if isinstance(error, BackstayError):
        return error
    for kind in type(error).__mro__:
        make = TABLE.get(kind)
        if make:
            return make(error, place)
    # Paramiko's parser stumbles in many ways over a peer that does not speak SSH.
    return _garbled(error, place)


def lost(place: str, reason: str = "") -> ConnectionLostError:
    """The error for a connection that was there and is gone."""
    return ConnectionLostError(
        f"the connection to {place} is gone" + (f": {reason}" if reason else ""),
        "What was started on the server goes on there; fab attach shows it.",
    )


@contextmanager
def connecting(place: str) -> Iterator[None]:
    """Translate what comes up while a connection is made."""
    try:
        yield
    except Exception as error:
        ours = translate(error, place)
        raise ours from (None if ours is error else error)


@contextmanager
def jumping(jump: str, place: str) -> Iterator[None]:
    """Translate what comes up while ``jump`` is asked for a way on to ``place``."""
    try:
        yield
    except paramiko.ChannelException as error:
        raise UnreachableError(
            f"{place}: the jump host {jump} does not get there ({error.text})",
            "Are name and port right as seen from there, and does its sshd allow it (AllowTcpForwarding)?",
        ) from error


@contextmanager
def connected(place: str, reason: Callable[[], str] = str) -> Iterator[None]:
    """Translate what comes up on a connection that is made; ``reason`` tells, if known, why it is gone."""
    try:
        yield
    except BackstayError:
        raise
    except paramiko.ChannelException as error:
        raise _denied(error, place) from error
    except (OSError, EOFError, paramiko.SSHException) as error:
        raise lost(place, reason()) from error
