"""What a deployment would bring, for people and for programs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TextIO

from deploy.view.clean import clean
from deploy.view.colour import paint, wanted
from deploy.view.jsonlines import one_line
from deploy.view.sink import Sink
from deploy.view.words import commit_word, heads_word, signs_for

#: Commits and files that people are shown of each list.
_SHOWN = 20
_WIDTH = 79


@dataclass(frozen=True)
class Commit:
    """One commit; ``date`` as git writes it in ISO 8601."""

    id: str
    date: str
    author: str
    subject: str


@dataclass(frozen=True)
class Remark:
    """What is said of a revision; ``allowed`` is the reason that its author gave for going on."""

    severity: str
    rule: str
    subject: str = ""
    why: str = ""
    instead: str = ""
    allowed: str = ""


@dataclass(frozen=True)
class Way:
    """The statements of an upgrade or a downgrade; None where ``trouble`` says why, and ``source`` has its
    text."""

    sql: tuple[str, ...] | None
    trouble: str = ""
    source: str = ""


@dataclass(frozen=True)
class Revision:
    """A pending revision. ``undoable`` is yes, no or "loses data"; ``because`` says why; ``allows`` has rules
    of squawk's that its author allows, and the reasons."""

    id: str
    title: str
    down: tuple[str, ...]
    path: str
    dialect: str
    transactional: bool
    up: Way
    undo: Way
    undoable: str
    because: str
    findings: tuple[Remark, ...]
    allows: tuple[tuple[str, str], ...] = ()

    @property
    def dangers(self) -> tuple[Remark, ...]:
        """Those that its author did not allow."""
        return tuple(each for each in self.findings if each.severity == "danger" and not each.allowed)


@dataclass(frozen=True)
class Stop:
    """What is in the way of a deployment, and what to do."""

    text: str
    hint: str


@dataclass(frozen=True)
class Forecast:
    """What a deployment would bring: from the commit ``before`` to ``after``.

    ``commits`` arrive, ``gone`` are on the server and not in the new history. ``heads`` are the database's,
    or the deployed code's where ``unasked`` says why the database does not answer; ``code`` are the new
    commit's. ``unreadable`` is why nothing is known of its migrations, ``unlinted`` why squawk did not judge
    them; ``changed`` has a letter of git's and a path.
    """

    app: str
    target: str
    before: str
    after: str
    commits: tuple[Commit, ...]
    commit_count: int
    gone: tuple[Commit, ...]
    gone_count: int
    changed: tuple[tuple[str, ...], ...]
    heads: tuple[str, ...]
    code: tuple[str, ...]
    unasked: str
    unreadable: str
    stops: tuple[Stop, ...]
    revisions: tuple[Revision, ...]
    commands: tuple[str, ...]
    unlinted: str = ""

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to do."""
        return self.before == self.after and not (self.revisions or self.unreadable)

    @property
    def dangers(self) -> tuple[str, ...]:
        """The revisions with something dangerous in them."""
        return tuple(each.id for each in self.revisions if each.dangers)


def show_forecast(
    forecast: Forecast, stdout: TextIO, environ: Mapping[str, str], *, as_json: bool = False
) -> None:
    """The forecast on ``stdout``: lines for people, or one JSON object."""
    if as_json:
        Sink(stdout).write(one_line({**asdict(forecast), "dangers": list(forecast.dangers)}))
        return
    drawn = _Drawn(wanted(stdout, environ), signs_for(stdout, environ).arrow)
    Sink(stdout).write("".join(f"{line}\n" for line in drawn.all(forecast)))


class _Drawn:
    def __init__(self, colour: bool, arrow: str) -> None:
        self._colour, self._arrow = colour, arrow

    def _paint(self, text: str, style: str) -> str:
        return paint(text, style, self._colour)

    def all(self, it: Forecast) -> Iterator[str]:
        ways = dict.fromkeys(commit_word(commit) for commit in (it.before, it.after))
        yield self._paint(f"{clean(it.app)} on {clean(it.target)}", "bold") + f": {self._to(ways)}"
        yield from self._commits("Commits that arrive", it.commits, it.commit_count)
        yield from self._commits("The branch was rewritten: commits that go", it.gone, it.gone_count)
        yield from self._files(it.changed)
        yield from self._migrations(it)
        if not it.nothing:
            yield from self._head("What fab deploy does on the server")
            yield from (f"  {clean(command)}" for command in it.commands)
        yield ""
        yield from self._end(it)

    def _to(self, words: Mapping[str, None] | Sequence[str]) -> str:
        return f" {self._arrow} ".join(words)

    def _head(self, text: str) -> Iterator[str]:
        yield ""
        yield self._paint(text, "bold")

    def _commits(self, title: str, commits: Sequence[Commit], count: int) -> Iterator[str]:
        if not commits:
            return
        yield from self._head(f"{title} ({count})")
        for each in commits[:_SHOWN]:
            start = f"  {commit_word(each.id)}  {clean(each.date[:10])}  "
            yield start + self._paint(clean(each.author), "dim") + f"  {clean(each.subject)}"
        yield from self._more(count)

    def _files(self, changed: Sequence[tuple[str, ...]]) -> Iterator[str]:
        if not changed:
            return
        yield from self._head(f"Files that change ({len(changed)})")
        for how, *paths in changed[:_SHOWN]:
            yield f"  {clean(how[:1])}  {self._to([clean(path) for path in paths])}"
        yield from self._more(len(changed))

    def _more(self, count: int) -> Iterator[str]:
        if count > _SHOWN:
            yield self._paint(f"  and {count - _SHOWN} more", "dim")

    def _migrations(self, it: Forecast) -> Iterator[str]:
        if it.unreadable:
            yield from self._head("Migrations")
            yield from self._prose(it.unreadable, "  ", "warn")
        elif it.revisions:
            way = self._to([heads_word(it.heads), heads_word(it.code)])
            yield from self._head(f"Migrations to apply ({len(it.revisions)}): {way}")
        if it.unasked:
            yield from self._prose(f"The database was not asked: {it.unasked}", "  ", "warn")
        if it.unlinted:
            yield from self._prose(it.unlinted, "  ", "warn")
        for revision in it.revisions:
            yield from self._revision(revision)

    def _revision(self, it: Revision) -> Iterator[str]:
        yield ""
        yield f"  {self._paint(clean(it.id), 'bold')}  {clean(it.title)}"
        yield self._paint(f"  {clean(it.path)}", "dim")
        for each in it.findings:
            yield from self._finding(each)
        yield from self._way_back(it)
        yield from self._sql("up", it.up)
        yield from self._sql("undo", it.undo)

    def _way_back(self, it: Revision) -> Iterator[str]:
        words = {"yes": "can be undone", "no": "CANNOT BE UNDONE"}.get(it.undoable, "undoing it loses data")
        style = "warn" if it.undoable == "no" else ""
        yield from self._prose(f"{words}: {it.because}" if it.because else words, "    ", style)

    def _finding(self, it: Remark) -> Iterator[str]:
        name = f"{it.rule} {it.subject}".strip()
        if it.allowed:
            yield from self._prose(f"allowed: {name}: {it.allowed}", "    ", "dim")
            return
        style = {"danger": "bad", "warning": "warn"}.get(it.severity, "")
        word = "DANGER" if it.severity == "danger" else it.severity
        yield from self._prose(f"{word}: {name}", "    ", style)
        yield from self._prose(it.why, "      ")
        yield from self._prose(it.instead, "      ")

    def _sql(self, name: str, way: Way) -> Iterator[str]:
        lead = f"    {name:<4}  "
        if way.sql is None:
            yield from self._prose(f"Not known beforehand: {way.trouble}", lead, "warn")
        elif not way.sql:
            yield f"{lead}{self._paint('no SQL', 'dim')}"
        else:
            lines = [line for text in way.sql for line in text.expandtabs(4).splitlines()]
            yield lead + clean(lines[0])
            yield from (f"{' ' * len(lead)}{clean(line)}".rstrip() for line in lines[1:])
        for line in way.source.splitlines():
            yield self._paint(f"{' ' * len(lead)}{clean(line)}".rstrip(), "dim")

    def _prose(self, text: str, indent: str, style: str = "") -> Iterator[str]:
        for line in textwrap.wrap(clean(text), _WIDTH - len(indent), break_long_words=False):
            yield indent + self._paint(line, style)
            indent = " " * len(indent)

    def _end(self, it: Forecast) -> Iterator[str]:
        for stop in it.stops:
            yield from self._prose(f"In the way: {stop.text}", "", "bad")
            yield from self._prose(stop.hint, "  ")
        if it.stops:
            return
        if it.dangers:
            yield from self._prose(f"Dangerous: {heads_word(it.dangers)}.", "", "bad")
            yield "fab deploy asks before it applies them; without a terminal it wants --yes."
        elif it.nothing:
            yield "Nothing to do: that commit is there, and no migration is pending."
        else:
            yield "To do it: fab deploy"
