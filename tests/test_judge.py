"""What the judge of migrations finds, and what it lets pass."""

import ast
from pathlib import Path
from typing import Any

import judge
import judge_sql
import pytest
from hypothesis import given
from hypothesis import strategies as st

SERVER = Path(judge.__file__).parent

FULL = "def upgrade():\n    op.f()\n\n\ndef downgrade():\n    op.f()\n"


def revision(*up: str, dialect: str = "postgresql", **more: Any) -> dict[str, Any]:
    """A revision with these statements, and a downgrade that is not empty."""
    values = {"id": "a1", "down": (), "title": "", "file": "a1.py", "source": FULL, "undo": None}
    return {**values, "up": list(up), "dialect": dialect, "transactional": dialect == "postgresql", **more}


def found(one: dict[str, Any]) -> list[str]:
    """Findings as short lines: severity, rule, subject."""
    return [f"{f['severity']} {f['rule']} {f['subject']}" for f in judge.judge(one)]


#: SQL, and what is found in it, for PostgreSQL.
CASES: dict[str, list[str]] = {
    # tables
    "DROP TABLE users": ["danger drop-table users"],
    'DROP TABLE IF EXISTS public."Users", orders CASCADE': [
        "danger drop-table Users",
        "danger drop-table orders",
    ],
    "DROP SCHEMA old CASCADE": ["danger drop-table schema old"],
    "CREATE TABLE t (id INT); DROP TABLE t": [],
    "DROP INDEX ix; DROP VIEW v; DROP TYPE e; DROP FUNCTION f()": [],
    "CREATE TABLE drop_table_users (id INT)": [],
    "COMMENT ON TABLE t IS 'DROP TABLE users;'": [],
    "-- DROP TABLE users;\n/* DROP TABLE a; /* nested */ DROP TABLE b; */ SELECT 1": [],
    "CREATE FUNCTION f() RETURNS void AS $x$ BEGIN DROP TABLE users; END $x$ LANGUAGE plpgsql": [],
    "DO $$ BEGIN IF EXISTS (SELECT 1) THEN DROP TABLE users; END IF; END $$": ["danger drop-table users"],
    "ALTER TABLE users RENAME TO people": ["danger rename-table users"],
    "ALTER TABLE users RENAME TO people; CREATE VIEW users AS SELECT * FROM people": [],
    "ALTER TABLE users SET SCHEMA old": ["danger rename-table users"],
    "CREATE TABLE t (id INT); ALTER TABLE t RENAME TO u; DROP TABLE u": [],
    "ALTER TABLE users RENAME CONSTRAINT a TO b; ALTER INDEX a RENAME TO b": [],
    # columns
    "ALTER TABLE users DROP COLUMN email": ["danger drop-column users.email"],
    'ALTER TABLE ONLY a.users DROP "E-mail", DROP CONSTRAINT c, DROP IF EXISTS b': [
        "danger drop-column a.users.E-mail",
        "danger drop-column a.users.b",
    ],
    "ALTER TABLE users ADD COLUMN a INT; ALTER TABLE users DROP COLUMN a": [],
    "ALTER TABLE users RENAME email TO mail": ["danger rename-column users.email"],
    "ALTER TABLE users RENAME COLUMN email TO mail": ["danger rename-column users.email"],
    "ALTER TABLE users ADD a INT; ALTER TABLE users RENAME a TO b; ALTER TABLE users DROP b": [],
    # not null
    "ALTER TABLE users ADD COLUMN age INTEGER NOT NULL": ["danger not-null-without-default users.age"],
    "ALTER TABLE users ADD age INT NOT NULL DEFAULT NULL": ["danger not-null-without-default users.age"],
    "ALTER TABLE users ADD COLUMN age INTEGER DEFAULT 0 NOT NULL": [],
    "ALTER TABLE users ADD COLUMN at TIMESTAMP DEFAULT (now() at time zone 'utc') NOT NULL, ADD b INT": [],
    "ALTER TABLE users ADD COLUMN age INTEGER": [],
    "ALTER TABLE users ADD COLUMN s TEXT DEFAULT 'x NOT NULL'": [],
    "CREATE TABLE users (id INT); ALTER TABLE users ADD COLUMN age INT NOT NULL": [],
    "ALTER TABLE t ADD a INT DEFAULT 0 NOT NULL; ALTER TABLE t ALTER a DROP DEFAULT": [
        "danger not-null-without-default t.a"
    ],
    "ALTER TABLE users ALTER COLUMN age SET NOT NULL": ["warning not-null-without-default users.age"],
    "ALTER TABLE t ADD a INT; ALTER TABLE t ALTER a SET NOT NULL": ["danger not-null-without-default t.a"],
    "ALTER TABLE t ADD a INT DEFAULT 0; ALTER TABLE t ALTER COLUMN a SET NOT NULL": [],
    "ALTER TABLE users ALTER COLUMN age DROP NOT NULL": [],
    "ALTER TABLE t RENAME a TO b; ALTER TABLE t ADD a INT; ALTER TABLE t DROP b": ["danger type-change t.a"],
    "ALTER TABLE t ADD b INT; ALTER TABLE t DROP a; ALTER TABLE t RENAME b TO a": ["danger type-change t.a"],
    "ALTER TABLE t DROP a; ALTER TABLE t ADD a INT DEFAULT 0 NOT NULL; ALTER TABLE t ALTER a DROP DEFAULT": [
        "danger type-change t.a"
    ],
    "ALTER TABLE t DROP a; ALTER TABLE t ADD a INT NOT NULL": [
        "danger type-change t.a",
        "danger not-null-without-default t.a",
    ],
    # types
    "ALTER TABLE t ALTER COLUMN a TYPE BIGINT": ["danger type-change t.a"],
    "ALTER TABLE t ALTER a SET DATA TYPE INTEGER USING a::integer": ["danger type-change t.a"],
    "ALTER TABLE t ALTER COLUMN a TYPE TEXT": ["warning type-change t.a"],
    "CREATE TABLE t (a INT); ALTER TABLE t ALTER COLUMN a TYPE BIGINT": [],
    "ALTER TYPE e ADD VALUE 'x'; CREATE EXTENSION x": [],
    # indexes and constraints
    "CREATE INDEX ix ON users (email)": ["warning index-without-concurrently ix"],
    "CREATE UNIQUE INDEX IF NOT EXISTS ix ON ONLY users (email)": ["warning index-without-concurrently ix"],
    "CREATE INDEX a ON t (a); CREATE INDEX b ON t (b)": ["warning index-without-concurrently a, b"],
    "CREATE INDEX ON users (email)": ["warning index-without-concurrently users"],
    "CREATE TABLE users (email TEXT); CREATE INDEX ix ON users (email)": [],
    "CREATE INDEX CONCURRENTLY ix ON users (email)": ["danger needs-autocommit ix"],
    "COMMIT; CREATE INDEX CONCURRENTLY ix ON users (email); BEGIN": [],
    "DROP INDEX CONCURRENTLY ix": ["danger needs-autocommit ix"],
    "ALTER TABLE a ADD CONSTRAINT fk FOREIGN KEY(b) REFERENCES c (id)": ["warning constraint-scan fk"],
    "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES c": ["warning constraint-scan foreign key of a"],
    "ALTER TABLE a ADD b INT; ALTER TABLE a ADD FOREIGN KEY(b) REFERENCES c": [
        "note constraint-scan foreign key of a"
    ],
    "ALTER TABLE a ADD b INT DEFAULT 1; ALTER TABLE a ADD FOREIGN KEY(b) REFERENCES c": [
        "warning constraint-scan foreign key of a"
    ],
    "ALTER TABLE a ADD CONSTRAINT fk FOREIGN KEY(b) REFERENCES c (id) NOT VALID": [],
    "ALTER TABLE a ADD CONSTRAINT k CHECK (b > 0)": ["warning constraint-scan k"],
    "ALTER TABLE a ADD CONSTRAINT k CHECK (b > 0) NOT VALID": [],
    "ALTER TABLE a ADD CONSTRAINT u UNIQUE (b)": ["warning constraint-scan u"],
    "ALTER TABLE a ADD CONSTRAINT u UNIQUE USING INDEX ix": [],
    "ALTER TABLE t VALIDATE CONSTRAINT t_a_there; ALTER TABLE t ALTER a SET NOT NULL": [],
    "ALTER TABLE t VALIDATE CONSTRAINT t_b_there; ALTER TABLE t ALTER a SET NOT NULL": [
        "warning not-null-without-default t.a"
    ],
    "ALTER TABLE t ADD CONSTRAINT k CHECK (a IS NOT NULL) NOT VALID; ALTER TABLE t ALTER a SET NOT NULL": [
        "warning not-null-without-default t.a"
    ],
    "ALTER TABLE a ADD CONSTRAINT p PRIMARY KEY (b)": ["warning constraint-scan p"],
    "CREATE TABLE a (b INT); ALTER TABLE a ADD CONSTRAINT u UNIQUE (b)": [],
    # long locks
    "ALTER TABLE t ADD COLUMN k UUID DEFAULT gen_random_uuid() NOT NULL": ["danger long-lock t.k"],
    "ALTER TABLE t ADD COLUMN n BIGSERIAL": ["danger long-lock t.n"],
    "ALTER TABLE t ADD n INT GENERATED ALWAYS AS (a + 1) STORED": ["danger long-lock t.n"],
    "ALTER TABLE t ADD COLUMN at TIMESTAMP DEFAULT now()": [],
    "ALTER TABLE t SET TABLESPACE fast": ["danger long-lock t"],
    "LOCK TABLE t; CLUSTER t USING ix; REINDEX TABLE t": ["danger long-lock t"] * 3,
    "LOCK a, ONLY b IN ACCESS EXCLUSIVE MODE NOWAIT": ["danger long-lock a", "danger long-lock b"],
    "LOCK TABLE t IN EXCLUSIVE MODE; LOCK u IN SHARE MODE": ["warning long-lock t, u"],
    "LOCK TABLE t IN ROW EXCLUSIVE MODE; CREATE TABLE u (a INT); LOCK TABLE u": [],
    "COMMIT; VACUUM FULL t; BEGIN": ["danger long-lock t"],
    "REFRESH MATERIALIZED VIEW v": ["danger long-lock v"],
    "REFRESH MATERIALIZED VIEW CONCURRENTLY v": [],
    # rows
    "DELETE FROM users WHERE id = 1": ["danger data-change users"],
    "TRUNCATE TABLE a, b": ["danger data-change a", "danger data-change b"],
    "WITH x AS (SELECT 1) DELETE FROM users USING x": ["danger data-change users"],
    "WITH x AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM x": ["danger data-change a"],
    "UPDATE users SET a = 1": ["note data-change users"],
    "ALTER TABLE x ADD a INT; UPDATE users SET a = 1, (b, c) = (1, 2) WHERE d": ["warning data-change users"],
    "ALTER TABLE users ADD a INT; UPDATE users SET a = 1": ["warning data-change users"],
    "INSERT INTO users (id) VALUES (1)": [],
    "CREATE TABLE t (id INT); INSERT INTO t SELECT id FROM u; UPDATE t SET id = 1; DELETE FROM t": [],
    "ALTER TABLE x ADD a INT; INSERT INTO t SELECT id FROM u": ["note data-change t"],
    # what Alembic itself writes, and what is not to be understood
    "UPDATE alembic_version SET version_num='b' WHERE alembic_version.version_num = 'a'": [],
    "UPDATE mine SET version_num='b' WHERE mine.version_num = 'a'": [],
    "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)": [],
    "GRANT ALL ON users TO me; SET lock_timeout = '5s'; SELECT 'DROP TABLE users'": [],
}


@pytest.mark.parametrize(("sql", "expected"), CASES.items(), ids=CASES.keys())
def test_sql(sql: str, expected: list[str]) -> None:
    assert found(revision(sql)) == expected


def test_a_cast_to_the_new_type_is_no_conversion() -> None:
    up, undo = (
        f"ALTER TABLE t ALTER a TYPE {kind} USING a::{kind}" for kind in ("NUMERIC(9,2)", "NUMERIC(6,2)")
    )
    assert found(revision(up, undo=[undo])) == []


@pytest.mark.parametrize(
    ("up", "undo", "expected"),
    [
        ("UPDATE t SET a = 1", "UPDATE t SET a = 2", []),
        ("UPDATE t SET a = 1", "UPDATE u SET a = 2", ["note data-change t"]),
        ("DELETE FROM t", "INSERT INTO t VALUES (1)", ["warning data-change t"]),
    ],
)
def test_rows_that_the_downgrade_brings_back(up: str, undo: str, expected: list[str]) -> None:
    assert found(revision(up, undo=[undo])) == expected


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("VARCHAR(20)", "VARCHAR(50)", ""),
        ("VARCHAR(20)", "TEXT", ""),
        ("TEXT", "VARCHAR", ""),
        ("VARCHAR(50)", "VARCHAR(20)", "danger"),
        ("TEXT", "VARCHAR(20)", "danger"),
        ("NUMERIC(10, 2)", "NUMERIC(12, 2)", ""),
        ("NUMERIC(10, 2)", "NUMERIC(12, 4)", "danger"),
        ("INTEGER", "BIGINT", "danger"),
        ("TIMESTAMP WITHOUT TIME ZONE", "TIMESTAMP WITH TIME ZONE", "danger"),
        ("JSON", "JSONB", "danger"),
        ("INTEGER", "TEXT", "danger"),
    ],
)
def test_the_downgrade_tells_what_a_type_was(before: str, after: str, expected: str) -> None:
    up, undo = (f"ALTER TABLE t ALTER COLUMN a TYPE {kind}" for kind in (after, before))
    assert [f["severity"] for f in judge.judge(revision(up, undo=[undo]))] == ([expected] if expected else [])


MYSQL: dict[str, list[str]] = {
    "ALTER TABLE `users` DROP `e-mail`": ["danger drop-column users.e-mail"],
    "ALTER TABLE users CHANGE a b INTEGER": ["danger rename-column users.a"],
    "ALTER TABLE users CHANGE a a BIGINT": ["danger type-change users.a"],
    "ALTER TABLE users MODIFY a BIGINT": ["danger type-change users.a"],
    "RENAME TABLE a TO b, c TO d": [
        "danger rename-table a",
        "danger rename-table c",
        "note not-transactional upgrade()",
    ],
    "INSERT INTO t VALUES ('it\\'s; DROP TABLE users; -- ')": [],
    'INSERT INTO t VALUES ("x; DROP TABLE users")': [],
    "# DROP TABLE users;\nSELECT 1": [],
    "CREATE INDEX ix ON users (a)": [],
    "CREATE UNIQUE INDEX ix ON users (a)": ["warning constraint-scan ix"],
    "ALTER TABLE a ADD CONSTRAINT u UNIQUE (b)": ["warning constraint-scan u"],
    "ALTER TABLE a ADD INDEX ix (b), DROP INDEX iy": [],
    "ALTER TABLE a ADD x INT; ALTER TABLE a ADD y INT": ["note not-transactional upgrade()"],
}


@pytest.mark.parametrize(("sql", "expected"), MYSQL.items(), ids=MYSQL.keys())
def test_mysql(sql: str, expected: list[str]) -> None:
    assert found(revision(sql, dialect="mysql")) == expected


def test_mysql_modifies_what_was_asked_for() -> None:
    source = FULL.replace(
        "op.f()", "op.alter_column('t', 'a', nullable=False, existing_type=sa.Integer())", 1
    )
    up = "ALTER TABLE t MODIFY a INTEGER NOT NULL"
    assert found(revision(up, dialect="mysql", source=source)) == ["warning not-null-without-default t.a"]
    undo = ["ALTER TABLE t MODIFY a INTEGER NULL"]
    assert found(revision(up, dialect="mysql", undo=undo)) == ["warning not-null-without-default t.a"]
    same = ["ALTER TABLE t MODIFY a INTEGER NOT NULL COMMENT 'x'"]
    assert found(revision(up, dialect="mysql", undo=same)) == []


BATCH = """
CREATE TABLE _alembic_tmp_t (id INTEGER NOT NULL, c TEXT, {new}PRIMARY KEY (id));
INSERT INTO _alembic_tmp_t (id, c) SELECT t.id, {c} FROM t;
DROP TABLE t;
ALTER TABLE _alembic_tmp_t RENAME TO t
"""


def batch(c: str = "t.c", new: str = "") -> str:
    return BATCH.format(c=c, new=new)


@pytest.mark.parametrize(
    ("up", "undo", "expected"),
    [
        (batch(), batch(), []),
        (batch(new="n INTEGER, "), batch(), []),
        (batch(new="n INTEGER NOT NULL, "), batch(), ["danger not-null-without-default t.n"]),
        (batch(), batch(new="n INTEGER, "), ["danger drop-column t.n"]),
        (batch("t.old"), batch(), ["danger rename-column t.old"]),
        (batch("CAST(t.c AS TEXT) AS c"), batch(), ["danger type-change t.c"]),
        (batch().replace("c TEXT", "c TEXT NOT NULL"), batch(), ["warning not-null-without-default t.c"]),
    ],
)
def test_a_batch_of_sqlite(up: str, undo: str, expected: list[str]) -> None:
    assert found(revision(up, undo=[undo], dialect="sqlite")) == expected


def test_a_batch_whose_downgrade_does_not_tell() -> None:
    body = "with op.batch_alter_table('t') as batch:\n        batch.drop_column('n')"
    source = FULL.replace("op.f()", body, 1)
    assert found(revision(batch(), dialect="sqlite", source=source)) == ["danger drop-column t.n"]


OUTSIDE = "with op.get_context().autocommit_block():"
#: Bodies of upgrade() that could not be rendered, and what is found in them.
SOURCES: dict[str, list[str]] = {
    "op.drop_table('users')": ["danger drop-table users"],
    "op.drop_column('users', column_name='a', schema='s')": ["danger drop-column s.users.a"],
    "op.drop_column(TABLE, 'a')": ["danger drop-column users.a"],
    "for t in names: op.drop_column(t, 'a')": ["danger drop-column {t}.a"],
    "helper()": ["danger drop-table helped"],
    "op.rename_table('a', 'b')": ["danger rename-table a"],
    "op.alter_column('a', 'b', new_column_name='c')": ["danger rename-column a.b"],
    "op.alter_column('a', 'b', nullable=False)": ["warning not-null-without-default a.b"],
    "op.alter_column('a', 'b', nullable=True)": [],
    "op.alter_column('a', 'b', type_=sa.BigInteger(), existing_type=sa.Integer())": [
        "danger type-change a.b"
    ],
    "op.alter_column('a', 'b', type_=sa.Text(), existing_type=sa.String(length=20))": [],
    "op.alter_column('a', 'b', type_=sa.String(50), existing_type=sa.VARCHAR(20))": [],
    "op.add_column('a', sa.Column('b', sa.Integer, nullable=False))": ["danger not-null-without-default a.b"],
    "op.add_column('a', sa.Column('b', sa.Integer, nullable=False, server_default='0'))": [],
    "op.add_column('a', sa.Column('b', sa.Integer))": [],
    "op.add_column('a', sa.Column('b', sa.Integer, primary_key=True))": ["danger long-lock a.b"],
    "op.add_column('a', sa.Column('b', sa.Integer, primary_key=True, autoincrement=False))": [
        "danger not-null-without-default a.b"
    ],
    "op.create_index('ix', 'a', ['b'])": ["warning index-without-concurrently ix"],
    "op.create_index('ix', 'a', ['b'], postgresql_concurrently=True)": ["danger needs-autocommit ix"],
    f"{OUTSIDE}\n        op.create_index('ix', 'a', [], postgresql_concurrently=True)": [],
    "c.execution_options(isolation_level='AUTOCOMMIT'); c.execute('DROP INDEX CONCURRENTLY i')": [],
    "with e.connect().execution_options(isolation_level='AUTOCOMMIT') as c: c.execute('VACUUM t')": [],
    "with e.connect().execution_options(isolation_level='X') as c: c.execute('VACUUM t')": [
        "danger needs-autocommit t"
    ],
    "sessionmaker()(bind=op.get_bind()).query(users)(1)": [],
    "op.create_foreign_key('fk', 'a', 'b', ['c'], ['id'])": ["warning constraint-scan fk"],
    "op.create_foreign_key('fk', 'a', 'b', ['c'], ['id'], postgresql_not_valid=True)": [],
    "with op.batch_alter_table('a') as b: b.drop_column('c'); b.create_unique_constraint('u', ['d'])": [
        "danger drop-column a.c",
        "warning constraint-scan u",
    ],
    "op.execute('DROP TABLE a'); op.execute(sa.text(f'DELETE FROM {TABLE} WHERE x'))": [
        "danger drop-table a",
        "danger data-change users",
    ],
    "connection.execute(users.update().where(users.c.a == 1).values(a=2))": ["note data-change users"],
    "op.get_bind().execute(sa.delete(users))": ["danger data-change users"],
    "t = sa.table('u', sa.column('a')); op.add_column('u', a); op.execute(t.update().values(a=1))": [
        "warning data-change u"
    ],
    "op.bulk_insert(users, [{'a': 1}])": [],
    "op.create_table('t', sa.Column('a', sa.Integer)); op.create_index('ix', 't', ['a'])": [],
    "pass": [],
}


@pytest.mark.parametrize(("body", "expected"), SOURCES.items(), ids=SOURCES.keys())
def test_source(body: str, expected: list[str]) -> None:
    source = (
        f"TABLE = 'users'\n\n\ndef helper():\n    op.drop_table('helped')\n\n\n"
        f"def upgrade():\n    {body}\n\n\ndef downgrade():\n    op.f()\n"
    )
    assert found(revision(source=source, up=None)) == expected


def test_what_the_deployment_itself_made_is_no_danger() -> None:
    first = revision("CREATE TABLE t (id INT)", "ALTER TABLE u ADD a INT")
    second = revision(
        "ALTER TABLE t ADD b INT NOT NULL", "CREATE INDEX ix ON t (b)", "ALTER TABLE u DROP a", id="a2"
    )
    assert judge.judge_all([first, second]) == []
    assert [f["rule"] for f in judge.judge(second)] == [
        "not-null-without-default",
        "index-without-concurrently",
        "drop-column",
    ]


def down(body: str) -> str:
    return f"def upgrade():\n    op.f()\n\n\ndef downgrade():\n    {body}\n"


@pytest.mark.parametrize(
    ("up", "body", "expected"),
    [
        ("ALTER TABLE t ADD a INT", "pass", ["warning empty-downgrade downgrade()"]),
        ("ALTER TABLE t ADD a INT", "'''Nothing.'''\n    return", ["warning empty-downgrade downgrade()"]),
        ("ALTER TABLE t ADD a INT", "raise NotImplementedError", ["warning raising-downgrade downgrade()"]),
        ("ALTER TABLE t ADD a INT", "if x:\n        raise ValueError\n    op.f()", []),
        ("INSERT INTO t VALUES (1)", "pass", ["note empty-downgrade downgrade()"]),
        ("DELETE FROM t", "pass", ["danger data-change t"]),
        ("ALTER TYPE e ADD VALUE 'x'", "pass", []),
        ("SELECT 1", "pass", []),
        ("ALTER TABLE t VALIDATE CONSTRAINT k; REFRESH MATERIALIZED VIEW CONCURRENTLY v", "pass", []),
    ],
)
def test_downgrade(up: str, body: str, expected: list[str]) -> None:
    assert found(revision(up, source=down(body))) == expected


@pytest.mark.parametrize(
    ("up", "undo", "body", "expected"),
    [
        ("CREATE INDEX i ON t (a)", ["DROP INDEX i"], "op.f()", ("yes", "")),
        ("SELECT 1", [], "pass", ("yes", "")),
        ("ALTER TABLE t VALIDATE CONSTRAINT k", [], "pass", ("yes", "")),
        ("ALTER TABLE t ADD a INT", [], "pass", ("no", "downgrade() does nothing.")),
        ("SELECT 1", None, "raise ValueError", ("no", "downgrade() raises an error.")),
        (
            "ALTER TABLE t ADD a INT",
            ["ALTER TABLE t DROP a"],
            "op.f()",
            ("loses data", "What was written to t.a since is lost."),
        ),
        ("DROP TABLE t", ["CREATE TABLE t (id INT)"], "op.f()", ("loses data", "t would come back empty.")),
        (
            "CREATE TABLE t (a INT)",
            None,
            "op.drop_table('t')",
            ("loses data", "What was written to t since is lost."),
        ),
    ],
)
def test_undoable(up: str, undo: list[str] | None, body: str, expected: tuple[str, str]) -> None:
    assert judge.undoable(revision(up, undo=undo, source=down(body))) == expected


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        (
            "ALTER TABLE t ADD a INT; COMMIT; CREATE INDEX CONCURRENTLY ix ON t (a); BEGIN",
            "What comes before",
        ),
        ("COMMIT; ALTER TABLE t ADD a INT; CREATE INDEX CONCURRENTLY ix ON t (a); BEGIN", "Each statement"),
        ("COMMIT; ALTER TABLE t ADD a INT", ""),
        ("COMMIT; CREATE INDEX CONCURRENTLY a ON t (a); CREATE INDEX CONCURRENTLY b ON t (b)", ""),
    ],
)
def test_statements_around_an_autocommit_block(sql: str, words: str) -> None:
    said = judge.judge(revision(sql))
    assert [one["rule"] for one in said] == (["not-transactional"] if words else [])
    assert all(one["why"].startswith(words) for one in said)


def test_a_check_demanded_values_before() -> None:
    up = ["ALTER TABLE t ALTER a SET NOT NULL", "ALTER TABLE t DROP CONSTRAINT k"]
    assert found(revision(*up, undo=["ALTER TABLE t ADD CONSTRAINT k CHECK (a IS NOT NULL)"])) == []
    for other in ("b IS NOT NULL", "a IS NOT NULL OR b", "a > 0"):
        undo = [f"ALTER TABLE t ADD CONSTRAINT k CHECK ({other})"]
        assert found(revision(*up, undo=undo)) == ["warning not-null-without-default t.a"]


def test_alike_rows_cannot_be_in_a_new_column() -> None:
    said = [
        judge.judge(revision(*up, "ALTER TABLE t ADD UNIQUE (a)")) for up in ([], ["ALTER TABLE t ADD a INT"])
    ]
    assert ["rows are alike" in one["why"] for (one,) in said] == [True, False]


def test_the_tree() -> None:
    tree = [
        {"id": "a", "down": (), "file": "a.py"},
        {"id": "b", "down": ("a",), "file": "b.py"},
        {"id": "c", "down": "a", "file": "c.py"},
        {"id": "c", "down": ["a"], "file": "c2.py"},
    ]
    told = [(f["severity"], f["rule"], f["subject"]) for f in judge.judge_tree(tree)]
    assert told == [("danger", "duplicate-id", "c"), ("warning", "several-heads", "b, c")]
    assert judge.judge_tree([*tree[:2], {"id": "m", "down": ("b",), "file": "m.py"}]) == []


@pytest.mark.parametrize(
    ("comment", "reason", "others"),
    [
        ("# backstay: allow drop-table: nobody uses it", "nobody uses it", []),
        ("    # backstay:allow drop-column, drop-table :  gone: since May", "gone: since May", []),
        ("x = 1  # backstay: allow drop-table: why not", "why not", []),
        ("# backstay: allow drop-table", None, ["warning allow-without-reason drop-table"]),
        ("# backstay: allow drop-table:", None, ["warning allow-without-reason drop-table"]),
        ("# backstay: allow drop-tables: because", None, ["warning allow-unknown-rule drop-tables"]),
        ("# backstay: allow", None, ["warning allow-unknown-rule ?"]),
        ("# backstay: allow squawk: ban-drop-view: because", None, []),
        (
            "# backstay: allow squawk-ban-drop-view",
            None,
            ["warning allow-without-reason squawk: ban-drop-view"],
        ),
        ("'# backstay: allow drop-table: in a text'", None, []),
        ("# drop-table is allowed", None, []),
    ],
)
def test_allow(comment: str, reason: str | None, others: list[str]) -> None:
    one = revision("DROP TABLE users", source=f"{comment.strip()}\n{FULL}")
    first, *rest = judge.judge(one)
    assert (first["rule"], first["allowed"]) == ("drop-table", reason)
    assert found(one)[1:] == others
    assert all(f["allowed"] is None for f in rest)


def test_a_verdict_is_both_answers() -> None:
    for sql, dialect in [
        *((s, "postgresql") for s in CASES),
        *((s, "mysql") for s in MYSQL),
        (batch(), "sqlite"),
    ]:
        one = revision(sql, dialect=dialect, undo=[sql])
        assert judge.verdict(one, judge.Made()) == (judge.judge(one), judge.undoable(one))


def test_findings_are_whole_sentences() -> None:
    for sql, dialect in [*((s, "postgresql") for s in CASES), *((s, "mysql") for s in MYSQL)]:
        for one in judge.judge(revision(sql, dialect=dialect)):
            assert set(one) == {"revision", "rule", "severity", "subject", "why", "instead", "allowed"}
            assert one["rule"] in judge.RULES
            assert one["why"].endswith(".")
            assert one["instead"].endswith(".")


WORDS = """
ALTER TABLE DROP ADD COLUMN CREATE INDEX UNIQUE INSERT INTO SELECT FROM SET NOT NULL DEFAULT TYPE RENAME TO
UPDATE WITH DO $$ $a$ ' " ` ( ) , ; . * -- /* */ \\ _alembic_tmp_t t a MODIFY CHANGE CHECK CONSTRAINT USING E'
"""
PIECES = st.sampled_from(WORDS.split())


@given(
    st.one_of(st.text(), st.lists(PIECES).map(" ".join)),
    st.text(),
    st.sampled_from(["postgresql", "mysql", "sqlite"]),
)
def test_any_text_is_taken(sql: str, source: str, dialect: str) -> None:
    one = revision(sql, undo=[sql], source=source, dialect=dialect)
    judge.judge(one)
    judge.undoable(one)
    judge.judge({**one, "up": None, "source": f"def upgrade():\n    op.execute({sql!r})\n"})


def test_long_texts_are_read_in_no_time() -> None:
    for text in ("'" * 100_000, "(" * 100_000, "/*" * 50_000, "$a" * 50_000, "a." * 50_000):
        judge_sql.operations([f"ALTER TABLE t ADD a INT {text}", text])


@pytest.mark.parametrize("file", sorted(SERVER.glob("judge*.py")), ids=lambda file: file.name)
def test_old_pythons_read_it(file: Path) -> None:
    ast.parse(file.read_text(), feature_version=(3, 8))
