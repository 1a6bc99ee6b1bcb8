"""The lab for the time of the tests, and sites on it that are gone when a module's tests have ended."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from . import Lab, available
from .site import Site, make_fast_image

HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that need the lab, and skip them where it cannot be; with CI=true that is an error."""
    mine = [
        item for item in items if HERE in item.path.parents and "lab" in getattr(item, "fixturenames", ())
    ]
    reason = available() if mine else None
    for item in mine:
        item.add_marker(pytest.mark.lab)
        item.add_marker(pytest.mark.timeout(900))
        if reason:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """The lab, up."""
    with Lab().session() as lab:
        make_fast_image(tmp_path_factory.mktemp("fast"))
        yield lab


@pytest.fixture(scope="module")
def site(lab: Lab, request: pytest.FixtureRequest) -> Iterator[Callable[..., Site]]:
    """Makes sites: site(name, variant, ...) as `Site` takes them."""
    with ExitStack() as stack:

        def make(name: str, *words: object, **options: object) -> Site:
            made = Site(lab, name, *words, **options)  # type: ignore[arg-type]
            stack.callback(made.close)
            return made

        yield make
