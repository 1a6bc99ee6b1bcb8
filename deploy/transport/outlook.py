"""What a connection would be made with, without making one: keys, the agent, the known host key."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from deploy.errors import AuthError, BackstayError
from deploy.transport import hostkeys, keys
from deploy.transport.settings import Settings


@dataclass(frozen=True)
class KeyFile:
    """A private key that is there or was named. ``problem`` is empty for one that can be used.

    ``exposed``: others may read it, and ssh refuses it; ``held``: the agent has it, too.
    """

    path: str
    named: bool = False
    exposed: bool = False
    held: bool = False
    problem: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Outlook:
    """``agent_keys`` is None when nobody answers at the ``agent``'s socket.

    ``only_named``: keys of the agent that no configuration names are not tried. ``pinned``: some host key of
    the server is known; ``problem`` is what keeps that from being seen.
    """

    place: str
    ssh_client: bool = True
    files: tuple[KeyFile, ...] = ()
    agent: str = ""
    agent_keys: int | None = 0
    only_named: bool = False
    password: bool = False
    forwards: bool = False
    pinned: bool = True
    known_hosts: str = ""
    problem: str = ""


def look(settings: Settings) -> Outlook:
    """What there is for these settings; reads files and asks the agent, connects to no server."""
    agent = keys.AgentAt(settings.agent)
    try:
        answers = getattr(agent, "_conn", None) is not None
        held = {key.asbytes() for key in agent.get_keys()}
    finally:
        agent.close()
    named = [*settings.given, *(path for path in settings.identities if path.is_file())]
    pinned, problem = _pinned(settings)
    return Outlook(
        place=settings.place,
        ssh_client=shutil.which("ssh") is not None,
        files=tuple(_file(path, settings, held) for path in dict.fromkeys(named)),
        agent=settings.agent,
        agent_keys=len(held) if answers or not settings.agent else None,
        only_named=settings.identities_only,
        password=settings.password is not None,
        forwards=bool(settings.forward_agent),
        pinned=pinned,
        known_hosts=str(settings.known_hosts[0]) if settings.known_hosts else "",
        problem=problem,
    )


def _file(path: Path, settings: Settings, held: set[bytes]) -> KeyFile:
    try:
        exposed = bool(path.stat().st_mode & 0o077)
    except OSError:
        exposed = False
    known = keys.public_half(path) in held
    try:
        keys.load(path, settings.passphrase)
    except AuthError as error:
        problem = "" if known else error.message
        return KeyFile(str(path), path in settings.given, exposed, known, problem, error.hint)
    return KeyFile(str(path), path in settings.given, exposed, known)


def _pinned(settings: Settings) -> tuple[bool, str]:
    """Whether some key of the server is known, and what keeps the lists from being read."""
    try:
        listed = hostkeys.read(settings.known_hosts, settings.revoked_keys)
    except BackstayError as error:
        return False, error.message
    return any(not key.marker and key.is_for(settings.host_key_name) for key in listed), ""
