"""The tasks that ``fab`` shows.

Only Fabric is imported here: ``fab --list`` and completion must not pay for anything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fabric import task as fabric_task
from invoke import Collection, Exit

from deploy import tasks_db
from deploy.tasking import JSON as _JSON
from deploy.tasking import TARGET as _TARGET
from deploy.tasking import task

if TYPE_CHECKING:
    from deploy.commands import Command


@task(
    target=_TARGET,
    ref="branch, tag or commit instead of the target's branch",
    yes="ask nothing, and go on with dangerous migrations",
    json=_JSON,
    logs="tail the logs afterwards",
    follow="tail the logs until Ctrl-C",
    if_changed="do nothing when that commit is deployed already",
    skip_backup="migrate without a backup",
    detach="start it and leave it to the server",
)
def deploy(
    command: Command,
    target: str = "",
    ref: str = "",
    yes: bool = False,
    json: bool = False,
    logs: bool = True,
    follow: bool = False,
    if_changed: bool = False,
    skip_backup: bool = False,
    detach: bool = False,
) -> int:
    """Pull, migrate, build, restart; all undone when one of them fails."""
    return command.deploy(
        ref, yes=yes, logs=logs, follow=follow, if_changed=if_changed, skip_backup=skip_backup, detach=detach
    )


@task(
    target=_TARGET,
    ref="branch, tag or commit instead of the target's branch",
    json="one JSON object",
    fail_on="danger: exit with 1 when there is some, or something is in the way",
)
def plan(command: Command, target: str = "", ref: str = "", json: bool = False, fail_on: str = "") -> int:
    """Show what a deployment would bring: commits, migrations with their SQL, dangers."""
    from deploy import forecast

    return forecast.run(command, ref, fail_on)


@task(
    target=_TARGET,
    to="the release to go back to",
    force="though the server was changed by hand",
    yes="ask nothing",
    json=_JSON,
)
def rollback(
    command: Command,
    target: str = "",
    to: str = "",
    force: bool = False,
    yes: bool = False,
    json: bool = False,
) -> int:
    """Undo the current release; again: the one before."""
    return command.rollback(to, force=force, yes=yes)


@task(
    target=_TARGET,
    lines="how many lines to begin with",
    since="not older than this: 10m, 2h, or a time such as 2026-11-22T08:15:02Z",
    follow="go on until Ctrl-C",
)
def logs(command: Command, target: str = "", lines: str = "", since: str = "", follow: bool = True) -> int:
    """Follow the application's logs."""
    return command.logs(lines, since, follow=follow)


@task(target=_TARGET, json=_JSON)
def status(command: Command, target: str = "", json: bool = False) -> int:
    """Show what is on the server now."""
    return command.status()


@task(target=_TARGET, json="one JSON object with all findings")
def doctor(command: Command, target: str = "", json: bool = False) -> int:
    """Check laptop, server and application: what is wrong, why, and the remedy."""
    return command.doctor()


@task(target=_TARGET, limit="how many, 20 when not said", json="one JSON object a line")
def history(command: Command, target: str = "", limit: str = "20", json: bool = False) -> int:
    """Show the releases of this target, whoever made them."""
    return command.history(limit)


@task(target=_TARGET, release="which one, when it is not the running or last one", json=_JSON)
def attach(command: Command, target: str = "", release: str = "", json: bool = False) -> int:
    """Follow a running deployment, or show the last one."""
    return command.attach(release)


@task(target=_TARGET, json=_JSON)
def cancel(command: Command, target: str = "", json: bool = False) -> int:
    """Stop the running deployment and undo it."""
    return command.cancel()


@task(target=_TARGET, accept="a person has put it right: forget it", json=_JSON)
def recover(command: Command, target: str = "", accept: bool = False, json: bool = False) -> int:
    """Undo a deployment that was interrupted."""
    return command.recover(accept=accept)


@task(
    backend="the folder with the application's code, where alembic.ini goes",
    service="the application's service in the compose file",
    base="what the models inherit from: package.module:Base",
    sequential="number the revisions 001, 002, ...",
    host="the server, for deploy.toml: user@host",
    path="the checkout on the server, for deploy.toml",
    overwrite="write files, too, that have content of your own",
    yes="ask nothing",
)
def init(
    command: Command,
    backend: str = "",
    service: str = "",
    base: str = "",
    sequential: bool = False,
    host: str = "",
    path: str = "",
    overwrite: bool = False,
    yes: bool = False,
) -> int:
    """Set up Alembic, the migration service and deploy.toml in this folder."""
    from pathlib import Path

    from deploy.init import Options, run

    options = Options(backend, service, base, sequential, host, path, yes, overwrite)
    return run(Path.cwd(), options, command.stdout, command.environ)


@fabric_task(auto_shortflags=False)  # type: ignore[untyped-decorator]
def demo(_context: Any) -> None:
    """Show the whole story on this machine, without server and Docker."""
    from deploy.demo import main

    code = main()
    if code:
        raise Exit(code=code)


namespace = Collection(
    deploy,
    plan,
    rollback,
    logs,
    status,
    history,
    attach,
    cancel,
    recover,
    init,
    doctor,
    demo,
    db=tasks_db.namespace,
)
