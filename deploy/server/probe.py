"""Asks Alembic about the database, and undoes exact revisions. Runs where migrations run, with their env.py.

usage: probe.py state [NAME]               heads, code heads, pending revisions, files of those applied, the
                                           database, its tables; ends statements of connections called NAME
       probe.py downgrade BEFORE ALLOWED   back to the heads BEFORE; only revisions of ALLOWED may be undone
       probe.py upgrade AIM ALLOWED        on to the heads AIM; only revisions of ALLOWED may be applied
       probe.py VERB [WORD...]             see database.py, and for `plan` plan.py, read before this file

Answers are lines "backstay KEY VALUE..." on standard output; env.py and migrations may print besides.
Works with Python 3.8, Alembic 1.5 and SQLAlchemy 1.4 and newer.
"""

import glob
import hashlib
import os
import sys
import time

from alembic import command
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationStep
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import inspect
from sqlalchemy.exc import OperationalError


def answer(key, *values):
    print("backstay", key, *values, flush=True)


def find_config():
    """alembic.ini, and the folder from which its script_location is found."""
    named = os.environ.get("ALEMBIC_CONFIG")
    found = [named] if named else []
    for pattern in ("alembic.ini", "*/alembic.ini", "*/*/alembic.ini"):
        found = found or sorted(glob.glob(pattern))
    if len(found) != 1:
        seen = ", ".join(found) or "none"
        raise CommandError(
            f"one alembic.ini is wanted in {os.getcwd()}, found: {seen}; set workdir in [migrate]"
        )
    file = os.path.abspath(found[0])
    for folder in (os.path.dirname(file), os.path.dirname(os.path.dirname(file)), os.getcwd()):
        os.chdir(folder)
        if os.path.isdir(Config(file).get_main_option("script_location") or "?"):
            break
    return Config(file, stdout=sys.stderr)


class Migrations:
    def __init__(self, config=None):
        self.config = config or find_config()
        # As the alembic command does, before anything of the application is imported.
        paths = self.config.get_main_option("prepend_sys_path")
        self.script = ScriptDirectory.from_config(self.config)
        if paths and "" not in sys.path:
            sys.path[:0] = [os.getcwd()]

    def run(self, fn, **options):
        with EnvironmentContext(self.config, self.script, fn=fn, **options):
            self.script.run_env()

    def parents(self, revision):
        found = self.script.revision_map.get_revision(revision)
        downs = found.down_revision or ()
        downs = (downs,) if isinstance(downs, str) else tuple(downs)
        wanted = found.dependencies or ()
        wanted = (wanted,) if isinstance(wanted, str) else tuple(wanted)
        return downs + tuple(other.revision for name in wanted for other in self.script.get_revisions(name))

    def fingerprint(self, revision):
        """The digest of a revision's file, and its name."""
        path = self.script.get_revision(revision).path
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest(), os.path.basename(path)

    def ancestors(self, heads):
        """HEADS and all before them."""
        seen, queue = set(), list(heads)
        while queue:
            revision = queue.pop()
            if revision not in seen:
                seen.add(revision)
                queue.extend(self.parents(revision))
        return seen

    def newest_first(self, heads, wanted):
        return [
            r.revision for r in self.script.iterate_revisions(tuple(heads), "base") if r.revision in wanted
        ]


def digests(connection):
    """A table, its digest and its columns; of constraints without names, of columns without order."""
    inspector = inspect(connection)
    for table in sorted(inspector.get_table_names()):
        columns = sorted(
            (c["name"], str(c["type"]), bool(c["nullable"]), str(c.get("default")))
            for c in inspector.get_columns(table)
        )
        keys = [inspector.get_pk_constraint(table).get("constrained_columns")]
        foreign = sorted(
            (k["constrained_columns"], k["referred_table"], k["referred_columns"])
            for k in inspector.get_foreign_keys(table)
        )
        indexes = sorted(
            (i["column_names"], bool(i["unique"]))
            for i in inspector.get_indexes(table)
            if all(i["column_names"])
        )
        shape = repr((columns, keys, foreign, indexes))
        digest = hashlib.sha256(shape.encode()).hexdigest()[:16]
        yield word(table), digest, [word(column[0]) for column in columns]


def word(name):
    return name.replace(" ", "_")


_MYSQL_SIZE = "SELECT SUM(data_length) FROM information_schema.tables WHERE table_schema = DATABASE()"


def size_of(context):
    """Bytes that the database takes; nothing where that cannot be asked."""
    ask = {
        "postgresql": "SELECT pg_database_size(current_database())",
        "mysql": _MYSQL_SIZE,
        "mariadb": _MYSQL_SIZE,
        "sqlite": "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()",
    }
    if context.dialect.name not in ask:
        return ""
    return int(context.connection.exec_driver_sql(ask[context.dialect.name]).scalar() or 0)


def invalid_indexes(context):
    """What CREATE INDEX CONCURRENTLY leaves when it fails: no transaction takes it back."""
    if context.dialect.name != "postgresql":
        return []
    ask = "SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid ORDER BY 1"
    return [word(row[0]) for row in context.connection.exec_driver_sql(ask)]


def state(migrations):
    code = migrations.script.get_heads()

    def look(heads, context):
        unknown = []
        for head in heads:
            try:
                migrations.script.get_revision(head)
            except CommandError:
                unknown.append(head)
        answer("heads", *sorted(heads))
        answer("unknown", *unknown)
        if not unknown:
            done = migrations.ancestors(heads)
            pending = migrations.newest_first(code, migrations.ancestors(code) - done)
            answer("pending", *reversed(pending))
            for name in sorted(done):
                answer("file", name, *migrations.fingerprint(name))
        answer("dialect", context.dialect.name)
        url = context.connection.engine.url
        answer("host", url.host or "")
        answer("database", url.database or "")
        answer("size", size_of(context))
        answer("transactional", "yes" if context.impl.transactional_ddl else "")
        answer("invalid", *invalid_indexes(context))
        for table, digest, columns in digests(context.connection):
            answer("table", table, digest)
            answer("columns", table, *columns)
        return []

    migrations.run(look, dont_mutate=True)
    answer("code", *sorted(code))


def end(migrations, name=None):
    """Statements of a killed migration go on in PostgreSQL: end those of connections called NAME."""
    ask = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = '%s' AND pid <> pg_backend_pid()"
    )

    def terminate(heads, context):
        tries = 20 if name and context.dialect.name == "postgresql" else 0
        while tries and context.connection.exec_driver_sql(ask % name.replace("'", "")).fetchall():
            time.sleep(0.5)
            tries -= 1
        return []

    if name:
        migrations.run(terminate, dont_mutate=True)


def downgrade(migrations, before, allowed):
    plan = {}

    def choose(heads, context):
        extra = migrations.ancestors(heads) - migrations.ancestors(before)
        plan["heads"], plan["order"] = heads, migrations.newest_first(heads, extra)
        return []

    migrations.run(choose, dont_mutate=True)
    order = plan["order"]
    stray = [revision for revision in order if revision not in allowed]
    if stray:
        raise CommandError("revisions that this release did not bring would be undone: " + " ".join(stray))
    straight = len(plan["heads"]) == 1 and migrations.parents(order[0]) == tuple(before) if order else False
    if straight and len(order) == 1:
        print("alembic downgrade -1", file=sys.stderr)
        command.downgrade(migrations.config, "-1")
    elif order:
        print("alembic downgrade, exactly:", *order, file=sys.stderr)

        def undo(heads, context):
            found = migrations.script.revision_map
            return [MigrationStep.downgrade_from_script(found, found.get_revision(r)) for r in order]

        migrations.run(undo)
    answer("undone", *order)
    state(migrations)


def upgrade(migrations, aim, allowed):
    def choose(heads, context):
        missing = migrations.ancestors(aim) - migrations.ancestors(heads)
        order = migrations.newest_first(aim, missing)[::-1]
        stray = [revision for revision in order if revision not in allowed]
        if stray:
            raise CommandError("revisions that were not asked for would be applied: " + " ".join(stray))
        if order:
            print("alembic upgrade, exactly:", *order, file=sys.stderr)
        found = migrations.script.revision_map
        return [MigrationStep.upgrade_from_script(found, found.get_revision(r)) for r in order]

    migrations.run(choose)
    state(migrations)


def main(verb, *arguments):
    try:
        migrations = Migrations()
        if verb == "state":
            end(migrations, *arguments)
            state(migrations)
        elif verb == "downgrade":
            downgrade(migrations, arguments[0].split(), arguments[1].split())
        elif verb == "upgrade":
            upgrade(migrations, arguments[0].split(), arguments[1].split())
        else:
            globals()[verb.replace("-", "_")](migrations, answer, *arguments)
        answer("whole")
    except CommandError as error:
        answer("error", str(error).replace("\n", " "))
        sys.exit(1)
    except OperationalError as error:
        answer("error", "the database says:", *str(error.orig or error).split())
        raise


main(*sys.argv[1:])
