"""Exactly the revisions of a failed release are undone; where that cannot be had, it is said."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from ..apps import breakages, migrations
from ..apps.migrations import Migration
from ..apps.tree import Change
from .site import Done, Site
from .ways import builds, slow_build

TABLE = migrations.add_table("parcels")


@pytest.fixture(scope="module")
def shop(site: Callable[..., Site]) -> Site:
    """An application at revision 003, with rows in it."""
    made = site("undo")
    made.app.release(migrations=[migrations.AVATAR_URL])
    made.deploy()
    made.add_user("ann@example.org")
    return made


def fails_at_build(site: Site, new: Sequence[Migration], changes: Sequence[Change] = ()) -> Done:
    """A release whose migrations succeed and whose build fails; the developer takes it back."""
    with builds(1) as change:
        site.app.release(migrations=new, breakages=[change, *changes])
        done = site.act("deploy")
    assert done.step("failed") == ["build"], done.told
    site.take_back()
    return done


def fails_at_migrate(site: Site, new: Sequence[Migration], changes: Sequence[Change] = ()) -> Done:
    """A release whose migrations fail; the developer takes it back."""
    site.app.release(migrations=new, breakages=changes)
    done = site.act("deploy")
    assert done.step("failed") == ["migrate"], done.told
    site.take_back()
    return done


def test_branches_and_their_merge(shop: Site) -> None:
    branch = replace(TABLE.on("002"), slug="branch")
    done = fails_at_build(shop, [branch, migrations.MERGE])
    done.failed_at("build")
    assert done.result["undone"] == ["005", "004"]


def test_one_transaction_for_each(shop: Site) -> None:
    env = shop.path / ".env"
    usual = env.read_text()
    env.write_text(usual + "ALEMBIC_TRANSACTION_PER_MIGRATION=1\n")
    done = fails_at_migrate(shop, [TABLE, migrations.BAD_SQL])
    env.write_text(usual)
    done.failed_at("migrate")
    assert (done.result["applied"], done.result["undone"]) == ([], ["004"])


def test_an_index_outside_of_any_transaction(shop: Site) -> None:
    done = fails_at_build(shop, [migrations.CONCURRENT_INDEX])
    done.failed_at("build")
    assert done.result["undone"] == ["004"]


def test_a_half_done_migration_is_said_and_recovered_after_a_repair(shop: Site) -> None:
    done = fails_at_migrate(shop, [TABLE, migrations.HALF_DONE])
    assert done.code == 3
    assert "half_done" in done.output
    # All but what stopped half-way is as before.
    assert done.after.heads == done.before.heads
    assert set(done.after.schema) - set(done.before.schema) == {
        "half_done.n integer",
        "CREATE UNIQUE INDEX ux_half_done ON public.half_done USING btree (n) INVALID",
    }
    assert (done.after.commit, done.after.image) == (done.before.commit, done.before.image)
    refusal = shop.fab("rollback", "--json")
    assert (refusal.code, refusal.after) == (3, refusal.before), refusal.told
    shop.sql("DROP TABLE half_done")
    recovered = shop.act("recover")
    assert recovered.code == 0, recovered.told
    assert recovered.after == done.before


def test_a_downgrade_that_raises(shop: Site) -> None:
    done = fails_at_build(shop, [migrations.RAISING_DOWNGRADE])
    assert (done.code, done.after.heads) == (3, ("004",)), done.told
    assert "there is no way back" in done.output
    again = shop.fab("recover", "--json")
    assert (again.code, again.after) == (3, again.before), again.told
    shop.sql("DROP TABLE no_way_back; UPDATE alembic_version SET version_num = '003'")
    assert shop.act("recover").code == 0
    assert shop.look() == done.before


def test_an_empty_downgrade_and_a_person_who_accepts(shop: Site) -> None:
    done = fails_at_build(shop, [migrations.EMPTY_DOWNGRADE])
    assert (done.code, done.after.heads) == (3, ("003",)), done.told
    assert "no_way_back" in done.output
    assert shop.fab("status").code == 0
    accepted = shop.fab("recover", "--accept")
    assert accepted.code == 0, accepted.told
    shop.sql("DROP TABLE no_way_back")
    nothing = shop.act("recover")
    assert (nothing.code, nothing.after) == (0, nothing.before), nothing.told


def test_a_revision_of_somebody_else_stays(shop: Site) -> None:
    shop.app.release(migrations=[TABLE], breakages=[slow_build(4), breakages.crash])
    process = shop.start("deploy", "--json")
    shop.wait(lambda: shop.step_now() == "build", 200, "the build")
    shop.sql("UPDATE alembic_version SET version_num = '999'; CREATE TABLE theirs (id int)")
    out, _ = process.communicate(timeout=300)
    assert (process.returncode, shop.look().heads) == (3, ("999",)), out[-3000:]
    assert "somebody migrated the database further, to 999" in out
    shop.sql("UPDATE alembic_version SET version_num = '004'; DROP TABLE theirs")
    done = shop.act("recover")
    assert (done.code, done.after.heads) == (0, ("003",)), done.told
    shop.take_back()


def test_the_next_release_is_fine(shop: Site) -> None:
    shop.app.release(migrations=[TABLE])
    shop.deploy()
