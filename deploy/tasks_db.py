"""``fab db.*``: the tasks around migrations and backups.

Only Fabric is imported here: ``fab --list`` and completion must not pay for anything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fabric import Task
from invoke import Argument, Collection

from deploy.tasking import JSON, TARGET, task

if TYPE_CHECKING:
    from deploy.commands import Command

_LOCAL = "with the code in the repository, on its own database, instead of the server's"
_ENV = "what the code runs in here: a virtual environment's folder, or compose; found when not said"


class _OneBack(Argument):  # type: ignore[misc]
    """The flag ``-1``, as in ``alembic downgrade -1``: a parser of options takes it for no value."""

    def __init__(self, to: Any) -> None:
        super().__init__(names=("back", "1"), kind=bool, default=False, help="the last one alone")
        self._to = to

    def set_value(self, value: Any, cast: bool = True) -> None:
        super().set_value(value, cast)
        self._to.value = "-1"


class _Downgrade(Task):  # type: ignore[misc]
    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Any]:
        found = super().get_arguments(ignore_unknown_help)
        to = next(argument for argument in found if argument.name == "to")
        return [_OneBack(to) if argument.name == "back" else argument for argument in found]


class _Revision(Task):  # type: ignore[misc]
    """Knows ``-m`` as Alembic does."""

    def get_arguments(self, ignore_unknown_help: bool | None = None) -> list[Any]:
        found: list[Any] = super().get_arguments(ignore_unknown_help)
        next(argument for argument in found if argument.name == "message").names = ("message", "m")
        return found


@task(
    kind=_Revision,
    message="what it does, in a few words",
    autogenerate="write what the models have and the database has not",
    rev_id="its id, when it is to be a certain one",
    env=_ENV,
)
def revision(
    command: Command, message: str = "", autogenerate: bool = False, rev_id: str = "", env: str = ""
) -> int:
    """Write a new revision into the repository."""
    from deploy import local

    return local.revision(command, message, autogenerate=autogenerate, rev_id=rev_id, env=env)


@task(target=TARGET, local=_LOCAL, env=_ENV)
def current(command: Command, target: str = "", local: bool = False, env: str = "") -> int:
    """Show the revision that the server's database is at."""
    from deploy import database

    if local or env:
        from deploy import local as laptop

        return laptop.say(command, env, "current")
    return database.say(command, "alembic", "current")


@task(target=TARGET, local=_LOCAL, env=_ENV)
def history(command: Command, target: str = "", local: bool = False, env: str = "") -> int:
    """Show the deployed revisions, and which one the database is at."""
    from deploy import database

    if local or env:
        from deploy import local as laptop

        return laptop.say(command, env, "history", "--indicate-current")
    return database.say(command, "alembic", "history", "--indicate-current")


@task(target=TARGET, range="FROM:TO, or where to go from what the database is at")
def sql(command: Command, target: str = "", range: str = "") -> int:
    """Show the SQL of what is pending, or between two revisions."""
    from deploy import database

    return database.sql(command, range)


@task(target=TARGET, local=_LOCAL, env=_ENV)
def check(command: Command, target: str = "", local: bool = False, env: str = "") -> int:
    """Tell whether the deployed models and migrations agree."""
    from deploy import database

    if local or env:
        from deploy import local as laptop

        return laptop.check(command, env)
    return database.check(command)


@task(target=TARGET, to="the revision to stop at, head when not said", local=_LOCAL, env=_ENV, json=JSON)
def upgrade(
    command: Command, target: str = "", to: str = "", local: bool = False, env: str = "", json: bool = False
) -> int:
    """Apply the deployed revisions that are pending, after a backup."""
    from deploy import database

    if local or env:
        from deploy import local as laptop

        return laptop.upgrade(command, env, database.checked(to or "heads"))
    return database.upgrade(command, to)


@task(
    kind=_Downgrade,
    to="-1 for the last one, a revision to go back to, or base",
    target=TARGET,
    yes="ask nothing",
    local=_LOCAL,
    env=_ENV,
    json=JSON,
)
def downgrade(
    command: Command,
    to: str,
    target: str = "",
    yes: bool = False,
    local: bool = False,
    env: str = "",
    json: bool = False,
    back: bool = False,
) -> int:
    """Undo the last revision (-1), or all down to one, after a backup."""
    from deploy import database

    if local or env:
        from deploy import local as laptop

        return laptop.downgrade(command, env, database.checked(to), yes=yes)
    return database.downgrade(command, to, yes=yes)


@task(target=TARGET, json=JSON)
def backups(command: Command, target: str = "", json: bool = False) -> int:
    """List the backups on the server."""
    from deploy import database

    return database.backups(command)


@task(target=TARGET, json=JSON)
def backup(command: Command, target: str = "", json: bool = False) -> int:
    """Back the server's database up now."""
    from deploy import database

    return database.backup(command)


@task(
    backup="as fab db.backups lists it",
    into="a new database, instead of the one in use",
    confirm="the application's name, for scripts",
    target=TARGET,
    yes="ask nothing",
    json=JSON,
)
def restore(
    command: Command,
    backup: str,
    target: str = "",
    into: str = "",
    confirm: str = "",
    yes: bool = False,
    json: bool = False,
) -> int:
    """Make the database what it was in a backup, after one more backup."""
    from deploy import database

    return database.restore(command, backup, into=into, confirm=confirm, yes=yes)


namespace = Collection(revision, current, history, sql, check, upgrade, downgrade, backups, backup, restore)
