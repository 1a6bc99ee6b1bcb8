"""Every key there is, with its type, its check and its default: the only table of them.

A section is a ``NamedTuple``: frozen as a dataclass is, and made in a quarter of the time.
"""

from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from deploy.config import values
from deploy.config.checks import Keys, Values, choice, count, each, flag, named, optional, table, text
from deploy.config.endpoint import endpoint


class Compose(NamedTuple):
    """``[compose]``: how Docker Compose is called, and on what. ``command`` (): found on the server."""

    command: Annotated[tuple[str, ...], values.command(values.compose_argv)] = ()
    files: Annotated[tuple[str, ...], each(values.below)] = ()
    services: Annotated[tuple[str, ...], each(values.name, some=True)] = ("backend",)
    profiles: Annotated[tuple[str, ...], each(values.name)] = ()
    project: Annotated[str, optional(values.project)] = ""


class Migrate(NamedTuple):
    """``[migrate]``: what applies the migrations. ``command`` (): the service's own."""

    enabled: Annotated[bool, flag] = True
    service: Annotated[str, values.name] = "db-migrate"
    command: Annotated[tuple[str, ...], values.command(values.argv)] = ()
    workdir: Annotated[str, optional(values.container_path)] = ""
    timeout: Annotated[float, values.duration] = 900


class Build(NamedTuple):
    """``[build]``: how images are built. ``cache`` False is ``--no-cache``."""

    cache: Annotated[bool, flag] = False
    pull: Annotated[bool, flag] = False
    timeout: Annotated[float, values.duration] = 1800


class Restart(NamedTuple):
    """``[restart]``: how long the step may take, in seconds."""

    timeout: Annotated[float, values.duration] = 300


class Pull(NamedTuple):
    """``[pull]``: how long the step may take, in seconds."""

    timeout: Annotated[float, values.duration] = 300


class Backup(NamedTuple):
    """``[backup]``: ``mode`` is "auto", "off" or a shell command; ``keep`` backups stay, ``age`` long."""

    mode: Annotated[str, text(values.backup_mode, 'Write mode = "off" for no backups.')] = "auto"
    keep: Annotated[int, count] = 10
    age: Annotated[float, values.age] = 30 * 24 * 3600
    timeout: Annotated[float, values.duration] = 1800


class Health(NamedTuple):
    """``[health]``: when the application counts as up. ``settle`` is how long it must stay so, in seconds."""

    url: Annotated[str, optional(values.http_url)] = ""
    settle: Annotated[float, values.pause] = 5
    timeout: Annotated[float, values.duration] = 120


class Logs(NamedTuple):
    """``[logs]``: how much of the log is shown after a deployment."""

    seconds: Annotated[float, values.duration] = 10
    lines: Annotated[int, count] = 100


class Venv(NamedTuple):
    """``[venv]``: the engine without Docker. ``restart``, ``stop`` and ``logs`` are shell commands."""

    folder: Annotated[str, values.below] = ".venv"
    requirements: Annotated[str, values.below] = "requirements.txt"
    python: Annotated[str, values.program] = "python3"
    workdir: Annotated[str, optional(values.inside)] = ""
    restart: Annotated[str, optional(values.shell_line)] = ""
    stop: Annotated[str, optional(values.shell_line)] = ""
    logs: Annotated[str, optional(values.shell_line)] = ""
    env_file: Annotated[str, optional(values.below)] = ".env"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A place to deploy to, fully resolved. Sections, and what has a check, are keys of ``[targets.NAME]``.

    ``user`` is "" and ``port`` None where the ssh configuration decides; ``state`` is never "" when it comes
    from ``load``; ``identity`` and ``known_hosts`` are absolute or "". ``ledger`` may hold a password.
    """

    branch: Annotated[str, values.refname] = "main"
    remote: Annotated[str, values.refname] = "origin"
    engine: Annotated[Literal["compose", "venv"], choice("compose", "venv")] = "compose"
    state: Annotated[str, optional(values.server_path)] = ""
    keep: Annotated[int, count] = 5
    forward_agent: Annotated[bool | None, flag] = None
    identity: Annotated[str, values.one_line] = ""
    known_hosts: Annotated[str, values.one_line] = ""
    connect_timeout: Annotated[float, values.duration] = 10
    compose: Compose = field(default_factory=Compose)
    migrate: Migrate = field(default_factory=Migrate)
    build: Build = field(default_factory=Build)
    restart: Restart = field(default_factory=Restart)
    pull: Pull = field(default_factory=Pull)
    backup: Backup = field(default_factory=Backup)
    health: Health = field(default_factory=Health)
    logs: Logs = field(default_factory=Logs)
    venv: Venv = field(default_factory=Venv)
    # In the file one word for all three; the settings take it apart.
    host: Annotated[str, text(endpoint, 'For example "deploy@server.example.org".')]
    user: str = ""
    port: int | None = None
    path: Annotated[str, values.server_path]
    name: str
    app: str
    ledger: str = field(default="", repr=False)
    config_file: Path = Path("deploy.toml")

    @property
    def destination(self) -> str:
        """``user@host``, or the host alone; without the port."""
        return f"{self.user}@{self.host}" if self.user else self.host


def _checks(kind: type) -> Keys:
    notes = kind.__annotations__.items()
    return {key: note.__metadata__[0] for key, note in notes if hasattr(note, "__metadata__")}


_KINDS: dict[str, Any] = {
    section.name: section.default_factory
    for section in fields(Target)
    if section.default_factory is not MISSING
}
#: The keys of each section.
SECTIONS: dict[str, Keys] = {name: _checks(kind) for name, kind in _KINDS.items()}
#: The keys of [targets.NAME]: whatever is left out comes from the top level.
TARGET: Keys = {**_checks(Target), **{name: table(keys) for name, keys in SECTIONS.items()}}
#: The keys of the whole file.
FILE: Keys = {
    **TARGET,
    "app": text(values.slug, 'The name of your application: app = "shop".'),
    "target": text(optional(values.slug), "The default target. Targets themselves stand in [targets.NAME]."),
    "ledger": optional(values.ledger_url),
    "targets": named(values.slug, table(TARGET)),
}


def make(given: Values) -> Target:
    """The target of checked values; what they leave out is as by default."""
    return Target(**{key: _KINDS[key](**item) if key in _KINDS else item for key, item in given.items()})
