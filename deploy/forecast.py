"""``fab plan``: what a deployment would bring, asked of the server and read from its answers."""

from __future__ import annotations

from collections.abc import Iterable

from deploy import deployment, squawk, view
from deploy.answers import each, one, pairs
from deploy.commands import Command
from deploy.errors import FailedError, UsageError

Pairs = list[tuple[str, str]]


def run(command: Command, ref: str, fail_on: str) -> int:
    """Show the forecast; 1 when ``fail_on`` is "danger" and there is some. Raises UsageError, FailedError."""
    if fail_on not in ("", "danger"):
        raise UsageError(f"--fail-on takes danger, not {fail_on!r}")
    target = command.target
    lines, good = deployment.lines(command.server, "plan", ref=ref or target.branch)
    if not good:
        raise FailedError(
            "the server could not tell what a deployment would bring", "\n".join(map(view.clean, lines[-5:]))
        )
    found = squawk.judged(read(lines, target.app, target.name))
    view.show_forecast(found, command.stdout, command.environ, as_json=command.json)
    command.told = True
    return 1 if fail_on and (found.dangers or found.stops) else 0


def read(lines: Iterable[str], app: str, target: str) -> view.Forecast:
    """The forecast of the server's lines ``backstay KEY VALUE``; anything else among them is left out."""
    top, *revisions = split(pairs(lines), "revision")
    # What follows the last revision is of all of them.
    commands = [value for key, value in (revisions[-1] if revisions else top) if key == "command"]
    return view.Forecast(
        app=app,
        target=target,
        before=one(top, "here"),
        after=one(top, "wanted"),
        commits=tuple(commit(text) for text in each(top, "commit")),
        commit_count=int(one(top, "commits") or 0),
        gone=tuple(commit(text) for text in each(top, "gone")),
        gone_count=int(one(top, "gones") or 0),
        changed=tuple(tuple(text.split("\t")) for text in each(top, "changed")),
        heads=tuple(one(top, "heads").split()),
        code=tuple(one(top, "code").split()),
        unasked=one(top, "unasked"),
        unreadable=one(top, "unreadable"),
        stops=tuple(map(view.Stop, each(top, "stop"), each(top, "hint"))),
        revisions=tuple(revision(record) for record in revisions),
        commands=tuple(commands),
    )


def revision(record: Pairs) -> view.Revision:
    """One pending revision; what follows a finding is of that finding."""
    top, *findings = split(record, "finding")
    return view.Revision(
        id=one(top, "revision"),
        title=one(top, "title"),
        down=tuple(one(top, "down").split()),
        path=one(top, "path"),
        dialect=one(top, "dialect"),
        transactional=one(top, "transactional") == "yes",
        up=way(top, "up"),
        undo=way(top, "undo"),
        undoable=one(top, "undoable"),
        because=one(top, "because"),
        findings=tuple(finding(found) for found in findings),
        allows=tuple(allowance(text) for text in each(top, "allow")),
    )


def way(record: Pairs, key: str) -> view.Way:
    """What a revision says to the database, one way."""
    unknown = each(record, f"no_{key}")
    sql = None if unknown else tuple(each(record, key))
    return view.Way(sql, "".join(unknown), one(record, f"source_{key}"))


def finding(record: Pairs) -> view.Remark:
    """One finding of a revision."""
    words = (one(record, key) for key in ("finding", "rule", "subject", "why", "instead", "allowed"))
    return view.Remark(*words)


def allowance(text: str) -> tuple[str, str]:
    """``RULE<tab>REASON``."""
    rule, _, reason = text.partition("\t")
    return rule, reason


def commit(text: str) -> view.Commit:
    """``SHA DATE AUTHOR<tab>SUBJECT``."""
    start, _, subject = text.partition("\t")
    sha, _, rest = start.partition(" ")
    date, _, author = rest.partition(" ")
    return view.Commit(sha, date, author, subject)


def split(found: Iterable[tuple[str, str]], key: str) -> list[Pairs]:
    """Cut before each ``key``; what comes before the first is first."""
    parts: list[Pairs] = [[]]
    for pair in found:
        if pair[0] == key:
            parts.append([])
        parts[-1].append(pair)
    return parts
