"""The application's log, followed: each line once, over as many connections as it takes."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TextIO

from deploy import events, view
from deploy.deployment import TICK, Server, question, refused
from deploy.errors import ConnectionLostError, UnreachableError
from deploy.transport import pauses

#: Seconds for which a lost connection is sought anew.
RECONNECT_FOR = 300.0
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z) ?")
_SINCE = re.compile(r"[0-9A-Za-z:.+-]*\Z")
_COLOURS = (
    (re.compile(r"\b(ERROR|CRITICAL|FATAL|Traceback)\b"), "bad"),
    (re.compile(r"\b(WARN|WARNING)\b"), "warn"),
)


def tail(
    server: Server,
    stdout: TextIO,
    environ: Mapping[str, str],
    *,
    lines: int,
    since: str,
    seconds: float | None,
    warn: Callable[..., None],
) -> None:
    """Print the log: the last ``lines`` lines, then what comes for ``seconds``.

    ``seconds`` None: until Ctrl-C; 0: no more. ``since`` is an age (10m) or a time, as Docker takes it.
    Raises TransportError and RefusedError.
    """
    until = None if seconds is None else time.monotonic() + seconds
    try:
        for line in _lines(server, lines, since, seconds != 0, until, warn):
            stdout.write(_coloured(line, view.colours(stdout, environ)) + "\n")
            stdout.flush()
    except (KeyboardInterrupt, BrokenPipeError):
        return


def _lines(
    server: Server, lines: int, since: str, follow: bool, until: float | None, warn: Callable[..., None]
) -> Iterator[str]:
    if not _SINCE.match(since):
        raise refused(
            events.Event(
                "refuse", 0, {"text": f"--since {since!r} is no time", "hint": "10m, 2h, or a time."}
            )
        )
    seen = ""
    wait = pauses(RECONNECT_FOR)
    while True:
        try:
            for line in _once(server, "all" if seen else str(lines), seen or since, follow, until):
                at = _TIME.match(line)
                if at and seen and at[1] <= seen:
                    continue
                seen, line = (at[1], line[at.end() :]) if at else (seen, line)
                wait = pauses(RECONNECT_FOR)
                yield line
            return
        except (ConnectionLostError, UnreachableError) as error:
            pause = next(wait, None)
            if pause is None or not (seen or isinstance(error, ConnectionLostError)):
                raise
            warn(f"the connection is gone; trying again in {pause:.0f} s")
            time.sleep(pause)


def _once(server: Server, lines: str, since: str, follow: bool, until: float | None) -> Iterator[str]:
    asked = question(server, "logs", lines, since, "yes" if follow else "")
    decoder = events.Decoder()
    with server.connect() as transport:
        channel = transport.execute(asked.command, asked.stdin)
        for data in channel.read(TICK):
            yield from _output(decoder.feed(data))
            if until is not None and follow and time.monotonic() > until:
                return
        yield from _output(decoder.finish())


def _output(items: list[events.Item]) -> Iterator[str]:
    for item in items:
        if isinstance(item, events.Output):
            yield item.line
        elif item.name == "refuse":
            raise refused(item)


def _coloured(line: str, colour: bool) -> str:
    text = view.clean(line)
    style = next((style for pattern, style in _COLOURS if pattern.search(text)), "")
    return view.paint(text, style, colour and bool(style))
