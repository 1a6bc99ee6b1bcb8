"""What the server answered: facts by name, texts by name, and what its own checks complained of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from deploy import events
from deploy.errors import RefusedError


@dataclass(frozen=True)
class Complaint:
    """A check of the server's own that failed, in its words."""

    text: str
    remedy: str


@dataclass(frozen=True)
class Facts:
    """``answers``, ``texts`` (files, masked) and ``complaints`` go by names that the server's scripts give.

    ``ahead`` is by how many seconds the server's clock is ahead of ours; ``greeting`` is what the login
    shell said first.
    """

    answers: dict[str, str] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    complaints: dict[str, tuple[Complaint, ...]] = field(default_factory=dict)
    ahead: float = 0.0
    greeting: str = ""

    def get(self, name: str) -> str:
        """The answer; empty when there is none."""
        return self.answers.get(name, "")

    def yes(self, name: str) -> bool:
        """Whether the answer is yes."""
        return self.get(name) == "yes"

    def number(self, name: str) -> int | None:
        """The answer as a whole number; None when it is none."""
        text = self.get(name)
        return int(text) if text.isascii() and text.isdigit() else None

    def words(self, name: str) -> list[str]:
        """The words of the answer."""
        return self.get(name).split()


def read(data: bytes, now: float) -> Facts:
    """The facts in all that the server sent; ``now`` is our clock when the first of it came.

    Raises RefusedError when the server refused.
    """
    start = data.find(events.SEPARATOR)
    greeting = data[: max(start, 0)].decode("utf-8", "replace").strip()
    decoder = events.Decoder(greeting=True)
    items = decoder.feed(data)
    first = next((item for item in items if isinstance(item, events.Event) and item.at), None)
    facts = Facts(greeting=greeting, ahead=first.at - now if first else 0.0)
    _sort(items, facts)
    return facts


def _sort(items: Iterable[events.Item], facts: Facts) -> None:
    # What came last says to what a complaint, and a line of text, belongs.
    now = {"check": "", "text": ""}
    for item in items:
        if isinstance(item, events.Output):
            if now["text"]:
                facts.texts[now["text"]] += f"{item.line}\n"
        elif item.name == "refuse":
            raise RefusedError(item.text("text"), item.text("hint"))
        elif item.name == "note":
            said = Complaint(item.text("text"), item.text("hint"))
            facts.complaints[now["check"]] = (*facts.complaints.get(now["check"], ()), said)
        elif item.name == "answer":
            known = now if item.text("name") in now else facts.answers
            known[item.text("name")] = item.text("value")
            facts.texts.setdefault(now["text"], "")
