"""Everything that can go wrong, as types: what happened, what to do, and the exit code.

BackstayError
├── UsageError                  2   wrong use: an option, a task, a missing file
│   └── ConfigError             2   a setting; names the file and the path to the key
├── RefusedError                2   the server was asked and said no; nothing was touched
├── TransportError              2   the connection could not be made; nothing was touched
│   ├── HostKeyError            2   unknown, changed or revoked host key
│   ├── AuthError               2   no key was accepted, or a key could not be read
│   ├── UnreachableError        2   name, port, network, or not an SSH server
│   └── SshConfigError          2   ~/.ssh/config says something we cannot follow
├── BusyError                   4   another deployment is running
├── ConnectionLostError         5   the line is gone; the deployment goes on
├── FailedError                 1   failed, and the server is exactly as it was
├── IncompleteError             3   failed and not fully undone; a person is needed
└── InterruptedByUserError    130   Ctrl-C
"""

from __future__ import annotations


class BackstayError(Exception):
    """A failure that a user can understand.

    ``message`` says what happened in one sentence, ``hint`` what to do about it (may be empty, may have
    several lines), ``exit_code`` is what the process ends with.
    """

    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(BackstayError):
    """The command line or the folder is wrong; nothing was touched."""

    exit_code = 2


class ConfigError(UsageError):
    """A setting is wrong. ``file`` and ``key`` (a dotted path, may be empty) say where."""

    def __init__(self, file: str, key: str, problem: str, hint: str = "") -> None:
        where = f"{file}: {key}" if key else file
        super().__init__(f"{where}: {problem}", hint)
        self.file = file
        self.key = key
        self.problem = problem


class RefusedError(BackstayError):
    """The server refused before anything was touched."""

    exit_code = 2


class TransportError(BackstayError):
    """No connection could be made; nothing was touched."""

    exit_code = 2


class HostKeyError(TransportError):
    """The server's host key is unknown, changed or revoked."""


class AuthError(TransportError):
    """The server accepted none of our keys, or a key file could not be used."""


class UnreachableError(TransportError):
    """The name, the port or the network is wrong, or what answers is not an SSH server."""


class SshConfigError(TransportError):
    """The user's SSH configuration cannot be followed."""


class BusyError(BackstayError):
    """Another deployment holds the lock."""

    exit_code = 4


class ConnectionLostError(BackstayError):
    """The connection is gone; what was started on the server goes on."""

    exit_code = 5


class FailedError(BackstayError):
    """The work failed, and the server is exactly as it was."""

    exit_code = 1


class IncompleteError(BackstayError):
    """The work failed and could not be fully undone."""

    exit_code = 3


class InterruptedByUserError(BackstayError):
    """The user pressed Ctrl-C."""

    exit_code = 130
