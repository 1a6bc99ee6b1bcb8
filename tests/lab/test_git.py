"""What the server's checkout may be like: refused with words, or followed exactly."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ..apps import breakages, dirty, migrations
from ..apps.history import git
from .server import SECOND
from .site import Done, Site

TABLE = migrations.add_table("parcels")


@pytest.fixture(scope="module")
def shop(site: Callable[..., Site]) -> Site:
    """A checkout behind its origin; nothing is deployed from it."""
    made = site("git")
    made.app.release(migrations=[TABLE])
    return made


def on_server(site: Site, *words: str | Path) -> str:
    """Git in the checkout, as its owner."""
    name = ("-c", "user.name=x", "-c", "user.email=x@example.org")
    return site.lab.as_user(site.user, "git", "-C", site.path, *name, *words).stdout.strip()


def refused(site: Site, *words: str) -> str:
    """What fab says as it refuses to deploy, with nothing touched, neither files nor index."""
    index = on_server(site, "ls-files", "--stage")
    done: Done = site.fab("deploy", *words)
    assert (done.code, done.after) == (2, done.before), done.told
    assert on_server(site, "ls-files", "--stage") == index
    assert not site.runners()
    return done.out + done.err


def test_local_changes(shop: Site) -> None:
    file = dirty(shop.path)
    text = file.read_text()
    said = refused(shop)
    assert "backend/main.py" in said
    assert "stash" in said
    assert file.read_text() == text
    on_server(shop, "checkout", "-q", "--", file)


def test_staged_changes(shop: Site) -> None:
    file = dirty(shop.path, "README.md")
    on_server(shop, "add", file)
    assert "README.md" in refused(shop)
    on_server(shop, "reset", "-q", "--hard")


def test_an_untracked_file_in_the_way(shop: Site) -> None:
    file = shop.path / "backend/migrations/versions/003_add_parcels.py"
    shop.lab.as_user(shop.user, "tee", file, input="somebody left this here\n")
    assert file.name in refused(shop)
    assert file.read_text() == "somebody left this here\n"
    file.unlink()


def test_no_branch(shop: Site) -> None:
    on_server(shop, "checkout", "-q", "--detach")
    assert "detached" in refused(shop)
    on_server(shop, "checkout", "-q", "main")


def test_another_branch(shop: Site) -> None:
    on_server(shop, "checkout", "-q", "-b", "hotfix")
    assert "hotfix" in refused(shop)
    on_server(shop, "checkout", "-q", "main")
    on_server(shop, "branch", "-q", "-D", "hotfix")


def test_a_stale_lock(shop: Site) -> None:
    lock = shop.path / ".git/index.lock"
    lock.touch()
    assert "index.lock" in refused(shop)
    assert lock.exists()
    lock.unlink()


def test_an_unknown_ref(shop: Site) -> None:
    assert "no-such-thing" in refused(shop, "--ref", "no-such-thing")
    refused(shop, "--ref", "--upload-pack=touch /tmp/x")


def test_an_origin_that_cannot_be_reached(shop: Site) -> None:
    url = on_server(shop, "remote", "get-url", "origin")
    on_server(shop, "remote", "set-url", "origin", "https://bob:secret1@127.0.0.1:9/shop.git")
    said = refused(shop)
    assert "cannot fetch from origin" in said
    assert "secret1" not in said
    on_server(shop, "remote", "set-url", "origin", url)


def test_a_commit_of_the_servers_own(shop: Site) -> None:
    before = on_server(shop, "rev-parse", "HEAD")
    on_server(shop, "commit", "-q", "--allow-empty", "-m", "by hand")
    assert "is not in it" in refused(shop)
    on_server(shop, "reset", "-q", "--hard", before)


def test_a_checkout_of_another_user(shop: Site) -> None:
    shop.configure(host=shop.lab.ssh.alias(SECOND))
    home = shop.lab.home(shop.user)
    home.chmod(0o755)
    assert "another user" in refused(shop)
    shop.configure()


@pytest.fixture(scope="module")
def full(site: Callable[..., Site]) -> Site:
    """A deployed application with a submodule."""
    made = site("gitfull")
    made.app.add_submodule()
    made.lab.as_user(made.user, "git", "config", "--global", "protocol.file.allow", "always")
    made.deploy()
    return made


class TestFollowed:
    """Deployments that go through, one after the other."""

    def note(self, site: Site) -> str:
        return (site.path / "vendor/notes/note.txt").read_text()

    def test_submodules_are_undone(self, full: Site) -> None:
        assert self.note(full) == "first note\n"
        full.app.move_submodule()
        full.app.release(breakages=[breakages.crash])
        full.act("deploy").failed_at("restart")
        assert self.note(full) == "first note\n"

    def test_submodules_and_a_tag_and_file_modes(self, full: Site) -> None:
        """To a tag behind the branch, whose files are readable as after a login."""
        full.app.release(migrations=[TABLE])
        git(full.app.work, "tag", "v1")
        git(full.app.work, "push", "-q", "origin", "v1")
        tagged, heads = full.app.head, full.app.heads
        full.app.release(migrations=[migrations.AVATAR_URL])
        done = full.act("deploy", "--ref", "v1")
        assert (done.code, done.after.commit, done.after.branch) == (0, tagged, "main"), done.told
        assert (done.after.heads, self.note(full)) == (heads, "second note\n")
        new = next((full.path / "backend/migrations/versions").glob("003_*.py"))
        assert (new.stat().st_mode & 0o777, new.owner()) == (0o644, full.user)

    def test_an_older_commit_is_refused(self, full: Site) -> None:
        older = git(full.app.work, "rev-parse", "HEAD~2")
        assert "older than what is on the server" in refused(full, "--ref", older)

    def test_a_rewritten_branch_is_refused(self, full: Site) -> None:
        git(full.app.work, "reset", "-q", "--hard", "HEAD~1")
        full.app.rewrite_branch()
        assert "was rewritten" in refused(full)
