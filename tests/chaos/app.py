"""The application of the fast world: HTTP and SQLite in plain Python, and environments that cost nothing.

Git, Alembic and the database are real; what takes long elsewhere (pip, a web framework's start) is not.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import replace as replace_
from pathlib import Path

from tests.apps import migrations
from tests.apps.migrations import Migration
from tests.apps.tree import Change, Tree, replace

MAIN = '''"""Rows come by POST /rows; each goes into the tables that this release knows."""

import json
import os
import sqlite3
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

RELEASE = "1"
TABLES = Path(__file__).with_name("tables.txt").read_text().split()


class HTTPException(Exception):
    """An answer that is no success."""


def connect():
    """A connection to the database."""
    return sqlite3.connect(os.environ["DATABASE_URL"].removeprefix("sqlite:///"), timeout=10)


def health():
    """Whether the database answers and has its tables."""
    with closing(connect()) as database:
        database.execute("select id from users limit 1")
    return {"status": "ok"}


def add(name):
    """One row in each table; answered only when it is written."""
    with closing(connect()) as database, database:
        database.execute("insert into users (email) values (?)", (name,))
        for table in TABLES:
            database.execute(f"insert into {table} (name) values (?)", (name,))
    return {"name": name, "tables": TABLES}


class Handler(BaseHTTPRequestHandler):
    """Answers in JSON."""

    def do_GET(self):
        self.reply({"/health": health, "/version": lambda: {"version": RELEASE}}[self.path])

    def do_POST(self):
        name = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.reply(lambda: add(name))

    def reply(self, work):
        try:
            status, body = 200, work()
        except Exception as error:
            status, body = 500, {"error": str(error)}
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *words):
        """Nothing."""


def serve():
    """Until the process is ended."""
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["BACKEND_PORT"])), Handler).serve_forever()
'''

BUILD = '''"""What the installation does; a release may bring another one."""

import time

for number in range(1, 31):
    print("build line", number, "of 30", flush=True)
    time.sleep(0.02)
'''

_PYTHON = """\
#!/bin/sh
[ "$1 $2" = "-m venv" ] || exec '{python}' "$@"
packages=$3/{packages}
mkdir -p "$3/bin" "$packages/pip" && ln -s '{python}' "$3/bin/python" || exit
printf 'home = %s\\n' '{home}' >"$3/pyvenv.cfg"
printf '%s\\n' '{site}' >"$packages/base.pth"
: >"$packages/pip/__init__.py"
printf 'exec(open("build.py").read())\\n' >"$packages/pip/__main__.py"
printf '#!%s\\nfrom alembic.config import main\\nmain()\\n' "$3/bin/python" >"$3/bin/alembic"
chmod +x "$3/bin/alembic"
"""


def python(folder: Path) -> Path:
    """A program that is Python; its environments see the tests' packages, and their pip runs build.py."""
    real = os.path.realpath(sys.executable)
    # Alembic and what it needs, as it starts faster without all that it could use.
    site = folder / "site"
    site.mkdir()
    for name in ("alembic", "sqlalchemy", "mako", "markupsafe", "typing_extensions.py"):
        (site / name).symlink_to(Path(sysconfig.get_path("purelib"), name))
    packages = f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    program = folder / "python"
    program.write_text(_PYTHON.format(python=real, home=os.path.dirname(real), packages=packages, site=site))
    program.chmod(0o755)
    return program


def plain_application(tree: Tree) -> None:
    """The example's schema and settings under an application that starts at once."""
    tree.main.write_text(MAIN)
    (tree.backend / "tables.txt").write_text("")
    (tree.root / "build.py").write_text(BUILD)
    env = tree.versions.parent / "env.py"
    # A revision is all or nothing, as on PostgreSQL.
    replace(env, "import Connection, create_engine", "import Connection, create_engine, event")
    replace(
        env,
        "    with create_engine(url, poolclass=pool.NullPool).connect() as connection:\n",
        '    engine = create_engine(url, poolclass=pool.NullPool, connect_args={"timeout": 20})\n'
        '    event.listen(engine, "connect", lambda made, _: setattr(made, "isolation_level", None))\n'
        '    event.listen(engine, "begin", lambda made: made.exec_driver_sql("BEGIN IMMEDIATE"))\n'
        "    with engine.connect() as connection:\n",
    )
    replace(
        env,
        '        "target_metadata": Base.metadata,\n',
        '        "target_metadata": Base.metadata,\n        "transactional_ddl": True,\n',
    )


def slow_table(name: str) -> Migration:
    """A revision with a new table, that takes a moment."""
    table = migrations.add_table(name)
    return replace_(table, upgrade=f"{table.upgrade}\ntime.sleep(0.25)", models=None)


def knows(tables: Sequence[str]) -> Change:
    """The application writes its rows into these tables too."""
    return lambda tree: (tree.backend / "tables.txt").write_text(" ".join(tables)) and None


def build(text: str) -> Change:
    """The installation does this, too."""
    return lambda tree: (tree.root / "build.py").write_text(BUILD + text) and None
