"""What squawk, a linter for PostgreSQL, adds to a forecast; nothing where it is not installed.

Our own judge goes first: it knows more, such as the type that a column had. See docs/decisions/squawk.md.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from deploy.view import Forecast, Remark, Revision

#: Seconds; it takes hundredths.
_TIMEOUT = 20
#: Judged by a rule of our own.
OURS = {
    "adding-field-with-default": "long-lock",
    "adding-foreign-key-constraint": "constraint-scan",
    "adding-not-nullable-field": "not-null-without-default",
    "adding-primary-key-constraint": "constraint-scan",
    "adding-required-field": "not-null-without-default",
    "adding-serial-primary-key-field": "constraint-scan",
    "ban-concurrent-index-creation-in-transaction": "needs-autocommit",
    "ban-drop-column": "drop-column",
    "ban-drop-database": "drop-table",
    "ban-drop-schema": "drop-table",
    "ban-drop-table": "drop-table",
    "ban-set-schema": "rename-table",
    "changing-column-type": "type-change",
    "constraint-missing-not-valid": "constraint-scan",
    "disallowed-unique-constraint": "constraint-scan",
    "renaming-column": "rename-column",
    "renaming-table": "rename-table",
    "require-concurrent-index-creation": "index-without-concurrently",
    "require-concurrent-reindex": "long-lock",
}
#: Of style, of time limits and transactions, which Alembic and env.py see to, or of what breaks nothing.
LEFT_OUT = {
    "ban-char-field",
    "ban-create-domain-with-constraint",
    "ban-drop-constraint",
    "ban-drop-domain",
    "ban-drop-type",
    "ban-duplicate-column-assignments",
    "ban-uncommitted-transaction",
    "identifier-too-long",
    "prefer-bigint-over-int",
    "prefer-bigint-over-smallint",
    "prefer-identity",
    "prefer-robust-stmts",
    "prefer-text-field",
    "prefer-timestamp-tz",
    "renaming-object",
    "require-enum-value-ordering",
    "require-lock-timeout",
    "require-statement-timeout",
    "require-timeout-settings",
    "syntax-error",
    "transaction-nesting",
}
#: Left out only where our rule found something in the same revision.
_SAME = {"ban-drop-default": "not-null-without-default", "require-concurrent-index-deletion": "drop-table"}
#: All others are notes.
_WARNINGS = {
    "ban-alter-domain-with-add-constraint",
    "ban-alter-identity",
    "ban-drop-default",
    "ban-drop-extension",
    "ban-drop-function",
    "ban-drop-generated-expression",
    "ban-drop-sequence",
    "ban-drop-view",
    "ban-truncate-cascade",
}
#: The revision that it is of, and its text as squawk gets it.
Statement = tuple[str, str]


class Complaint(NamedTuple):
    """One of squawk's; ``line`` counts from 0."""

    rule: str
    line: int
    message: str
    help: str


def judged(forecast: Forecast) -> Forecast:
    """The forecast with squawk's findings too; ``unlinted`` says why they are missing where it fails."""
    program = find()
    revisions = [each for each in forecast.revisions if each.dialect.startswith("postgresql")]
    statements = [(each.id, f"{sql}\n;\n") for each in revisions for sql in each.up.sql or ()]
    if not (program and statements):
        return forecast
    try:
        found = complaints(program, statements)
    except _Failed as failed:
        return replace(forecast, unlinted=f"squawk did not judge: {failed}")
    both = [
        replace(it, findings=(*it.findings, *remarks(it, found.get(it.id, [])))) for it in forecast.revisions
    ]
    return replace(forecast, revisions=tuple(both))


def find() -> str | None:
    """Where squawk is: beside our Python, or on the path."""
    beside = Path(sys.executable).with_name("squawk")
    return str(beside) if beside.is_file() else shutil.which("squawk")


class _Failed(Exception):
    pass


def complaints(program: str, statements: Sequence[Statement]) -> dict[str, list[tuple[Complaint, str]]]:
    """By revision, each with the line that it points at. Raises _Failed.

    One statement that squawk cannot read keeps it from judging all others: it is left out then.
    """
    while statements:
        sql = "".join(text for _, text in statements)
        found = read(_ask(program, sql))
        ends = list(accumulate(text.count("\n") for _, text in statements))
        if any(not 0 <= each.line <= ends[-1] for each in found):
            raise _Failed("it speaks of lines that are not there.")
        # What is never closed is complained of behind the last line.
        at = [min(bisect_right(ends, each.line), len(ends) - 1) for each in found]
        broken = {place for place, each in zip(at, found, strict=True) if each.rule == "syntax-error"}
        if not broken:
            lines, by_revision = sql.split("\n"), defaultdict[str, list[tuple[Complaint, str]]](list)
            for place, each in zip(at, found, strict=True):
                by_revision[statements[place][0]].append((each, words(lines[each.line])))
            return by_revision
        statements = [each for place, each in enumerate(statements) if place not in broken]
    return {}


def _ask(program: str, sql: str) -> bytes:
    argv = [program, "--reporter", "json", "--assume-in-transaction"]
    try:
        done = subprocess.run(argv, input=sql.encode(), capture_output=True, timeout=_TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise _Failed(f"it gave no answer within {_TIMEOUT} seconds.") from None
    except OSError as error:
        raise _Failed(f"{program}: {error.strerror or error}.") from None
    if done.returncode not in (0, 1) or not done.stdout:
        said = done.stderr.decode(errors="replace").split("\n", 1)[0].strip()
        raise _Failed(said or f"it ended with {done.returncode}.")
    return done.stdout


def read(answer: bytes) -> list[Complaint]:
    """squawk's answer. Raises _Failed for one that is none of its."""
    try:
        return [
            Complaint(
                str(each["rule_name"]), int(each["line"]), sentence(each["message"]), sentence(each["help"])
            )
            for each in json.loads(answer)
        ]
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _Failed("its answer is not to be understood.") from None


def sentence(text: str | None) -> str:
    """On one line, with a full stop."""
    said = " ".join((text or "").split())
    return said if not said or said.endswith((".", "!", "?")) else f"{said}."


def words(line: str) -> str:
    """The line that a complaint points at; no more than 70 characters of it."""
    said = line.strip().rstrip("; ")
    return said if len(said) <= 70 else f"{said[:67]}..."


def remarks(revision: Revision, found: Sequence[tuple[Complaint, str]]) -> Iterator[Remark]:
    """What is worth saying of a revision; the same, said several times, is one remark."""
    ours = {each.rule for each in revision.findings}
    reasons = dict(revision.allows)
    subjects: dict[tuple[str, str, str], list[str]] = {}
    for it, said in found:
        if it.rule not in OURS and it.rule not in LEFT_OUT and _SAME.get(it.rule) not in ours:
            subjects.setdefault((it.rule, it.message, it.help), []).append(said)
    for (rule, message, help), several in subjects.items():
        severity = "warning" if rule in _WARNINGS else "note"
        name, subject = f"squawk: {rule}", listed(several)
        yield Remark(severity, name, subject, message, help, allowed=reasons.get(name, ""))


def listed(names: Sequence[str]) -> str:
    """Four of them, each once, and how many more there are."""
    several = list(dict.fromkeys(names))
    more = f" and {len(several) - 4} more" if len(several) > 4 else ""
    return ", ".join(several[:4]) + more
