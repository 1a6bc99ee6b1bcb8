"""Servers of all kinds: sudo, other login shells, a jump host, tools that are missing."""

from collections.abc import Callable, Iterator

import pytest

from ..apps import breakages
from .server import CSH, DEPLOY, FISH, SECOND, SUDO, Tools
from .site import Site

BANNER = "echo 'Welcome to the server'; echo 'unread mail: 3' >&2\n"


@pytest.mark.parametrize("user", [SUDO, FISH, CSH])
def test_deploys_as(site: Callable[..., Site], user: str) -> None:
    made = site(user.replace("backstay-", "as"), user=user, fast=user != SUDO)
    made.deploy()
    if user == SUDO:
        made.app.release(breakages=[breakages.crash])
        made.act("deploy").failed_at("restart")
        made.configure('[compose]\ncommand = "sudo docker compose"')
        done = made.fab("status")
        assert done.code == 0, done.told
        made.configure('[compose]\ncommand = "docker compose"')
        done = made.fab("deploy")
        assert (done.code, done.after) == (2, done.before), done.told
        assert "permission denied" in (done.out + done.err).lower()


@pytest.fixture(scope="class")
def shop(site: Callable[..., Site]) -> Site:
    """An application of the second user's that was never deployed."""
    return site("tools", user=SECOND)


class TestTools:
    """What is on PATH, asked of one server."""

    @pytest.fixture(autouse=True)
    def _both(self, shop: Site) -> Iterator[None]:
        yield
        shop.lab.ssh.tools(SECOND, "both")

    @pytest.mark.parametrize(
        ("kind", "word"),
        [("no-docker", "docker is not installed"), ("neither", "Compose is not installed")],
    )
    def test_missing(self, shop: Site, kind: Tools, word: str) -> None:
        shop.lab.ssh.tools(SECOND, kind)
        done = shop.fab("deploy")
        assert (done.code, done.after) == (2, done.before), done.told
        assert word in done.out + done.err
        assert "Install" in done.out + done.err

    def test_daemon_that_does_not_answer(self, shop: Site) -> None:
        file = shop.lab.root / "ssh/authorized" / SECOND
        file.write_text(
            file.read_text().replace(
                'environment="PATH', 'environment="DOCKER_HOST=unix:///no",environment="PATH'
            )
        )
        done = shop.fab("deploy")
        assert (done.code, done.after) == (2, done.before), done.told
        assert "does not answer" in done.out + done.err

    @pytest.mark.parametrize("kind", ["v1", "v2"])
    def test_one_compose_alone(self, shop: Site, kind: Tools) -> None:
        shop.lab.ssh.tools(SECOND, kind)
        shop.app.release(breakages=[breakages.build])
        done = shop.act("deploy")
        assert (done.code, done.step("failed")) == (1, ["migrate"]), done.told
        assert done.after.tags == {}
        shop.take_back()
        assert shop.fab("status").code == 0


def test_a_jump_host_and_a_banner(site: Callable[..., Site]) -> None:
    made = site("jump", alias="lab-jump")
    profile = made.lab.home(DEPLOY) / ".ssh/rc"
    made.lab.as_user(DEPLOY, "mkdir", "-p", profile.parent)
    made.lab.as_user(DEPLOY, "tee", profile, input=BANNER)
    try:
        done = made.fab("deploy")
    finally:
        profile.unlink()
    assert (done.code, done.after.commit) == (0, made.app.head), done.told
    assert "Uvicorn running" in done.out
