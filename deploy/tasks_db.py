"""``fab db.*``: the tasks around migrations and backups.

Only Fabric is imported here: ``fab --list`` and completion must not pay for anything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import Collection

from deploy.tasking import TARGET, task

if TYPE_CHECKING:
    from deploy.commands import Command


@task(target=TARGET)
def current(command: Command, target: str = "") -> int:
    """Show the revision that the server's database is at."""
    from deploy import database

    return database.say(command, "alembic", "current")


@task(target=TARGET)
def history(command: Command, target: str = "") -> int:
    """Show the deployed revisions, and which one the database is at."""
    from deploy import database

    return database.say(command, "alembic", "history", "--indicate-current")


@task(target=TARGET, range="FROM:TO, or where to go from what the database is at")
def sql(command: Command, target: str = "", range: str = "") -> int:
    """Show the SQL of what is pending, or between two revisions."""
    from deploy import database

    return database.sql(command, range)


@task(target=TARGET)
def check(command: Command, target: str = "") -> int:
    """Tell whether the deployed models and migrations agree."""
    from deploy import database

    return database.check(command)


namespace = Collection(current, history, sql, check)
