"""All called and placed differently: several compose files, two services of one image that migrates too."""

from collections.abc import Callable

import pytest

from ..apps import breakages, migrations
from ..apps.tree import Tree, replace
from . import engine
from .site import Site

TABLE = migrations.add_table("parcels")


@pytest.fixture(scope="class", params=["docker-compose", "docker compose"])
def other(site: Callable[..., Site], request: pytest.FixtureRequest) -> Site:
    """An application with a worker, deployed once."""
    command = request.param
    name = "other1" if command == "docker-compose" else "other2"
    made = site(name, "other", settings=f'[compose]\ncommand = "{command}"', folder="a shop's place")
    made.deploy()
    made.add_user("ann@example.org")
    return made


def worker_crashes(tree: Tree) -> None:
    """The worker alone raises as it starts."""
    replace(tree.backend / "worker.py", "\nmain()\n", '\nraise RuntimeError("broken on purpose")\n')


def images(site: Site) -> set[str | None]:
    """What the two services run on."""
    return {site.lab.state.image_of_container(site.project, name) for name in ("web", "worker")}


class TestOther:
    """On the branch `release`, in a folder with a space and a quote in its name."""

    def test_both_services_run_the_new_image(self, other: Site) -> None:
        assert images(other) == {other.look().image}
        assert other.look().branch == "release"

    def test_a_release_of_which_the_worker_fails(self, other: Site) -> None:
        other.app.release(migrations=[TABLE], breakages=[worker_crashes])
        done = other.act("deploy")
        done.failed_at("restart")
        assert images(other) == {done.before.image}
        assert other.lab.state.container_state(other.project, "worker") == "running"
        other.take_back()

    def test_a_release_that_changes_the_compose_file(self, other: Site) -> None:
        before = other.look()
        other.app.release(migrations=[TABLE], mutate=change_compose_file)
        other.deploy()
        assert "DEPLOYED=yes" in environment(other)
        done = other.act("rollback")
        assert done.code == 0, done.told
        assert done.after.same(before)
        assert "DEPLOYED=yes" not in environment(other)
        assert images(other) == {before.image}

    def test_it_fails_with_another_compose_file(self, other: Site) -> None:
        other.app.release(breakages=[breakages.crash])
        other.act("deploy").failed_at("restart")
        assert "DEPLOYED=yes" not in environment(other)


def change_compose_file(tree: Tree) -> None:
    """One more variable for the service web."""
    replace(
        tree.root / "compose.deploy.yml",
        "  web:\n    ports:\n",
        '  web:\n    environment:\n      DEPLOYED: "yes"\n    ports:\n',
    )


def environment(site: Site) -> list[str]:
    """The environment of the container of web."""
    container = site.lab.state.container_of(site.project, "web") or ""
    return engine.docker("inspect", "-f", '{{join .Config.Env "\\n"}}', container).splitlines()
