"""The password of .env is in no process list, no record and on no screen."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ..apps import breakages, migrations
from .site import PASSWORD, Site


@contextmanager
def process_list() -> Iterator[set[str]]:
    """The command lines that hold the password, of whatever process in the block's time."""
    seen: set[str] = set()
    stop = threading.Event()

    def look() -> None:
        word = PASSWORD.encode()
        while not stop.wait(0.05):
            for file in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = file.read_bytes()
                except OSError:
                    continue
                if word in line:
                    seen.add(line.replace(b"\0", b" ").decode(errors="replace")[:300])

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        stop.set()
        thread.join(10)


def test_a_release_that_leaks(site: Callable[..., Site]) -> None:
    """The migration and the application print it, in a release that fails and in one that does not."""
    made = site("leaks")
    with process_list() as seen:
        made.app.release(breakages=[breakages.leak])
        said = [made.fab("deploy")]
        assert said[0].code == 0, said[0].told
        made.app.release(migrations=[migrations.LEAKING], breakages=[breakages.leak, breakages.crash])
        said.append(made.fab("deploy", "--json"))
        assert said[1].step("failed") == ["restart"]
        said += [made.fab("logs", "--no-follow"), made.fab("attach"), made.fab("status"), made.fab("history")]
    assert seen == set()
    shown = "".join(done.out + done.err for done in said)
    assert "the database is postgresql://snapcheck:***@" in shown or "the database is ***" in shown
    assert PASSWORD not in shown
    records = [file for file in made.state.rglob("*") if file.is_file() and "backups" not in file.parts]
    assert len(records) > 50
    leaks = [file for file in [*records, *made.laptop.rglob("*")] if file.is_file() and has_password(file)]
    assert leaks == []
    assert made.state.stat().st_mode & 0o077 == 0


def has_password(file: Path) -> bool:
    """Whether the password stands in a file."""
    return PASSWORD.encode() in file.read_bytes()
