"""`fab rollback`: back by one, by several, not at all; and which images and records stay."""

from collections.abc import Callable

import pytest

from ..apps import migrations
from . import engine
from .site import Picture, Site

TWO = (migrations.add_table("parcels"), migrations.add_table("stamps"))


@pytest.fixture(scope="module")
def shop(site: Callable[..., Site]) -> Site:
    """An application that was deployed once, and keeps two releases."""
    made = site("back", settings="keep = 2")
    made.deploy()
    made.add_user("ann@example.org")
    return made


@pytest.fixture(scope="module")
def pictures(shop: Site) -> list[Picture]:
    """The server after each of three releases, the first one first."""
    seen = [shop.look()]
    for new in ([migrations.AVATAR_URL], TWO):
        shop.app.release(migrations=new)
        seen.append(shop.deploy().after)
    return seen


def refused(site: Site, *words: str) -> str:
    """What fab says as it refuses, with nothing touched."""
    done = site.act(*words)
    assert done.code == 2, done.told
    assert done.after == done.before, done.told
    return done.err + (done.output if len(done.records) > 1 else "")


def test_two_releases_are_kept(shop: Site, pictures: list[Picture]) -> None:
    kept = sorted(path.name for path in (shop.state / "releases").iterdir())
    assert len(kept) == 2
    assert kept[-1] == shop.current
    ids = {name.rpartition("-")[0][-15:] + name[-8:] for name in shop.tags() if ":latest" not in name}
    assert ids == {release.lower() for release in kept}
    refs = shop.lab.as_user(shop.user, "git", "-C", shop.path, "for-each-ref", "refs/backstay/").stdout
    assert len(refs.splitlines()) == 2


def test_refuses_what_was_changed_by_hand(shop: Site, pictures: list[Picture]) -> None:
    shop.sql("UPDATE alembic_version SET version_num = '004'")
    assert "its heads is 004, not 005" in refused(shop, "rollback")
    shop.sql("UPDATE alembic_version SET version_num = '005'")
    service, sound = f"{shop.project}-{shop.service}", pictures[2].image or ""
    compose = ("docker", "compose", "up", "-d", "--no-deps", "--force-recreate", shop.service)
    engine.docker("tag", pictures[1].image or "", service)
    shop.lab.as_user(shop.user, *compose, cwd=shop.path)
    assert "its image is" in refused(shop, "rollback")
    engine.docker("tag", sound, service)
    shop.lab.as_user(shop.user, *compose, cwd=shop.path)


def test_force_goes_on(shop: Site, pictures: list[Picture]) -> None:
    name = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    commit = ("commit", "-q", "--allow-empty", "-m", "x")
    shop.lab.as_user(shop.user, "git", "-C", shop.path, *name, *commit)
    shop.add_user("bob@example.org")
    assert "its commit is" in refused(shop, "rollback")
    done = shop.act("rollback", "--force")
    assert (done.code, done.result["outcome"], done.result["undone"]) == (0, "rolled-back", ["005", "004"])
    assert done.after.users == done.before.users
    shop.sql("DELETE FROM users WHERE email LIKE 'bob%'")
    assert shop.look().same(pictures[1])


def test_once_more(shop: Site, pictures: list[Picture]) -> None:
    done = shop.act("rollback")
    assert (done.code, done.result["undone"]) == (0, ["003"]), done.told
    assert done.after.same(pictures[0])


def test_then_there_is_nothing_to_go_back_to(shop: Site) -> None:
    assert "nothing to go back to" in refused(shop, "rollback")


def test_deploys_again_and_goes_back_by_two(shop: Site, pictures: list[Picture]) -> None:
    shop.configure("keep = 5")
    again = shop.deploy()
    shop.app.release(migrations=[migrations.DROP_AVATAR_URL])
    shop.deploy("--yes")
    shop.app.release()
    shop.deploy()
    refused(shop, "rollback", "--to", "20200101T000000-0000000")
    done = shop.act("rollback", "--to", again.result["release"])
    assert (done.code, done.result["undone"]) == (0, ["006"]), done.told
    assert done.after.same(again.after)
    assert shop.current == again.result["release"]


def test_never_back_to_before_the_first_release(site: Callable[..., Site]) -> None:
    """It would take the application and all its tables away."""
    made = site("onlyone")
    made.deploy()
    assert "nothing to go back to" in refused(made, "rollback")
    done = made.act("rollback", "--force")
    assert (done.code, done.after.image, done.after.heads) == (0, None, ()), done.told
