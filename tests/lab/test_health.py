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
    """Running and staying so is all that can be asked; what crashes is found out, again and again."""
    file = shop.laptop / "deploy.toml"
    # Long enough for a crash at the start to come first, on a busy machine too.
    file.write_text(file.read_text().replace('settle = "2s"', 'settle = "10s"'))
    shop.app.release(breakages=[breakages.crash])
    done = shop.act("deploy")
    done.failed_at("restart")


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
