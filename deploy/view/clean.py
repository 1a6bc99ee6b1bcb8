"""Make foreign text harmless: what a server printed may hold anything, a terminal may obey it."""

from __future__ import annotations

import re

#: Longest line drawn, in characters; a longer one is cut in its middle.
LIMIT = 2000
#: Of a line longer than this only the two ends are looked at, so that the work is bounded.
_ROUGH = 16 * LIMIT
_MARK = " [... {} characters left out ...] "
_KEEP = (LIMIT - 60) // 2

# Bodies hold no control character, so no part of a line is scanned twice: the work is linear.
_SEQUENCES = re.compile(
    r"(?:\x1b[\]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x00-\x1f\x7f-\x9f]*+(?:\x07|\x1b\\|\x9c)"  # OSC, DCS, ...
    r"|(?:\x1b\[|\x9b)[0-?]*+[ -/]*+[@-~]?"  # CSI
    r"|\x1b[ -/]*+[0-~]?"  # every other escape, and the start of an unfinished string
)
_BLANKS = re.compile(r"[\n\v\f\r\x85\u2028\u2029]+")
_HIDDEN = re.compile(
    r"[\x00-\x07\x0e-\x1f\x7f-\x84\x86-\x9f"  # controls, without tab, backspace and the blanks
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufff9-\ufffb]"  # text direction, annotations
)
_SURROGATES = re.compile(r"[\ud800-\udfff]")


def clean(text: str) -> str:
    """``text`` as one line that does nothing to a terminal, at most ``LIMIT`` characters long.

    Escape sequences, controls and direction overrides are gone, backspaces have erased, tabs are spaces,
    line ends one space, lone surrogates U+FFFD. What follows an unfinished sequence is kept: it may matter.
    """
    if len(text) <= LIMIT and text.isprintable():
        return text
    if len(text) <= _ROUGH:
        head = tail = _strip(text)
        if len(head) <= LIMIT:
            return head
    else:
        head, tail = _strip(text[: _ROUGH // 2]), _strip(text[-_ROUGH // 2 :])
    head, tail = head[:_KEEP], tail[-_KEEP:]
    return head + _MARK.format(len(text) - len(head) - len(tail)) + tail


def _strip(text: str) -> str:
    text = _HIDDEN.sub("", _SEQUENCES.sub("", text))
    text = _SURROGATES.sub("\N{REPLACEMENT CHARACTER}", _BLANKS.sub(" ", text))
    if "\b" in text:
        text = _erase(text)
    return text.expandtabs(8)


def _erase(text: str) -> str:
    kept: list[str] = []
    for char in text:
        if char != "\b":
            kept.append(char)
        elif kept:
            kept.pop()
    return "".join(kept)
