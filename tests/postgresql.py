"""A PostgreSQL server of the tests' own, from the machine's server programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import URL, create_engine, text

from .daemons import as_server_user, own_folder, serving

PASSWORD = "p%40ss@w/r:d %s"


def _server_programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


@contextmanager
def _running(programs: Path, folder: Path) -> Iterator[URL]:
    data, secret = folder / "data", folder / "secret"
    secret.write_text(PASSWORD)
    if os.geteuid() == 0:
        shutil.chown(secret, "nobody", "nogroup")
    choose = ["-U", "owner", "--pwfile", str(secret), "-A", "scram-sha-256", "--no-sync", "-E", "UTF8"]
    options = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, **as_server_user()}
    subprocess.run([programs / "initdb", "-D", data, *choose, "--locale", "C"], check=True, **options)
    arguments = ["-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
    with serving([programs / "postgres", *arguments], **options) as server:
        where = {"host": str(folder)}
        url = URL.create("postgresql+psycopg", "owner", PASSWORD, database="postgres", query=where)
        _wait_for(url, server)
        yield url


def _wait_for(url: URL, server: subprocess.Popen[bytes]) -> None:
    opened = create_engine(url)
    deadline = time.monotonic() + 60
    while True:
        try:
            opened.connect().close()
            break
        except Exception:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.1)
    opened.dispose()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[URL]:
    """A PostgreSQL server on a socket in a folder of its own, stopped afterwards."""
    programs = _server_programs()
    if programs is None:
        pytest.skip("PostgreSQL's server programs are not installed")
    with own_folder("backstay-pg-") as folder, _running(programs, folder) as url:
        yield url


def url_text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def new_database(server: URL) -> URL:
    name = f"t{uuid4().hex}"
    opened = create_engine(server, isolation_level="AUTOCOMMIT")
    with opened.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    opened.dispose()
    return server.set(database=name)
