"""Whatever step fails, the server is as it was; on the first release, on a stopped and on an ill service."""

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from ..apps import breakages, dirty, migrations
from ..apps.tree import Tree
from . import engine
from .site import Site
from .ways import Versions, builds, unwritable

TWO = (migrations.add_table("parcels"), migrations.add_table("stamps"))


@pytest.fixture(scope="class")
def shop(site: Callable[..., Site]) -> Site:
    """An application that was deployed once, with rows in it."""
    made = site("failures")
    made.deploy()
    made.add_user("ann@example.org")
    return made


class TestOneStep:
    """One release after the other fails, each at another step, on one server."""

    @pytest.fixture(autouse=True)
    def _back(self, shop: Site) -> object:
        yield
        shop.take_back()

    def test_check(self, shop: Site) -> None:
        file = dirty(shop.path)
        sound = file.read_text()
        shop.app.release(migrations=TWO)
        try:
            shop.act("deploy").failed_at("check", 2)
        finally:
            shop.lab.as_user(shop.user, "git", "-C", shop.path, "checkout", "-q", "--", file)
        assert file.read_text() != sound

    def test_pull(self, shop: Site) -> None:
        shop.app.release(migrations=TWO)
        with unwritable(shop.lab, shop.path / "backend/migrations/versions"):
            done = shop.act("deploy")
        done.failed_at("pull")
        assert "versions/003" in done.output

    def test_migrate(self, shop: Site) -> None:
        shop.app.release(migrations=[TWO[0], migrations.BAD_SQL])
        done = shop.act("deploy")
        done.failed_at("migrate")
        assert (done.result["applied"], done.result["undone"]) == ([], [])

    def test_build(self, shop: Site) -> None:
        with builds(1) as change:
            shop.app.release(migrations=TWO, breakages=[change])
            done = shop.act("deploy")
        done.failed_at("build")
        assert (done.result["applied"], done.result["undone"]) == (["003", "004"], ["004", "003"])

    def test_what_stops_meanwhile_is_started_again(self, shop: Site) -> None:
        """Docker's daemon takes containers along when it dies, and may leave them so."""
        running = shop.lab.state.container_of(shop.project, shop.service)

        def stop() -> None:
            shop.wait(lambda: shop.step_now() == "migrate")
            engine.docker("kill", running or "")

        with builds(1) as change, ThreadPoolExecutor() as pool:
            shop.app.release(migrations=[migrations.sleeping(3)], breakages=[change])
            killed = pool.submit(stop)
            done = shop.act("deploy")
            killed.result()
        done.failed_at("build")
        assert "stopped meanwhile, and started again: backend" in done.told
        assert shop.lab.state.container_of(shop.project, shop.service) == running

    def test_restart_of_what_crashes(self, shop: Site) -> None:
        shop.app.release(breakages=[breakages.crash])
        done = shop.act("deploy")
        done.failed_at("restart")
        assert "broken on purpose" in done.output
        assert done.result["undone"] == []

    @pytest.mark.alone
    def test_restart_of_what_is_ill_after_migrations(self, shop: Site) -> None:
        needed = shop.restart()
        shop.app.release(migrations=TWO, breakages=[breakages.unhealthy])
        with Versions(shop) as versions:
            done = shop.act("deploy")
        done.failed_at("restart")
        assert done.result["undone"] == ["004", "003"]
        failed = next(r["at"] for r in done.records if r["event"] == "step" and r["state"] == "failed")
        # Three seconds of ours, besides what the application itself needs to stop and to start.
        assert versions.first(done.before.version, failed) - failed < 3 + 2 * needed

    def test_restart_of_what_dies_soon(self, shop: Site) -> None:
        shop.app.release(breakages=[lambda tree: breakages.crash_later(tree, 2.5)])
        done = shop.act("deploy")
        done.failed_at("restart")
        assert "did not stay up" in done.output or "keeps crashing" in done.output or "stopped" in done.output

    def test_compose_file_that_does_not_load(self, shop: Site) -> None:
        shop.app.release(breakages=[no_services])
        shop.act("deploy").failed_at("migrate")


def no_services(tree: Tree) -> None:
    """The compose file does not load."""
    (tree.root / "docker-compose.yml").write_text("services: 1\n")


@pytest.fixture(scope="class")
def fresh(site: Callable[..., Site]) -> Site:
    """An application that was never deployed."""
    return site("first")


class TestFirstRelease:
    """Nothing runs before the first release."""

    def test_that_fails_leaves_nothing(self, fresh: Site) -> None:
        fresh.app.release(breakages=[breakages.crash])
        done = fresh.act("deploy")
        assert (done.code, done.step("failed")) == (1, ["restart"]), done.told
        # The database's own container stays, stopped: what it holds is nobody's to throw away.
        assert dataclasses.replace(done.after, database=None) == done.before, done.told
        assert (done.after.tags, done.after.image, done.after.version) == ({}, None, "")
        assert fresh.lab.state.containers(fresh.project, running=True) == []
        assert not fresh.current
        engine.docker("start", done.after.database or "")
        assert fresh.sql("SELECT * FROM alembic_version") == []
        assert fresh.sql("SELECT to_regclass('users') IS NULL") == ["t"]

    def test_that_is_sound_then_deploys(self, fresh: Site) -> None:
        assert fresh.status()["running"] is False
        fresh.app.release()
        fresh.deploy()
        said = fresh.status()
        assert (said["running"], said["heads"]) == (True, ["002"])
        assert (said["in_progress"], said["interrupted"]) == (None, None)

    def test_stopped_before_is_stopped_after(self, fresh: Site) -> None:
        engine.docker("stop", fresh.lab.state.container_of(fresh.project, fresh.service) or "")
        fresh.app.release(migrations=TWO[:1], breakages=[breakages.crash])
        done = fresh.act("deploy")
        done.failed_at("restart")
        assert done.after.running == "stopped"
        fresh.take_back()

    def test_stopped_before_runs_after_a_good_release(self, fresh: Site) -> None:
        fresh.app.release()
        fresh.deploy()

    def test_ill_before_may_be_ill_after(self, fresh: Site) -> None:
        fresh.sql("ALTER TABLE users RENAME TO guests")
        fresh.wait(lambda: fresh.look().running == "unhealthy", 120, "an ill service")
        fresh.app.release(breakages=[breakages.crash])
        before = fresh.look()
        try:
            done = fresh.fab("deploy", "--json")
        finally:
            fresh.sql("ALTER TABLE guests RENAME TO users")
        assert (done.code, done.step("failed")) == (1, ["restart"]), done.told
        assert (done.after.image, done.after.commit) == (before.image, before.commit)
