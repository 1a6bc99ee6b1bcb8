"""What `fab db.*` asks of the migrations and of their database. Read before probe.py, which calls these.

    alembic WORD...             a command of Alembic's own, with the alembic.ini that was found
    sql [REVISION | FROM:TO]    the SQL between two revisions; without words, what is pending
    aim up|down REVISION        which revisions that applies or undoes, and what is lost with them
    sqlite-backup [FILE]        a consistent copy of a SQLite database, to FILE or as answers

Each gets the migrations, and `answer` to answer with.
"""

import ast
import base64
import inspect as python
import os
import tempfile
import textwrap

from alembic import command
from alembic.util import CommandError


def alembic(migrations, answer, *words):
    from alembic.config import CommandLine

    CommandLine(prog="alembic").main(["-c", migrations.config.config_file_name, *words])


def sql(migrations, answer, wanted=""):
    start, colon, aim = wanted.partition(":")
    if not colon:
        start, aim = " ".join(current(migrations)), wanted or "heads"
    if " " in start:
        raise CommandError("the database is at several heads, " + start + ": say FROM:TO")
    start = start or "base"
    if is_back(migrations, start, aim):
        command.downgrade(migrations.config, start + ":" + aim, sql=True)
    else:
        command.upgrade(migrations.config, start + ":" + aim, sql=True)


def is_back(migrations, start, aim):
    if "base" in (start, aim) or aim.startswith(("-", "+", "head")):
        return aim == "base" or aim.startswith("-")
    here, there = (migrations.script.get_revision(name).revision for name in (start, aim))
    return here != there and there in migrations.ancestors([here])


def current(migrations):
    found = []

    def look(heads, context):
        found.extend(heads)
        return []

    migrations.run(look, dont_mutate=True)
    return sorted(found)


def aim(migrations, answer, direction, revision):
    def look(heads, context):
        script, before = migrations.script, migrations.ancestors(heads)
        choose = script._upgrade_revs if direction == "up" else script._downgrade_revs
        order = [step.revision.revision for step in choose(revision, heads)]
        after = before | set(order) if direction == "up" else before - set(order)
        answer("order", *order)
        answer("aim", *sorted(after - {parent for name in after for parent in migrations.parents(name)}))
        for name in order if direction == "down" else []:
            answer("revision", name, (script.get_revision(name).doc or "").replace("\n", " "))
            for lost in losses(script.get_revision(name).module.downgrade):
                answer("loses", lost)
        return []

    migrations.run(look, dont_mutate=True)


def losses(function):
    """Tables and columns that a migration's function drops, as far as its source tells."""
    try:
        tree = ast.parse(textwrap.dedent(python.getsource(function)))
    except (OSError, SyntaxError):
        return
    tables = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.withitem) and isinstance(node.optional_vars, ast.Name):
            tables[node.optional_vars.id] = literals(node.context_expr)[:1]
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
            continue
        words = literals(node)
        if node.func.attr == "drop_table" and words:
            yield words[0]
        elif node.func.attr == "drop_column" and words:
            inside = tables.get(getattr(node.func.value, "id", ""), [])
            yield ".".join([*inside, *words][:2])


def literals(call):
    """The texts among a call's arguments, in order, up to the first that is something else."""
    found = []
    for argument in getattr(call, "args", []):
        if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
            break
        found.append(argument.value)
    return found


def sqlite_backup(migrations, answer, file=None):
    import sqlite3

    def copy(heads, context):
        with tempfile.TemporaryDirectory() as folder:
            name = file or os.path.join(folder, "copy.db")
            target = sqlite3.connect(name)
            source = context.connection.connection
            getattr(source, "driver_connection", source).backup(target)
            if target.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                raise CommandError("the copy of the database is damaged")
            target.close()
            if not file:
                send(answer, name)
        return []

    migrations.run(copy, dont_mutate=True)


def send(answer, name):
    with open(name, "rb") as copied:
        for piece in iter(lambda: copied.read(57 * 1024), b""):
            answer("data", base64.b64encode(piece).decode())
