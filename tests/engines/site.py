"""A server with the example application under the venv engine: real git, pip, Alembic, SQLite and HTTP."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from deploy import events, forecast, recipe, view
from deploy.config import load
from deploy.engines.venv import Venv
from tests.apps.history import History, git
from tests.runner.bench import Bench, short_sleep, wait_until

START = """\
[ ! -e refuse-to-start ] || exit 7
sh ../stop.sh
cd backend || exit
"$VENV/bin/python" -m uvicorn main:app --port "$BACKEND_PORT" --log-level warning >>../../app.log 2>&1 &
echo $! >../../app.pid
"""
STOP = """\
[ -s ../app.pid ] || exit 0
kill "$(cat ../app.pid)" 2>/dev/null
while kill -s 0 "$(cat ../app.pid)" 2>/dev/null; do sleep 0.1; done
rm -f ../app.pid
"""
SETTINGS = """\
app = "shop"
host = "server.example.org"
path = "{path}"
engine = "venv"

[venv]
workdir = "backend"
python = "{python}"
restart = "sh ../start.sh"
stop = "sh ../stop.sh"
logs = "tail -n $LOG_LINES ../app.log"

[health]
url = "http://127.0.0.1:{port}/health"
settle = 1
timeout = 40
"""
#: What the server's scripts take for a second, in seconds.
SECOND = 0.2
USERS = ["ann@example.org", "bob@example.org"]


@dataclass(frozen=True)
class Picture:
    """All that a failed release must leave as it was."""

    commit: str
    branch: str
    changed: str
    heads: list[str]
    schema: list[str]
    users: list[str]
    linked: str
    version: str | None


class Site:
    """The application's history, the server's checkout, and what is asked of them."""

    def __init__(self, root: Path, bench: Bench, python: str, **more: str | int) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.root = root
        self.app = History.create(root / "app", "venv", port=self.port)
        self.bench, self.path, self.state = bench, bench.checkout, bench.state
        shutil.rmtree(self.path)
        self.app.clone_to(self.path)
        (self.path.parent / "start.sh").write_text(START)
        (self.path.parent / "stop.sh").write_text(STOP)
        bench.script("sleep", short_sleep(SECOND))
        (root / "deploy.toml").write_text(SETTINGS.format(path=self.path, port=self.port, python=python))
        target = load(root, target=None, host=None, environ={})
        values = {
            **recipe.values(target, Venv()),
            "ref": target.branch,
            "force": "",
            "if_changed": "",
            **more,
        }
        bench.values = values  # type: ignore[assignment]
        self.steps, self.back = recipe.deployment(target, Venv()), recipe.rollback(target, Venv())
        self.questions = recipe.questions(Venv(), "status")
        self.target = target

    @property
    def link(self) -> Path:
        """Where the environment in use belongs."""
        return self.path / ".venv"

    @property
    def current(self) -> str:
        """The release that is deployed; empty when none is."""
        file = self.state / "current"
        return file.read_text().strip() if file.exists() else ""

    def deploy(self, **more: str | int) -> Outcome:
        """``fab deploy``."""
        return Outcome(self.bench.run("deploy", plan=self.steps, **more))

    def rollback(self, to: str = "", **more: str | int) -> Outcome:
        """``fab rollback``."""
        return Outcome(self.bench.run("rollback", to, plan=self.back, **more))

    def recover(self) -> Outcome:
        """``fab recover``."""
        return Outcome(self.bench.run("recover", plan=self.questions))

    def operate(self, kind: recipe.Operation, into: str = "", **more: str | int) -> Outcome:
        """``fab db.upgrade`` and the like."""
        plan = recipe.operation(self.target, Venv(), kind, into=bool(into))
        values = {"revision": "", "backup_id": "", "into": into, **more}
        return Outcome(self.bench.run("operate", plan=plan, **values))

    @property
    def database(self) -> Path:
        """The file of the database."""
        return self.app.folder / "data" / "snapcheck.db"

    def backups(self) -> list[str]:
        """The names of the backups on the server."""
        return sorted(file.stem for file in (self.state / "backups").glob("*.dump"))

    def status(self) -> dict[str, str]:
        """``fab status``."""
        asked = self.bench.start("status", plan=self.questions)
        items = self.bench.watch(asked, lambda item: False)
        answers = [item for item in items if isinstance(item, events.Event) and item.name == "answer"]
        return {answer.text("name"): answer.text("value") for answer in answers}

    def plan(self, **more: str | int) -> view.Forecast:
        """``fab plan``."""
        asked = self.bench.start("plan", plan=recipe.questions(Venv(), "plan"), **more)
        items = self.bench.watch(asked, lambda item: False)
        lines = [item.line for item in items if isinstance(item, events.Output)]
        return forecast.read(lines, "shop", "default")

    def logs(self, lines: int) -> list[str]:
        """``fab logs --no-follow``."""
        asked = self.bench.start("logs", str(lines), "", "", plan=self.questions)
        return asked.communicate(timeout=30)[0].decode().splitlines()

    def http(self, path: str, body: object = None) -> object | None:
        """The application's answer; None when there is none."""
        data = None if body is None else json.dumps(body).encode()
        url = f"http://127.0.0.1:{self.port}{path}"
        try:
            with urllib.request.urlopen(
                urllib.request.Request(url, data, {"Content-Type": "application/json"}), timeout=10
            ) as answer:
                return json.load(answer)
        except urllib.error.URLError:
            return None

    def add_users(self) -> None:
        """Two people, over HTTP."""
        for email in USERS:
            assert self.http("/users", {"email": email})

    def query(self, text: str) -> list[str]:
        """One column of the database; empty without the table."""
        with sqlite3.connect(self.database) as database:
            try:
                return sorted(str(row[0]) for row in database.execute(text))
            except sqlite3.OperationalError:
                return []

    def picture(self) -> Picture:
        """What is there now."""
        version = self.http("/version")
        return Picture(
            commit=git(self.path, "rev-parse", "HEAD"),
            branch=git(self.path, "symbolic-ref", "HEAD"),
            changed=git(self.path, "status", "--porcelain", "--untracked-files=no"),
            heads=self.query("select version_num from alembic_version"),
            schema=self.query(
                "select sql from sqlite_master where sql is not null and name != 'alembic_version'"
            ),
            users=self.query("select email from users"),
            linked=os.readlink(self.link) if self.link.is_symlink() else str(self.link.is_dir()),
            version=version["version"] if isinstance(version, dict) else None,
        )

    def environments(self) -> set[str]:
        """The names of the environments on the server."""
        folder = self.state / "venvs"
        return {entry.name for entry in folder.iterdir()} if folder.exists() else set()

    def kill_at(self, moment: str) -> None:
        """Begin a deployment; when it says the moment, kill -9 all of it but the application."""
        process = self.bench.start("deploy", plan=self.steps)
        self.bench.watch(process, lambda item: moment in repr(item))
        while left := [pid for pid, words in self.bench.processes().items() if "uvicorn" not in words]:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.01)

    def start(self) -> None:
        """Start the application, as its service manager would."""
        lines = (self.path / ".env").read_text().splitlines()
        own = dict(line.split("=", 1) for line in lines if "=" in line)
        environ = {**self.bench.environ, **own, "VENV": str(self.link)}
        subprocess.run(["sh", "../start.sh"], cwd=self.path, env=environ, check=True, timeout=20)
        wait_until(lambda: self.http("/version"))

    def close(self) -> None:
        """Stop the application."""
        subprocess.run(["sh", "../stop.sh"], cwd=self.path, check=True, timeout=20)


class Outcome:
    """What a release said."""

    def __init__(self, items: Iterable[events.Item]) -> None:
        self.items = list(items)
        found = [item for item in self.items if isinstance(item, events.Event)]
        self.exit = next((event.number("exit") for event in found if event.name == "end"), None)
        self.outcome = next((event.text("outcome") for event in found if event.name == "end"), "")
        self.facts = {event.text("name"): event.text("value") for event in found if event.name == "fact"}
        self.notes = "\n".join(event.text("text") for event in found if event.name in {"note", "refuse"})
        self.text = "\n".join(item.line for item in self.items if isinstance(item, events.Output))

    def __repr__(self) -> str:
        return f"{self.outcome} {self.exit}\n{self.facts}\n{self.notes}\n{self.text}"
