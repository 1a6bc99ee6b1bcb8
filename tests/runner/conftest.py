"""A server for each test, and nothing of it left alive afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runner.bench import SHELLS, Bench, bench


@pytest.fixture(params=SHELLS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    """A server with each of the shells."""
    with bench(tmp_path / "server", request.param) as made:
        yield made


@pytest.fixture
def dash(tmp_path: Path) -> Iterator[Bench]:
    """A server with dash, for what does not depend on the shell."""
    with bench(tmp_path / "server") as made:
        yield made
