"""What each recording looks like, as text.  python -m tests.view.golden writes the files anew: read them."""

from __future__ import annotations

import io
from pathlib import Path

from deploy.view.live import LiveView
from deploy.view.plain import PlainView
from deploy.view.screen import Screen
from deploy.view.sink import Sink
from deploy.view.words import ASCII, UNICODE
from tests.view.recordings import CASES, EXPECTED, play
from tests.view.terminal import Terminal

FOLDER = Path(__file__).parent / "golden"
LOOKS = ("80", "40", "plain", "ascii")


def shown(case: str, look: str) -> str:
    """The screens at each look and at the end, at a width; or the plain lines."""
    return _plain(case) if look == "plain" else _live(case, look)


def _live(case: str, look: str) -> str:
    terminal = Terminal(40 if look == "40" else 80, 24)
    screen = Screen(Sink(terminal), terminal.size, colour=True)  # type: ignore[arg-type]
    view = LiveView(
        screen, target="production", expected=EXPECTED, signs=ASCII if look == "ascii" else UNICODE
    )
    parts = [f"--- at {at:.1f} s\n{terminal.text()}\n" for at in play(CASES[case](), view)]
    return "".join([*parts, f"--- at the end\n{terminal.text()}\n"])


def _plain(case: str) -> str:
    out = io.StringIO()
    both = Sink(out)
    list(play(CASES[case](), PlainView(both, both, target="production", signs=UNICODE)))
    return out.getvalue()


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for case in CASES:
        for look in LOOKS:
            (FOLDER / f"{case}.{look}.txt").write_text(shown(case, look), "utf-8")


if __name__ == "__main__":
    main()
