from __future__ import annotations

import importlib
import inspect
import pkgutil
import socket

import fabric
import paramiko
import pytest
from paramiko.ssh_exception import NoValidConnectionsError

from deploy.errors import BackstayError, TransportError
from deploy.transport import mapping


def foreign() -> list[type[Exception]]:
    """All exceptions that Paramiko, Fabric and the socket module define or raise."""
    modules = [socket, fabric, fabric.exceptions]
    for package in (paramiko, fabric):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            # For Windows alone; and what runs when imported.
            if "win_" in found.name or "_winapi" in found.name or found.name.endswith("__main__"):
                continue
            modules.append(importlib.import_module(found.name))
    kinds = {
        value
        for module in modules
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Exception) and not value.__name__.startswith("_")
    }
    theirs = {kind for kind in kinds if kind.__module__.split(".")[0] in ("paramiko", "fabric", "socket")}
    network = {socket.gaierror, socket.herror, TimeoutError, OSError, ConnectionError, EOFError}
    network |= set(ConnectionError.__subclasses__())
    return sorted(theirs | network, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", foreign(), ids=lambda kind: f"{kind.__module__}.{kind.__name__}")
def test_each_is_mapped(kind: type[Exception]) -> None:
    assert kind in mapping.TABLE


def test_enough_are_found() -> None:
    names = {kind.__name__ for kind in foreign()}
    assert {"SSHException", "BadHostKeyException", "GroupException", "gaierror", "SFTPError"} <= names
    assert len(names) > 25


@pytest.mark.parametrize(
    "error",
    [
        socket.gaierror(-2, "Name or service not known"),
        NoValidConnectionsError({("127.0.0.1", 22): ConnectionRefusedError(111, "refused")}),
        ConnectionRefusedError(111, "refused"),
        ConnectionResetError(104, "reset"),
        EOFError(),
        TimeoutError("timed out"),
        OSError(113, "No route to host"),
        paramiko.SSHException("Error reading SSH protocol banner"),
        paramiko.SSHException("No existing session"),
        paramiko.SSHException("something else"),
        paramiko.ssh_exception.IncompatiblePeer("no acceptable kex algorithm"),
        paramiko.AuthenticationException("Authentication failed."),
        paramiko.BadAuthenticationType("no", ["password"]),
        paramiko.ChannelException(2, "Connect failed"),
        paramiko.ProxyCommandFailure("nc", "gone"),
        paramiko.BadHostKeyException("h", paramiko.RSAKey.generate(2048), paramiko.RSAKey.generate(2048)),
        IndexError("a stumbling parser"),
    ],
    ids=lambda error: f"{type(error).__name__}-{error.args[:1]}",
)
def test_place_and_remedy_are_said(error: Exception) -> None:
    with pytest.raises(TransportError) as caught, mapping.connecting("deploy@example.org"):
        raise error
    assert caught.value.message.startswith("deploy@example.org: ")
    assert caught.value.hint
    assert caught.value.__cause__ is error


def test_ours_pass_unchanged() -> None:
    error = BackstayError("ours")
    for guard in (mapping.connecting("h"), mapping.connected("h"), mapping.jumping("j", "h")):
        with pytest.raises(BackstayError) as caught, guard:
            raise error
        assert caught.value is error
