"""A PostgreSQL server of the tests' own, from the machine's server programs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import URL, create_engine, text

PASSWORD = "p%40ss@w/r:d %s"


def _server_programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return found[-1].parent if found else None


def _as_server_user() -> dict[str, Any]:
    """Arguments for subprocess: PostgreSQL refuses to run as root."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


@contextmanager
def _running(programs: Path, folder: Path) -> Iterator[URL]:
    data, secret = folder / "data", folder / "secret"
    secret.write_text(PASSWORD)
    if os.geteuid() == 0:
        for path in (folder, secret):
            shutil.chown(path, "nobody", "nogroup")
    choose = ["-U", "owner", "--pwfile", str(secret), "-A", "scram-sha-256", "--no-sync", "-E", "UTF8"]
    options = {"cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, **_as_server_user()}
    subprocess.run([programs / "initdb", "-D", data, *choose, "--locale", "C"], check=True, **options)
    arguments = ["-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"]
    server = subprocess.Popen([programs / "postgres", *arguments], **options)
    try:
        where = {"host": str(folder)}
        url = URL.create("postgresql+psycopg", "owner", PASSWORD, database="postgres", query=where)
        _wait_for(url, server)
        yield url
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


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
    # Not below pytest's own folder, which its user alone may enter and whose name is too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="backstay-pg-"))
    try:
        with _running(programs, folder) as url:
            yield url
    finally:
        shutil.rmtree(folder)


def url_text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def new_database(server: URL) -> URL:
    name = f"t{uuid4().hex}"
    opened = create_engine(server, isolation_level="AUTOCOMMIT")
    with opened.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    opened.dispose()
    return server.set(database=name)
