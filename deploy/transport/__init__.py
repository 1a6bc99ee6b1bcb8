"""Strict SSH on Fabric's Connection: ``connect`` to an ``Address``, ``execute`` a command, read its output.

    with connect(Address("deploy@server.example.org")) as transport:
        channel = transport.execute("cat", stdin=b"hello")
        channel.close_stdin()
        for piece in channel.read():
            ...

Unknown and changed host keys are refused; nothing is ever asked on the terminal. All errors are those of
``deploy.errors``. Importing this package does not load Paramiko; ``connect`` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy.transport.pauses import pauses
from deploy.transport.settings import Address, Settings, resolve

if TYPE_CHECKING:
    import fabric

    from deploy.transport.channel import Channel
    from deploy.transport.connection import Timing, Transport

__all__ = ["Address", "Channel", "Settings", "Timing", "Transport", "connect", "pauses", "resolve"]


def connect(
    address: Address | Settings, timing: Timing | None = None, config: fabric.Config | None = None
) -> Transport:
    """An open connection to ``address``, or to settings already resolved: host key checked, logged in.

    ``config`` is what ``transport.connection`` gets as Fabric's configuration. Raises TransportErrors:
    HostKeyError, AuthError, UnreachableError, SshConfigError.
    """
    settings = resolve(address) if isinstance(address, Address) else address
    from deploy.transport import connection

    return connection.Transport(settings, timing or connection.Timing(), config)


def __getattr__(name: str) -> object:
    if name == "Channel":
        from deploy.transport.channel import Channel

        return Channel
    if name in ("Timing", "Transport"):
        from deploy.transport import connection

        return getattr(connection, name)
    raise AttributeError(name)
