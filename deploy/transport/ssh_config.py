"""ssh's configuration read without ``ssh``: one text with its includes, for Paramiko's parser."""

from __future__ import annotations

import glob
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from deploy.errors import SshConfigError

if TYPE_CHECKING:
    from deploy.transport.settings import Address

_SYSTEM = Path("/etc/ssh/ssh_config")
_KNOWN_HOSTS = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
_KEYS = ("id_rsa", "id_ecdsa", "id_ed25519")
#: Paramiko takes any other criterion as true, and runs those of ``exec``.
_CRITERIA = frozenset({"all", "host", "originalhost", "localuser"})
_DEPTH = 16
_LINE = re.compile(r"\s*(\w+)(?:\s*=\s*|\s+)(.*?)\s*$")


def flatten(file: Path | str | None, home: Path) -> str:
    """One text: ``file``, or the user's and the system's configuration, with what they include.

    ``~/`` stands for ``home``. Raises SshConfigError for a missing ``file`` and for what one text cannot say.
    """
    if file:
        if not Path(file).is_file():
            raise SshConfigError(f"{file} is not there")
        return "\n".join(_lines(Path(file), home / ".ssh", home, 0)) + "\n"
    parts = [(home / ".ssh" / "config", home / ".ssh"), (_SYSTEM, _SYSTEM.parent)]
    texts = ["\n".join(_lines(path, base, home, 0)) for path, base in parts if path.is_file()]
    return "\nMatch all\n".join(texts) + "\n"


def defaults(home: Path) -> str:
    """Lines to put last, so that ssh takes its default files from ``home``."""
    files = " ".join(f'"{home}/.ssh/{name}"' for name in ("known_hosts", "known_hosts2"))
    return f"Match all\nUserKnownHostsFile {files}\n"


def lookup(text: str, address: Address) -> Mapping[str, Sequence[str]]:
    """What ``text`` says of ``address``, as ``ssh -G`` prints it; SshConfigError for an unsupported Match."""
    import paramiko

    _check_matches(text)
    try:
        # Paramiko does not know which port and user were given: %-tokens are kept from it, for later.
        found = paramiko.SSHConfig.from_text(text.replace("%", "\0")).lookup(address.host)
    except (paramiko.SSHException, KeyError, ValueError) as error:
        raise SshConfigError(
            f"ssh's configuration cannot be read without ssh: {error}", "Install an ssh client."
        ) from error
    options = {
        key: [one.replace("\0", "%") for one in (value if isinstance(value, list) else [value])]
        for key, value in found.items()
        if value is not None
    }
    options["hostname"] = [options["hostname"][0].replace("%h", address.host).replace("%%", "%")]
    folder = f"{Path.home()}/.ssh"
    options.setdefault("identityfile", [f"{folder}/{name}" for name in _KEYS])
    options.setdefault("userknownhostsfile", [f"{folder}/known_hosts {folder}/known_hosts2"])
    options.setdefault("globalknownhostsfile", [" ".join(_KNOWN_HOSTS)])
    for key in ("userknownhostsfile", "globalknownhostsfile"):
        options[key] = shlex.split(options[key][0])
    return {key: [value.strip('"') for value in values] for key, values in options.items()}


def _check_matches(text: str) -> None:
    for line in text.splitlines():
        found = _LINE.match(line)
        if not found or found[1].lower() != "match":
            continue
        words = shlex.split(found[2])
        criteria = words[:1] if words[:1] == ["all"] else words[::2]
        for word in criteria:
            if word.lstrip("!").lower() not in _CRITERIA:
                raise SshConfigError(
                    f"Match {word} in ssh's configuration cannot be followed without ssh",
                    "Install an ssh client, or name another file with --ssh-config.",
                )


def _lines(file: Path, base: Path, home: Path, depth: int) -> Iterator[str]:
    """The file's lines, includes replaced by their lines; relative includes start at ``base``."""
    if depth > _DEPTH:
        raise SshConfigError(f"{file} includes itself")
    block = ""
    for line in _read(file).splitlines():
        found = _LINE.match(line)
        word = found[1].lower() if found and not line.lstrip().startswith("#") else ""
        if word in ("host", "match"):
            block = line
        if found and word == "include":
            yield from _included(found[2], block, base, home, depth)
        elif word:
            # A comment after a value is one for ssh alone, not for Paramiko.
            yield re.sub(r"\s+#[^\"]*$", "", re.sub(r'(?<=[\s="])~/', f"{home}/", line))


def _included(patterns: str, block: str, base: Path, home: Path, depth: int) -> Iterator[str]:
    for pattern in shlex.split(patterns):
        expanded = pattern.replace("~/", f"{home}/", 1) if pattern.startswith("~/") else pattern
        for name in sorted(glob.glob(str(base / expanded))):
            lines = list(_lines(Path(name), base, home, depth + 1))
            if block and any(re.match(r"\s*(host|match)\b", line, re.IGNORECASE) for line in lines):
                raise SshConfigError(
                    f"{name} has Host or Match, and is included within '{block.strip()}'",
                    "Move that Include to the top of the file.",
                )
            yield from lines
            # What follows the Include belongs to everybody again, not to the last block of the file.
            yield "" if block else "Match all"


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="surrogateescape")
    except OSError as error:
        raise SshConfigError(f"{file} cannot be read: {error.strerror}") from error
