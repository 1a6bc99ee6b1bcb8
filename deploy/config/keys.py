"""Every key there is, with its type, its default and its check: the only table of them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator

from deploy.config import values
from deploy.config.endpoint import Endpoint, endpoint
from deploy.config.values import optional

# TOML has lists only, so a tuple takes a list; what is in it stays strict.
_FromList = Field(strict=False)

Slug = Annotated[str, AfterValidator(values.slug)]
Host = Annotated[Endpoint | None, PlainValidator(endpoint)]
ServerPath = Annotated[str, AfterValidator(values.server_path)]
Refname = Annotated[str, AfterValidator(values.refname)]
Name = Annotated[str, AfterValidator(values.name)]
Names = Annotated[tuple[Name, ...], _FromList, AfterValidator(values.unique)]
Below = Annotated[str, AfterValidator(values.below)]
Files = Annotated[tuple[Below, ...], _FromList, AfterValidator(values.unique)]
Words = Annotated[tuple[str, ...], _FromList, BeforeValidator(values.words)]
ShellLine = Annotated[str, AfterValidator(optional(values.shell_line))]
LaptopPath = Annotated[str, AfterValidator(values.one_line)]
#: Seconds; int when whole.
Seconds = Annotated[float, PlainValidator(values.duration)]
Count = Annotated[int, Field(ge=1, le=100_000)]


class Table(BaseModel):
    """What all tables share: no unknown keys, no guessed types, no change afterwards, no values in errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)


class Compose(Table):
    """``[compose]``: how Docker Compose is called, and on what. ``command`` (): found on the server."""

    command: Annotated[Words, AfterValidator(values.compose_argv)] = ()
    files: Files = ()
    services: Annotated[Names, AfterValidator(values.some)] = ("backend",)
    profiles: Names = ()
    project: Annotated[str, AfterValidator(optional(values.project))] = ""


class Migrate(Table):
    """``[migrate]``: what applies the migrations. ``command`` (): the service's own."""

    enabled: bool = True
    service: Name = "db-migrate"
    command: Annotated[Words, AfterValidator(values.argv)] = ()
    workdir: Annotated[str, AfterValidator(optional(values.container_path))] = ""
    timeout: Seconds = 900


class Build(Table):
    """``[build]``: how images are built. ``cache`` False is ``--no-cache``."""

    cache: bool = False
    pull: bool = False
    timeout: Seconds = 1800


class Restart(Table):
    """``[restart]``: how long the step may take, in seconds."""

    timeout: Seconds = 300


class Pull(Table):
    """``[pull]``: how long the step may take, in seconds."""

    timeout: Seconds = 300


class Backup(Table):
    """``[backup]``: ``mode`` is "auto", "off" or a shell command; ``keep`` backups stay."""

    mode: Annotated[str, AfterValidator(values.backup_mode)] = "auto"
    keep: Count = 10
    timeout: Seconds = 1800


class Health(Table):
    """``[health]``: when the application counts as up. ``settle`` is how long it must stay so, in seconds."""

    url: Annotated[str, AfterValidator(optional(values.http_url))] = ""
    settle: Annotated[float, PlainValidator(values.pause)] = 5
    timeout: Seconds = 120


class Logs(Table):
    """``[logs]``: how much of the log is shown after a deployment."""

    seconds: Seconds = 10
    lines: Count = 100


class Venv(Table):
    """``[venv]``: the engine without Docker. ``restart``, ``stop`` and ``logs`` are shell commands."""

    folder: Below = ".venv"
    requirements: Below = "requirements.txt"
    python: Annotated[str, AfterValidator(values.program)] = "python3"
    workdir: Annotated[str, AfterValidator(optional(values.inside))] = ""
    restart: ShellLine = ""
    stop: ShellLine = ""
    logs: ShellLine = ""
    env_file: Annotated[str, AfterValidator(optional(values.below))] = ".env"


class Shared(Table):
    """Keys that the top level, each target in the file and a resolved target have alike."""

    branch: Refname = "main"
    remote: Refname = "origin"
    engine: Literal["compose", "venv"] = "compose"
    state: Annotated[str, AfterValidator(optional(values.server_path))] = ""
    keep: Count = 5
    forward_agent: bool | None = None
    identity: LaptopPath = ""
    known_hosts: LaptopPath = ""
    connect_timeout: Seconds = 10
    compose: Compose = Compose()
    migrate: Migrate = Migrate()
    build: Build = Build()
    restart: Restart = Restart()
    pull: Pull = Pull()
    backup: Backup = Backup()
    health: Health = Health()
    logs: Logs = Logs()
    venv: Venv = Venv()


class TargetTable(Shared):
    """``[targets.NAME]`` as it is written: whatever is left out comes from the top level."""

    host: Host = None
    path: Annotated[str, AfterValidator(values.server_path)] = ""


class Document(TargetTable):
    """The whole file as it is written."""

    app: Slug
    target: Annotated[str, AfterValidator(optional(values.slug))] = ""
    ledger: Annotated[str, AfterValidator(optional(values.ledger_url))] = Field("", repr=False)
    targets: dict[Slug, TargetTable] | None = None


class Target(Shared):
    """A place to deploy to, fully resolved.

    ``user`` is "" and ``port`` None where the ssh configuration decides; ``state`` is never "" when it comes
    from ``load``; ``identity`` and ``known_hosts`` are absolute or "". ``ledger`` may hold a password.
    """

    name: Slug
    app: Slug
    host: str
    user: str = ""
    port: int | None = None
    path: ServerPath
    ledger: str = Field("", repr=False)
    config_file: Path = Path("deploy.toml")

    @property
    def destination(self) -> str:
        """``user@host``, or the host alone; without the port."""
        return f"{self.user}@{self.host}" if self.user else self.host
