"""The last words: what is on the server now. They agree with the exit code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from deploy.view.clean import clean
from deploy.view.summary import Change, Result
from deploy.view.words import Signs, commit_word, duration, heads_word, image_word

Style = Literal["good", "bad", "warn", "dim", "bold", ""]


@dataclass(frozen=True)
class Said:
    """One sentence or line, and how it is drawn; ``indent`` in columns."""

    text: str
    style: Style = ""
    indent: int = 0


def verdict(result: Result, signs: Signs) -> list[Said]:
    """The closing lines for ``result``, safe to draw."""
    if result.exit_code == 3:
        lines = _incomplete(result)
    elif result.outcome == "refused":
        lines = [Said(f"Refused{_at(result)}. This release changed nothing on the server.", "bad")]
    elif result.outcome == "detached":
        lines = [Said("Detached. The work goes on on the server; to see it: fab attach", "warn")]
    elif result.turned_back:
        lines = [Said(_as_it_was(result), "good" if result.exit_code == 0 else "bad")]
    else:
        lines = [Said(_good(result, signs), "good")]
    return [*lines, Said(f"Backup: {clean(result.backup)}")] if result.backup else lines


def _good(result: Result, signs: Signs) -> str:
    done = clean(result.outcome).capitalize().replace("-", " ")
    to = " to" if result.outcome == "rolled-back" else ""
    commit, image = result.commit.after, result.image.after
    parts = [
        f"{done}{to} {commit_word(commit)}" if commit else done,
        _heads_change(result.heads, signs),
        f"image {image_word(image)}" if image else "",
        duration(result.seconds),
    ]
    return signs.dot.join(part for part in parts if part)


def _heads_change(heads: Change[tuple[str, ...]], signs: Signs) -> str:
    if heads.after is None:
        return ""
    after = heads_word(heads.after)
    if heads.before is None or set(heads.before) == set(heads.after):
        return f"migrations {after}"
    return f"migrations {heads_word(heads.before)} {signs.arrow} {after}"


def _as_it_was(result: Result) -> str:
    outcome = clean(result.outcome).capitalize()
    done = "Undone" if result.exit_code == 0 else f"{outcome}{_at(result)}"
    there = _there(result, unknown="")
    return f"{done}. The server is exactly as it was{': ' if there else ''}{there}."


def _incomplete(result: Result) -> list[Said]:
    if result.lost and "Run: fab recover" not in result.left:
        first = f"!! INCOMPLETE{_at(result)}: all is as it was, but for what was in {clean(result.lost)}."
        return [Said(first, "bad"), Said("Left to do:", "bold"), *_numbered(result)]
    return [
        Said(
            f"!! INCOMPLETE{_at(result)}: the server may be between the old release and the new one.", "bad"
        ),
        Said(f"On the server now: {_there(result, unknown='unknown')}."),
        Said("Left to do:", "bold"),
        *_numbered(result),
    ]


def _numbered(result: Result) -> list[Said]:
    return [Said(f"{number}. {clean(text)}", indent=2) for number, text in enumerate(result.left, 1)]


def _at(result: Result) -> str:
    return f" at {clean(result.failed_at)}" if result.failed_at else ""


def _there(result: Result, unknown: str) -> str:
    commit, heads, image = result.commit.after, result.heads.after, result.image.after
    parts = [
        ("commit", unknown if commit is None else commit_word(commit)),
        ("migrations", unknown if heads is None else heads_word(heads)),
    ]
    words = [f"{name} {word}" for name, word in parts if word]
    return ", ".join([*words, *_running(image, unknown)])


def _running(image: str | None, unknown: str) -> list[str]:
    if image is None:
        return [f"image {unknown}"] if unknown else []
    return [f"image {image_word(image)}", *([] if unknown else ["running"])] if image else ["nothing running"]
