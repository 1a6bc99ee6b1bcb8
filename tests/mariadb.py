"""A MariaDB server of the tests' own, from the machine's server programs."""

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
from sqlalchemy import URL

from .daemons import as_server_user, own_folder, serving
from .postgresql import PASSWORD

_SMALL = ["--innodb-buffer-pool-size=16M", "--innodb-flush-log-at-trx-commit=0", "--innodb-log-file-size=8M"]
_NEEDED = ["mariadbd", "mariadb-install-db", "mariadb", "mariadb-dump"]


def query(url: URL, statements: str, *options: str) -> list[str]:
    """The rows of statements, columns parted by tabs."""
    argv = ["mariadb", "--no-defaults", "-S", str(url.query["unix_socket"]), "-u", str(url.username), "-NrB"]
    environ = {**os.environ, "MYSQL_PWD": url.password or ""}
    words = [*argv, *options, *filter(None, [url.database]), "-e", statements]
    done = subprocess.run(words, env=environ, capture_output=True, check=True)
    return done.stdout.decode(errors="backslashreplace").splitlines()


@contextmanager
def _running(folder: Path) -> Iterator[URL]:
    data, socket = folder / "data", folder / "socket"
    common = ["--no-defaults", f"--datadir={data}", *_SMALL]
    options = {"stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT, **as_server_user()}
    make = ["mariadb-install-db", *common, "--skip-test-db", "--auth-root-authentication-method=normal"]
    subprocess.run(make, check=True, **options)
    serve = ["mariadbd", *common, f"--socket={socket}", "--skip-networking"]
    with serving(serve, **options) as server:
        root = URL.create("mysql+pymysql", "root", "", query={"unix_socket": str(socket)})
        deadline = time.monotonic() + 60
        while not socket.exists():
            assert server.poll() is None, "MariaDB has ended"
            assert time.monotonic() < deadline
            time.sleep(0.05)
        query(
            root, f"CREATE USER owner IDENTIFIED BY '{PASSWORD}'; GRANT ALL ON *.* TO owner WITH GRANT OPTION"
        )
        yield root.set(username="owner", password=PASSWORD)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[URL]:
    """A MariaDB server on a socket in a folder of its own, stopped afterwards; its user may do all."""
    missing = [name for name in _NEEDED if not shutil.which(name)]
    if missing:
        assert os.environ.get("CI") != "true", f"not installed: {missing}"
        pytest.skip("MariaDB's server programs are not installed")
    with own_folder("backstay-my-") as folder, _running(folder) as url:
        yield url


def new_database(server: URL) -> URL:
    name = f"t{uuid4().hex}"
    query(server, f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    return server.set(database=name)
