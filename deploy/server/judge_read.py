"""What a revision does both ways, from its SQL and its source together. Read together with judge.py."""

import re

from judge_source import source_operations, tree_of
from judge_sql import make, operations


def batches_to_changes(ops, before):
    """Alembic's batches for SQLite copy a table, drop it and rename the copy: told as the changes they make.

    BEFORE: columns of a table as they were, by table, as far as they are known.
    """
    copies = {op.table: op for op in ops if op.kind == "create_table" and _copied(op.table)}
    moved = {op.table: op for op in ops if op.kind == "insert" and op.table in copies}
    found = []
    for op in ops:
        batched = _batch(op.table)
        if op.kind == "rename_table" and op.table in copies:
            copy = moved.get(op.table, make("insert", columns=[], values=[], source=""))
            found += _changes(op.about["to"], copies[op.table], copy, before.get(op.about["to"]))
        elif not (op.table in copies or (op.kind == "drop_table" and batched in copies)):
            found.append(op)
    return found


def _batch(table):
    schema, dot, name = table.rpartition(".")
    return schema + dot + "_alembic_tmp_" + name


def _copied(table):
    return table.split(".")[-1].startswith("_alembic_tmp_")


def _changes(table, made, copy, before):
    columns = {column["name"]: column for column in made.about["columns"]}
    kept = set()
    for name, value in zip(copy.about["columns"], copy.about["values"]):  # noqa: B905
        words = re.match(r"CAST\((.+) AS .+\)", value)
        old = (words.group(1) if words else value).split(" AS ")[0].split(".")[-1].strip("'").lower()
        kept.add(old)
        if old != name.lower():
            yield make("rename_column", table, old, to=name)
        elif words and name in columns:
            yield make("alter_type", table, name, type=columns[name]["type"], using="")
    yield from _others(table, columns, copy.about["columns"], before or {})
    for name in before or ():
        if name.lower() not in kept and name not in columns:
            yield make("drop_column", table, name)


def _others(table, columns, copied, before):
    for name, column in columns.items():
        if name not in copied:
            yield make("add_column", table, name, **column)
        elif column["not_null"] and not before.get(name, column)["not_null"]:
            yield make("set_not_null", table, name)


def columns_made(ops):
    """Columns by table, of the tables that OPS create; those of a batch by the name that its copy gets."""
    return {
        op.table.replace("_alembic_tmp_", ""): {column["name"]: column for column in op.about["columns"]}
        for op in ops
        if op.kind == "create_table"
    }


def modifications_to_changes(ops, wanted, before):
    """MySQL's MODIFY writes a whole column: WANTED, of the source, and BEFORE tell what of it is new."""
    asked = {(op.table, op.column, op.kind) for op in wanted}
    known = {(table, column) for table, column, kind in asked}
    old = {(op.table, op.column): op.about for op in before if op.kind == "modify"}
    for op in ops:
        if op.kind != "modify":
            yield op
            continue
        key = (op.table, op.column)
        was = old.get(key, {"type": None, "not_null": True})
        changed = (*key, "alter_type") in asked if key in known else op.about["type"] != was["type"]
        not_null = (*key, "set_not_null") in asked if key in known else op.about["not_null"] > was["not_null"]
        if changed:
            yield make("alter_type", op.table, op.column, type=op.about["type"], using="")
        if not_null:
            yield make("set_not_null", op.table, op.column)
        if not (changed or not_null):
            yield make("other", op.table, op.column)


def exactly(ops, wanted, other):
    """OPS, told more exactly by WANTED, what the source asks for, and by OTHER, those of the other way."""
    found = batches_to_changes(ops, columns_made(other))
    if any(_copied(op.table) for op in ops):
        found += [op for op in wanted if op.kind == "drop_column" and op not in found]
    types = {(op.table, op.column): op.about["before"] for op in wanted if op.about.get("before")}
    types.update({(op.table, op.column): op.about["type"] for op in other if op.kind == "alter_type"})
    for op in modifications_to_changes(found, wanted, other):
        if op.kind == "alter_type":
            cast = f"{op.column.upper()}::{op.about['type']}"
            using = "" if op.about["using"] == cast else op.about["using"]
            op = op._replace(about=dict(op.about, using=using, before=types.get((op.table, op.column), "")))
        yield op


def read_revision(revision):
    """What a revision does, and what its downgrade does: two lists of operations."""
    up, undo = (_read(revision, *names) for names in (("up", "upgrade"), ("undo", "downgrade")))
    return list(exactly(up[0], up[1], undo[0])), list(exactly(undo[0], undo[1], up[0]))


def _read(revision, key, name):
    """The operations of one way, and those of the source where they may tell more."""
    dialect = revision.get("dialect") or ""
    found = None if revision.get(key) is None else operations(revision[key], dialect)
    if found is None or any(op.kind in ("alter_type", "modify") or _copied(op.table) for op in found):
        told = source_operations(tree_of(revision.get("source")), name, dialect)
        return (told if found is None else found), told
    return found, []


TEXTS = re.compile(r"(?:VARCHAR|STRING|UNICODE|CHARACTER VARYING|TEXT|UNICODETEXT|AUTOSTRING)$")
_TYPE = re.compile(r"([\w ]+?) ?(?:\(([\d, ]+)\))?$")


def is_wider(before, after):
    """Whether PostgreSQL changes this type without writing the table anew; None where that is not known."""
    old, new = _TYPE.match(before or ""), _TYPE.match(after or "")
    if not (old and new):
        return None
    if before == after:
        return True
    if TEXTS.match(old.group(1)) and TEXTS.match(new.group(1)):
        return not new.group(2) or (bool(old.group(2)) and int(old.group(2)) <= int(new.group(2)))
    if {old.group(1), new.group(1)} <= {"NUMERIC", "DECIMAL"}:
        old, new = ([int(n) for n in (m.group(2) or "1000,0").split(",")] + [0] for m in (old, new))
        return old[1] == new[1] and old[0] <= new[0]
    return _FAMILIES.get(old.group(1), old.group(1)) == _FAMILIES.get(new.group(1), new.group(1))


_FAMILIES = {
    "INT": "INTEGER",
    "INT4": "INTEGER",
    "BIGINTEGER": "BIGINT",
    "INT8": "BIGINT",
    "SMALLINTEGER": "SMALLINT",
    "BOOL": "BOOLEAN",
    "DATETIME": "TIMESTAMP",
    "TIMESTAMP WITHOUT TIME ZONE": "TIMESTAMP",
    "DATETIME WITH TIME ZONE": "TIMESTAMP WITH TIME ZONE",
    "TIMESTAMPTZ": "TIMESTAMP WITH TIME ZONE",
    "LARGEBINARY": "BYTEA",
    "FLOAT8": "DOUBLE PRECISION",
    "FLOAT": "DOUBLE PRECISION",
    "DOUBLE": "DOUBLE PRECISION",
}
