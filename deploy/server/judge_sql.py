"""What SQL does to tables and rows. Any text is taken: what is not understood is passed over."""

import collections
import re

#: kind is word, name (quoted), text, number or mark; the text of a name or text is without its quotes.
Token = collections.namedtuple("Token", "kind text")

_TOKENS = r"""
    (?P<space>\s+|--[^\n]*%(comment)s)
  | (?P<open>/\*)
  | (?P<dollar>\$(?:[^\W\d]\w*)?\$)
  | (?P<escaped>[eE]'(?:\\.|''|[^'\\])*'?)
  | (?P<text>%(text)s)
  | (?P<name>%(name)s)
  | (?P<word>[^\W\d][\w$]*)
  | (?P<number>\d[\w.]*)
  | (?P<mark>.)
"""
_STANDARD = {
    "comment": "",
    "text": "'(?:''|[^'])*'?",
    "name": r"""\"(?:\"\"|[^\"])*\"? | `[^`]*`? | \[[a-zA-Z_][\w ]*\]""",
}
_MYSQL = {
    "comment": r"|\#[^\n]*",
    "text": r"""'(?:\\.|''|[^'\\])*'? | "(?:\\.|""|[^"\\])*"?""",
    "name": "`[^`]*`?",
}
_FLAVOURS = {
    name: re.compile(_TOKENS % parts, re.VERBOSE | re.DOTALL)
    for name, parts in (("standard", _STANDARD), ("mysql", _MYSQL))
}
_COMMENT = re.compile(r"/\*|\*/")


def tokens_of(text, dialect=""):
    """The tokens of SQL, without space and comments. Whatever is not closed goes on to the end."""
    pattern = _FLAVOURS["mysql" if dialect in ("mysql", "mariadb") else "standard"]
    found, at = [], 0
    while at < len(text):
        match = pattern.match(text, at)
        kind, piece, at = match.lastgroup, match.group(), match.end()
        if kind == "open":
            at = _end_of_comment(text, at)
        elif kind == "dollar":
            close = text.find(piece, at)
            close = len(text) if close < 0 else close
            found.append(Token("text", text[at:close]))
            at = close + len(piece)
        elif kind != "space":
            found.append(_token(kind, piece))
    return found


def _token(kind, piece):
    if kind == "escaped":
        return Token("text", piece[2:].rstrip("'"))
    if kind in ("text", "name"):
        quote = piece[0]
        inner = piece[1:-1] if len(piece) > 1 and piece[-1] in (quote, "]") else piece[1:]
        return Token(kind, inner.replace(quote * 2, quote))
    return Token(kind, piece)


def _end_of_comment(text, at):
    depth = 1
    while depth:
        match = _COMMENT.search(text, at)
        if not match:
            return len(text)
        at = match.end()
        depth += 1 if match.group() == "/*" else -1
    return at


def _parts(tokens, mark):
    """Tokens between MARKs that are in no brackets."""
    found, depth = [[]], 0
    for token in tokens:
        if token.kind == "mark":
            depth = max(0, depth + {"(": 1, ")": -1}.get(token.text, 0))
        if token == Token("mark", mark) and (not depth or mark == ";"):
            found.append([])
            depth = 0
        else:
            found[-1].append(token)
    return [part for part in found if part]


class Reader:
    """Goes through tokens. Keywords are given in capitals, several with spaces between."""

    def __init__(self, tokens):
        self.tokens, self.at = tokens, 0

    def take(self, *phrases):
        """Passes over the first of PHRASES that comes next; the phrase, or nothing."""
        for phrase in phrases:
            words = phrase.split()
            ahead = self.tokens[self.at : self.at + len(words)]
            if [t.text.upper() for t in ahead if t.kind in ("word", "mark")] == words:
                self.at += len(words)
                return phrase
        return ""

    def name(self):
        """The name that comes next, with its schema: lower case unless it is quoted."""
        found = []
        while self.at < len(self.tokens) and self.tokens[self.at].kind in ("word", "name"):
            token = self.tokens[self.at]
            found.append(token.text if token.kind == "name" else token.text.lower())
            self.at += 1
            if not self.take("."):
                break
        return ".".join(found[1:] if found[:1] == ["public"] and found[1:] else found)

    def names(self):
        """The names in the brackets that come next."""
        return [name for name in (Reader(part).name() for part in _parts(self.brackets(), ",")) if name]

    def brackets(self):
        if not self.take("("):
            return []
        start, depth = self.at, 1
        while self.at < len(self.tokens) and depth:
            depth += {"(": 1, ")": -1}.get(self.tokens[self.at].text, 0)
            self.at += 1
        return self.tokens[start : self.at - (not depth)]

    def rest(self):
        return self.tokens[self.at :]

    def until(self, *words):
        """Passes over all up to one of WORDS that is in no brackets, or to the end; what was passed."""
        start, depth = self.at, 0
        while self.at < len(self.tokens):
            token = self.tokens[self.at]
            if not depth and token.kind == "word" and token.text.upper() in words:
                break
            depth += {"(": 1, ")": -1}.get(token.text, 0) if token.kind == "mark" else 0
            self.at += 1
        return self.tokens[start : self.at]


def _says(tokens, phrase):
    """Whether PHRASE is in TOKENS, outside of brackets."""
    words, depth = [], 0
    for token in tokens:
        if token.kind == "mark":
            depth += {"(": 1, ")": -1}.get(token.text, 0)
        elif not depth:
            words.append(token.text.upper() if token.kind == "word" else "'")
    return (f" {phrase} ") in (" {} ".format(" ".join(words)))


#: What one statement does, to a table or to one of its columns; `about` has what belongs to the kind.
Op = collections.namedtuple("Op", "kind table column about")

DATA = ("insert", "update", "delete", "truncate")
_COLUMN_ENDS = [
    "NOT",
    "NULL",
    "DEFAULT",
    "PRIMARY",
    "UNIQUE",
    "REFERENCES",
    "CHECK",
    "CONSTRAINT",
    "GENERATED",
    "COLLATE",
    "AUTO_INCREMENT",
    "IDENTITY",
    "AUTOINCREMENT",
    "AFTER",
    "FIRST",
    "COMMENT",
    "USING",
    "ON",
]
_CONSTRAINTS = ("PRIMARY KEY", "UNIQUE", "FOREIGN KEY", "CHECK", "EXCLUDE")


def make(kind, table="", column="", **about):
    return Op(kind, table, column, about)


def operations(statements, dialect=""):
    """What the statements do, in order; those that change neither tables nor rows are left out."""
    return [
        op
        for text in statements
        for part in _parts(tokens_of(text or "", dialect), ";")
        for op in _operations(part, dialect)
        if "alembic_version" not in op.table and not op.about.get("version")
    ]


def _operations(tokens, dialect):
    reader = Reader(tokens)
    for phrase, read in _STATEMENTS:
        if reader.take(phrase):
            return list(read(reader, dialect))
    return []


def _create(reader, dialect):
    reader.take("OR REPLACE")
    reader.take("GLOBAL", "LOCAL")
    new = reader.take("TEMPORARY", "TEMP", "UNLOGGED")
    unique = reader.take("UNIQUE", "FULLTEXT", "SPATIAL") == "UNIQUE"
    if reader.take("TABLE"):
        reader.take("IF NOT EXISTS")
        table = reader.name()
        parts = [Reader(part) for part in _parts(reader.brackets(), ",")]
        columns = [_definition(part) for part in parts if not part.take("CONSTRAINT", "LIKE", *_CONSTRAINTS)]
        yield make("create_table", table, columns=columns)
    elif not new and reader.take("INDEX"):
        concurrently = bool(reader.take("CONCURRENTLY"))
        reader.take("IF NOT EXISTS")
        name = "" if reader.take("ON") else reader.name()
        if name:
            reader.take("ON")
        reader.take("ONLY")
        yield make("create_index", reader.name(), name=name, unique=unique, concurrently=concurrently)
    elif reader.take("VIEW", "MATERIALIZED VIEW"):
        reader.take("IF NOT EXISTS")
        yield make("create_view", reader.name())
    elif reader.take("DATABASE", "TABLESPACE"):
        yield make("alone", reader.name(), what="CREATE DATABASE")
    elif not reader.take("EXTENSION"):
        yield make("other")


def _definition(reader):
    """A column as it is written in CREATE TABLE or ADD COLUMN."""
    name = reader.name()
    kind = _text(reader.until(*_COLUMN_ENDS))
    rest = reader.rest()
    written = Reader(rest)
    written.until("DEFAULT")
    default = []
    if written.take("DEFAULT"):
        default = written.tokens[written.at : written.at + 1]
        written.at += 1
        default = default + written.until(*[w for w in _COLUMN_ENDS if w != "ON"])
    own = kind.endswith("SERIAL") or any(
        _says(rest, phrase) for phrase in ("GENERATED", "IDENTITY", "AUTO_INCREMENT")
    )
    return {
        "name": name,
        "type": kind,
        "not_null": _says(rest, "NOT NULL") or _says(rest, "PRIMARY KEY"),
        "default": "" if _text(default).startswith("NULL") else _text(default),
        "fills_itself": own,
    }


def _text(tokens):
    """Tokens as short text, in capitals: VARCHAR(50), NOW()."""
    found = ""
    for token in tokens:
        piece = token.text.upper() if token.kind in ("word", "mark", "number") else f"'{token.text}'"
        space = found[-1:].isalnum() and piece[:1].isalnum()
        found += (" " if space else "") + piece
    return found


def _alter_table(reader, dialect):
    reader.take("IF EXISTS")
    reader.take("ONLY")
    table = reader.name()
    reader.take("*")
    for part in _parts(reader.rest(), ","):
        action = Reader(part)
        for phrase, read in _ACTIONS:
            if action.take(phrase):
                yield from read(table, action)
                break


def _add_constraint(table, reader):
    reader.take("IF NOT EXISTS")
    if not reader.take("CHECK", "UNIQUE", "PRIMARY", "FOREIGN", "EXCLUDE"):
        name = reader.name()
    else:
        reader.at -= 1
        name = ""
    what = reader.take("NOT NULL", "FOREIGN KEY", "PRIMARY KEY", "UNIQUE", "CHECK", "EXCLUDE")
    if what == "NOT NULL":
        yield make("set_not_null", table, reader.name())
        return
    reader.take("KEY", "INDEX")
    rest = reader.rest()
    columns = Reader(rest)
    columns.name()
    yield make(
        "add_constraint",
        table,
        what=what.lower(),
        name=name,
        columns=columns.names(),
        not_valid=_says(rest, "NOT VALID"),
        using=_says(rest, "USING INDEX"),
        demands=_demanded(Reader(rest).brackets()) if what == "CHECK" else "",
    )


def _demanded(condition):
    """The column of `column IS NOT NULL`; empty for any other condition."""
    reader = Reader(condition)
    column = reader.name()
    return column if reader.take("IS NOT NULL") and not reader.rest() else ""


def _add_key(table, reader):
    reader.at -= 2 if reader.tokens[reader.at - 1].text.upper() == "KEY" else 1
    return _add_constraint(table, reader)


def _add_index(table, reader):
    yield make("create_index", table, name=reader.name(), unique=False, concurrently=False)


def _add_column(table, reader):
    reader.take("COLUMN")
    reader.take("IF NOT EXISTS")
    parts = _parts(reader.brackets(), ",") or [reader.rest()]
    for part in parts:
        column = _definition(Reader(part))
        if column["name"]:
            yield make("add_column", table, column["name"], **column)


def _drop_column(table, reader):
    reader.take("COLUMN")
    reader.take("IF EXISTS")
    yield make("drop_column", table, reader.name())


def _alter_column(table, reader):
    reader.take("COLUMN")
    column = reader.name()
    if reader.take("TYPE", "SET DATA TYPE"):
        kind = _text(reader.until("USING", "COLLATE"))
        reader.until("USING")
        reader.take("USING")
        yield make("alter_type", table, column, type=kind, using=_text(reader.rest()))
    elif reader.take("SET NOT NULL"):
        yield make("set_not_null", table, column)
    elif reader.take("SET DEFAULT"):
        yield make("set_default", table, column)
    elif reader.take("DROP DEFAULT"):
        yield make("drop_default", table, column)
    elif not reader.take("SET", "DROP", "RESET", "ADD", "RESTART"):
        reader.at = reader.at - 1
        yield from _modify(table, reader)


def _modify(table, reader):
    """MySQL and others write the whole column anew."""
    reader.take("COLUMN")
    column = _definition(reader)
    yield make("modify", table, column["name"], **column)


def _change(table, reader):
    reader.take("COLUMN")
    before = reader.name()
    column = _definition(reader)
    if column["name"] != before:
        yield make("rename_column", table, before, to=column["name"])
    else:
        yield make("modify", table, before, **column)


def _rename(table, reader):
    if reader.take("CONSTRAINT", "INDEX", "KEY"):
        return
    if reader.take("TO", "AS", "="):
        yield make("rename_table", table, to=reader.name())
        return
    reader.take("COLUMN")
    column = reader.name()
    if reader.take("TO"):
        yield make("rename_column", table, column, to=reader.name())


def _rename_tables(reader, dialect):
    for part in _parts(reader.rest(), ","):
        pair = Reader(part)
        table = pair.name()
        pair.take("TO")
        yield make("rename_table", table, to=pair.name())


def _nothing(*ignored):
    return iter(())


def _validate(table, reader):
    yield make("validate", table, name=reader.name())


def _rewrite(table, reader):
    yield make("rewrite", table, what=f"ALTER TABLE ... SET {reader.tokens[reader.at - 1].text.upper()}")


def _moved(table, reader):
    yield make("rename_table", table, to="{}.{}".format(reader.name(), table.split(".")[-1]))


_ACTIONS = [
    ("ADD CONSTRAINT", _add_constraint),
    ("ADD PRIMARY KEY", _add_key),
    ("ADD FOREIGN KEY", _add_key),
    ("ADD UNIQUE", _add_key),
    ("ADD CHECK", _add_key),
    ("ADD EXCLUDE", _add_key),
    ("ADD INDEX", _add_index),
    ("ADD KEY", _add_index),
    ("ADD FULLTEXT", _add_index),
    ("ADD PARTITION", _nothing),
    ("ADD", _add_column),
    *(
        ("DROP " + what, _nothing)
        for what in ("CONSTRAINT", "PRIMARY KEY", "FOREIGN KEY", "INDEX", "KEY", "CHECK", "PARTITION")
    ),
    ("DROP", _drop_column),
    ("ALTER CONSTRAINT", _nothing),
    ("ALTER INDEX", _nothing),
    ("ALTER", _alter_column),
    ("MODIFY", _modify),
    ("CHANGE", _change),
    ("RENAME", _rename),
    ("VALIDATE CONSTRAINT", _validate),
    ("SET SCHEMA", _moved),
    ("SET TABLESPACE", _rewrite),
    ("SET LOGGED", _rewrite),
    ("SET UNLOGGED", _rewrite),
    ("SET ACCESS METHOD", _rewrite),
]


def _alter_type(reader, dialect):
    """One value more in an enumeration is no change that anybody feels, and nothing takes it away again."""
    reader.name()
    if not reader.take("ADD VALUE"):
        yield make("other")


def _drop(reader, dialect):
    what = reader.take("TABLE", "SCHEMA", "DATABASE", "INDEX", "FOREIGN TABLE")
    concurrently = reader.take("CONCURRENTLY")
    reader.take("IF EXISTS")
    if what in ("TABLE", "SCHEMA", "DATABASE"):
        for part in _parts(reader.rest(), ","):
            yield make("drop_table", Reader(part).name(), what=what.lower())
    elif concurrently:
        yield make("alone", reader.name(), what="DROP INDEX CONCURRENTLY")
    else:
        yield make("other")


def _insert(reader, dialect):
    reader.take("IGNORE")
    reader.take("INTO")
    table, columns = reader.name(), []
    if reader.take("AS"):
        reader.name()
    columns = reader.names()
    source, values = "", []
    if reader.take("SELECT"):
        values = [_text(part) for part in _parts(reader.until("FROM"), ",")]
        source = reader.take("FROM") and reader.name()
    rows = not _says(reader.tokens, "VALUES") and not _says(reader.tokens, "DEFAULT VALUES")
    yield make("insert", table, columns=columns, values=values, source=source, rows=rows)


def _update(reader, dialect):
    reader.take("LOW_PRIORITY", "ONLY")
    table = reader.name()
    reader.until("SET")
    reader.take("SET")
    columns = []
    for part in _parts(reader.until("FROM", "WHERE", "RETURNING"), ","):
        side = Reader(part)
        names = side.names() or [side.name()]
        columns += [name.split(".")[-1] for name in names]
    version = columns == ["version_num"]
    yield make("update", table, columns=columns, where=_says(reader.rest(), "WHERE"), version=version)


def _delete(reader, dialect):
    reader.take("FROM")
    reader.take("ONLY")
    table = reader.name()
    where = _says(reader.rest(), "WHERE")
    version = any(token.text == "version_num" for token in reader.rest())
    yield make("delete", table, where=where, version=version)


def _truncate(reader, dialect):
    reader.take("TABLE")
    reader.take("ONLY")
    for part in _parts(reader.rest(), ","):
        yield make("truncate", Reader(part).name())


def _with(reader, dialect):
    """Statements that change rows inside of WITH, and after it."""
    ahead = Token("mark", ")")
    for at, token in enumerate(reader.tokens):
        if (
            ahead.text in "()"
            and token.kind == "word"
            and token.text.upper() in ("INSERT", "UPDATE", "DELETE")
        ):
            inner = Reader(reader.tokens[at:])
            depth, end = 0, at
            while end < len(reader.tokens) and depth >= 0:
                depth += {"(": 1, ")": -1}.get(reader.tokens[end].text, 0)
                end += 1
            inner = reader.tokens[at : end - (depth < 0)]
            yield from _operations(inner, dialect)
        ahead = token


def _do(reader, dialect):
    """What a DO block does, whichever way its conditions go."""
    for token in reader.rest():
        if token.kind != "text":
            continue
        for part in _parts(tokens_of(token.text, dialect), ";"):
            starts = [
                at
                for at, t in enumerate(part)
                if t.kind == "word" and t.text.upper() in ("THEN", "ELSE", "BEGIN", "LOOP")
            ]
            yield from _operations(part[starts[-1] + 1 :] if starts else part, dialect)


def _refresh(reader, dialect):
    if not reader.take("CONCURRENTLY"):
        yield make("rewrite", reader.name(), what="REFRESH MATERIALIZED VIEW")


def _reindex(reader, dialect):
    reader.brackets()
    reader.take("INDEX", "TABLE", "SCHEMA", "DATABASE", "SYSTEM")
    if reader.take("CONCURRENTLY"):
        yield make("alone", reader.name(), what="REINDEX CONCURRENTLY")
    else:
        yield make("rewrite", reader.name(), what="REINDEX")


def _vacuum(reader, dialect):
    full = _says(reader.tokens, "VACUUM FULL") or "FULL" in _text(reader.brackets())
    reader.take("FULL")
    reader.take("VERBOSE")
    reader.take("ANALYZE")
    table = reader.name()
    yield make("alone", table, what="VACUUM")
    if full:
        yield make("rewrite", table, what="VACUUM FULL")


def _cluster(reader, dialect):
    yield make("rewrite", reader.name(), what="CLUSTER")


#: Modes of LOCK in which others can still read, and those in which they can write, too.
_READ = ("SHARE ROW EXCLUSIVE", "SHARE", "EXCLUSIVE", "READ")
_WRITE = ("ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE")


def _lock(reader, dialect):
    reader.take("TABLE", "TABLES")
    tables = [Reader(part) for part in _parts(reader.until("IN", "READ", "WRITE"), ",")]
    reader.take("IN")
    if not reader.take(*_WRITE):
        reads = bool(reader.take(*_READ))
        for table in tables:
            table.take("ONLY")
            yield make("lock", table.name(), reads=reads)


_STATEMENTS = [
    ("CREATE", _create),
    ("ALTER TABLE", _alter_table),
    ("ALTER SYSTEM", lambda *_: [make("alone", what="ALTER SYSTEM")]),
    ("ALTER TYPE", _alter_type),
    ("ALTER", lambda *_: [make("other")]),
    ("DROP", _drop),
    ("RENAME TABLE", _rename_tables),
    ("INSERT", _insert),
    ("REPLACE", _insert),
    ("MERGE", _update),
    ("UPDATE", _update),
    ("DELETE", _delete),
    ("TRUNCATE", _truncate),
    ("WITH", _with),
    ("DO", _do),
    ("REFRESH MATERIALIZED VIEW", _refresh),
    ("REINDEX", _reindex),
    ("VACUUM", _vacuum),
    ("CLUSTER", _cluster),
    ("LOCK", _lock),
    ("COMMIT", lambda *_: [make("commit")]),
    ("BEGIN", lambda *_: [make("begin")]),
    ("START TRANSACTION", lambda *_: [make("begin")]),
]
