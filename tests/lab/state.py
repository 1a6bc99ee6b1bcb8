"""The server's state, read without any code of the product: what tests compare before and after."""

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .engine import docker
from .system import run


def git_commit(path: Path) -> str:
    """The full commit id that a checkout is at."""
    return _git(path, "rev-parse", "HEAD")


def git_branch(path: Path) -> str | None:
    """The branch that a checkout is on; None when its head is detached."""
    return _git(path, "branch", "--show-current") or None


def git_status(path: Path) -> str:
    """What differs from the commit, in Git's porcelain form; empty when the checkout is clean."""
    return _git(path, "--no-optional-locks", "status", "--porcelain")


def _git(path: Path, *words: str) -> str:
    return run("git", "-c", "safe.directory=*", "-C", path, *words).stdout.rstrip("\n")


def containers(project: str, service: str | None = None, *, running: bool = False) -> list[str]:
    """The full ids of a Compose project's containers, or of one service's; one-off containers included."""
    labels = {"project": project} | ({"service": service} if service else {})
    words = [
        w for key, value in labels.items() for w in ("--filter", f"label=com.docker.compose.{key}={value}")
    ]
    return docker("ps", "-q" if running else "-aq", "--no-trunc", *words).split()


@dataclass(frozen=True)
class Container:
    """A service's container. Its state is `running`, `exited` and so on; of a running one with a health check
    `healthy`, `starting` and so on.
    """

    id: str
    image: str
    state: str


def services(project: str) -> dict[str, Container]:
    """The container of each service, running or not; asked at once."""
    ids = containers(project)
    # One may go in between: the others are told all the same.
    told = json.loads(docker("inspect", *ids, check=False) or "[]") if ids else []
    return {
        labels["com.docker.compose.service"]: Container(each["Id"], each["Image"], _state(each["State"]))
        for each in reversed(told)
        if (labels := each["Config"]["Labels"])["com.docker.compose.oneoff"] == "False"
    }


def _state(state: dict[str, Any]) -> str:
    health = state["Health"]["Status"] if state["Running"] and "Health" in state else ""
    return str(health or state["Status"])


def container_of(project: str, service: str) -> str | None:
    """The full id of a service's container, running or not; None when there is none."""
    found = services(project).get(service)
    return found.id if found else None


def image_of_container(project: str, service: str) -> str | None:
    """The id of the image that a service's container was made from; None when there is no container."""
    found = services(project).get(service)
    return found.image if found else None


def container_state(project: str, service: str) -> str | None:
    """As in `Container`; None when there is none."""
    found = services(project).get(service)
    return found.state if found else None


def image_id(name: str) -> str | None:
    """The id of the image that bears a name now; None when none does."""
    return docker("image", "inspect", "-f", "{{.Id}}", name, check=False) or None


def http_get(url: str, timeout: float = 5) -> tuple[int, str]:
    """Status and body of a page; status 0 and the reason when there is no answer."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            url, timeout=timeout
        ) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode(errors="replace")
    except (OSError, ValueError) as error:
        return 0, str(error)


def psql(project: str, service: str, sql: str, user: str = "postgres", db: str | None = None) -> list[str]:
    """The rows that a statement gives, columns parted by `|`, asked inside the database's container."""
    container = container_of(project, service) or f"{project}/{service}"
    words = ("psql", "-X", "-qAt", "-v", "ON_ERROR_STOP=1", "-U", user, "-d", db or user)
    return docker("exec", "-i", container, *words, input=sql).splitlines()


def alembic_heads(project: str, service: str, user: str = "postgres", db: str | None = None) -> list[str]:
    """The revisions that the database says it is at, sorted; empty when it has no such table."""
    if psql(project, service, "SELECT to_regclass('alembic_version') IS NULL", user, db) == ["t"]:
        return []
    return sorted(psql(project, service, "SELECT version_num FROM alembic_version", user, db))
