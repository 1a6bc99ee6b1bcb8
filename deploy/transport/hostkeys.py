"""Who the server is: its key must stand in known_hosts. Nothing is accepted unseen, nothing written."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import paramiko

from deploy.errors import HostKeyError, SshConfigError
from deploy.transport.settings import Settings

#: What to ask for when a key of this type is known; RSA keys sign in newer ways than their name says.
_ALGORITHMS = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
_CA, _REVOKED = "@cert-authority", "@revoked"


@dataclass(frozen=True)
class KnownKey:
    """One line of known_hosts; ``marker`` is empty, ``@revoked`` or ``@cert-authority``."""

    file: Path
    line: int
    marker: str
    names: str
    type: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """``SHA256:...`` as ssh prints it."""
        return fingerprint(self.blob)

    def is_for(self, name: str) -> bool:
        """Whether the line speaks of ``name`` (lower case; ``[host]:port`` for ports other than 22)."""
        if self.names.startswith("|1|"):
            return _hashed(self.names, name)
        patterns = [one.lower() for one in self.names.split(",")]
        if any(one.startswith("!") and _glob(one[1:], name) for one in patterns):
            return False
        return any(_glob(one, name) for one in patterns)


def fingerprint(blob: bytes) -> str:
    """``SHA256:...`` of a public key, as ssh prints it."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def read(files: Iterable[Path], revoked: Path | None = None) -> list[KnownKey]:
    """All lines that can be read of all ``files`` that are there, and of a file of ``revoked`` keys.

    Raises HostKeyError for a file that is there and cannot be read, SshConfigError when ``revoked`` is no
    list of keys: what it forbids would be missed.
    """
    keys = [key for file in files for key in _parse(file, _text(file))]
    if revoked:
        lines = [line for line in _text(revoked).splitlines() if line.strip() and not line.startswith("#")]
        refused = list(_parse(revoked, "\n".join(f"{_REVOKED} * {line}" for line in lines)))
        if len(refused) != len(lines) or not revoked.is_file():
            raise SshConfigError(
                f"RevokedHostKeys {revoked} is no list of public keys", "A binary list (KRL) is not read."
            )
        keys += refused
    return keys


class Check(paramiko.MissingHostKeyPolicy):  # type: ignore[misc]
    """Answers Paramiko's question about an unknown key; it always asks, as it is given no known keys."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._keys = read(settings.known_hosts, settings.revoked_keys)

    def algorithms(self, offered: Sequence[str]) -> list[str]:
        """The host key algorithms in the order to ask for: those of known keys first."""
        types = {
            key.type for key in self._keys if not key.marker and key.is_for(self._settings.host_key_name)
        }
        wanted = {name for kind in types for name in _ALGORITHMS.get(kind, (kind,))}
        return sorted(offered, key=lambda name: name not in wanted)

    def missing_host_key(self, client: Any, hostname: str, key: paramiko.PKey) -> None:
        """Return for a known key, raise HostKeyError for any other."""
        judge(self._settings, self._keys, key.get_name(), key.asbytes())


def judge(settings: Settings, keys: Sequence[KnownKey], kind: str, blob: bytes) -> None:
    """Raise HostKeyError unless ``keys`` list the key ``blob`` for the server, and do not revoke it."""
    mine = [key for key in keys if key.is_for(settings.host_key_name)]
    same = [key for key in mine if key.blob == blob]
    for key in same:
        if key.marker == _REVOKED:
            raise HostKeyError(
                f"{settings.place} shows a revoked {kind} key {key.fingerprint} ({key.file}:{key.line})",
                "Do not connect. Ask whoever runs the server for its new key.",
            )
    if any(not key.marker for key in same):
        return
    pinned = [key for key in mine if not key.marker]
    stale = [key for key in pinned if key.type == kind]
    if stale:
        raise _changed(settings, stale[0], kind, blob)
    raise _unknown(settings, pinned, any(key.marker == _CA for key in mine), kind, blob)


def _changed(settings: Settings, old: KnownKey, kind: str, blob: bytes) -> HostKeyError:
    file, name = shlex.quote(str(old.file)), shlex.quote(settings.host_key_name)
    return HostKeyError(
        f"the host key of {settings.place} has CHANGED: somebody may be listening in\n"
        f"  known: {old.type} {old.fingerprint} ({old.file}:{old.line})\n"
        f"  shown: {kind} {fingerprint(blob)}",
        "If the server was set up anew, compare the fingerprint with what the server itself says:\n"
        "  ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub        (on its console)\n"
        f"then forget the old key and pin the new one:\n  ssh-keygen -f {file} -R {name}\n"
        f"  {_pin(settings, kind, blob)}",
    )


def _unknown(
    settings: Settings, pinned: Sequence[KnownKey], certified: bool, kind: str, blob: bytes
) -> HostKeyError:
    why = ""
    if pinned:
        others = ", ".join(f"{key.type} ({key.file}:{key.line})" for key in pinned)
        why = f"\n  known of it are only other types: {others}"
    elif certified:
        why = "\n  known_hosts has a certificate authority for it; host certificates are not followed here"
    return HostKeyError(
        f"the host key of {settings.place} is unknown\n  shown: {kind} {fingerprint(blob)}{why}",
        "Compare the fingerprint with what the server itself says:\n"
        f"  ssh-keygen -lf /etc/ssh/ssh_host_{_short(kind)}_key.pub        (on its console)\n"
        f"and if they are the same, pin the key:\n  {_pin(settings, kind, blob)}",
    )


def _pin(settings: Settings, kind: str, blob: bytes) -> str:
    """The command that pins the key; ssh-keyscan only where it reaches the server, and under this name."""
    target = settings.known_hosts[0] if settings.known_hosts else Path("~/.ssh/known_hosts")
    file = str(target).replace(str(Path.home()) + "/", "~/", 1)
    file = file if file.startswith("~/") and shlex.quote(file[2:]) == file[2:] else shlex.quote(str(target))
    named = settings.host_key_name in (settings.host.lower(), f"[{settings.host.lower()}]:{settings.port}")
    if named and not settings.jumps and not settings.proxy_command:
        port = "" if settings.port == 22 else f"-p {settings.port} "
        return f"ssh-keyscan -t {_short(kind)} {port}{shlex.quote(settings.host)} >> {file}"
    line = f"{settings.host_key_name} {kind} {base64.b64encode(blob).decode()}"
    return f"echo {shlex.quote(line)} >> {file}"


def _short(kind: str) -> str:
    return "ecdsa" if kind.startswith("ecdsa") else kind.removeprefix("ssh-")


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        raise HostKeyError(f"{file} cannot be read: {error.strerror}", "Make it readable for you.") from error


def _parse(file: Path, text: str) -> Iterator[KnownKey]:
    """Line by line: one bad line must not hide the others."""
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        marker = words.pop(0) if words[0].startswith("@") else ""
        if len(words) < 3 or marker not in ("", _CA, _REVOKED):
            continue
        try:
            blob = base64.b64decode(words[2], validate=True)
        except (binascii.Error, ValueError):
            continue
        yield KnownKey(file, number, marker, words[0], words[1], blob)


def _hashed(entry: str, name: str) -> bool:
    try:
        _, _, salt, digest = entry.split("|")
        wanted = hmac.digest(base64.b64decode(salt), name.encode(), "sha1")
        return hmac.compare_digest(wanted, base64.b64decode(digest))
    except ValueError:
        return False


def _glob(pattern: str, name: str) -> bool:
    """ssh's patterns know only * and ?; brackets are part of ``[host]:port``."""
    return fnmatchcase(name, pattern.replace("[", "[[]"))
