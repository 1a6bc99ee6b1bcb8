"""The guide's compose file word for word, on both Composes: good releases, then a failure at each step.

The steps' failures are tried with the old Compose here, and with the new one in test_failures.py.
"""

import json
from collections.abc import Callable, Iterator

import pytest

from ..apps import breakages, dirty, migrations
from .site import Site
from .ways import builds, unwritable

OLD, NEW = "docker-compose", "docker compose"
FAULTS = {
    "Compose 1.29.2 is the old one, without updates since 2023",
    "nothing asks backend whether it works",
    "backend: uvicorn is started by a shell that stays before it",
    "backend is always called snapcheck-backend",
}
TWO = (migrations.add_table("parcels"), migrations.add_table("stamps"))


@pytest.fixture(scope="module", params=[OLD, NEW])
def guide(site: Callable[..., Site], request: pytest.FixtureRequest) -> Iterator[Site]:
    """The guide's application, and the Compose that it is deployed with."""
    command = request.param
    name = "guide1" if command == OLD else "guide2"
    made = site(name, "guide", settings=f'[compose]\ncommand = "{command}"')
    yield made
    # The guide gives its containers names of their own: there can be only one at a time.
    made.close()


def test_good_releases(guide: Site) -> None:
    guide.deploy()
    guide.add_user("ann@example.org")
    database = guide.look().database
    guide.app.release(migrations=[migrations.AVATAR_URL])
    done = guide.deploy()
    assert done.result["applied"] == ["003"]
    guide.add_user("bob@example.org")
    guide.app.release()
    done = guide.deploy()
    assert done.result["applied"] == []
    # Neither was the database touched, nor did the migration service start again with the backend.
    assert done.after.database == database
    assert len(guide.lab.state.containers(guide.project)) == 2


old_compose = pytest.mark.parametrize("guide", [OLD], indirect=True, scope="module")


@old_compose
def test_doctor_knows_what_is_wrong_with_it(guide: Site) -> None:
    done = guide.fab("doctor", "--json")
    assert (done.code, done.after) == (0, done.before)
    found = json.loads(done.out)["findings"]
    assert {each["what"] for each in found if each["level"] != "ok"} == FAULTS
    assert {each["group"] for each in found} == {"laptop", "server", "application"}


@old_compose
def test_check_fails(guide: Site) -> None:
    file = dirty(guide.path)
    guide.app.release(migrations=TWO)
    try:
        guide.act("deploy").failed_at("check", 2)
    finally:
        guide.lab.as_user(guide.user, "git", "-C", guide.path, "checkout", "-q", "--", file)
        guide.take_back()


@old_compose
def test_pull_fails(guide: Site) -> None:
    guide.app.release(migrations=TWO)
    with unwritable(guide.lab, guide.path / "backend/migrations/versions"):
        guide.act("deploy").failed_at("pull")
    guide.take_back()


@old_compose
def test_migrate_fails(guide: Site) -> None:
    guide.app.release(migrations=[TWO[0], migrations.BAD_SQL])
    guide.act("deploy").failed_at("migrate")
    guide.take_back()


@old_compose
def test_build_fails(guide: Site) -> None:
    with builds(1) as change:
        guide.app.release(migrations=TWO, breakages=[change])
        done = guide.act("deploy")
    done.failed_at("build")
    assert done.result["undone"] == ["005", "004"]
    guide.take_back()


@old_compose
def test_restart_fails(guide: Site) -> None:
    guide.app.release(migrations=TWO, breakages=[breakages.crash])
    done = guide.act("deploy")
    done.failed_at("restart")
    assert done.result["undone"] == ["005", "004"]
    # The migration service, on which the backend depends, did not bring them back.
    assert len(guide.lab.state.containers(guide.project)) == 2
    guide.take_back()


def test_two_migrations_then_back(guide: Site) -> None:
    before = guide.look()
    guide.app.release(migrations=TWO)
    assert guide.deploy().result["applied"] == ["004", "005"]
    done = guide.act("rollback")
    assert (done.code, done.result["undone"]) == (0, ["005", "004"]), done.told
    assert done.after.same(before)
