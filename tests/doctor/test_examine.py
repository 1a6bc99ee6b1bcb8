"""All of it against a server inside the process: a fault is made there, said, and nothing is changed."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.config import load
from deploy.deployment import Server
from deploy.doctor import examine
from deploy.embedded import EmbeddedServer
from deploy.transport import Address
from deploy.view import Finding, Report
from tests.apps.history import git
from tests.apps.variants import EXAMPLE

TOOLS = """
awk cat cut date df find flock git grep gzip head id ls mkdir mkfifo mktemp rm sed setsid sh sort sync tail
tar timeout tr true
"""


@dataclass
class World:
    """A laptop's folder, a server inside the process, a checkout with a remote."""

    root: Path
    server: EmbeddedServer
    tools: Path

    @property
    def checkout(self) -> Path:
        return self.root / "there/shop"

    @property
    def state(self) -> Path:
        return self.root / "there/.local/state/backstay/shop"

    def settings(self, more: str = "") -> None:
        (self.root / "deploy.toml").write_text(
            f'app = "shop"\nhost = "127.0.0.1:{self.server.port}"\npath = "{self.checkout}"\n'
            f'engine = "venv"\n'
            f'identity = "{self.server.client_key_path}"\nknown_hosts = "{self.server.known_hosts_path}"\n'
            f'ledger = "sqlite:///{self.root}/ledger.db"\n{more}\n[venv]\nrestart = "true"\n'
        )

    def examine(self) -> tuple[int, list[Finding]]:
        """``fab doctor``; the server must be the same before and after, to the last byte and date."""

        def reach() -> Server:
            target = load(self.root, target=None, host=None, environ={})
            known, key = target.known_hosts, target.identity
            return Server(target, Address(target.host, port=target.port, identity=key, known_hosts=known))

        before = picture(self.root / "there")
        report = Report(io.StringIO(), {}, as_json=False)
        code = examine(reach, report)
        assert picture(self.root / "there") == before
        return code, report.findings

    def bad(self) -> list[str]:
        code, findings = self.examine()
        found = [one for one in findings if one.level != "ok"]
        assert code == int(any(one.level == "error" for one in found))
        return [f"{one.level} {one.check}: {one.what}" for one in found]


def picture(folder: Path) -> dict[str, tuple[object, ...]]:
    """All that is there: names, kinds, dates, content."""
    found = {}
    for path in folder.rglob("*"):
        about = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        found[str(path)] = (about.st_mode, about.st_mtime_ns, about.st_ino, content)
    return found


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in TOOLS.split():
        (tools / name).symlink_to(shutil.which(name) or "missing")
    # A link would not know what belongs to it.
    (tools / "python3").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (tools / "python3").chmod(0o755)
    origin, checkout = tmp_path / "origin.git", tmp_path / "there/shop"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", origin], check=True)
    subprocess.run(["git", "clone", "-q", origin, checkout], check=True, stderr=subprocess.DEVNULL)
    shutil.copytree(EXAMPLE / "backend", checkout / "backend", ignore=shutil.ignore_patterns("__pycache__"))
    (checkout / "requirements.txt").write_text("")
    git(checkout, "checkout", "-q", "-B", "main")
    commit(checkout)
    git(checkout, "push", "-q", "origin", "main")
    with EmbeddedServer(home=tmp_path / "there", path=[tools]) as server:
        made = World(tmp_path, server, tools)
        made.settings()
        yield made


def test_a_good_server_is_ok(world: World) -> None:
    code, findings = world.examine()
    assert code == 0, findings
    assert {one.level for one in findings} == {"ok"}, findings
    seen = {one.check for one in findings}
    assert seen >= {
        "settings",
        "ssh",
        "keys",
        "host key",
        "ledger",
        "connection",
        "tools",
        "remote",
        "releases",
    }


def no_flock(world: World) -> None:
    (world.tools / "flock").unlink()


def other_branch(world: World) -> None:
    git(world.checkout, "checkout", "-q", "-b", "test")


def edited(world: World) -> None:
    (world.checkout / "requirements.txt").write_text("edited")


def only_touched(world: World) -> None:
    os.utime(world.checkout / "requirements.txt", (1, 1))


def no_remote(world: World) -> None:
    git(world.checkout, "remote", "remove", "origin")


def remote_gone(world: World) -> None:
    shutil.rmtree(world.root / "origin.git")


def branch_gone(world: World) -> None:
    git(world.root / "origin.git", "branch", "-m", "main", "trunk")


def interrupted(world: World) -> None:
    (world.state / "releases/r1").mkdir(parents=True)
    (world.state / "unfinished").write_text("r1\n")


def no_checkout(world: World) -> None:
    shutil.rmtree(world.checkout)


def no_repository(world: World) -> None:
    shutil.rmtree(world.checkout / ".git")


def guides_env_py(world: World) -> None:
    """As the guide has it: committed, on the server."""
    file = world.checkout / "backend/migrations/env.py"
    file.write_text(file.read_text().replace("from models import", "from ..models import"))
    commit(world.checkout)


def two_heads(world: World) -> None:
    versions = world.checkout / "backend/migrations/versions"
    (versions / "003_other.py").write_text('revision = "003"\ndown_revision = "001"\n')
    commit(world.checkout)


def committed_env(world: World) -> None:
    (world.checkout / ".env").write_text("SECRET_KEY=abc$def\n")
    (world.checkout / ".env").chmod(0o600)
    git(world.checkout, "add", "--force", ".env")
    commit(world.checkout)


def no_answer(world: World) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    world.settings(f'[health]\nurl = "http://127.0.0.1:{port}/health"')


def no_dump_tools(world: World) -> None:
    (world.checkout / ".env").write_text("DATABASE_URL='mysql+pymysql://shop:hunter22@127.0.0.1/shop'\n")


def commit(checkout: Path) -> None:
    git(checkout, "add", "-A")
    git(checkout, "-c", "user.email=a@example.org", "-c", "user.name=a", "commit", "-q", "-m", "next")


def no_python(world: World) -> None:
    (world.tools / "python3").unlink()


FAULTS = {
    no_flock: "error tools: not installed: flock",
    other_branch: "error checkout: {checkout} is on the branch test, not on main",
    edited: "error checkout: changed and not committed: requirements.txt",
    no_remote: "error remote: the checkout has no remote origin",
    remote_gone: "error remote: the server cannot read from ",
    branch_gone: "error remote: origin has no branch main",
    interrupted: "error releases: release r1 was interrupted",
    no_checkout: "error checkout: there is no folder {checkout}",
    no_repository: "error checkout: {checkout} on the server is not a git checkout",
    guides_env_py: "error env.py: backend/migrations/env.py:11 imports relatively",
    two_heads: "error revisions: there are 2 heads: 002, 003",
    committed_env: "warning env files: .env is committed to git",
    no_dump_tools: "error backup: no backup could be made: mysql is not installed on the server",
    no_answer: "warning health url: it does not answer now",
    no_python: "error python: python3 is not installed",
}


@pytest.mark.parametrize("make", FAULTS)
def test_a_fault_is_said_and_nothing_changes(world: World, make: Callable[[World], None]) -> None:
    make(world)
    [said] = world.bad()
    assert said.startswith(FAULTS[make].format(checkout=world.checkout))


def test_an_open_file_of_secrets_matters_where_others_can_come(world: World) -> None:
    (world.checkout / ".env").write_text("SECRET_KEY=hunter22\n")
    (world.checkout / ".env").chmod(0o644)
    world.root.chmod(0o700)
    assert world.bad() == []
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        shutil.move(world.checkout, f"{folder}/shop")
        world.checkout.symlink_to(f"{folder}/shop")
        [said] = world.bad()
    assert said.startswith("warning env files: .env can be read by every user")


def test_a_file_that_was_only_touched_is_not_changed(world: World) -> None:
    only_touched(world)
    assert world.bad() == []


def test_a_running_release_is_not_disturbed(world: World) -> None:
    release = world.state / "releases/r1"
    release.mkdir(parents=True)
    (world.checkout / ".git/backstay.lock").write_text(f"r1\nbob@x\n1\n{world.state}\nbuild\n")
    holder = subprocess.Popen(["flock", release / "alive", "-c", "echo; cat"], stdin=-1, stdout=-1)
    assert holder.stdout
    holder.stdout.read(1)
    [said] = world.bad()
    assert said == "warning releases: release r1 of bob@x is at work"
    holder.communicate(b"")
    [said] = world.bad()
    assert said == "error releases: release r1 of bob@x was interrupted and is not undone yet"


def test_a_login_shell_that_talks(world: World) -> None:
    world.server.close()
    shell = world.root / "shell"
    shell.write_text('#!/bin/sh\necho "Welcome to the server"\nexec /bin/sh "$@"\n')
    shell.chmod(0o755)
    with EmbeddedServer(home=world.root / "there", path=[world.tools], shell=str(shell)) as world.server:
        world.settings()
        assert world.bad() == ["warning login shell: it prints before every command: 'Welcome to the server'"]


def test_an_account_that_runs_nothing(world: World) -> None:
    for name in ("tar", "mktemp"):
        (world.tools / name).unlink()
    code, findings = world.examine()
    assert code == 2
    assert [one.check for one in findings if one.level == "error"] == ["login"]
    assert "mktemp" in findings[-1].remedy


def test_no_connection_still_shows_the_laptop(world: World) -> None:
    world.server.known_hosts_path.write_text("")
    code, findings = world.examine()
    [found] = [one for one in findings if one.level == "error"]
    assert (code, found.check) == (2, "host key")
    assert "SHA256:" in found.what
    assert {"settings", "keys", "ledger"} <= {one.check for one in findings if one.level == "ok"}
    with socket.create_server(("127.0.0.1", 0)) as free:
        world.settings(f'[targets.production]\nhost = "127.0.0.1:{free.getsockname()[1]}"\n')
    code, findings = world.examine()
    assert code == 2
    assert [one.check for one in findings if one.level == "error"] == ["host key", "connection"]


def test_without_settings(world: World) -> None:
    (world.root / "deploy.toml").write_text('app = "shop"\nhsot = "x"\n')
    code, findings = world.examine()
    assert code == 2
    [found] = [one for one in findings if one.level == "error"]
    assert found.what == f"{world.root}/deploy.toml: hsot is no key we know"
    assert "`host`" in found.remedy


def test_as_a_user_types_it(world: World) -> None:
    """Words for people, one object for programs; wrapped, but for what is to be copied."""
    (world.root / "fabfile.py").write_text("from deploy.tasks import namespace\n")
    remote_gone(world)
    no_flock(world)
    fab = Path(sys.executable).parent / "fab"
    run = [str(fab), "doctor"]
    done = subprocess.run(run, cwd=world.root, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "")
    assert max(map(len, done.stdout.splitlines())) < 110
    assert "  ✗ tools: not installed: flock\n" in done.stdout
    assert f"      git -C '{world.checkout}' fetch origin\n" in done.stdout
    assert done.stdout.splitlines()[-1] == "2 errors."
    done = subprocess.run([*run, "--json"], cwd=world.root, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "")
    [line] = done.stdout.splitlines()
    told = json.loads(line)
    assert (told["app"], told["exit_code"], told["errors"], told["warnings"]) == ("shop", 1, 2, 0)
    assert {"group", "check", "level", "what", "why", "remedy"} == set(told["findings"][0])


@pytest.mark.parametrize(
    ("url", "tools", "more"),
    [
        ("mariadb+pymysql://shop@127.0.0.1/shop", ["mariadb"], ""),
        ("mysql://shop@127.0.0.1/shop", ["mysql", "mysqldump"], ""),
        ("postgresql+psycopg://127.0.0.1/shop", ["psql", "pg_dump", "pg_restore"], ""),
        ("postgresql+psycopg://127.0.0.1/shop", [], '[backup]\nmode = "off"'),
        ("sqlite:///shop.db", [], ""),
    ],
)
def test_a_backup_can_be_made(world: World, url: str, tools: list[str], more: str) -> None:
    (world.checkout / ".env").write_text(f"DATABASE_URL={url}\n")
    for tool in tools:
        (world.tools / tool).symlink_to("/bin/true")
    world.settings(more)
    assert world.bad() == []
