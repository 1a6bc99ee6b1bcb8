"""``fab db.*``: the guide's Alembic commands, carried out on the server by what is deployed there."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime

from deploy import answers, deployment, events, view
from deploy.commands import Command
from deploy.errors import ConfigError, FailedError, RefusedError, UsageError
from deploy.recipe import Operation

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
            'Write the migration that is missing: fab db.revision --autogenerate -m "…"',
        )
    return code


def ask(command: Command, *words: str) -> tuple[list[str], bool]:
    """The lines that the deployed migrations answer, and whether they could. Raises RefusedError."""
    enabled(command)
    return deployment.lines(command.server, "ask", *words)


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


def upgrade(command: Command, revision: str) -> int:
    """``fab db.upgrade``."""
    return operate(command, "db.upgrade", revision=checked(revision or "heads"))


def downgrade(command: Command, revision: str, *, yes: bool) -> int:
    """``fab db.downgrade``: says before what it undoes, and what is lost with it."""
    checked(revision)
    if not yes:
        agree(command, lambda: _what_goes(command, revision), "db.downgrade")
    return operate(command, "db.downgrade", revision=revision)


def _what_goes(command: Command, revision: str) -> str:
    lines, _ = ask(command, "aim", "down", revision)
    return what_goes(answers.pairs(lines), revision, f"on {command.target.name}", "A backup is made before.")


def what_goes(found: Iterable[tuple[str, str]], revision: str, where: str, backup: str) -> str:
    """What a downgrade undoes and drops, as ``aim`` answered it. Raises RefusedError when it is nothing."""
    found = list(found)
    going = [view.clean(rest) for rest in answers.each(found, "revision")]
    lost = [view.clean(rest) for rest in answers.each(found, "loses") if rest]
    if not going:
        raise RefusedError(
            f"there is nothing to undo down to {revision}", "fab db.history shows the revisions."
        )
    return "\n".join(
        [
            f"Undo {where}:",
            *(f"  {each}" for each in going),
            f"It drops {', '.join(lost)}."
            if lost
            else "It drops no table and no column, as far as can be told.",
            backup,
        ]
    )


def backup(command: Command) -> int:
    """``fab db.backup``."""
    return operate(command, "db.backup")


def backups(command: Command) -> int:
    """``fab db.backups``."""
    view.show_backups(_backups(command), command.stdout, command.environ, as_json=command.json)
    return 0


def _backups(command: Command) -> list[view.Backup]:
    found: list[dict[str, str]] = []
    for item in deployment.listen(command.server, "backups"):
        if not isinstance(item, events.Event):
            continue
        if item.name == "refuse":
            raise deployment.refused(item)
        if item.text("name") == "backup":
            found.append({"backup": item.text("value")})
        elif item.name == "answer":
            found[-1][item.text("name")] = item.text("value")
    return [_backup(record) for record in found]


def _backup(record: dict[str, str]) -> view.Backup:
    return view.Backup(
        backup=record["backup"],
        release=record.get("release", ""),
        when=float(record.get("at") or 0),
        why=record.get("why", ""),
        format=record.get("format", ""),
        database=record.get("database", ""),
        heads=tuple(record.get("heads", "").split()),
        bytes=int(record.get("bytes") or 0),
        seconds=float(record.get("seconds") or 0),
        tables=int(record["tables"]) if "tables" in record else None,
        rows=int(record["rows"]) if "rows" in record else None,
    )


def restore(command: Command, name: str, *, into: str, confirm: str, yes: bool) -> int:
    """``fab db.restore``: to the database in use, whose name has to be typed, or into a new one."""
    enabled(command)
    chosen = next((each for each in _backups(command) if each.backup == name), None)
    if chosen is None:
        raise RefusedError(f"there is no backup {name!r} on the server", "fab db.backups lists them.")
    if into:
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}", into):
            raise UsageError("--into takes a new database's name: letters, digits, '_', '.' and '-'")
        return operate(command, "db.restore", backup_id=name, into=into)
    _confirm(command, chosen, confirm, yes)
    return operate(command, "db.restore", backup_id=name)


def _confirm(command: Command, chosen: view.Backup, confirm: str, yes: bool) -> None:
    app = command.target.app
    names = {app, chosen.database} if "/" not in chosen.database else {app}
    if not confirm and not yes and command.can_ask:
        command.stdout.write(
            f"The database of {command.target.name} becomes what it was in the backup\n"
            f"  {view.clean(name_of(chosen))}\n"
            "What was written since stays in one more backup, made before. The application stops meanwhile.\n"
            f"Type {app} to go on: "
        )
        command.stdout.flush()
        confirm = command.answer()
        if confirm not in names:
            raise UsageError("not restored; nothing was touched")
    if confirm not in names or not (yes or command.can_ask):
        raise UsageError(
            "this replaces the database, and has to be confirmed", f"For scripts: --yes --confirm {app}"
        )


def name_of(chosen: view.Backup) -> str:
    """The backup with its time and its heads, for a question."""
    when = f"{datetime.fromtimestamp(chosen.when):%Y-%m-%d %H:%M}"
    return f"{chosen.backup} of {when}, at {' '.join(chosen.heads) or 'no revision'}"


def agree(command: Command, what: Callable[[], str], task: str) -> None:
    """Ask on a terminal whether to go on; without one, only --yes says so. Raises UsageError."""
    if not command.can_ask:
        raise UsageError(f"fab {task} asks before it goes on", "Where nobody can answer: --yes")
    if not command.agreed(f"{what()}\nGo on?"):
        raise UsageError("not done; nothing was touched")


def operate(command: Command, kind: Operation, **values: str) -> int:
    """Start an operation on the server and watch it; its exit code."""
    enabled(command)
    release, request = deployment.operate(command.server, kind, **values)
    return command.watch(request, release).exit_code
