"""When a release counts as healthy: without a health check, with a URL, with a slow start."""

from collections.abc import Callable

import pytest

from ..apps import breakages
from .site import Site
from .ways import without_health_check


@pytest.fixture(scope="module")
def shop(site: Callable[..., Site]) -> Site:
    """An application whose compose file has no health check."""
    made = site("health")
    made.app.release(mutate=without_health_check)
    made.deploy()
    return made


def ask_url(site: Site, timeout: int) -> None:
    """The health URL is asked from the server."""
    url = f"http://127.0.0.1:{site.port}/health"
    site.configure(f'[health]\nurl = "{url}"')
    file = site.laptop / "deploy.toml"
    file.write_text(file.read_text().replace('timeout = "40s"', f'timeout = "{timeout}s"'))


def test_without_any(shop: Site) -> None:
    """It must listen, as the old one did, before it counts as up: to run for a while is not enough."""
    file = shop.laptop / "deploy.toml"
    text = file.read_text()
    file.write_text(text.replace('timeout = "40s"', 'timeout = "5s"'))
    shop.app.release(breakages=[breakages.slow_start(600)])
    done = shop.act("deploy")
    file.write_text(text)
    done.failed_at("restart")
    assert "accepted no connection within 5 s" in done.output


def test_the_url_says_it_is_ill(shop: Site) -> None:
    ask_url(shop, 5)
    shop.app.release(breakages=[breakages.unhealthy])
    done = shop.act("deploy")
    done.failed_at("restart")
    assert "health URL" in done.output


def test_the_url_waits_for_a_slow_start(shop: Site) -> None:
    ask_url(shop, 40)
    shop.app.release(breakages=[breakages.slow_start(6)])
    done = shop.deploy()
    assert done.seconds > 6
