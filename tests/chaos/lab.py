"""The lab as a world for trials: real sshd, Docker engine, Compose and PostgreSQL."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.apps import breakages
from tests.apps.migrations import Migration
from tests.apps.tree import Change, Tree, append
from tests.chaos import app
from tests.chaos.client import Client, wait_until
from tests.chaos.records import Server
from tests.chaos.world import ask
from tests.lab import Lab, engine
from tests.lab.site import SCHEMA, Site, make_fast_image
from tests.lab.system import processes

#: About how long each step and its undo take, in seconds.
LENGTHS = {"check": 1.0, "pull": 0.3, "migrate": 7.0, "build": 3.0, "restart": 6.0}
#: Megabytes of the disk for the server's records: the check before a deployment wants 50.
DISK = 80
#: How long a release may take to become healthy, in seconds.
PATIENCE = 15
TOML = """\
app = "{app}"
host = "lab"
path = "{path}"
state = "{state}"
branch = "{branch}"
keep = 3

[compose]
command = "env DOCKER_HOST=unix://{socket} docker compose"

[health]
settle = "1s"
timeout = "{patience}s"

[logs]
seconds = "1s"
lines = 5

[migrate]
timeout = "{migrate_timeout}"
"""

ROWS = '''

from pathlib import Path

from fastapi import Request
from sqlalchemy import text

TABLES = Path(__file__).with_name("tables.txt").read_text().split()


async def sent(request: Request) -> str:
    """What a request brought."""
    return (await request.body()).decode()


@app.post("/rows")
def add_row(name: Annotated[str, Depends(sent)], db: Db) -> dict[str, Any]:
    """One row in each table that this release knows; answered only when all are written."""
    db.execute(insert(User.__table__).values(email=name))
    for table in TABLES:
        db.execute(text(f"insert into {table} (name) values (:name)"), {"name": name})
    db.commit()
    return {"name": name, "tables": TABLES}
'''


def with_rows(tree: Tree) -> None:
    """The application takes rows."""
    append(tree.main, ROWS)
    (tree.backend / "tables.txt").write_text("")


@dataclass(frozen=True)
class Picture:
    """The server's own state, read without any code of the product."""

    commit: str
    branch: str | None
    changed: str
    heads: tuple[str, ...]
    tables: tuple[str, ...]
    image: str | None
    running: str | None
    names: tuple[tuple[str, str], ...]
    database: str | None
    version: str
    current: str


class LabWorld(Server):
    """One application on the lab's server."""

    lengths = LENGTHS
    entered = ("enter.sh ",)

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True)
        self.lab = Lab()
        make_fast_image(root)
        self.site = Site(self.lab, f"chaoslab-{os.getpid()}")
        site = self.site
        self.root, self.app, self.port, self.checkout = site.root, site.app, site.port, site.path
        self.disk = site.place / "disk"
        self.disk.mkdir()
        words = ["mount", "-t", "tmpfs", "-o", f"size={DISK}m", "none", str(self.disk)]
        subprocess.run(words, check=True)
        self.lab.run("chown", f"{site.user}:", self.disk)
        self.socket = self.root / "docker.sock"
        self.socket.symlink_to(engine.SOCKET)
        site.state = self.state = self.disk / "state"
        self.calls = self.number = 0
        self.tables: list[str] = []
        self.configure()
        self.app.release(mutate=with_rows)
        first = self.fab("deploy", "--json")
        if first.wait(300) != 0:
            told = first.told + (self.site.laptop / "deploy.toml").read_text()
            self.close()
            raise AssertionError(told)

    def configure(self, migrate_timeout: str = "60s", patience: int = PATIENCE) -> None:
        """Write the laptop's settings."""
        site = self.site
        text = TOML.format(
            app=site.project,
            path=site.path,
            state=self.state,
            branch=site.app.branch,
            socket=self.socket,
            migrate_timeout=migrate_timeout,
            patience=patience,
        )
        (site.laptop / "deploy.toml").write_text(text)

    def close(self) -> None:
        """Nothing of it stays."""
        self.kill_all()
        self.lab.docker.start()
        self.site.close()

    # -- the developer

    def release(
        self, kind: str, migrations: int, changes: Sequence[Change] = (), more: Sequence[Migration] = ()
    ) -> None:
        """Push a release with so many migrations; a ``bad`` one is up, and not healthy."""
        self.number += 1
        new = [f"t{self.number}_{n}" for n in range(migrations)]
        bad = [breakages.unhealthy] if kind == "bad" else []
        knows = app.knows([*self.tables, *new])
        tables = [app.slow_table(name) for name in new]
        self.app.release(migrations=[*tables, *more], breakages=[*bad, knows, *changes])
        self.new_tables = new

    def take_back(self) -> None:
        """The developer takes the newest commit back."""
        self.site.take_back()

    def keep(self) -> None:
        """The newest commit stays: the next one stands on it."""
        self.tables += self.new_tables

    # -- the laptop

    def fab(self, *words: str) -> Client:
        """Start ``fab``."""
        self.calls += 1
        place = self.site.laptop / f"call{self.calls}"
        environ = {**self.site.environ, "TERM": "dumb"}
        return Client(["-S", str(self.lab.ssh.config), *words], self.site.laptop, environ, place)

    # -- what is there

    def picture(self) -> Picture:
        """What is there now; the application is given time to become healthy."""
        see, site = self.lab.state, self.site
        wait_until(lambda: self.healthy, 25, 0.1)
        names = {name: image for name, image in site.tags().items() if name.endswith(":latest")}
        return Picture(
            commit=see.git_commit(site.path),
            branch=see.git_branch(site.path),
            changed=see.git_status(site.path),
            heads=tuple(self.query("select version_num from alembic_version order by 1")),
            tables=tuple(self.query(SCHEMA)),
            image=see.image_of_container(site.project, site.service),
            running=see.container_state(site.project, site.service),
            names=tuple(names.items()),
            database=see.container_of(site.project, site.database),
            version=self.version,
            current=self.record("current"),
        )

    def became(self, before: Picture, now: Picture, known: set[str]) -> bool:
        """Whether that is the newest commit's release, and the records agree."""
        wanted = self.app
        is_now = (now.commit, now.branch, now.changed, now.heads, now.version, now.running)
        new = (wanted.head, before.branch, "", wanted.heads, wanted.version, "healthy")
        image = dict(now.names)[f"{self.site.project}-{self.site.service}:latest"]
        return (
            is_now == new
            and now.image == image != before.image
            and now.database == before.database
            and now.current not in known
        )

    @property
    def healthy(self) -> bool:
        """Whether the engine and the application itself say so."""
        return self.version != "" and self.site._running() == "healthy"

    @property
    def version(self) -> str:
        """What the application answers."""
        with contextlib.suppress(OSError, ValueError, KeyError, EOFError):
            return ask(self.port, "GET", "/version")[1]["version"]
        return ""

    def query(self, text: str) -> list[str]:
        """The rows of a statement; none where the table is not there."""
        try:
            return self.site.sql(text)
        except Exception as error:
            if "does not exist" in str(error):
                return []
            raise

    def saved(self, table: str) -> set[str]:
        """The names that backups have in a table."""
        found: set[str] = set()
        container = self.lab.state.container_of(self.site.project, self.site.database) or ""
        words = [engine.DOCKER, "exec", "-i", container, "pg_restore", "-a", "-t", table, "-f", "-"]
        for file in (self.state / "backups").glob("*.dump"):
            with file.open("rb") as dump:
                text = subprocess.run(words, stdin=dump, capture_output=True, check=True, text=True).stdout
            found |= set(re.findall(r"^\d+\t(.*)$", text, re.MULTILINE))
        return found

    # -- processes

    def processes(self) -> dict[int, str]:
        """What runs for this application but its containers, by process id; the words of each."""
        mine = (str(self.state), str(self.checkout))
        found: dict[int, str] = {}
        for process in processes():
            with contextlib.suppress(OSError):
                place = os.readlink(f"/proc/{process.pid}/cwd")
                if place.startswith(mine) and process.uid == self.disk.stat().st_uid:
                    found[process.pid] = process.args
        return found

    def reset(self) -> None:
        """The machine is reset: engine, containers and release are killed at once; the engine comes again."""
        containers = [pid for service in self.services() for pid in service]
        everything = [*self.processes(), *self.lab.docker.ours(), *self.shims(), *containers]
        for pid in everything:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.kill_all()
        self.lab.docker.stop(kill=True)
        self.lab.docker.start()

    def services(self) -> Iterator[list[int]]:
        """The processes of each container of this application."""
        for container in self.lab.state.containers(self.site.project, running=True):
            rows = engine.docker("top", container, "-eo", "pid", check=False).splitlines()
            yield [int(row) for row in rows if row.strip().isdigit()]

    def shims(self) -> list[int]:
        """The engine's helper processes that hold this application's containers."""
        ids = self.lab.state.containers(self.site.project, running=True)
        return [p.pid for p in processes() if "shim" in p.program and any(i in p.args for i in ids)]

    def strays(self) -> list[str]:
        """One-off containers of releases that still run."""
        label = f"label=com.docker.compose.project={self.site.project}"
        oneoff = "label=com.docker.compose.oneoff=True"
        return engine.docker("ps", "-q", "--filter", label, "--filter", oneoff, check=False).split()

    def quiet(self, seconds: float = 90) -> bool:
        """Whether nothing of a release is at work within that time."""
        return wait_until(lambda: not self.release_processes() and not self.strays(), seconds, 0.1)
