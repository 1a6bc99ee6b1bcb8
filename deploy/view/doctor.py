"""What ``fab doctor`` found: for people group by group, for programs as one object."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TextIO

from deploy.view.clean import clean
from deploy.view.colour import paint, wanted
from deploy.view.jsonlines import one_line
from deploy.view.sink import Sink
from deploy.view.words import signs_for

Group = Literal["laptop", "server", "application"]
Level = Literal["ok", "warning", "error"]

#: Widest text, in columns: longer lines are hard to read.
_WIDEST = 96
_STYLES = {"ok": "good", "warning": "warn", "error": "bad"}


@dataclass(frozen=True)
class Finding:
    """What one check found.

    ``what`` is what is there, or what is wrong; ``why`` and ``remedy`` are empty for ``ok``. A line of the
    remedy that begins with a blank is a command or a setting, to be copied as it is.
    """

    group: Group
    check: str
    level: Level
    what: str
    why: str = ""
    remedy: str = ""


class Report:
    """Shows the findings on ``stdout`` as they come, or at the end as one JSON object."""

    def __init__(self, stdout: TextIO, environ: Mapping[str, str], *, as_json: bool) -> None:
        self._sink, self._json = Sink(stdout), as_json
        self._colour, self._signs = wanted(stdout, environ), signs_for(stdout, environ)
        # Not above: it loads Rich.
        from deploy.view.screen import size_of

        self._width = min(size_of(stdout)[0], _WIDEST)
        self.findings: list[Finding] = []

    def title(self, text: str) -> None:
        """What is looked at."""
        if not self._json:
            self._write([paint(clean(text), "bold", self._colour)])

    def group(self, name: Group, findings: Sequence[Finding]) -> None:
        """All that was found in one group."""
        self.findings += findings
        if not self._json:
            self._write(self._group(name, findings))

    def end(self, exit_code: int, **about: str) -> None:
        """The last line; ``about`` goes into the JSON object."""
        count = Counter(finding.level for finding in self.findings)
        if self._json:
            self._sink.write(one_line(_record(self.findings, count, exit_code, about)))
            return
        self._write([""] if count["error"] or count["warning"] else [])
        self._write([self._verdict(count, exit_code)])

    def _group(self, name: str, findings: Sequence[Finding]) -> Iterator[str]:
        count = Counter(finding.level for finding in findings)
        parts = [
            paint(_counted(count[level], level), _STYLES[level], self._colour)
            for level in ("error", "warning", "ok")
            if count[level]
        ]
        yield f"{paint(name.capitalize(), 'bold', self._colour)}  {', '.join(parts)}"
        for finding in sorted(findings, key=lambda one: ("error", "warning", "ok").index(one.level)):
            if finding.level != "ok":
                yield from self._finding(finding)
        passed = ", ".join(dict.fromkeys(one.check for one in findings if one.level == "ok"))
        for number, line in enumerate(self._wrapped(passed, 4)):
            yield paint(line if number else f"  {self._signs.done} {line.lstrip()}", "dim", self._colour)

    def _finding(self, finding: Finding) -> Iterator[str]:
        sign = "!" if finding.level == "warning" else self._signs.failed
        first, *more = self._wrapped(f"{finding.check}: {finding.what}", 4)
        yield f"  {paint(sign, _STYLES[finding.level], self._colour)} {first.lstrip()}"
        yield from more
        for line in self._wrapped(finding.why, 4):
            yield paint(line, "dim", self._colour)
        for number, line in enumerate(finding.remedy.splitlines()):
            if number:
                yield from self._wrapped(line, 4)
            elif line.startswith(" "):
                yield f"    {self._signs.arrow} {clean(line.lstrip())}"
            else:
                yield from self._wrapped(f"{self._signs.arrow} {line}", 4)

    def _wrapped(self, text: str, indent: int) -> list[str]:
        """The text's lines within the width; a line that begins with a blank is kept whole."""
        lines: list[str] = []
        for line in text.splitlines():
            shown, lead = clean(line), " " * indent
            if line.startswith(" "):
                lines.append(lead + shown)
                continue
            lines += textwrap.wrap(
                shown,
                self._width,
                initial_indent=lead,
                subsequent_indent=lead,
                break_long_words=False,
                break_on_hyphens=False,
            )
        return lines

    def _verdict(self, count: Counter[Level], exit_code: int) -> str:
        if count["error"]:
            return paint(_summary(count), "bad", self._colour)
        if count["warning"]:
            return paint(f"No errors, {_counted(count['warning'], 'warning')}.", "warn", self._colour)
        return paint(f"All {count['ok']} checks are ok.", "good", self._colour)

    def _write(self, lines: Iterator[str] | list[str]) -> None:
        self._sink.write("".join(f"{line}\n" for line in lines))


def _counted(count: int, level: Level) -> str:
    return f"{count} {level}" + ("s" if count > 1 and level != "ok" else "")


def _summary(count: Counter[Level]) -> str:
    warnings = f", {_counted(count['warning'], 'warning')}" if count["warning"] else ""
    return f"{_counted(count['error'], 'error')}{warnings}."


def _record(
    findings: Sequence[Finding], count: Counter[Level], exit_code: int, about: Mapping[str, str]
) -> dict[str, Any]:
    return {
        **{key: value or None for key, value in about.items()},
        "exit_code": exit_code,
        "errors": count["error"],
        "warnings": count["warning"],
        "findings": [asdict(finding) for finding in findings],
    }
