"""The lab gives what the other tests lean on."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from . import CSH, DEPLOY, FISH, SECOND, SUDO, USERS, Lab, LabError
from .server import Tools

pytestmark = pytest.mark.alone

COMPOSE = """
services:
  db:
    image: postgres:15
    environment: {POSTGRES_USER: app, POSTGRES_PASSWORD: secret, POSTGRES_DB: shop}
    healthcheck: {test: pg_isready -U app -d shop, interval: 1s, retries: 30}
  web:
    build: .
    command: python -m http.server --bind 0.0.0.0 80
    ports: ["127.0.0.1:%d:80"]
"""
DOCKERFILE = """
FROM python:3.11-slim
COPY requirements.txt .
RUN pip install -r requirements.txt
RUN python -c "import alembic, fastapi, psycopg, sqlalchemy, uvicorn"
"""


@pytest.fixture
def project(lab: Lab) -> Iterator[Path]:
    """A checkout-like folder of the deploy user's, named as its Compose project is."""
    folder = lab.home(DEPLOY) / "labsmoke"
    lab.wipe(folder.name)
    lab.as_user(DEPLOY, "mkdir", "-p", folder)
    for name, text in (
        ("compose.yml", COMPOSE % lab.free_port()),
        ("Dockerfile", DOCKERFILE),
        ("requirements.txt", "fastapi\nuvicorn\nsqlalchemy\nalembic\npsycopg[binary]\n"),
    ):
        lab.as_user(DEPLOY, "tee", folder / name, input=text)
    yield folder
    lab.wipe(folder.name)
    lab.as_user(DEPLOY, "rm", "-rf", folder)


def _until(wanted: object, ask: object, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while (found := ask()) != wanted:  # type: ignore[operator]
        assert time.monotonic() < end, f"{found!r} is not {wanted!r}"
        time.sleep(0.1)


def test_up_again_is_quick(lab: Lab) -> None:
    start = time.monotonic()
    lab.up()
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("user", USERS)
def test_every_user_logs_in(lab: Lab, user: str) -> None:
    docker = "sudo docker" if user == SUDO else "docker"
    done = lab.ssh.run(f"id -un; {docker} version -f engine; {docker} compose version --short", user=user)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[:2] == [user, "engine"]
    assert done.stdout.splitlines()[2].startswith("2.")


def test_only_group_docker_reaches_the_engine(lab: Lab) -> None:
    assert lab.ssh.run("docker ps", user=SUDO).returncode == 1
    assert lab.ssh.run("docker ps", user=SECOND).returncode == 0


def test_login_shells(lab: Lab) -> None:
    assert lab.ssh.run("echo $FISH_VERSION", user=FISH).stdout.strip()
    assert lab.ssh.run("echo $tcsh", user=CSH).stdout.strip()


@pytest.mark.parametrize(
    ("kind", "v2", "v1"),
    [("both", 0, 0), ("v1", 1, 0), ("v2", 0, 127), ("neither", 1, 127), ("no-docker", 127, 127)],
)
def test_tools_on_path(lab: Lab, kind: Tools, v2: int, v1: int) -> None:
    lab.ssh.tools(SECOND, kind)
    try:
        assert lab.ssh.run("docker compose version", user=SECOND).returncode == v2
        assert lab.ssh.run("docker-compose version", user=SECOND).returncode == v1
        assert lab.ssh.run("git --version", user=SECOND).returncode == 0
    finally:
        lab.ssh.tools(SECOND, "both")


@pytest.mark.parametrize("key", ["id_unauthorised", "id_encrypted"])
def test_other_keys_are_refused(lab: Lab, tmp_path: Path, key: str) -> None:
    config = tmp_path / "ssh_config"
    config.write_text(lab.ssh.config.read_text().replace(str(lab.ssh.key), str(lab.ssh.client / key)))
    refused = lab.run("ssh", "-F", config, "lab", "true")
    assert refused.returncode == 255
    assert "Permission denied (publickey)" in refused.stderr


def test_through_a_jump_host(lab: Lab) -> None:
    assert lab.run("ssh", "-F", lab.ssh.config, "lab-jump", "id", "-un").stdout == f"{DEPLOY}\n"


@pytest.mark.parametrize("compose", ["docker compose", "docker-compose"])
def test_an_application(lab: Lab, project: Path, compose: str) -> None:
    name, see = project.name, lab.state
    up = lab.ssh.run(f"cd {project} && {compose} -f compose.yml up -d --build")
    assert up.returncode == 0, up.stderr
    _until("healthy", lambda: see.container_state(name, "db"))
    url = "http://" + lab.run("docker", "port", see.container_of(name, "web"), "80").stdout.strip()
    _until(200, lambda: see.http_get(url)[0])
    assert see.alembic_heads(name, "db", "app", "shop") == []
    see.psql(
        name,
        "db",
        "CREATE TABLE alembic_version AS SELECT 'b' AS version_num UNION SELECT 'a'",
        "app",
        "shop",
    )
    assert see.alembic_heads(name, "db", "app", "shop") == ["a", "b"]
    assert see.psql(name, "db", "SHOW server_encoding", "app", "shop") == ["UTF8"]
    assert see.image_of_container(name, "db") == see.image_id("postgres:15")
    start = time.monotonic()
    lab.ssh.run(f"cd {project} && {compose} stop db")
    assert time.monotonic() - start < 5
    assert see.container_state(name, "db") == "exited"
    lab.wipe(name)
    assert see.containers(name) == []
    assert see.image_id(f"{name}-web") is see.image_id(f"{name}_web") is None


def test_reads_a_checkout(lab: Lab, project: Path) -> None:
    git = ("git", "-C", project, "-c", "user.name=a", "-c", "user.email=a@example.org")
    for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-q", "-m", "one")):
        lab.as_user(DEPLOY, *git, *words)
    assert lab.state.git_branch(project) == "main"
    assert lab.state.git_commit(project) == lab.as_user(DEPLOY, *git, "rev-parse", "main").stdout.strip()
    lab.as_user(DEPLOY, *git, "checkout", "-q", "--detach")
    assert lab.state.git_branch(project) is None


def test_the_engine_stops_is_killed_and_comes_back(lab: Lab, project: Path) -> None:
    lab.ssh.run(f"cd {project} && docker compose up -d db")
    lab.docker.stop()
    assert lab.ssh.run("docker ps").returncode == 1
    lab.docker.start()
    assert lab.state.container_state(project.name, "db") == "exited"
    lab.ssh.run(f"cd {project} && docker compose up -d db")
    lab.docker.stop(kill=True)
    lab.up()
    assert lab.ssh.run("docker ps").returncode == 0


def test_the_ssh_server_stops_and_comes_back(lab: Lab) -> None:
    port = lab.ssh.port
    lab.ssh.stop()
    assert lab.ssh.run("true").returncode == 255
    lab.ssh.start()
    assert lab.ssh.port == port
    assert lab.ssh.run("true").returncode == 0


def test_only_the_tests_projects_are_removed(lab: Lab) -> None:
    with pytest.raises(LabError, match="lab"):
        lab.wipe("shop")
