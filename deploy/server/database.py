"""What `fab db.*` asks of the migrations and of their database. Read before probe.py, which calls these.

    alembic WORD...             a command of Alembic's own, with the alembic.ini that was found
    sql [REVISION | FROM:TO]    the SQL between two revisions; without words, what is pending
    move upgrade|downgrade REVISION  as Alembic does it, and where the database is then
    revision MESSAGE [AUTO] [ID]  a new revision's file, and its text; with AUTO none where nothing differs
    aim up|down REVISION        which revisions that applies or undoes, and what is lost with them
    sqlite-backup [FILE]        a consistent copy of a SQLite database, to FILE or as answers
    sqlite-restore [NAME]       such a copy, on standard input, becomes the database, or one NAME beside it
    tool SCRIPT WORD...         SCRIPT, with the database's address in its environment

Each gets the migrations, and `answer` to answer with.
"""

import argparse
import ast
import base64
import getpass
import inspect as python
import os
import shutil
import sys
import tempfile
import textwrap

from alembic import command
from alembic.util import CommandError


def alembic(migrations, answer, *words):
    from alembic.config import CommandLine

    CommandLine(prog="alembic").main(["-c", migrations.config.config_file_name, *words])


def move(migrations, answer, direction, revision):
    alembic(migrations, answer, direction, revision)
    answer("heads", *current(migrations))


def revision(migrations, answer, message, auto="", rev_id=""):
    seen = []
    options = {"message": message, "autogenerate": bool(auto), "rev_id": rev_id or None}
    # env.py may look at the options of the command line.
    migrations.config.cmd_opts = argparse.Namespace(x=None, **options)
    watch = {"process_revision_directives": lambda context, heads, directives: seen.append(directives)}
    made = command.revision(migrations.config, **options, **watch)
    differs = [
        ops for directives in seen for one in directives for ops in one.upgrade_ops_list if not ops.is_empty()
    ]
    for script in filter(None, made if isinstance(made, list) else [made]):
        if auto and not differs:
            os.unlink(script.path)
            continue
        answer("revision", script.revision)
        answer("file", os.path.relpath(script.path, os.path.dirname(migrations.config.config_file_name)))
        send(answer, script.path)
    if auto and not differs:
        answer("empty", "yes")


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
        url = context.connection.engine.url
        answer("database", (url.database or "") + (" on " + url.host if url.host else ""))
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
            source, target = sqlite(context), sqlite3.connect(name)
            # What was read holds until the end, so both are of one moment.
            source.execute("BEGIN")
            counted = list(count(source))
            source.backup(target)
            source.rollback()
            if not sound(target) or list(count(target)) != counted:
                raise CommandError("the copy of the database is damaged")
            target.close()
            tell(answer, counted)
            if not file:
                send(answer, name)
        return []

    migrations.run(copy, dont_mutate=True)


def sqlite_restore(migrations, answer, name=""):
    """The database becomes that on standard input, in one transaction; or a new file NAME beside it does."""
    import sqlite3

    def restore(heads, context):
        with tempfile.NamedTemporaryFile() as file:
            shutil.copyfileobj(sys.stdin.buffer, file)
            file.flush()
            source, target = sqlite3.connect(file.name), sqlite(context)
            if not sound(source):
                raise CommandError("the backup is damaged")
            if name:
                beside = os.path.join(os.path.dirname(context.connection.engine.url.database), name)
                os.close(os.open(beside, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                target = sqlite3.connect(beside)
            source.backup(target)
            tell(answer, count(target))
        return []

    migrations.run(restore, dont_mutate=True)


def sqlite(context):
    """The driver's own connection, with no transaction open."""
    connection = context.connection.connection
    found = getattr(connection, "driver_connection", connection)
    found.rollback()
    return found


def sound(connection):
    return connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def count(connection):
    ask = "SELECT name FROM sqlite_master WHERE type = 'table' AND substr(name, 1, 7) <> 'sqlite_' ORDER BY 1"
    for (name,) in connection.execute(ask).fetchall():
        quoted = '"' + name.replace('"', '""') + '"'
        yield name, connection.execute("SELECT count(*) FROM " + quoted).fetchone()[0]


def tell(answer, counted):
    for name, rows in counted:
        answer("rows", name, rows)


def send(answer, name):
    with open(name, "rb") as copied:
        for piece in iter(lambda: copied.read(57 * 1024), b""):
            answer("data", base64.b64encode(piece).decode())


def tool(migrations, answer, script, *words):
    """Become a script that finds the database in its environment; the password is in no process list."""
    # What env.py prints is no part of what the script does.
    out = os.dup(1)
    os.dup2(2, 1)
    migrations.run(
        lambda heads, context: os.environ.update(address(context.connection.engine.url)) or [],
        dont_mutate=True,
    )
    sys.stdout.flush()
    os.dup2(out, 1)
    os.execvp("sh", ["sh", "-c", script, "backstay", *words])


def address(url):
    if url.get_backend_name() in ("mysql", "mariadb"):
        # To this driver, as to the tools, localhost means the socket.
        host = "" if url.host == "localhost" and url.get_driver_name() == "mysqldb" else url.host
        found = {
            "BACKSTAY_HOST": host,
            "BACKSTAY_PORT": url.port,
            "BACKSTAY_SOCKET": url.query.get("unix_socket"),
            "BACKSTAY_USER": url.username or getpass.getuser(),
            "MYSQL_PWD": url.password,
        }
        return {name: str(value) for name, value in found.items() if value}
    found = {
        "HOST": url.host or url.query.get("host"),
        "PORT": url.port,
        "USER": url.username,
        "PASSWORD": url.password,
        "SSLMODE": url.query.get("sslmode"),
    }
    return {"PG" + name: str(value) for name, value in found.items() if value}
