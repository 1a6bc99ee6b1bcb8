"""An application on the lab's server and a laptop to deploy it from: what a test acts on and looks at."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from dataclasses import replace as replace_
from functools import cached_property
from pathlib import Path
from typing import Any

from ..apps import History
from ..apps.history import git
from ..apps.tree import Tree, replace
from ..apps.variants import PASSWORD, VariantName
from . import engine, server
from .machine import Lab
from .system import end, processes, remove

ROOT = Path(__file__).parents[2]
FAST = "backstay-fast"
"""An image with the applications' requirements in it: a build without cache then takes a second."""

_FAST_DOCKERFILE = """
FROM python:3.11-slim
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
LABEL backstay.lab.recipe=fast
"""
_INSTALL = "RUN pip install --no-cache-dir -r requirements.txt\n"
_ASK = 'import socket as s; c = s.create_connection(("127.0.0.1", 8000), 3); \
c.sendall(b"GET /health HTTP/1.0\\r\\n\\r\\n"); exit(b" 200 " not in c.recv(99))'
# urllib alone takes a tenth of a second of the processor, every other second, in each application.
_CHECKS = {
    'import urllib.request; urllib.request.urlopen("http://127.0.0.1:8000/health", timeout=3)': _ASK,
    "\"import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health')\"": json.dumps(_ASK),
}


def make_fast_image(folder: Path) -> None:
    """Have the image `FAST`; ten seconds once, or nothing."""
    shutil.copy(ROOT / "examples/snapcheck/requirements.txt", folder)
    (folder / "Dockerfile").write_text(_FAST_DOCKERFILE)
    engine.docker("build", "-q", "-t", FAST, folder)


def quick(tree: Tree) -> None:
    """The same application, built in a second and found healthy or not within a few."""
    replace(tree.image, "FROM python:3.11-slim", f"FROM {FAST}")
    replace(tree.image, _INSTALL, "")
    for file in (*tree.root.glob("docker-compose.yml"), *tree.root.glob("compose.deploy.yml")):
        text = file.read_text().replace("interval: 3s", "interval: 2s")
        for dear, cheap in _CHECKS.items():
            text = text.replace(dear, cheap)
        file.write_text(text)


@dataclass(frozen=True)
class Picture:
    """The server's own state, read without any code of the product."""

    commit: str
    branch: str | None
    changes: str
    heads: tuple[str, ...]
    schema: tuple[str, ...]
    users: tuple[str, ...]
    image: str | None
    running: str | None
    tags: Mapping[str, str]
    database: str | None
    health: int
    version: str

    def same(self, other: Picture) -> bool:
        """Whether the server is as it was then, but for the images that are kept for a rollback."""
        plain = [{n: i for n, i in each.tags.items() if n.endswith(":latest")} for each in (self, other)]
        return plain[0] == plain[1] and replace_(self, tags={}) == replace_(other, tags={})


@dataclass(frozen=True)
class Done:
    """One call of fab that has ended, with the server before and after it."""

    code: int
    out: str
    err: str
    before: Picture
    after: Picture
    seconds: float

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """What --json printed."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def result(self) -> dict[str, Any]:
        """The last object of --json."""
        return self.records[-1]

    @property
    def output(self) -> str:
        """The steps' output and the notes, from --json."""
        words = (r.get("line") or f"{r.get('text', '')} {r.get('hint', '')}" for r in self.records)
        return "\n".join(words)

    def step(self, state: str) -> list[str]:
        """The steps that came to a state, in order."""
        return [r["step"] for r in self.records if r["event"] == "step" and r["state"] == state]

    def failed_at(self, step: str, code: int = 1) -> None:
        """Assert that it failed at a step, and that nothing on the server is different from before."""
        assert (self.code, self.step("failed")) == (code, [step]), self.told
        assert self.after == self.before, self.told

    @property
    def told(self) -> str:
        """What was printed, for a test that fails: of the output the last lines of each step alone."""
        lines, output = [f"exit {self.code}"], []
        for line in [*self.out.splitlines(), ""]:
            if line.startswith('{"event": "output"'):
                output.append(line[21:300])
                continue
            lines += [*output[-8:], line[:600]]
            output = []
        return "\n".join([*lines, self.err[-3000:]])


class Site:
    """One application of the lab: its history, its checkout on the server, a laptop's folder.

    `fab` runs a task to its end; `act` does so with --json and compares the result with the server's state.
    """

    def __init__(
        self,
        lab: Lab,
        name: str,
        variant: VariantName = "own",
        *,
        user: str = server.DEPLOY,
        settings: str = "",
        fast: bool = True,
        folder: str = "my shop",
        alias: str = "",
    ) -> None:
        self.lab, self.name, self.user = lab, name, user
        self.project = f"lab-{name}"
        self.port = lab.free_port()
        self.alias = alias or lab.ssh.alias(user)
        self.root = lab.root / "sites" / name
        self.place = lab.home(user) / "sites" / name
        self.state = lab.home(user) / ".local/state/backstay" / self.project
        self.close()
        self.app = History.create(self.root / "app", variant, self.project, self.port)
        if fast:
            self.app.release(mutate=quick, version="1")
        self.path = self.place / folder
        self.trust(user)
        self.place.parent.mkdir(exist_ok=True)
        self.app.clone_to(self.path)
        lab.run("chown", "-R", f"{user}:", self.place.parent)
        self.laptop = self.root / "laptop"
        self.laptop.mkdir()
        (self.laptop / "fabfile.py").write_text("from deploy.tasks import namespace\n")
        self.configure(settings)

    def trust(self, user: str) -> None:
        """The user may fetch from the origin, which belongs to root here."""
        for repository in (self.app.origin, self.root / "app/submodule"):
            self.lab.as_user(user, "git", "config", "--global", "--add", "safe.directory", repository)
            self.lab.as_user(
                user, "git", "config", "--global", "--add", "safe.directory", repository / ".git"
            )

    def configure(self, settings: str = "", host: str = "") -> None:
        """Write deploy.toml; the sections of `settings` come after the usual lines."""
        lines = [
            f'app = "{self.project}"',
            f'host = "{host or self.alias}"',
            f'path = "{self.path}"',
            f'branch = "{self.app.branch}"',
        ]
        sections = {"health": 'settle = "2s"\ntimeout = "40s"\n', "logs": 'seconds = "1s"\nlines = 20\n'}
        if self.app.variant.name == "other":
            sections["compose"] = (
                'files = ["compose.yml", "compose.deploy.yml"]\nservices = ["web", "worker"]\n'
            )
            sections["migrate"] = 'service = "web"\ncommand = "alembic upgrade head"\n'
        top, *given = f"\n{settings}".split("\n[")
        for section in given:
            head, _, body = section.partition("]\n")
            sections[head] = sections.get(head, "") + body + "\n"
        text = "".join(f"[{name}]\n{body}" for name, body in sections.items())
        (self.laptop / "deploy.toml").write_text("\n".join([*lines, top, text]))

    @property
    def service(self) -> str:
        """The main service."""
        return self.app.variant.services[0]

    @property
    def database(self) -> str:
        """The database's service."""
        return self.app.variant.database_service or ""

    # -- what the laptop does

    @property
    def environ(self) -> dict[str, str]:
        """A laptop's environment, nothing of the person who runs the tests."""
        return {
            "HOME": str(self.laptop),
            "USER": "ann",
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
        }

    def start(self, *words: str, config: Path | None = None, **options: Any) -> subprocess.Popen[str]:
        """Start fab with the words, in a process group of its own."""
        fab = "from fabric.main import program; program.run()"
        argv = [sys.executable, "-c", fab, "-S", str(config or self.lab.ssh.config), *words]
        return subprocess.Popen(
            argv,
            cwd=self.laptop,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            **options,
        )

    def fab(self, *words: str, timeout: float = 400, **options: Any) -> Done:
        """Run fab to its end."""
        before, began = self.look(), time.monotonic()
        with _ended(self.start(*words, **options)) as process:
            out, err = process.communicate(timeout=timeout)
        seconds = time.monotonic() - began
        return Done(process.returncode, out, err, before, self.look(), seconds)

    def act(self, *words: str, **options: Any) -> Done:
        """Run fab with --json; what its result says must be the truth."""
        done = self.fab(*words, "--json", **options)
        truth(done)
        return done

    def deploy(self, *words: str) -> Done:
        """`fab deploy` that succeeds: the newest commit is there, healthy, and every user still is."""
        done = self.act("deploy", *words)
        assert done.code == 0, done.told
        now = done.after
        assert (now.commit, now.branch, now.changes) == (self.app.head, self.app.branch, ""), done.told
        assert (now.heads, now.version, now.health) == (self.app.heads, self.app.version, 200), done.told
        assert now.image != done.before.image, done.told
        assert set(now.users) >= set(done.before.users), done.told
        assert done.before.database in (now.database, None), done.told
        return done

    def status(self) -> dict[str, Any]:
        """What `fab status --json` says; it must be the truth, and change nothing."""
        done = self.fab("status", "--json")
        assert (done.code, done.after) == (0, done.before), done.told
        said, now = done.result, done.after
        assert (said["commit"], said["branch"]) == (now.commit, now.branch), done.told
        assert (said["image"] or None, said["healthy"]) == (now.image, now.health == 200), done.told
        assert (said["release"] or "") == self.current, done.told
        return said

    # -- what is on the server

    def look(self) -> Picture:
        """The server's state now; an application that is starting is given time to answer."""
        see, running = self.lab.state, self._running()
        health, version = self._ask(15 if running in ("running", "starting") else 0)
        if health == 200:
            # It answers before its health check says so.
            self.wait(lambda: self._running() != "starting", 20, "a word of the health check")
        found = see.services(self.project)
        main, database = found.get(self.service), found.get(self.database)
        asked = database and database.state in ("running", "healthy", "starting")
        schema, heads, users = self._rows() if asked else ((), (), ())
        return Picture(
            commit=see.git_commit(self.path),
            branch=see.git_branch(self.path),
            changes=see.git_status(self.path),
            heads=heads,
            schema=schema,
            users=users,
            image=main.image if main else None,
            running="stopped" if running in ("created", "exited") else main.state if main else None,
            tags=self.tags(),
            database=database.id if database else None,
            health=health,
            version=version,
        )

    def _rows(self) -> tuple[tuple[str, ...], ...]:
        """The schema, the heads and the users, asked at once."""
        parts: list[list[str]] = []
        for row in self.sql(LOOK):
            if row == PART:
                parts.append([])
            else:
                parts[-1].append(row)
        return tuple(map(tuple, parts))

    def sql(self, statement: str) -> list[str]:
        """The rows of a statement, once the database takes one."""
        deadline = time.monotonic() + 20
        while True:
            try:
                return self.lab.state.psql(self.project, self.database, statement, "snapcheck", "snapcheck")
            except Exception:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.3)

    def add_user(self, email: str) -> None:
        """One more user, whose row must live through everything."""
        self.sql(f"INSERT INTO users (email) VALUES ('{email}')")

    def tags(self) -> dict[str, str]:
        """The project's image names, and the ids of the images that bear them."""
        form = ("--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}")
        names = [w for parting in "-_" for w in ("--filter", f"reference={self.project}{parting}*")]
        rows = engine.docker("image", "ls", *names, *form)
        return dict(row.split() for row in sorted(rows.splitlines()))

    def release_folder(self, release: str) -> Path:
        """Where the server keeps a release's records."""
        return self.state / "releases" / release

    @property
    def current(self) -> str:
        """The id of the release that is deployed, as the server's records say."""
        file = self.state / "current"
        return file.read_text().strip() if file.exists() else ""

    def restart(self) -> float:
        """Restart the service by hand; the seconds until it answers again."""
        began = time.monotonic()
        engine.docker("restart", self.lab.state.container_of(self.project, self.service) or "")
        self.wait(lambda: self._ask(0)[0], 120, "an answer")
        return time.monotonic() - began

    def wait(self, condition: Callable[[], object], seconds: float = 60, what: str = "") -> None:
        """Until a condition holds."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what or condition} did not come within {seconds} s"
            time.sleep(0.05)

    def step_now(self) -> str:
        """What a deployment that is at work does now, as it tells others; empty when none is."""
        lines = (self.path / ".git/backstay.lock").read_text().splitlines() if self._lock().exists() else []
        return lines[4] if len(lines) > 4 else ""

    def idle(self) -> None:
        """Until no release is at work."""
        self.wait(lambda: not self.runners(), 400, "the end of the release")

    def runners(self) -> list[int]:
        """The processes of releases that are at work."""
        return [p.pid for p in processes() if f"{self.state}/releases/" in p.args and "runner.sh" in p.args]

    def _lock(self) -> Path:
        return self.path / ".git/backstay.lock"

    def _running(self) -> str | None:
        return self.lab.state.container_state(self.project, self.service)

    def _ask(self, seconds: float) -> tuple[int, str]:
        deadline = time.monotonic() + seconds
        while True:
            status, _ = self.lab.state.http_get(f"http://127.0.0.1:{self.port}/health")
            if status or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        found, body = self.lab.state.http_get(f"http://127.0.0.1:{self.port}/version")
        return status, json.loads(body)["version"] if found == 200 else ""

    # -- the end of it

    def take_back(self) -> None:
        """The developer takes the newest commit back: the next release stands on the one before."""
        app = self.app
        git(app.work, "reset", "--quiet", "--hard", "HEAD~1")
        git(app.work, "push", "--quiet", "--force", "origin", app.branch)
        app._sound = {}

    def close(self) -> None:
        """Nothing of the site stays: processes, containers, images, folders."""
        marks = (f"{self.state}/releases/", str(self.place))
        end((p.pid for p in processes() if any(mark in p.args for mark in marks)), kill=True)
        self.lab.wipe(self.project)
        for folder in (self.root, self.place, self.state):
            remove(folder)


def truth(done: Done) -> None:
    """What the result says of before and after is what the server was and is; null says nothing."""
    result, told = done.result, done.told
    assert (result["event"], result["exit_code"]) == ("result", done.code), told
    sides = {"before": done.before, "after": done.after}
    for side, picture in sides.items():
        said = {part: result[part][side] for part in ("commit", "heads", "image")}
        if said["commit"]:
            assert said["commit"] == picture.commit, told
        if said["heads"] is not None:
            assert tuple(said["heads"]) == picture.heads, told
        if said["image"]:
            assert said["image"] == picture.image, told


@contextlib.contextmanager
def _ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """The process is gone afterwards, whatever happens."""
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


ended = _ended

SCHEMA = """
SELECT table_name || '.' || column_name || ' ' || data_type FROM information_schema.columns
 WHERE table_schema = 'public'
UNION SELECT indexdef || CASE WHEN indisvalid THEN '' ELSE ' INVALID' END
 FROM pg_indexes JOIN pg_index ON indexrelid = (schemaname || '.' || quote_ident(indexname))::regclass
 WHERE schemaname = 'public' ORDER BY 1
"""
PART = "-- part --"
LOOK = rf"""
SELECT to_regclass('alembic_version') IS NOT NULL AS versions,
 to_regclass('users') IS NOT NULL AS people \gset
\echo {PART}
{SCHEMA};
\echo {PART}
\if :versions
SELECT version_num FROM alembic_version ORDER BY 1;
\endif
\echo {PART}
\if :people
SELECT id, email FROM users ORDER BY id;
\endif
"""

__all__ = ["FAST", "PASSWORD", "Done", "Picture", "Site", "ended", "make_fast_image", "quick", "truth"]
