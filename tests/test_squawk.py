"""squawk's findings beside our own, from the real program; and programs that only have its name."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import judge
import pytest

from deploy import forecast, squawk, view

ANSWERS = """\
backstay revision {id}
backstay dialect {dialect}
backstay up {sql}
backstay allow squawk: ban-drop-not-null\tit never had one
"""


def plan(*revisions: tuple[str, str], dialect: str = "postgresql") -> view.Forecast:
    """The forecast of revisions, each with its id and its SQL."""
    answers = (
        ANSWERS.format(id=name, sql=sql.replace("\n", "\nbackstay + "), dialect=dialect)
        for name, sql in revisions
    )
    return forecast.read("".join(answers).splitlines(), "shop", "production")


def added(*sql: str, **more: str) -> list[list[str]]:
    """What is found in each of the revisions."""
    found = squawk.judged(plan(*((f"a{at}", text) for at, text in enumerate(sql)), **more))
    assert found.unlinted == ""
    return [[f"{one.severity} {one.rule} {one.subject}" for one in each.findings] for each in found.revisions]


def test_its_findings_look_like_ours() -> None:
    (revision,) = squawk.judged(plan(("a1", "DROP VIEW v"))).revisions
    (found,) = revision.findings
    assert found == view.Remark(
        "warning", "squawk: ban-drop-view", "DROP VIEW v", "Dropping a view may break existing clients."
    )


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("DROP INDEX ix;", ["note squawk: require-concurrent-index-deletion DROP INDEX ix"]),
        (
            'ALTER TABLE "ü" ALTER a DROP DEFAULT',
            ['warning squawk: ban-drop-default ALTER TABLE "ü" ALTER a DROP DEFAULT'],
        ),
        ("DROP SEQUENCE s", ["warning squawk: ban-drop-sequence DROP SEQUENCE s"]),
        ("TRUNCATE t CASCADE", ["warning squawk: ban-truncate-cascade TRUNCATE t CASCADE"]),
        ("ALTER TABLE t ADD c char(3), ADD d timestamp; ALTER TABLE t DROP CONSTRAINT u", []),
        ("SELECT 1 -- no more", []),
        ("", []),
    ],
)
def test_what_it_adds(sql: str, expected: list[str]) -> None:
    assert added(sql) == [expected]
    assert added(sql, dialect="mysql") == [[]]


#: What both would find, at least one for each of our rules.
DOUBLE = {
    "DROP TABLE t": "drop-table",
    "ALTER TABLE t DROP COLUMN a": "drop-column",
    "ALTER TABLE t RENAME TO u": "rename-table",
    "ALTER TABLE t RENAME a TO b": "rename-column",
    "ALTER TABLE t ADD COLUMN a bigint NOT NULL": "not-null-without-default",
    "ALTER TABLE t ALTER COLUMN a SET NOT NULL": "not-null-without-default",
    "ALTER TABLE t ADD a bool DEFAULT '0' NOT NULL; ALTER TABLE t ALTER a DROP DEFAULT": (
        "not-null-without-default"
    ),
    "ALTER TABLE t ADD a uuid DEFAULT gen_random_uuid()": "long-lock",
    "REINDEX TABLE t": "long-lock",
    "ALTER TABLE t ALTER COLUMN a TYPE bigint": "type-change",
    "CREATE INDEX ix ON t (a)": "index-without-concurrently",
    "CREATE INDEX CONCURRENTLY ix ON t (a)": "needs-autocommit",
    "ALTER TABLE t ADD CONSTRAINT u UNIQUE (a)": "constraint-scan",
    "ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0)": "constraint-scan",
    "ALTER TABLE t ADD CONSTRAINT k FOREIGN KEY (a) REFERENCES u (id)": "constraint-scan",
    "ALTER TABLE t ADD PRIMARY KEY (a)": "constraint-scan",
}


def test_nothing_is_said_twice() -> None:
    for sql, rule in DOUBLE.items():
        source = "def downgrade():\n    op.f()\n"
        found = judge.judge({"id": "a1", "source": source, "up": [sql], "dialect": "postgresql"})
        assert [one["rule"] for one in found] == [rule], sql
        before = plan(("a1", sql))
        ours = tuple(view.Remark(one["severity"], one["rule"]) for one in found)
        before = replace(before, revisions=(replace(before.revisions[0], findings=ours),))
        assert squawk.judged(before) == before, sql
    assert set(squawk.OURS.values()) <= set(DOUBLE.values()) <= set(judge.RULES)


def test_findings_are_of_the_revision_that_they_are_about() -> None:
    found = added(
        "CREATE TABLE t (id bigint);\nALTER TABLE u\n  ALTER a DROP DEFAULT, ALTER b\n DROP DEFAULT;",
        "DROP VIEW a; -- it was \U0001f602\nDROP VIEW b",
        "",
        "\n".join(f"DROP VIEW v{at};" for at in range(6)),
    )
    said = "warning squawk: ban-drop-view "
    assert found == [
        ["warning squawk: ban-drop-default ALTER a DROP DEFAULT, ALTER b, DROP DEFAULT"],
        [f"{said}DROP VIEW a; -- it was \U0001f602, DROP VIEW b"],
        [],
        [f"{said}DROP VIEW v0, DROP VIEW v1, DROP VIEW v2, DROP VIEW v3 and 2 more"],
    ]


def test_what_it_cannot_read_hides_nothing_else() -> None:
    assert added("THIS IS NO SQL", "DROP VIEW v") == [[], ["warning squawk: ban-drop-view DROP VIEW v"]]
    assert added("THIS IS NO SQL") == [[]]


def test_what_the_author_allows() -> None:
    (revision,) = squawk.judged(plan(("a1", "ALTER TABLE t ALTER a DROP NOT NULL"))).revisions
    assert [one.allowed for one in revision.findings] == ["it never had one"]
    for form in ("squawk: ban-drop-not-null", "squawk-ban-drop-not-null", "squawk/ban-drop-not-null"):
        allowed = judge.allowances(f"# backstay: allow {form}, drop-table: squawk: is wrong\n")
        assert allowed == dict.fromkeys(["squawk: ban-drop-not-null", "drop-table"], "squawk: is wrong")


def test_it_is_found_beside_our_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert squawk.find() == str(Path(sys.executable).with_name("squawk"))


def pretend(monkeypatch: pytest.MonkeyPatch, file: Path, script: str) -> None:
    file.write_text(f"#!/bin/sh\n{script}\n")
    os.chmod(file, 0o700)
    monkeypatch.setattr(squawk, "find", lambda: str(file))
    monkeypatch.setattr(squawk, "_TIMEOUT", 0.5)


ONE = '[{"rule_name":"x","line":%s,"column":0,"line_end":0,"column_end":0,"message":"m","help":null}]'


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo >&2 no such rule; exit 1", "no such rule"),
        ("kill -11 $$", "it ended with -11."),
        ("exec sleep 9", "it gave no answer within 0.5 seconds."),
        ("echo parrots squawk", "its answer is not to be understood."),
        ("echo '{\"a\": 1}'", "its answer is not to be understood."),
        ("echo 3", "its answer is not to be understood."),
        (f"echo '{ONE % 99}'", "it speaks of lines that are not there."),
        (f"echo '{ONE % -1}'", "it speaks of lines that are not there."),
        ("exit 0", "it ended with 0."),
    ],
)
def test_one_that_fails_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, words: str
) -> None:
    pretend(monkeypatch, tmp_path / "squawk", script)
    before = plan(("a1", "DROP VIEW v"))
    found = squawk.judged(before)
    assert found.unlinted == f"squawk did not judge: {words}"
    assert found.revisions == before.revisions


def test_a_program_that_does_not_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pretend(monkeypatch, tmp_path / "squawk", "")
    (tmp_path / "squawk").write_text("no program")
    assert "Exec format error" in squawk.judged(plan(("a1", "DROP VIEW v"))).unlinted


def test_without_it_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(squawk, "find", lambda: None)
    before = plan(("a1", "DROP VIEW v"))
    assert squawk.judged(before) is before
