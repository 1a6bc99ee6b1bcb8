"""Which view fits where the text goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TextIO

from deploy.view.base import View
from deploy.view.jsonlines import JsonView
from deploy.view.plain import PlainView
from deploy.view.sink import Sink
from deploy.view.words import signs_for

Mode = Literal["auto", "live", "plain", "json"]


def open_view(
    mode: Mode,
    stdout: TextIO,
    stderr: TextIO,
    *,
    environ: Mapping[str, str],
    target: str,
    expected: Mapping[str, float] | None = None,
) -> View:
    """The view for ``mode``; ``auto`` is live on a terminal that can redraw, else plain.

    ``target`` is what the first line calls the server; ``expected``: seconds that a step usually takes.
    """
    if mode == "auto":
        mode = "live" if _can_redraw(stdout, environ) else "plain"
    if mode == "json":
        return JsonView(Sink(stdout), Sink(stderr))
    signs = signs_for(stdout, environ)
    if mode == "plain":
        return PlainView(Sink(stdout), Sink(stderr), target=target, signs=signs)
    # Rich takes 0.08 s to load, and only this needs it.
    from deploy.view.live import LiveView
    from deploy.view.screen import Screen, size_of

    screen = Screen(Sink(stdout), lambda: size_of(stdout), colour=not environ.get("NO_COLOR"))
    return LiveView(screen, target=target, expected=expected or {}, signs=signs)


def _can_redraw(stdout: TextIO, environ: Mapping[str, str]) -> bool:
    return stdout.isatty() and environ.get("TERM", "dumb") not in ("", "dumb") and not environ.get("CI")
