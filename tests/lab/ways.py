"""Ways in which one step alone fails on a real server."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from ..apps.tree import Change, Tree, append
from . import engine
from .machine import Lab
from .site import Site


@contextlib.contextmanager
def builds(times: int) -> Iterator[Change]:
    """A change after which the image can be built so many times, and not again.

    The migration's image is built first, then the services': builds(1) makes the step build fail alone.
    """
    subnet = engine.docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Subnet}}", "bridge")
    gateway = str(next(ipaddress.ip_network(subnet).hosts()))
    listener = socket.create_server((gateway, 0))
    port = listener.getsockname()[1]

    def answer() -> None:
        for _ in range(times):
            with contextlib.suppress(OSError):
                listener.accept()[0].close()
        _shut(listener)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    ask = f"import socket; socket.create_connection(('{gateway}', {port}), 5)"
    try:
        yield lambda tree: append(tree.image, f'RUN python -c "{ask}"\n')
    finally:
        _shut(listener)
        thread.join(5)


def _shut(listener: socket.socket) -> None:
    with contextlib.suppress(OSError):
        listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@contextlib.contextmanager
def unwritable(lab: Lab, folder: Path) -> Iterator[None]:
    """For the block's time nobody, not even its owner, can make or remove a file in a folder."""
    lab.run("chattr", "+i", folder)
    try:
        yield
    finally:
        lab.run("chattr", "-i", folder)


def slow_build(seconds: float) -> Change:
    """The image takes that many seconds to build."""
    return lambda tree: append(tree.image, f"RUN sleep {seconds}\n")


def without_health_check(tree: Tree) -> None:
    """The compose file's backend has no health check."""
    file = tree.root / "docker-compose.yml"
    head, _, rest = file.read_text().partition(
        "    healthcheck:\n      test:\n        - CMD\n        - python"
    )
    file.write_text(head + "    restart" + rest.partition("    restart")[2])


class Versions:
    """What the application answers to /version, ten times a second, for a block's time."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.seen: list[tuple[float, str]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Versions:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(10)

    def first(self, version: str, after: float) -> float:
        """When a version answered first after a moment; clock time."""
        return next(at for at, seen in self.seen if at >= after and seen == version)

    def _watch(self) -> None:
        url = f"http://127.0.0.1:{self.site.port}/version"
        while not self._stop.wait(0.1):
            _, body = self.site.lab.state.http_get(url, timeout=1)
            self.seen.append((time.time(), body.partition('"version":"')[2].partition('"')[0]))
