"""How the view says times, commits, images and heads, and which signs it draws."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

from deploy.events import Event, State, StepView
from deploy.view.clean import clean


@dataclass(frozen=True)
class Signs:
    """The signs of one character set; ``spinner`` has one sign a frame."""

    done: str
    failed: str
    undo: str
    waiting: str
    arrow: str
    dot: str
    spinner: str


UNICODE = Signs("✓", "✗", "↺", "·", "→", " · ", "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")
ASCII = Signs("+", "x", "<", "-", "->", ", ", "|/-\\")


def signs_for(stream: TextIO, environ: Mapping[str, str]) -> Signs:
    """The signs ``stream`` can show: plain ASCII where the encoding or the Linux console lacks the others."""
    encoding = (getattr(stream, "encoding", None) or "").lower().replace("_", "-")
    return UNICODE if encoding in ("utf-8", "utf8") and environ.get("TERM") != "linux" else ASCII


def duration(seconds: float) -> str:
    """``0.4 s``, ``12 s``, ``2 m 03 s``, ``1 h 02 m``; whole numbers come without tenths."""
    if not math.isfinite(seconds):
        return "? s"
    seconds = max(seconds, 0.0)
    if seconds < 9.95 and not float(seconds).is_integer():
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} m {rest:02} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} m"


def ticking(seconds: float) -> str:
    """As ``duration``, in whole seconds: for a time that goes on."""
    return duration(math.floor(seconds)) if math.isfinite(seconds) else duration(seconds)


def commit_word(commit: str) -> str:
    """The first seven characters of a full SHA; anything else as it is."""
    return commit[:7] if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", commit) else clean(commit)


def image_word(image: str) -> str:
    """The twelve characters that ``docker images`` shows; a name as it is."""
    return image[7:19] if re.fullmatch(r"sha256:[0-9a-f]{64}", image) else clean(image)


def heads_word(heads: tuple[str, ...]) -> str:
    """The heads, or ``none`` for a schema without migrations."""
    return ", ".join(clean(head) for head in heads) or "none"


def headline(event: Event, state: State, target: str) -> str:
    """The first line of a release; one that goes on after an interruption is being recovered."""
    resumed = any(step.state != "waiting" for step in state.steps)
    doing = {
        "rollback": "Rolling back",
        "recover": "Recovering",
        "db.upgrade": "Upgrading the database of",
        "db.downgrade": "Downgrading the database of",
        "db.backup": "Backing up the database of",
        "db.restore": "Restoring the database of",
    }
    return f"{doing.get('recover' if resumed else event.text('kind'), 'Deploying to')} {clean(target)}"


def took(event: Event, step: StepView | None, undo_began: float) -> float:
    """Seconds that the step or undo of ``event`` took: as it says, else by the server's clock."""
    secs = event.fields.get("secs")
    if isinstance(secs, int | float):
        return float(secs)
    return event.at - undo_began if event.name == "undo" else step.seconds if step else 0.0


def undo_begins(event: Event) -> bool:
    """Whether ``event`` is the one from which an undo's time counts."""
    return event.name == "undo" and event.text("state") == "begin"


def ending(event: Event) -> str:
    """How a step or undo ended, in one word or two."""
    if event.text("state") == "done":
        return "done"
    words = {"timeout": "timed out", "cancelled": "cancelled", "refused": "refused"}
    return words.get(event.text("why"), "failed")


def exit_word(event: Event) -> str:
    """``exit 1``, or nothing when there is no exit status worth a word."""
    code = event.number("rc")
    return f"exit {code}" if code and event.text("why") in ("", "failed") else ""
