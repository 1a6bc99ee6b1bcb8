"""Judges migrations: what loses data, breaks the code that still runs, or locks a table for long.

    judge(revision, made)    findings about one revision
    judge_all(revisions)     the same for several, in the order in which they will be applied
    judge_tree(revisions)    findings about how they hang together
    undoable(revision)       whether its downgrade brings back what was
    verdict(revision, made)  findings, and whether it can be undone

SQL comes first; the source is read where a migration could not be rendered, and for what SQL does not tell.
Standard library only, for Python 3.8 and newer; the files judge*.py lie in one folder of sys.path.
"""

import ast
import io
import re
import tokenize

from judge_read import TEXTS, is_wider, read_revision
from judge_source import function_of, tree_of
from judge_sql import DATA

#: Every rule, and what to do instead.
RULES = {
    "drop-table": "Release code that no longer uses it first, and drop it in a later release.",
    "drop-column": "Release code that no longer uses it first, and drop it in a later release.",
    "rename-table": "Add the new table, let the code write both, then drop the old one.",
    "rename-column": "Add the new column, let the code write both, then drop the old one.",
    "not-null-without-default": "Give it a server_default, or add it nullable and demand it later.",
    "type-change": "Add a new column, copy in small parts, then drop the old one.",
    "index-without-concurrently": "Use postgresql_concurrently=True inside of an autocommit_block().",
    "constraint-scan": "Add it with postgresql_not_valid=True, and VALIDATE CONSTRAINT in a later revision.",
    "long-lock": "Do it apart from a deployment, when nobody needs the table.",
    "data-change": "Change rows in a revision of its own, in small parts.",
    "needs-autocommit": "Put it inside of `with op.get_context().autocommit_block():`.",
    "not-transactional": "Make a revision of each statement, or let each be repeatable (IF NOT EXISTS).",
    "empty-downgrade": "Write a downgrade() that undoes upgrade().",
    "raising-downgrade": "Write a downgrade() that undoes upgrade().",
    "several-heads": "Join them: alembic merge heads.",
    "duplicate-id": "Give one of them another revision id.",
    "allow-without-reason": "Write `# backstay: allow RULE: the reason`.",
    "allow-unknown-rule": "Use the name of a rule as `fab plan` shows it.",
}
_VOLATILE = re.compile(
    r"\b(?:GEN_RANDOM_UUID|UUID_GENERATE_V\w+|UUIDV\d|RANDOM|CLOCK_TIMESTAMP|NEXTVAL|TIMEOFDAY) ?\("
)


#: What leaves nothing behind that a downgrade would have to undo.
_TRACELESS = ("commit", "begin", "lock", "rewrite", "validate")


def finding(revision, rule, severity, subject, why, instead=None):
    return {
        "revision": revision,
        "rule": rule,
        "severity": severity,
        "subject": subject,
        "why": why,
        "instead": instead or RULES[rule],
        "allowed": None,
    }


class Made:
    """Tables and columns that the deployment itself has made so far: nobody uses them yet."""

    def __init__(self):
        self.tables, self.columns = set(), set()

    def has(self, table, column=""):
        return table in self.tables or (table, column) in self.columns

    def forget(self, table, column=""):
        self.tables.discard(table)
        self.columns.discard((table, column))


class _Judge:
    def __init__(self, revision, made):
        self.revision, self.made = revision, made
        self.postgresql = (revision.get("dialect") or "").startswith("postgresql")
        self.inside = bool(revision.get("transactional", True))
        self.ops, self.undo = read_revision(revision)
        self.changed = set()
        self.found = []

    def say(self, rule, severity, subject, why, instead=None):
        new = finding(self.revision.get("id", ""), rule, severity, subject, why, instead)
        if not any((old["rule"], old["subject"], old["why"]) == (rule, subject, why) for old in self.found):
            self.found.append(new)

    def all(self):
        for op in self.ops:
            getattr(self, "on_" + op.kind, self.nothing)(op)
            if op.kind not in DATA:
                self.changed.add(op.table)
        self.transaction()
        self.downgrade()
        return _merged(self.found)

    def nothing(self, op):
        pass

    def later(self, op, *kinds):
        """Whether an operation of KINDS on the same column comes in this revision."""
        return any(o.kind in kinds and (o.table, o.column) == (op.table, op.column) for o in self.ops)

    def replaced(self, op):
        """Whether the column goes, and another one takes its name."""
        taken = any(
            o.kind == "rename_column" and (o.table, o.about["to"]) == (op.table, op.column) for o in self.ops
        )
        if taken or self.later(op, "add_column"):
            why = "Another column takes its name: what is not copied there is lost."
            self.say("type-change", "danger", op.table + "." + op.column, why)
            return True
        return False

    def undone(self, op, *kinds):
        """Whether the downgrade has an operation of KINDS on the same table."""
        return any(o.kind in kinds and o.table == op.table for o in self.undo)

    # -- tables and columns

    def on_create_table(self, op):
        self.made.tables.add(op.table)

    def on_drop_table(self, op):
        if not self.made.has(op.table):
            what = "" if op.about["what"] == "table" else op.about["what"] + " "
            why = "All that is in it is lost, and code that still runs fails."
            self.say("drop-table", "danger", what + op.table, why)
        self.made.forget(op.table)

    def on_rename_table(self, op):
        if self.made.has(op.table):
            self.made.tables.add(op.about["to"])
            self.made.forget(op.table)
        elif not any(o.kind == "create_view" and o.table == op.table for o in self.ops):
            why = f"Code that still runs looks for {op.table}, and fails."
            instead = "Create a view with the old name in the same revision, and drop it in a later release."
            self.say("rename-table", "danger", op.table, why, instead)

    def on_add_column(self, op):
        new = self.made.has(op.table)
        self.made.columns.add((op.table, op.column))
        if new:
            return
        subject, about = op.table + "." + op.column, op.about
        filled = (about["default"] and not self.later(op, "drop_default")) or about["fills_itself"]
        if about["not_null"] and not filled:
            if not about["default"]:
                more = "" if self.later(op, "drop_column") else ", and so do inserts of code that still runs"
                self.unfilled(subject, f"It fails where the table has rows{more}.")
            elif not self.later(op, "drop_column"):
                self.unfilled(subject)
        if self.postgresql and (about["fills_itself"] or _VOLATILE.search(about["default"].upper())):
            why = "The whole table is written anew to fill the column; until then nobody can read it."
            self.say(
                "long-lock", "danger", subject, why, "Add it without a default, and fill it in small parts."
            )

    def unfilled(self, subject, why=None):
        why = why or "Code that still runs does not fill it: its inserts fail."
        self.say("not-null-without-default", "danger", subject, why)

    def on_drop_column(self, op):
        if not self.made.has(op.table, op.column) and not self.replaced(op):
            why = "What is in it is lost, and code that still runs fails."
            self.say("drop-column", "danger", op.table + "." + op.column, why)
        self.made.columns.discard((op.table, op.column))

    def on_rename_column(self, op):
        if self.made.has(op.table, op.column) or self.replaced(op):
            self.made.columns.add((op.table, op.about["to"]))
        else:
            why = f"Code that still runs looks for {op.column}, and fails."
            self.say("rename-column", "danger", op.table + "." + op.column, why)

    def on_set_not_null(self, op):
        subject = op.table + "." + op.column
        if op.table in self.made.tables:
            return
        if self.later(op, "add_column"):
            added = [o for o in self.ops if o.kind == "add_column" and o[1:3] == op[1:3]]
            if not (added[0].about["default"] or self.later(op, "set_default")):
                self.unfilled(subject)
            return
        if self.demanded(op):
            return
        why = "It fails where a row has no value, and so does code that still leaves it empty."
        self.say("not-null-without-default", "warning", subject, why)

    def demanded(self, op):
        """Whether a CHECK demanded values already: a valid one, which spares looking at the rows, too."""
        return any(
            o.table == op.table
            and (
                o.about.get("demands") == op.column or (o.kind == "validate" and op.column in o.about["name"])
            )
            for o in self.undo + self.ops[: self.ops.index(op)]
            if not o.about.get("not_valid")
        )

    def on_alter_type(self, op):
        if self.made.has(op.table, op.column):
            return
        subject, before = op.table + "." + op.column, op.about["before"]
        wider = None if op.about["using"] else is_wider(before, op.about["type"])
        if wider and (self.postgresql or before == op.about["type"]):
            return
        change = "to " + op.about["type"] if not before else "from {} to {}".format(before, op.about["type"])
        plain = not op.about["using"] and TEXTS.match(op.about["type"])
        if self.postgresql and not before and plain:
            why = f"Changed {change}: unless it was a text, the whole table is written anew."
            self.say("type-change", "warning", subject, why)
        else:
            why = f"Changed {change}: the whole table is written anew; until then nobody can use it."
            self.say("type-change", "danger", subject, why)

    # -- indexes, constraints and locks

    def on_create_index(self, op):
        if op.about["concurrently"]:
            self.alone("CREATE INDEX CONCURRENTLY", op.about["name"])
        elif self.made.has(op.table):
            return
        elif self.postgresql:
            why = f"Nothing can be written to {op.table} while it is built."
            self.say("index-without-concurrently", "warning", op.about["name"] or op.table, why)
        elif op.about["unique"]:
            self.unique(op)

    def unique(self, op):
        why = f"It fails where rows of {op.table} are alike."
        self.say("constraint-scan", "warning", op.about["name"] or op.table, why, "Look for such rows first.")

    def on_add_constraint(self, op):
        about = op.about
        if self.made.has(op.table) or about["using"]:
            return
        subject = about["name"] or "{} of {}".format(about["what"], op.table)
        if not self.postgresql:
            if about["what"] == "unique":
                self.unique(op)
        elif about["what"] in ("foreign key", "check"):
            if not about["not_valid"]:
                why = f"{op.table} is locked while every row is checked."
                self.say("constraint-scan", "note" if self.is_new(op) else "warning", subject, why)
        else:
            alike = "" if self.is_new(op) else "; it fails where rows are alike"
            why = f"{op.table} is locked while an index is built{alike}."
            instead = "Build a unique index CONCURRENTLY first, and add the constraint USING INDEX."
            self.say("constraint-scan", "warning", subject, why, instead)

    def is_new(self, op):
        """Whether all columns of a constraint are new and empty."""
        return all(self.is_empty(op.table, column) for column in op.about["columns"] or [""])

    def is_empty(self, table, column):
        """Whether the column was added by this revision, and no row has a value there."""
        filled = any(
            (op.kind == "update" and op.table == table)
            or (op.kind == "add_column" and op[1:3] == (table, column) and op.about["default"])
            for op in self.ops
        )
        return not filled and self.made.has(table, column)

    def on_rewrite(self, op):
        if not self.made.has(op.table):
            why = "{}: nobody can use it until that is done.".format(op.about["what"])
            self.say("long-lock", "danger", op.table or "all tables", why)

    def on_lock(self, op):
        if self.made.has(op.table):
            return
        if op.about["reads"]:
            why = "Nothing can be written to it until the migration ends."
            self.say("long-lock", "warning", op.table, why)
        else:
            self.say("long-lock", "danger", op.table, "Nobody can use it until the migration ends.")

    def on_alone(self, op):
        self.alone(op.about["what"], op.table)

    def alone(self, what, subject):
        if self.inside and self.postgresql:
            self.say("needs-autocommit", "danger", subject, f"{what} fails inside of a transaction.")

    def on_commit(self, op):
        self.inside = False

    def on_begin(self, op):
        self.inside = True

    # -- rows

    def mixed(self):
        return any(op.kind not in (*DATA, "commit", "begin") for op in self.ops)

    def on_delete(self, op):
        if self.made.has(op.table):
            return
        rows = "Rows are deleted" if op.about.get("where") else "All rows are deleted"
        if self.undone(op, "insert"):
            self.say("data-change", "warning", op.table, f"{rows}; look whether downgrade() brings all back.")
        else:
            self.say("data-change", "danger", op.table, f"{rows}, and downgrade() does not bring them back.")

    on_truncate = on_delete

    def on_update(self, op):
        if self.made.has(op.table):
            return
        if self.postgresql and self.inside and op.table in self.changed:
            why = "The table stays locked by the changes before until all rows are written."
            self.say("data-change", "warning", op.table, why)
        elif all(self.made.has(op.table, column) for column in op.about["columns"] or [""]):
            return
        elif not self.undone(op, "update"):
            why = "Rows are changed, and downgrade() does not bring the old values back."
            self.say("data-change", "warning" if self.mixed() else "note", op.table, why)

    def on_insert(self, op):
        if op.about["rows"] and self.mixed() and not self.made.has(op.table):
            why = "Rows are copied into it together with changes of the schema."
            self.say("data-change", "note", op.table, why)

    # -- as a whole

    def transaction(self):
        commits = [at for at, op in enumerate(self.ops) if op.kind == "commit"]
        steps = [op for op in self.ops if op.kind not in ("commit", "begin")]
        alike = all(op.kind in ("create_index", "alone", "rewrite") for op in steps)
        if commits and len(steps) > 1 and not alike:
            before = any(op in steps for op in self.ops[: commits[0]])
            why = "What comes before the autocommit block stays when a later statement fails."
            if not before:
                why = "Each statement of the autocommit block stays when a later one fails."
            self.say("not-transactional", "warning", "upgrade()", why)
        elif not commits and len(steps) > 1 and not self.revision.get("transactional", True):
            why = "When a statement fails, what was done before it stays."
            self.say("not-transactional", "note", "upgrade()", why)

    def downgrade(self):
        state = downgrade_state(self.revision)
        steps = [op for op in self.ops if op.kind not in _TRACELESS]
        if state == "raising":
            why = "downgrade() raises an error: a failed deployment could not be undone by it."
            self.say("raising-downgrade", "warning", "downgrade()", why)
        elif state == "empty" and steps:
            data = all(op.kind in DATA for op in steps)
            if data and any(one["rule"] == "data-change" for one in self.found):
                return
            why = "downgrade() does nothing: what upgrade() did stays when a deployment is undone."
            self.say("empty-downgrade", "note" if data else "warning", "downgrade()", why)


def _merged(found):
    """Warnings and notes that say the same become one; each danger stays for itself."""
    merged = {}
    for one in found:
        subject = one["subject"] if one["severity"] == "danger" else ""
        merged.setdefault((one["rule"], one["severity"], one["why"], subject), []).append(one)
    return [dict(ones[0], subject=_list([one["subject"] for one in ones])) for ones in merged.values()]


def downgrade_state(revision):
    """empty, raising or there."""
    function = function_of(tree_of(revision.get("source")), "downgrade")
    if function is None:
        return "there" if revision.get("undo") else "empty"
    for node in function.body:
        if isinstance(node, ast.Raise):
            return "raising"
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not (docstring or isinstance(node, (ast.Pass, ast.Return))):
            return "there"
        if isinstance(node, ast.Return):
            break
    return "empty"


def judge(revision, made=None):
    """Findings about one revision; MADE is what earlier ones of the same deployment made, and gets more."""
    return _allow(revision, _Judge(revision, made or Made()).all())


def judge_all(revisions):
    """Findings about revisions that are applied one after the other, in this order."""
    made = Made()
    return [found for revision in revisions for found in judge(revision, made)]


def judge_tree(revisions):
    """Findings about how revisions hang together; each has its id, its parents in "down", and its file."""
    found, by_id, parents = [], {}, set()
    for revision in revisions:
        by_id.setdefault(revision["id"], []).append(str(revision.get("file") or "?"))
        down = revision.get("down") or ()
        parents.update([down] if isinstance(down, str) else down)
    for name, files in sorted(by_id.items()):
        if len(files) > 1:
            why = "Two files have this revision id; Alembic takes one of them: {}.".format(
                ", ".join(sorted(files))
            )
            found.append(finding(name, "duplicate-id", "danger", name, why))
    heads = sorted(set(by_id) - parents)
    if len(heads) > 1:
        why = "Nothing comes after any of {}: `alembic upgrade head` fails.".format(", ".join(heads))
        found.append(finding(heads[0], "several-heads", "warning", ", ".join(heads), why))
    return found


def undoable(revision):
    """("yes", ""), ("no", why) or ("loses data", what)."""
    return _undoable(revision, *read_revision(revision))


def verdict(revision, made):
    """Findings, as `judge` has them, and what `undoable` says."""
    judged = _Judge(revision, made)
    return _allow(revision, judged.all()), _undoable(revision, judged.ops, judged.undo)


def _undoable(revision, up, undo):
    state = downgrade_state(revision)
    if state == "raising":
        return "no", "downgrade() raises an error."
    if state == "empty" and any(op.kind not in _TRACELESS for op in up):
        return "no", "downgrade() does nothing."
    lost = [_subject(op) for op in undo if op.kind in ("drop_table", "drop_column", "delete", "truncate")]
    gone = [_subject(op) for op in up if op.kind in ("drop_table", "drop_column", "delete", "truncate")]
    said = [f"What was written to {_list(lost)} since is lost."] if lost else []
    said += [f"{_list(gone)} would come back empty."] if gone else []
    return ("loses data", " ".join(said)) if said else ("yes", "")


def _subject(op):
    return op.table + ("." + op.column if op.column else "")


def _list(names):
    names = list(dict.fromkeys(names))
    return ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")


_ALLOW = re.compile(r"#\s*backstay:\s*allow\b((?:\bsquawk:|[^:])*)(?::(.*))?$")
_SQUAWK = re.compile(r"\bsquawk(?:: *|[-/])(?=\w)")


def allowances(source):
    """The reason for each rule that a migration's file allows; nothing where it gives no reason."""
    found = {}
    # To read all words of a file takes longer than to judge it.
    for comment in _comments(source or "") if "backstay" in (source or "") else ():
        match = _ALLOW.match(comment.strip())
        for word in re.split(r"[,\s]+", _SQUAWK.sub("squawk:", match.group(1)).strip()) if match else ():
            rule = word.replace("squawk:", "squawk: ")
            found[rule] = (match.group(2) or "").strip() or found.get(rule)
    return found


def _comments(source):
    try:
        for token in tokenize.generate_tokens(io.StringIO(source).readline):
            if token.type == tokenize.COMMENT:
                yield token.string
    except (tokenize.TokenError, SyntaxError, ValueError):
        return


def of_squawk(name):
    """Whether it names a rule of squawk's, which judges on the laptop: `squawk: RULE`."""
    return name.startswith("squawk: ")


def _allow(revision, found):
    reasons = allowances(revision.get("source"))
    for rule, reason in reasons.items():
        name = rule or "?"
        if name not in RULES and not of_squawk(name):
            why = f"The migration allows {name}, which is no rule."
            found.append(finding(revision.get("id", ""), "allow-unknown-rule", "warning", name, why))
        elif not reason:
            why = f"The migration allows {name}, but does not say why."
            found.append(finding(revision.get("id", ""), "allow-without-reason", "warning", name, why))
    return [dict(one, allowed=reasons.get(one["rule"])) for one in found]
