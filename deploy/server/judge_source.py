"""What the source of an Alembic migration does, as far as its text tells."""

import ast
import functools

from judge_sql import make, operations

#: Alembic's operations that are read, and their first arguments; inside a batch, the table is not said.
_CALLS = {
    "create_table": ("table_name",),
    "drop_table": ("table_name",),
    "rename_table": ("table_name", "new_table_name"),
    "add_column": ("table_name", "column"),
    "drop_column": ("table_name", "column_name"),
    "alter_column": ("table_name", "column_name"),
    "create_index": ("index_name", "table_name"),
    "drop_index": ("index_name", "table_name"),
    "create_foreign_key": ("constraint_name", "table_name"),
    "create_check_constraint": ("constraint_name", "table_name"),
    "create_unique_constraint": ("constraint_name", "table_name", "columns"),
    "create_primary_key": ("constraint_name", "table_name", "columns"),
    "create_exclude_constraint": ("constraint_name", "table_name"),
    "bulk_insert": ("table",),
}

#: Calls that stand for the text that is their first argument, and for the text that they are called on.
_FIRST = ("text", "dedent", "DDL", "f", "table", "Table", "quoted_name")
_SAME = ("format", "strip", "bindparams", "replace")


@functools.lru_cache(maxsize=1)
def tree_of(source):
    """The syntax tree of a migration's file; an empty one where it is not Python."""
    try:
        return ast.parse(source or "")
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.parse("")


def function_of(tree, name):
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == name:
            return node
    return None


def source_operations(tree, name, dialect=""):
    """What the function NAME of a migration does, in order, as far as its text tells."""
    return _Source(tree, dialect).read(name)


def _called(node):
    function = getattr(node, "func", None)
    return getattr(function, "attr", getattr(function, "id", ""))


def _keyword(call, name):
    return next((word.value for word in call.keywords if word.arg == name), None)


def _commits(node):
    """Whether a connection is told to commit each statement by itself."""
    level = _keyword(node, "isolation_level") if _called(node) == "execution_options" else None
    return getattr(level, "value", None) == "AUTOCOMMIT"


def _true(node):
    return getattr(node, "value", None) is True


class _Source(ast.NodeVisitor):
    def __init__(self, tree, dialect):
        self.tree, self.dialect = tree, dialect
        self.found, self.seen, self.batches, self.constants = [], set(), {}, {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                text = self.text(node.value)
                if text is not None:
                    self.constants.setdefault(node.targets[0].id, text)

    def read(self, name):
        function = function_of(self.tree, name)
        if function and name not in self.seen:
            self.seen.add(name)
            for node in function.body:
                self.visit(node)
        return self.found

    # -- words

    def text(self, node):
        """The text that an expression is, or nothing; parts of it that cannot be seen are left as names."""
        if isinstance(node, ast.Constant):
            return node.value if isinstance(node.value, str) else None
        if isinstance(node, ast.Name):
            return self.constants.get(node.id)
        if isinstance(node, ast.JoinedStr):
            return "".join(self.piece(part) for part in node.values)
        if isinstance(node, ast.BinOp):
            left = self.text(node.left)
            added = isinstance(node.op, ast.Add) and left is not None
            return left + self.piece(node.right) if added else left
        if isinstance(node, ast.Call) and _called(node) in _FIRST:
            return self.text(node.args[0]) if node.args else None
        if isinstance(node, ast.Call) and _called(node) in _SAME:
            return self.text(getattr(node.func, "value", None))
        return None

    def piece(self, node):
        value = getattr(node, "value", node) if isinstance(node, ast.FormattedValue) else node
        text = self.text(value)
        return getattr(value, "id", getattr(value, "attr", "x")) if text is None else text

    def subject(self, node):
        text = self.text(node)
        return "{{{}}}".format(getattr(node, "id", getattr(node, "attr", "..."))) if text is None else text

    def type(self, node):
        """A type of SQLAlchemy's as SQL would have it: VARCHAR(50)."""
        name = getattr(node, "attr", getattr(node, "id", "")) or _called(node)
        numbers = [
            str(value.value)
            for value in getattr(node, "args", []) + [w.value for w in getattr(node, "keywords", [])]
            if isinstance(value, ast.Constant) and type(value.value) is int
        ]
        zoned = isinstance(node, ast.Call) and _true(_keyword(node, "timezone"))
        name = name.upper() + (" WITH TIME ZONE" if zoned else "")
        return name + ("({})".format(",".join(numbers)) if numbers else "")

    def column(self, node):
        """A Column(...) as _definition() gives it."""
        if _called(node) != "Column":
            return {
                "name": "{{{}}}".format(getattr(node, "id", "...")),
                "type": "",
                "not_null": False,
                "default": "",
                "fills_itself": False,
            }
        default = _keyword(node, "server_default")
        nullable = _keyword(node, "nullable")
        inner = [_called(value) for value in node.args]
        key, kind = (
            _true(_keyword(node, "primary_key")),
            self.type(node.args[1]) if len(node.args) > 1 else "",
        )
        # SQLAlchemy makes it a SERIAL.
        counts = key and "INT" in kind and "ForeignKey" not in inner
        counts = counts and getattr(_keyword(node, "autoincrement"), "value", True) is not False
        return {
            "name": self.subject(node.args[0]) if node.args else "{...}",
            "type": kind,
            "not_null": getattr(nullable, "value", None) is False or key,
            "default": "" if default is None else self.text(default) or "?",
            "fills_itself": counts or "Identity" in inner or "Computed" in inner,
        }

    # -- walking

    def visit_With(self, node):
        outside = False
        for item in node.items:
            call = item.context_expr
            outside = outside or _called(call) == "autocommit_block" or any(map(_commits, ast.walk(call)))
            if _called(call) == "batch_alter_table" and isinstance(item.optional_vars, ast.Name):
                table = call.args[0] if call.args else _keyword(call, "table_name")
                self.batches[item.optional_vars.id] = table
        self.found += [make("commit")] if outside else []
        for inner in node.body:
            self.visit(inner)
        self.found += [make("begin")] if outside else []

    def visit_FunctionDef(self, node):
        """A function inside is read where it is called."""

    visit_AsyncFunctionDef = visit_Lambda = visit_ClassDef = visit_FunctionDef

    def visit_Call(self, node):
        self.generic_visit(node)
        called = _called(node)
        self.found += [make("commit")] if _commits(node) else []
        if isinstance(node.func, ast.Name):
            self.read(called)
            return
        receiver = getattr(getattr(node.func, "value", None), "id", "")
        if called in ("execute", "exec_driver_sql"):
            statement = node.args[0] if node.args else _keyword(node, "sqltext")
            text = self.text(statement)
            self.found += self.built(statement) if text is None else operations([text], self.dialect)
        elif called in _CALLS and (receiver == "op" or receiver in self.batches):
            self.operation(node, called, self.batches.get(receiver))

    def built(self, statement):
        """Of a statement built by calls, such as table.update().where(...)."""
        calls = [n for n in ast.walk(statement) if isinstance(n, ast.Call)] if statement is not None else []
        names = {_called(call) for call in calls}
        written = [
            word.arg for call in calls if _called(call) == "values" for word in call.keywords if word.arg
        ]
        for call in calls:
            if _called(call) in ("update", "delete", "insert"):
                receiver = getattr(call.func, "value", None)
                whole = receiver is None or getattr(receiver, "id", "") in ("sa", "sqlalchemy")
                table = self.subject(call.args[0] if whole and call.args else receiver).strip("{}")
                where, rows = bool(names & {"where", "filter"}), "from_select" in names
                yield make(
                    _called(call), table, columns=written, where=where, rows=rows, values=[], source=""
                )

    def operation(self, node, called, batch):
        names = _CALLS[called]
        values = list(node.args)
        if batch is not None and "table_name" in names:
            values.insert(names.index("table_name"), batch)
        given = {
            name: values[at]
            if at < len(values)
            else _keyword(node, {"table_name": "source_table"}.get(name, name))
            for at, name in enumerate(names)
        }
        if given.get("table_name", self) is None:
            given["table_name"] = _keyword(node, "table_name")
        table = self.subject(given.get("table_name"))
        schema = _keyword(node, "schema")
        if schema is not None and self.text(schema) not in (None, "public"):
            table = f"{self.text(schema)}.{table}"
        self.found += getattr(self, "_" + called)(node, table, given)

    def _create_table(self, node, table, given):
        columns = [self.column(value) for value in node.args if _called(value) == "Column"]
        yield make("create_table", table, columns=columns)

    def _drop_table(self, node, table, given):
        yield make("drop_table", table, what="table")

    def _rename_table(self, node, table, given):
        yield make("rename_table", table, to=self.subject(given["new_table_name"]))

    def _add_column(self, node, table, given):
        column = self.column(given["column"])
        yield make("add_column", table, column["name"], **column)

    def _drop_column(self, node, table, given):
        yield make("drop_column", table, self.subject(given["column_name"]))

    def _alter_column(self, node, table, given):
        column = self.subject(given["column_name"])
        kind, name, before = (_keyword(node, word) for word in ("type_", "new_column_name", "existing_type"))
        default, nullable = _keyword(node, "server_default"), _keyword(node, "nullable")
        if default is not None:
            unset = isinstance(default, ast.Constant) and default.value in (None, False)
            yield make("drop_default" if unset else "set_default", table, column)
        if kind is not None:
            using = self.text(_keyword(node, "postgresql_using")) or ""
            before = "" if before is None else self.type(before)
            yield make("alter_type", table, column, type=self.type(kind), using=using, before=before)
        if getattr(nullable, "value", None) is False:
            yield make("set_not_null", table, column)
        if name is not None and self.subject(name) != column:
            yield make("rename_column", table, column, to=self.subject(name))

    def _create_index(self, node, table, given):
        words = {word: _true(_keyword(node, word)) for word in ("unique", "postgresql_concurrently")}
        name = self.subject(given["index_name"])
        concurrently = words["postgresql_concurrently"]
        yield make("create_index", table, name=name, unique=words["unique"], concurrently=concurrently)

    def _drop_index(self, node, table, given):
        if _true(_keyword(node, "postgresql_concurrently")):
            yield make("alone", self.subject(given["index_name"]), what="DROP INDEX CONCURRENTLY")
        else:
            yield make("other")

    def constraint(self, node, table, given, what):
        columns = [self.subject(value) for value in getattr(given.get("columns"), "elts", [])]
        name = self.text(given["constraint_name"]) or ""
        not_valid = _true(_keyword(node, "postgresql_not_valid"))
        yield make(
            "add_constraint", table, what=what, name=name, columns=columns, not_valid=not_valid, using=False
        )

    def _create_foreign_key(self, node, table, given):
        return self.constraint(node, table, given, "foreign key")

    def _create_check_constraint(self, node, table, given):
        return self.constraint(node, table, given, "check")

    def _create_unique_constraint(self, node, table, given):
        return self.constraint(node, table, given, "unique")

    def _create_primary_key(self, node, table, given):
        return self.constraint(node, table, given, "primary key")

    def _create_exclude_constraint(self, node, table, given):
        return self.constraint(node, table, given, "exclude")

    def _bulk_insert(self, node, table, given):
        table = self.subject(given["table"]).strip("{}")
        yield make("insert", table, columns=[], values=[], source="", rows=False)
