"""What single values mean: each check returns it, or raises ``Bad`` in plain words."""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Callable
from urllib.parse import urlsplit

from deploy.config.checks import Bad, Check, Names, each, nearest, text

#: The longest duration, in seconds: a week.
LONGEST = 7 * 24 * 3600

#: The longest that anything is kept, in seconds: ten years.
OLDEST = 3653 * 24 * 3600

_DURATION = r"(?:([0-9]{1,6})d)?(?:([0-9]{1,6})h)?(?:([0-9]{1,6})m)?(?:([0-9]{1,6})s)?"
_OPERATORS = frozenset({"&&", "||", ";", "|", "&", ">", ">>", "<"})


def _like(pattern: str, problem: str, hint: str = "") -> Check[str]:
    # Compiled when first used: most files use few of them.
    def checked(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise Bad(problem, hint)
        return value

    return text(checked)


#: A name that is safe as a file name.
slug = _like(
    r"[a-z0-9][a-z0-9_.-]{0,62}",
    "must be a short name: at most 63 small letters, digits, '_', '.' and '-', a letter or digit first",
)
#: The name of a compose service or profile.
name = _like(
    r"[A-Za-z0-9][A-Za-z0-9_.-]*",
    "must be a name: letters, digits, '_', '.' and '-', beginning with a letter or digit",
)
#: The name of a compose project.
project = _like(
    r"[a-z0-9][a-z0-9_-]*", "must be small letters, digits, '_' and '-', beginning with a letter or digit"
)
#: A database URL; only its form is checked.
ledger_url = _like(
    r"[a-z][a-z0-9_]*(\+[a-z0-9_]+)?://[!-~]*",
    "must be a database URL",
    'For example "sqlite:////srv/ledger.db" or "postgresql+psycopg://user@db.example.org/ledger".',
)
#: The name of a program on the server's PATH, or its absolute path.
program = _like(
    r"[A-Za-z0-9_][A-Za-z0-9_.+-]*|/[^\0\n]*",
    "must be a program's name or its absolute path",
    'For example "python3.12".',
)
#: Any text without NUL and line ends.
one_line = _like(r"[^\0\n]*", "must not hold a NUL or a line end")
#: A path on the server: absolute, or ``~/…`` (kept as it is).
server_path = _like(
    r"/[^\0\n]*|~/[^\0\n]*[^\0\n~/][^\0\n]*",
    "must be an absolute path on the server, or begin with ~/, in one line",
    'For example "/opt/shop".',
)
#: A folder inside a container, absolute or relative.
container_path = _like(
    r"(?![~-])[^\0\n]*", "must be a folder inside the container", 'For example "backend" or "/app".'
)
#: A shell command of the user's own, kept as it is.
shell_line = _like(r"[^\0]*[^\0\s][^\0]*", "must be a shell command")


@text
def inside(value: str) -> str:
    """A relative path that stays inside the folder it is relative to; "." is allowed."""
    one_line(value)
    if not value or value.startswith(("/", "~", "-")) or ".." in value.split("/"):
        raise Bad("must be a relative path without '..'", "It is relative to `path`.")
    return value


@text
def below(value: str) -> str:
    """A relative path to something below the folder, so never the folder itself."""
    if posixpath.normpath(inside(value)) == ".":
        raise Bad("must name something below `path`, not `path` itself")
    return value


@text
def refname(value: str) -> str:
    """A branch or remote as git allows it."""
    wrong = (
        not value.isprintable()
        or any(mark in value for mark in ("..", "@{", *" ~^:?*[\\"))
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


@text
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


def command(rule: Callable[[Names], Names]) -> Check[Names]:
    """A command as words: a string is split as a shell would, a list is taken as it is."""
    words = each(text(str), twice=True)
    return lambda value: rule(words(value if isinstance(value, list) else _split(value)))


def _split(line: object) -> list[str]:
    if not isinstance(line, str):
        raise Bad("must be a command: a string, or a list of strings", 'For example "alembic upgrade head".')
    try:
        words = shlex.split(line)
    except ValueError:
        raise Bad("has a quote that is not closed") from None
    if any(word in _OPERATORS or word.endswith(";") for word in words):
        raise Bad("is no shell line: no '&&', ';', '|' or '>'", 'Write ["sh", "-c", "…"], or set a workdir.')
    return words


def argv(value: Names) -> Names:
    """Words that can be run: a program first, no NUL anywhere; or no words at all."""
    if any("\0" in word for word in value):
        raise Bad("must not hold a NUL")
    if value and (not value[0] or value[0].startswith("-")):
        raise Bad("must begin with a program")
    return value


def compose_argv(value: Names) -> Names:
    """Words that end in ``docker compose`` or ``docker-compose``; or no words at all."""
    if not argv(value):
        return value
    names = [posixpath.basename(word) for word in value]
    if names[-1] != "docker-compose" and (names[-2:-1] != ["docker"] or value[-1] != "compose"):
        raise Bad("must end in `docker compose` or `docker-compose`", 'For example "sudo docker compose".')
    if any(word.startswith(("~", "$")) for word in value):
        raise Bad("is not read by a shell: ~ and $ mean nothing there", "Write the whole path.")
    return value


@text
def backup_mode(value: str) -> str:
    """``auto``, ``off``, or a shell command of the user's own."""
    if value in {"auto", "off"}:
        return value
    # "Off", "none" or "atuo" would otherwise be run as a command, and a deployment begun without a backup.
    if value.lower() in {"no", "on", "yes"} or nearest(value.lower(), ["auto", "off", "none"]):
        raise Bad('must be "auto", "off" or a command of your own')
    return shell_line(value)


def duration(value: object) -> float:
    """A length of time in seconds, more than 0: ``"90s"``, ``"15m"``, ``"1h30m"`` or a number."""
    seconds = pause(value)
    if seconds == 0:
        raise Bad("must be longer than 0 seconds")
    return seconds


def age(value: object) -> float:
    """How long something is kept, in seconds: ``"30d"``, up to ten years."""
    return _length(value, 3600, OLDEST, "between an hour and ten years", '"30d", "12h"')


def pause(value: object) -> float:
    """A length of time in seconds as in ``duration``, or 0. Whole seconds come back as int."""
    return _length(value, 0, LONGEST, "between 0 seconds and a week", '"90s", "15m", "1h", "1h30m"')


def _length(value: object, least: int, most: int, limits: str, examples: str) -> float:
    seconds = _spelled(value) if isinstance(value, str) else value
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise Bad(f"must be a length of time: {examples}, or seconds without quotes")
    if not least <= seconds <= most:
        raise Bad(f"must be {limits}")
    return int(seconds) if seconds == int(seconds) else seconds


def _spelled(value: str) -> int | None:
    match = re.fullmatch(_DURATION, value)
    if not value or match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds
