"""Checks of single values: each function returns what a value means, or raises ``Bad`` in plain words.

No words repeat the value: a host may hold a password, a command a token.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable
from difflib import get_close_matches
from urllib.parse import urlsplit

#: The longest duration, in seconds: a week.
LONGEST = 7 * 24 * 3600

_SLUG = re.compile(r"[a-z0-9][a-z0-9_.-]{0,62}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_PROJECT = re.compile(r"[a-z0-9][a-z0-9_-]*")
_PROGRAM = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_LEDGER = re.compile(r"[a-z][a-z0-9_]*(\+[a-z0-9_]+)?://[!-~]*")
_DURATION = re.compile(r"(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?")
_OPERATORS = frozenset({"&&", "||", ";", "|", "&", ">", ">>", "<"})


class Bad(ValueError):
    """A value that cannot be used: ``problem`` says what it must be, ``hint`` (or "") what to write."""

    def __init__(self, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.hint = hint


def optional(check: Callable[[str], str]) -> Callable[[str], str]:
    """The same check, with "" allowed as "not set"."""
    return lambda value: check(value) if value else value


def slug(value: str) -> str:
    """A name that is safe as a file name."""
    if not _SLUG.fullmatch(value):
        raise Bad(
            "must be a short name: small letters, digits, '_', '.' and '-', 63 at most, "
            "and begin with a letter or digit"
        )
    return value


def one_line(value: str) -> str:
    """Any text without NUL and line ends."""
    if "\0" in value or "\n" in value:
        raise Bad("must not hold a NUL or a line end")
    return value


def server_path(value: str) -> str:
    """A path on the server: absolute, or ``~/…`` (kept as it is)."""
    one_line(value)
    if not value.startswith("/") and not (value.startswith("~/") and value.strip("~/")):
        raise Bad("must be an absolute path on the server, or begin with ~/", 'For example "/opt/shop".')
    return value


def container_path(value: str) -> str:
    """A folder inside a container, absolute or relative."""
    one_line(value)
    if value.startswith(("-", "~")):
        raise Bad("must be a folder inside the container", 'For example "backend" or "/app".')
    return value


def inside(value: str) -> str:
    """A relative path that stays inside the folder it is relative to; "." is allowed."""
    one_line(value)
    if not value or value.startswith(("/", "~", "-")) or ".." in value.split("/"):
        raise Bad("must be a relative path without '..'", "It is relative to `path`.")
    return value


def below(value: str) -> str:
    """A relative path to something below the folder, so never the folder itself."""
    if posixpath.normpath(inside(value)) == ".":
        raise Bad("must name something below `path`, not `path` itself")
    return value


def refname(value: str) -> str:
    """A branch or remote as git allows it."""
    wrong = (
        not value.isprintable()
        or any(character in " ~^:?*[\\" for character in value)
        or ".." in value
        or "@{" in value
        or value.startswith("-")
        or value.endswith(".")
        or value in {"@", "HEAD"}
        or not all(_good_component(part) for part in value.split("/"))
    )
    if wrong:
        raise Bad("is no name that git allows", "See `git help check-ref-format`.")
    return value


def _good_component(part: str) -> bool:
    return bool(part) and not part.startswith(".") and not part.endswith(".lock")


def ledger_url(value: str) -> str:
    """A database URL; only its form is checked."""
    if not _LEDGER.fullmatch(value):
        raise Bad(
            "must be a database URL",
            'For example "sqlite:////srv/ledger.db" or "postgresql+psycopg://user@db.example.org/ledger".',
        )
    return value


def http_url(value: str) -> str:
    """An http or https URL without a user and password: it stands in a command line on the server."""
    try:
        url = urlsplit(value)
        whole = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        whole = False
    if not whole or not value.isprintable() or " " in value:
        raise Bad("must be an http or https URL", 'For example "http://127.0.0.1:8000/health".')
    if "@" in url.netloc:
        raise Bad("must not hold a user or password", "Other users of the server could read it.")
    return value


def words(value: object) -> object:
    """A command as words: a string is split as a shell would, a list is taken as it is."""
    if isinstance(value, list):
        return tuple(value)
    if isinstance(value, tuple):
        return value
    if not isinstance(value, str):
        raise Bad("must be a command: a string, or a list of strings", 'For example "alembic upgrade head".')
    try:
        split = tuple(shlex.split(value))
    except ValueError:
        raise Bad("has a quote that is not closed") from None
    if any(word in _OPERATORS or word.endswith(";") for word in split):
        raise Bad("is no shell line: no '&&', ';', '|' or '>'", 'Write ["sh", "-c", "…"], or set a workdir.')
    return split


def argv(value: tuple[str, ...]) -> tuple[str, ...]:
    """Words that can be run: a program first, no NUL anywhere; or no words at all."""
    if any("\0" in word for word in value):
        raise Bad("must not hold a NUL")
    if value and (not value[0] or value[0].startswith("-")):
        raise Bad("must begin with a program")
    return value


def compose_argv(value: tuple[str, ...]) -> tuple[str, ...]:
    """Words that end in ``docker compose`` or ``docker-compose``; or no words at all."""
    if not argv(value):
        return value
    names = [posixpath.basename(word) for word in value]
    if names[-1] != "docker-compose" and (names[-2:-1] != ["docker"] or value[-1] != "compose"):
        raise Bad(
            "must end in `docker compose` or `docker-compose`",
            'For example "sudo docker compose" or "/usr/local/bin/docker-compose".',
        )
    if any(word.startswith(("~", "$")) for word in value):
        raise Bad("is not read by a shell: ~ and $ mean nothing there", "Write the whole path.")
    return value


def name(value: str) -> str:
    """The name of a compose service or profile."""
    if not _NAME.fullmatch(value):
        raise Bad("must be a name: letters, digits, '_', '.' and '-', beginning with a letter or digit")
    return value


def project(value: str) -> str:
    """The name of a compose project."""
    if not _PROJECT.fullmatch(value):
        raise Bad("must be small letters, digits, '_' and '-', beginning with a letter or digit")
    return value


def unique(value: tuple[str, ...]) -> tuple[str, ...]:
    """A list in which nothing stands twice."""
    if len(set(value)) != len(value):
        raise Bad("names something twice")
    return value


def some(value: tuple[str, ...]) -> tuple[str, ...]:
    """A list with something in it."""
    if not value:
        raise Bad("must name at least one")
    return value


def shell_line(value: str) -> str:
    """A shell command of the user's own, kept as it is."""
    if not value.strip() or "\0" in value:
        raise Bad("must be a shell command")
    return value


def backup_mode(value: str) -> str:
    """``auto``, ``off``, or a shell command of the user's own."""
    if value in {"auto", "off"}:
        return value
    # "Off", "none" or "atuo" would otherwise be run as a command, and a deployment begun without a backup.
    if value.lower() in {"no", "on", "yes"} or get_close_matches(value.lower(), ["auto", "off", "none"]):
        raise Bad('must be "auto", "off" or a command of your own')
    return shell_line(value)


def program(value: str) -> str:
    """The name of a program on the server's PATH, or its absolute path."""
    one_line(value)
    if not value.startswith("/") and not _PROGRAM.fullmatch(value):
        raise Bad("must be a program's name or its absolute path", 'For example "python3.12".')
    return value


def duration(value: object) -> float:
    """A length of time in seconds, more than 0: ``"90s"``, ``"15m"``, ``"1h30m"`` or a number."""
    seconds = pause(value)
    if seconds == 0:
        raise Bad("must be longer than 0 seconds")
    return seconds


def pause(value: object) -> float:
    """A length of time in seconds as in ``duration``, or 0. Whole seconds come back as int."""
    seconds = _spelled(value) if isinstance(value, str) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise Bad(
            'must be a length of time: "90s", "15m", "1h", "1h30m", or a number of seconds without quotes'
        )
    if not 0 <= seconds <= LONGEST:
        raise Bad("must be between 0 seconds and a week")
    return int(seconds) if seconds == int(seconds) else seconds


def _spelled(text: str) -> int | None:
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        return None
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds
