"""The fast world: a server with an application in this process's hands, and a laptop for it.

Real are: the SSH connection, shell, git, Alembic, the database, HTTP. This process is the service manager.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from deploy.embedded import EmbeddedServer
from tests.apps import breakages
from tests.apps.history import History, git
from tests.apps.migrations import Migration
from tests.apps.tree import Change
from tests.chaos import app, plain
from tests.chaos.client import Client, wait_until
from tests.chaos.place import Place
from tests.chaos.records import Server
from tests.lab.proxy import Line
from tests.runner.bench import short_sleep

MARK = "BACKSTAY_CHAOS"
#: About how long each step and its undo take, in seconds.
LENGTHS = {"check": 0.5, "pull": 0.3, "migrate": 3.0, "build": 0.8, "restart": 1.5}
#: What the server's scripts take for a second, in seconds.
SECOND = 0.3
#: Megabytes of the disk for the server's records: the check before a deployment wants 300, and records grow.
DISK = 450
TOML = """\
app = "shop"
host = "127.0.0.1:{port}"
path = "{path}"
state = "{state}"
engine = "venv"
keep = 3
identity = "{identity}"
known_hosts = "{known_hosts}"

[venv]
workdir = "backend"
python = "{python}"
restart = "curl -fsS -m 20 -X POST http://127.0.0.1:{manager}/restart"
stop = "curl -fsS -m 20 -X POST http://127.0.0.1:{manager}/stop"

[health]
url = "http://127.0.0.1:{app}/health"
settle = 1
timeout = 5

[build]
timeout = "{build_timeout}"
"""


@dataclass(frozen=True)
class Picture:
    """The server's own state, read without any code of the product. ``tables`` are name and definition."""

    commit: str
    branch: str
    changed: str
    heads: tuple[str, ...]
    tables: tuple[str, ...]
    linked: str
    version: str
    current: str


class World(Server):
    """One server. ``release`` pushes one more release; ``fab`` calls the client."""

    lengths = LENGTHS

    def __init__(self, root: Path) -> None:
        self.root = root
        self.checkout, self.home, self.laptop = root / "server/shop", root / "server/home", root / "laptop"
        self.disk, self.bin = root / "disk", root / "server/bin"
        # A session that is killed leaves its unpacked kit.
        self.temporary = root / "server/tmp"
        for folder in (self.home, self.laptop / "home", self.disk, self.bin, self.temporary):
            folder.mkdir(parents=True)
        self.small = _mount(self.disk)
        try:
            self.begin()
        except BaseException:
            self.unmount()
            raise

    def begin(self) -> None:
        """Have an application, its server and a first release."""
        self.state = self.disk / "state"
        self.manager = Manager(self)
        self.port = _free_port()
        self.app = History.create(self.root / "app", "venv", port=self.port)
        self.app.release(mutate=app.plain_application, version="1")
        self.app.clone_to(self.checkout)
        self.python = app.python(self.root / "server")
        self.script("sleep", short_sleep(SECOND))
        self.calls = self.number = 0
        self.tables: list[str] = []
        self.ends = contextlib.ExitStack()
        self.open()
        first = self.fab("deploy", "--json")
        if first.wait() != 0:
            raise AssertionError(first.told)

    # -- the server and the line to it

    def open(self, *, path: Sequence[Path | str] = (), shell: str = "/bin/sh", **settings: str) -> None:
        """Start the SSH server, anew where one is open."""
        self.ends.close()
        before = path or (self.bin, *os.environ["PATH"].split(os.pathsep))
        environ = {MARK: str(self.root), "TMPDIR": str(self.temporary)}
        self.server = EmbeddedServer(self.home, before, shell, environ)
        self.ends.callback(self.server.close)
        self.line = self.ends.enter_context(Line((self.server.host, self.server.port)))
        key = self.server.host_key_line.split(" ", 1)[1]
        (self.laptop / "known_hosts").write_text(f"[127.0.0.1]:{self.line.port} {key}\n")
        self.configure(**settings)

    def configure(self, build_timeout: str = "60s", state: str = "") -> None:
        """Write the laptop's settings."""
        (self.laptop / "fabfile.py").write_text("from deploy.tasks import namespace\n")
        (self.laptop / "deploy.toml").write_text(
            TOML.format(
                port=self.line.port,
                path=self.checkout,
                state=state or self.state,
                identity=self.server.client_key_path,
                known_hosts=self.laptop / "known_hosts",
                python=self.python,
                manager=self.manager.port,
                app=self.port,
                build_timeout=build_timeout,
            )
        )

    def close(self) -> None:
        """Nothing of it stays."""
        self.kill_all()
        self.ends.close()
        self.manager.close()
        self.unmount()
        shutil.rmtree(self.root, ignore_errors=True)

    def unmount(self) -> None:
        """The small disk goes."""
        if self.small:
            subprocess.run(["umount", "-l", str(self.disk)], check=False)

    # -- the developer

    def release(
        self, kind: str, migrations: int, changes: Sequence[Change] = (), more: Sequence[Migration] = ()
    ) -> None:
        """Push a release with so many migrations; a ``bad`` one is up, and not healthy."""
        self.number += 1
        new = [f"t{self.number}_{n}" for n in range(migrations)]
        bad = [breakages.unhealthy] if kind == "bad" else []
        knows = app.knows([*self.tables, *new])
        self.app.release(
            migrations=[*(app.slow_table(n) for n in new), *more], breakages=[*bad, knows, *changes]
        )
        self.new_tables = new

    def take_back(self) -> None:
        """The developer takes the newest commit back."""
        git(self.app.work, "reset", "--quiet", "--hard", "HEAD~1")
        git(self.app.work, "push", "--quiet", "--force", "origin", self.app.branch)
        self.app._sound = {}

    def keep(self) -> None:
        """The newest commit stays: the next one stands on it."""
        self.tables += self.new_tables

    # -- the laptop

    @property
    def environ(self) -> dict[str, str]:
        """A laptop's environment, nothing of the person who runs the tests."""
        here = {"HOME": str(self.laptop / "home"), "USER": "ann", "TERM": "dumb", "LANG": "C.UTF-8"}
        return {**here, "PATH": os.environ["PATH"]}

    def plain(self) -> Client:
        """Start the plain script's deployment."""
        folder = self.laptop / "plain"
        folder.mkdir(exist_ok=True)
        (folder / "fabfile.py").write_text(
            plain.FABFILE.format(
                port=self.line.port,
                path=self.checkout,
                identity=self.server.client_key_path,
                log=self.root / "app.log",
                manager=f"http://127.0.0.1:{self.manager.port}",
                health=f"http://127.0.0.1:{self.port}/health",
            )
        )
        return self.fab("--search-root", str(folder), "deploy")

    def fab(self, *words: str) -> Client:
        """Start ``fab``."""
        self.calls += 1
        place = self.laptop / f"call{self.calls}"
        return Client(list(words), self.laptop, self.environ, place)

    # -- what is there

    def picture(self) -> Picture:
        """What is there now; the application is given time to answer."""
        return Picture(
            commit=git(self.checkout, "rev-parse", "HEAD"),
            branch=git(self.checkout, "symbolic-ref", "-q", "--short", "HEAD"),
            changed=git(self.checkout, "status", "--porcelain", "--untracked-files=no"),
            heads=tuple(self.query("select version_num from alembic_version")),
            tables=tuple(
                self.query("select coalesce(sql, name) from sqlite_master where name not like 'sqlite%'")
            ),
            linked=os.path.basename(os.path.realpath(self.checkout / ".venv")),
            version=self.version(),
            current=self.record("current"),
        )

    def became(self, before: Picture, now: Picture, known: set[str]) -> bool:
        """Whether that is the newest commit's release, and the records agree."""
        wanted = self.app
        is_now = (now.commit, now.branch, now.changed, now.heads, now.version)
        new = (wanted.head, before.branch, "", wanted.heads, wanted.version)
        return is_now == new and now.linked == now.current not in known

    def version(self) -> str:
        """What the application answers, healthy or not at all."""
        for _ in range(40):
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                status, _ = ask(self.port, "GET", "/health")
                _, body = ask(self.port, "GET", "/version")
                return f"{body['version']}" if status == 200 else f"{body['version']}, ill"
            if not self.manager.running:
                return "none"
            time.sleep(0.05)
        return "no answer"

    def query(self, text: str, file: Path | None = None) -> list[str]:
        """One column of the database, or of a copy of it."""
        name = file or self.app.folder / "data" / "snapcheck.db"
        with contextlib.closing(sqlite3.connect(f"file:{name}?mode=ro", timeout=20, uri=True)) as database:
            try:
                return sorted(str(row[0]) for row in database.execute(text))
            except sqlite3.OperationalError:
                return []

    def saved(self, table: str) -> set[str]:
        """The names that backups have in a table."""
        files = (self.state / "backups").glob("*.dump")
        return {name for file in files for name in self.query(f"select name from {table}", file)}

    # -- processes

    def processes(self) -> dict[int, str]:
        """What runs on the server but the application, by process id; the words of each."""
        mark, found = f"{MARK}={self.root}".encode(), {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    if words:
                        found[int(folder.name)] = words
        return found

    def reset(self) -> None:
        """The machine is reset: all is killed at once, and the connections with it."""
        self.kill_all()
        self.server.drop_connections()

    def quiet(self, seconds: float = 90) -> bool:
        """Whether nothing of a release is at work within that time."""
        return wait_until(lambda: not self.release_processes(), seconds, 0.05)

    def script(self, name: str, text: str) -> Path:
        """A program on the server that comes before the system's."""
        file = self.bin / name
        file.write_text(text)
        file.chmod(0o755)
        return file


class Manager:
    """The server's service manager: starts, stops and restarts the application when it is asked over HTTP."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.failing = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        manager = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                status = manager.act(self.path)
                with contextlib.suppress(OSError):
                    self.send_response(status)
                    self.send_header("Content-Length", "0")
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def running(self) -> bool:
        """Whether the application's process is there."""
        return bool(self._process and self._process.poll() is None)

    def act(self, path: str) -> int:
        """Restart or stop; the status of the answer."""
        with self._lock:
            if self.failing:
                self.failing -= 1
                return 500
            self.stop()
            if path == "/restart":
                self.start()
        return 200

    def start(self) -> None:
        """From the environment that the link leads to, and the code that is checked out."""
        world = self.world
        lines = (world.checkout / ".env").read_text().splitlines()
        environ = dict(line.split("=", 1) for line in lines)
        environ |= {"PATH": os.defpath, "PYTHONDONTWRITEBYTECODE": "1"}
        python = world.checkout / ".venv/bin/python"
        with (world.root / "app.log").open("ab") as log:
            self._process = subprocess.Popen(
                [os.path.realpath(python), "-S", "-c", "import main; main.serve()"],
                cwd=world.checkout / "backend",
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def stop(self) -> None:
        """Until it has ended."""
        if self._process:
            self._process.terminate()
            self._process.wait(20)
            self._process = None

    def close(self) -> None:
        """Nothing is left."""
        with self._lock:
            self.stop()
        self._server.shutdown()
        self._server.server_close()


class Writer:
    """A client of the application, that inserts rows for a block's time. ``rows``: what was acknowledged,
    with the tables that each row went into."""

    def __init__(self, world: Place, name: str) -> None:
        self.world, self.name = world, name
        self.rows: list[tuple[str, list[str]]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, daemon=True)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(30)

    def _write(self) -> None:
        number = 0
        while not self._stop.wait(0.1):
            number += 1
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                status, body = ask(self.world.port, "POST", "/rows", f"{self.name}.{number}@example.org")
                if status == 200:
                    self.rows.append((body["name"], body["tables"]))

    def missing(self) -> list[str]:
        """What was acknowledged and is neither in the database nor, where its table went, in a backup."""
        there = set(self.world.query("select email from users"))
        lost = [name for name, _ in self.rows if name not in there]
        for table in {table for _, tables in self.rows for table in tables}:
            names = {name for name, tables in self.rows if table in tables}
            names -= set(self.world.query(f"select name from {table}"))
            lost += [f"{name} in {table}" for name in names and names - self.world.saved(table)]
        return lost


def ask(port: int, method: str, path: str, body: str = "") -> tuple[int, dict[str, str]]:
    """The application's answer."""
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    with contextlib.closing(line):
        line.request(method, path, body or None)
        answer = line.getresponse()
        return answer.status, json.loads(answer.read())


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def _mount(folder: Path) -> bool:
    """A small disk of its own, which only root can have."""
    words = ["mount", "-t", "tmpfs", "-o", f"size={DISK}m", "none", str(folder)]
    return subprocess.run(words, capture_output=True).returncode == 0
