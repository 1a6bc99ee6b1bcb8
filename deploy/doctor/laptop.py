"""The laptop: its packages, the settings, the way to the server, the ledger."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from deploy import __version__
from deploy.doctor.told import Told
from deploy.errors import AuthError, BackstayError, ConfigError, HostKeyError, UnreachableError
from deploy.ledger.outlook import Outlook as Ledger
from deploy.transport.outlook import Outlook
from deploy.view import Finding

TOLD = Told("laptop")
#: sshd's MaxAuthTries, unless it is set otherwise.
_MOST_KEYS = 5


@dataclass(frozen=True)
class Package:
    """A package that we need: the installed version (empty: none), and the oldest that will do."""

    name: str
    installed: str
    oldest: str


def packages() -> list[Package]:
    """Those of ``pyproject.toml``; none when we are not installed as a package."""
    try:
        wanted = metadata.requires("backstay") or []
    except metadata.PackageNotFoundError:
        return []
    found = (re.match(r"([A-Za-z0-9._-]+)>=([0-9.]+)", one) for one in wanted if "extra ==" not in one)
    return [Package(one[1], _installed(one[1]), one[2]) for one in found if one]


def _installed(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def judge_packages(found: list[Package]) -> Iterator[Finding]:
    """Old ones come with an environment that something else is installed in, too."""
    old = [one for one in found if _numbers(one.installed) < _numbers(one.oldest)]
    if not old:
        python = ".".join(map(str, sys.version_info[:3]))
        yield TOLD.ok("packages", f"backstay {__version__}, Python {python}")
        return
    names = ", ".join(f"{one.name} {one.installed or 'is missing'} (needs {one.oldest})" for one in old)
    yield TOLD.error(
        "packages",
        names,
        "What another package installed over them does not do what backstay relies on.",
        "Give backstay an environment of its own, or:\n  pip install --upgrade backstay",
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def judge_settings(error: ConfigError) -> Finding:
    """What is wrong in the settings."""
    where = f"{_short(error.file)}: " + (f"{error.key} " if error.key else "")
    return TOLD.error(
        "settings", where + error.problem, "Without them nobody knows which server is meant.", error.hint
    )


def judge_ssh(keys: Outlook) -> Iterator[Finding]:
    """How ssh's configuration is read."""
    if keys.ssh_client:
        yield TOLD.ok("ssh", keys.place)
        return
    yield TOLD.warning(
        "ssh",
        "there is no ssh on this machine",
        "Its configuration is then read without it: some Match and Include lines cannot be followed.",
        "Install an OpenSSH client (package openssh-client).",
    )


def judge_keys(keys: Outlook) -> Iterator[Finding]:
    """Is there a key, and can it be used without a question?"""
    usable = [key for key in keys.files if not key.problem]
    found = list(_key_files(keys, bool(usable) or bool(keys.agent_keys) or keys.password))
    yield from found
    if not usable and not keys.agent_keys and not keys.password and not found:
        yield TOLD.error(
            "keys",
            "there is no key to log in with",
            "backstay never asks for a password in the middle of a deployment.",
            "  ssh-keygen -t ed25519\n  ssh-copy-id USER@HOST\n"
            "or name a key with -i FILE, or identity in deploy.toml.",
        )
    elif not found:
        names = [_short(key.path) for key in usable]
        names += [f"{keys.agent_keys} in the agent"] if keys.agent_keys else []
        names += ["the password given"] if keys.password and not names else []
        yield TOLD.ok("keys", ", ".join(names))


def _key_files(keys: Outlook, others: bool) -> Iterator[Finding]:
    for key in keys.files:
        if key.problem and (key.named or not others):
            why = "A deployment cannot stop to ask for anything." if "encrypted" in key.problem else ""
            yield TOLD.error("keys", _short(key.problem), why or "It was named, so it is tried.", key.remedy)
        elif key.exposed:
            yield TOLD.warning(
                "keys",
                f"{_short(key.path)} can be read by others on this machine",
                "Who has it gets into the server; ssh itself refuses to use it.",
                f"  chmod 600 {_short(key.path)}",
            )


def judge_agent(keys: Outlook, forward: bool) -> Iterator[Finding]:
    """The agent: there, not too full, and there to be forwarded where ``forward`` says so."""
    if keys.agent_keys is None:
        yield TOLD.warning(
            "agent",
            f"nobody answers at {keys.agent}",
            "SSH_AUTH_SOCK or IdentityAgent names an agent that is gone: its keys are not tried.",
            'Start it anew:\n  eval "$(ssh-agent)" && ssh-add',
        )
    elif keys.agent_keys > _MOST_KEYS and not keys.only_named and not any(key.named for key in keys.files):
        yield TOLD.warning(
            "agent",
            f"it holds {keys.agent_keys} keys, and none is named for this server",
            "Servers hang up after six tries by default: the right key may never have its turn.",
            'Name it in deploy.toml:\n  identity = "~/.ssh/id_ed25519"\n'
            "or IdentityFile with IdentitiesOnly yes in ~/.ssh/config.",
        )
    if forward and not (keys.forwards and keys.agent_keys):
        yield TOLD.warning(
            "agent",
            "forward_agent is set, and there is no agent with a key to forward",
            "The server is to fetch with it, and cannot.",
            'Start one:\n  eval "$(ssh-agent)" && ssh-add',
        )
    elif keys.agent_keys:
        yield TOLD.ok("agent", f"{keys.agent_keys} key{'s' if keys.agent_keys > 1 else ''}")


def judge_host_key(keys: Outlook) -> Iterator[Finding]:
    """Whether the server's key is known; which one it shows is seen when connecting."""
    if keys.problem:
        yield TOLD.error(
            "host key",
            keys.problem,
            "Unknown host keys are refused, and these are not seen.",
            "Mend that file.",
        )
    elif keys.pinned:
        yield TOLD.ok("host key", f"known, in {_short(keys.known_hosts)}")
    else:
        yield TOLD.error(
            "host key",
            f"{keys.place} is not in {_short(keys.known_hosts) or 'any known_hosts'}",
            "Unknown host keys are refused: nobody may listen in unseen.",
            "Connect once with ssh, and compare the fingerprint with what the server's own console says.",
        )


def judge_connection(error: BackstayError) -> Finding:
    """Why there is no connection."""
    check, why = next(
        ((check, why) for kind, check, why in _CONNECTION if isinstance(error, kind)),
        ("connection", "Without it nothing can be done on the server."),
    )
    return TOLD.error(check, error.message, why, error.hint)


_CONNECTION = (
    (HostKeyError, "host key", "Unknown and changed host keys are refused: nobody may listen in unseen."),
    (AuthError, "login", "The server does not know who we are."),
    (UnreachableError, "connection", "Nothing can be done on the server without it."),
)


def judge_ledger(found: Ledger) -> Finding:
    """A ledger that can be used."""
    if not found.revision:
        return TOLD.ok("ledger", f"{_short(found.place)}, made by the first deployment")
    old = "" if found.revision == found.head else ", upgraded by the next deployment"
    return TOLD.ok("ledger", _short(found.place) + old)


def judge_ledger_error(error: BackstayError) -> Finding:
    """One that cannot: deployments go on without it."""
    return TOLD.warning(
        "ledger",
        error.message.removesuffix("."),
        "Deployments go on without it; fab history and the expected times do not.",
        error.hint,
    )


def _short(text: str) -> str:
    """With ~ for the home folder."""
    return re.sub(rf"(?<![^\s'\"(]){re.escape(str(Path.home()))}(?=/)", "~", text)
