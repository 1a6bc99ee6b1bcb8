"""`fab logs`: from the end, on and on, over a new container and a cut line."""

import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from .proxy import Line
from .site import Site
from .system import processes


@pytest.fixture(scope="module")
def shop(site: Callable[..., Site]) -> Site:
    """An application that was deployed once."""
    made = site("logs")
    made.deploy()
    return made


class Reader:
    """The lines that fab logs has printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def has(self, text: str) -> bool:
        return any(text in line for line in self.lines)

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))


@contextmanager
def followed(site: Site, *words: str, config: Path | None = None) -> Iterator[Reader]:
    """fab logs for the block's time; gone afterwards."""
    process = site.start("logs", *words, config=config)
    try:
        yield Reader(process)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        for stream in (process.stdout, process.stderr):
            if stream:
                stream.close()


def ask(site: Site, mark: str) -> None:
    """Have the application write a line."""
    site.lab.state.http_get(f"http://127.0.0.1:{site.port}/{mark}")


def followers(site: Site) -> list[int]:
    """The processes on the server that follow the log."""
    return [p.pid for p in processes() if "docker logs" in p.args and "--follow" in p.args]


def test_the_last_lines(shop: Site) -> None:
    for number in range(5):
        ask(shop, f"mark{number}")
    done = shop.fab("logs", "--no-follow", "--lines", "3")
    assert (done.code, len(done.out.splitlines())) == (0, 3), done.told
    done = shop.fab("logs", "--no-follow", "--lines", "500")
    places = [done.out.index(f"/mark{number} ") for number in range(5)]
    assert places == sorted(places)


def test_follows_until_ctrl_c_and_leaves_nothing(shop: Site) -> None:
    with followed(shop, "--lines", "1") as reader:
        shop.wait(lambda: reader.lines, 20, "the first line")
        ask(shop, "while-followed")
        shop.wait(lambda: reader.has("/while-followed"), 10, "the line")
        reader.process.send_signal(signal.SIGINT)
        assert reader.process.wait(10) == 0
    shop.wait(lambda: not followers(shop), 10, "the end of the followers")


def test_a_killed_client_leaves_nothing(shop: Site) -> None:
    with followed(shop, "--lines", "1") as reader:
        shop.wait(lambda: reader.lines, 20, "the first line")
    shop.wait(lambda: not followers(shop), 10, "the end of the followers")


def test_goes_on_with_the_next_container(shop: Site) -> None:
    with followed(shop, "--lines", "1") as reader:
        shop.wait(lambda: reader.lines, 20, "the first line")
        command = ("docker", "compose", "up", "-d", "--no-deps", "--force-recreate", shop.service)
        shop.lab.as_user(shop.user, *command, cwd=shop.path)
        shop.look()
        ask(shop, "after-the-change")
        shop.wait(lambda: reader.has("/after-the-change"), 20, "the new container's line")


def test_goes_on_over_a_cut_line(shop: Site, tmp_path: Path) -> None:
    ssh = shop.lab.ssh
    with Line((ssh.host, ssh.port)) as line:
        known = tmp_path / "known_hosts"
        known.write_text(ssh.known_hosts.read_text().replace(f":{ssh.port} ", f":{line.port} "))
        config = tmp_path / "ssh_config"
        text = ssh.config.read_text().replace(f"Port {ssh.port}\n", f"Port {line.port}\n")
        config.write_text(text.replace(str(ssh.known_hosts), str(known)))
        with followed(shop, "--lines", "1", config=config) as reader:
            shop.wait(lambda: reader.lines, 20, "the first line")
            ask(shop, "before-the-cut")
            shop.wait(lambda: reader.has("/before-the-cut"), 10, "the line")
            line.refuse()
            line.cut()
            ask(shop, "while-it-was-cut")
            line.listen()
            ask(shop, "after-the-cut")
            shop.wait(lambda: reader.has("/after-the-cut"), 40, "the line after the cut")
            for mark in ("before-the-cut", "while-it-was-cut", "after-the-cut"):
                assert len([seen for seen in reader.lines if f"/{mark} " in seen]) == 1
