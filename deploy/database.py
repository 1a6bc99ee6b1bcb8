"""``fab db.*``: the guide's Alembic commands, carried out on the server by what is deployed there."""

from __future__ import annotations

import re

from deploy import deployment, events, view
from deploy.commands import Command
from deploy.errors import ConfigError, FailedError, RefusedError, UsageError

#: What Alembic takes for a revision, and nothing that a shell or a terminal would take for something else.
_REVISION = re.compile(r"[A-Za-z0-9_.@+-]{1,64}\Z")


def say(command: Command, *words: str) -> int:
    """Print what a command of Alembic's own says; 0, or 1 when it failed."""
    lines, good = ask(command, *words)
    for line in lines:
        command.stdout.write(f"{view.clean(line)}\n")
    command.stdout.flush()
    return 0 if good else 1


def sql(command: Command, revisions: str) -> int:
    """``fab db.sql``: the SQL from one revision to another, or of what is pending."""
    for word in filter(None, revisions.split(":", 1)):
        checked(word)
    return say(command, "sql", *filter(None, [revisions]))


def check(command: Command) -> int:
    """``fab db.check``: do the deployed models agree with the migrations?"""
    code = say(command, "alembic", "check")
    if code:
        raise FailedError(
            "the models and the migrations on the server differ, or could not be compared",
            'Write the migration that is missing: alembic revision --autogenerate -m "…"',
        )
    return code


def ask(command: Command, *words: str) -> tuple[list[str], bool]:
    """The lines that the deployed migrations answer, and whether they could. Raises RefusedError."""
    enabled(command)
    lines, good = [], False
    for item in deployment.listen(command.server, "ask", *words):
        if isinstance(item, events.Output):
            lines.append(item.line)
        elif item.name == "refuse":
            raise deployment.refused(item)
        elif item.name == "note" and item.text("level") == "error":
            raise RefusedError(item.text("text"), item.text("hint"))
        elif item.name == "answer" and item.text("name") == "status":
            good = item.text("value") == "0"
    return lines, good


def enabled(command: Command) -> None:
    """Raises ConfigError for a target without migrations."""
    if not command.target.migrate.enabled:
        file = str(command.target.config_file)
        raise ConfigError(file, "migrate.enabled", "is false: this target has no migrations")


def checked(revision: str) -> str:
    """A revision as the user wrote it; raises UsageError for what cannot be one."""
    if not _REVISION.match(revision):
        raise UsageError(f"{revision!r} is no revision", "For example: 003, head, base, -1.")
    return revision
