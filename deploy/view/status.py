"""What is on the server now, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import TextIO

from deploy.view.clean import clean
from deploy.view.colour import paint, wanted
from deploy.view.jsonlines import one_line
from deploy.view.sink import Sink
from deploy.view.words import commit_word, heads_word, image_word


@dataclass(frozen=True)
class Status:
    """What is there now.

    ``healthy`` is None where nothing checks it; ``drift`` says what differs from what ``release`` left.
    """

    app: str
    target: str
    commit: str
    branch: str
    heads: tuple[str, ...]
    image: str
    running: bool
    healthy: bool | None
    release: str = ""
    in_progress: str | None = None
    interrupted: str | None = None
    drift: tuple[str, ...] = ()


def show_status(status: Status, stdout: TextIO, environ: Mapping[str, str], *, as_json: bool = False) -> None:
    """The status on ``stdout``: lines for people, or one JSON object."""
    if as_json:
        Sink(stdout).write(one_line(asdict(status)))
        return
    lines = list(_lines(status, wanted(stdout, environ)))
    Sink(stdout).write("".join(f"{line}\n" for line in lines))


def _lines(status: Status, colour: bool) -> Iterator[str]:
    yield paint(f"{clean(status.app)} on {clean(status.target)}", "bold", colour)
    for name, text, style in _facts(status):
        yield f"  {name:<11}  {paint(text, style, colour)}"
    if status.drift:
        yield paint("Changed since that release:", "warn", colour)
        yield from (f"  {clean(line)}" for line in status.drift)


def _facts(status: Status) -> Iterator[tuple[str, str, str]]:
    branch = f" ({clean(status.branch)})" if status.branch else ""
    yield "commit", f"{commit_word(status.commit) or 'none'}{branch}", ""
    yield "migrations", heads_word(status.heads), ""
    yield "image", image_word(status.image) or "none", ""
    yield "service", *_service(status)
    yield "release", clean(status.release) or "none", ""
    if status.in_progress:
        yield "in progress", f"{clean(status.in_progress)}; to see it: fab attach", "warn"
    if status.interrupted:
        yield "interrupted", f"{clean(status.interrupted)}; to undo it: fab recover", "bad"


def _service(status: Status) -> tuple[str, str]:
    if not status.running:
        return "not running", "bad"
    if status.healthy is None:
        return "running", "good"
    return ("running, healthy", "good") if status.healthy else ("running, not healthy", "bad")
