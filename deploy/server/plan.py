"""What the migrations of another commit would do to the database. Read before probe.py, which calls `plan`.

The commit's files come on standard input, as a tar. They are laid out in a temporary folder, among links to
what only the deployed folder has, and are asked there: nothing that is deployed is written to.

Answers: `heads` of the database (of the deployed code, where the database is `unasked`), `code` for those
of the commit, `stop` for what is in the way. `revision` begins a pending one, oldest first; `up` and `undo`
are a statement each, `finding` begins a finding, and `danger` is one that somebody has to agree to. A value's
further lines are answers `+`.
"""

import ast
import contextlib
import glob
import hashlib
import importlib
import inspect as inspection
import io
import json
import os
import re
import socket
import sys
import tarfile
import tempfile
import textwrap
import time
import warnings

from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.engine.default import DefaultDialect

ID = re.compile(r"^revision\b[^=\n]*=\s*['\"]([^'\"]+)['\"]", re.MULTILINE)


def plan(migrations, answer, ini, command=""):
    """INI is where alembic.ini is in the commit, COMMAND what migrates. In .backstay there are judge.py and
    `recorded`, what `state` answered about files after the last release."""
    sys.dont_write_bytecode = True
    sys.stdout.flush()
    asked = aside(lambda: deployed(migrations))
    with tempfile.TemporaryDirectory() as folder:
        unpack(folder)
        judge = rules(os.path.join(folder, ".backstay"))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                commit = laid_out(migrations, folder, ini)
                code = sorted(commit.script.get_heads())
        except Exception as error:
            commit, trouble = None, said(error)
        old = asked()
        heads = old["code"] if old["heads"] is None else old["heads"]
        say("heads", " ".join(heads))
        say("unasked", old["why"])
        if commit is None:
            say("unreadable", trouble)
            return
        say("code", " ".join(code))
        files = list(texts(commit))
        loose = len(heads) > 1 or "heads" in command.split()
        for found in judge.judge_tree(files):
            if found["rule"] != "several-heads" or not loose:
                stop(found["why"], found["instead"])
        broken(old, {each["id"]: each for each in files}, recorded(folder))
        made = judge.Made()
        for revision in pending(commit, heads, code, os.path.dirname(ini)):
            report(revision, judge, made)


def rules(folder):
    sys.path.insert(0, folder)
    import judge

    sys.path.remove(folder)
    # The application may have modules of the same names.
    for name in [name for name in sys.modules if name.startswith("judge")]:
        del sys.modules[name]
    return judge


def recorded(folder):
    """The digest and the name of each file, by its revision."""
    lines = read(os.path.join(folder, ".backstay", "recorded")).splitlines()
    return {name: (digest, file) for name, digest, file in (line.split(" ", 2) for line in lines)}


def stop(text, hint):
    say("stop", text)
    say("hint", hint)


def say(key, text):
    """One answer; its further lines are answers `+`."""
    first, *more = text.splitlines() or [""]
    print("backstay", key, first)
    for line in more:
        print("backstay +", line)


def said(error):
    name, text = type(error).__name__, " ".join(str(getattr(error, "orig", None) or error).split())
    return text if isinstance(error, CommandError) else name + (": " + text if text else "")


def aside(work):
    """WORK in a process of its own, so that what it loads is not loaded here; gives what waits for its
    answer."""
    source, sink = os.pipe()
    child = os.fork()
    if not child:
        try:
            found = json.dumps(work())
            with os.fdopen(sink, "w") as out:
                out.write(found)
        finally:
            sys.stdout.flush()
            os._exit(0)
    os.close(sink)

    def wait():
        with os.fdopen(source) as answers:
            text = answers.read()
        os.waitpid(child, 0)
        if not text:
            raise CommandError("the deployed migrations cannot be read")
        return json.loads(text)

    return wait


def deployed(migrations):
    """The heads of the database (None when it cannot be asked, and `why`) and of the deployed code, and the
    files of what is applied."""
    found = {"heads": None, "why": "", "files": {}, "code": sorted(migrations.script.get_heads())}

    def look(heads, context):
        found["heads"] = sorted(heads)
        return []

    try:
        migrations.run(look, dont_mutate=True)
    except Exception as error:
        found["why"] = said(error)
    known = migrations.ancestors(found["code"])
    for name in migrations.ancestors([head for head in found["heads"] or found["code"] if head in known]):
        found["files"][name] = migrations.script.get_revision(name).path
    return found


def unpack(folder):
    options = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}
    # Two archives, one after the other.
    with tarfile.open(fileobj=sys.stdin.buffer, mode="r|", ignore_zeros=True) as tar:
        tar.extractall(folder, **options)


def laid_out(migrations, folder, ini):
    """The migrations of the commit whose files are in FOLDER."""
    there, file = os.getcwd(), os.path.join(folder, ini)
    inside = os.path.relpath(migrations.config.config_file_name, there)
    if not file.endswith(os.sep + inside):
        raise CommandError("alembic.ini is " + inside + " in what is deployed, and " + ini + " in the commit")
    root = file[: -len(inside) - 1]
    place = Config(file).get_main_option("script_location") or ""
    if os.path.isabs(place) and within(place, there):
        place = os.path.join(root, os.path.relpath(place, there))
    link(root, there, os.path.join(root, place))
    inner = [path or "." for path in sys.path if within(path or ".", there)]
    moved = [os.path.normpath(os.path.join(root, os.path.relpath(path, there))) for path in inner]
    os.chdir(root)
    sys.path[:0] = [path for path in moved if os.path.isdir(path) and within(os.path.realpath(path), root)]
    for name, module in list(sys.modules.items()):
        if within(getattr(module, "__file__", None) or "/", there) and "site-packages" not in module.__file__:
            del sys.modules[name]
    sys.path_importer_cache.clear()
    importlib.invalidate_caches()
    config = Config(file, stdout=sys.stderr, output_buffer=io.StringIO())
    if os.path.isabs(place):
        config.set_main_option("script_location", place.replace("%", "%%"))
    return type(migrations)(config)


def within(path, folder):
    return os.path.abspath(path) == folder or os.path.abspath(path).startswith(folder.rstrip(os.sep) + os.sep)


def link(root, there, scripts):
    """What only the deployed folder has, such as .env, is linked to; a revision that is gone stays gone."""
    for here, folders, files in os.walk(root):
        beside = os.path.normpath(os.path.join(there, os.path.relpath(here, root)))
        if within(here, scripts) or not os.path.isdir(beside):
            continue
        for name in set(os.listdir(beside)) - set(folders) - set(files) - {".git", "__pycache__"}:
            if os.path.join(here, name) != scripts:
                os.symlink(os.path.join(beside, name), os.path.join(here, name))


def texts(commit):
    """All revision files, also those that Alembic leaves out because another one has the same id."""
    loaded = {script.path: script for script in commit.script.walk_revisions()}
    for folder in sorted({os.path.dirname(path) for path in loaded}):
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), "*.py"))):
            source, script = read(path), loaded.get(path)
            named = ID.search(source)
            if script or named:
                yield {
                    "id": script.revision if script else named.group(1),
                    "down": script.down_revision if script else None,
                    "file": os.path.basename(path),
                    "path": path,
                    "source": source,
                }


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def digest(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def broken(old, new, before):
    """What must not be deployed at all: OLD is deployed, NEW are the commit's files, BEFORE the records."""
    ahead = [head for head in old["heads"] or () if head not in new]
    if ahead:
        hint = "It is ahead of the code: deploy the commit that has this migration, or a newer one."
        stop("the database is at " + " ".join(ahead) + ", which this code does not know", hint)
    for name in sorted({*old["files"], *before} - {*ahead}):
        path = old["files"].get(name)
        file = os.path.basename(path) if path else before[name][1]
        change = changed(path, file, new.get(name), before.get(name))
        if change:
            hint = "An applied migration is never edited: put its file back as it was, and write a new one."
            stop("the revision " + name + " is applied, and its file " + file + " was " + change, hint)


def changed(path, file, new, before):
    """What was done to the file of an applied revision; nothing where it still does the same."""
    if new is None:
        return "removed"
    if new["file"] != file:
        return "renamed to " + new["file"]
    if before and before[0] not in [digest(each) for each in (new["path"], path) if each]:
        return "edited"
    if path and read(path) != new["source"] and meaning(read(path)) != meaning(new["source"]):
        return "edited"
    return ""


def meaning(source):
    """A file without its comments and docstrings, which may change."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        first = body[0] if isinstance(body, list) and body else None
        if isinstance(first, ast.Expr) and isinstance(getattr(first.value, "value", None), str):
            first.value.value = ""
    return ast.dump(tree)


def pending(commit, heads, code, folder):
    """The pending revisions, oldest first, with their SQL both ways as the commit's own env.py writes it."""
    known = commit.ancestors(code)
    names = commit.newest_first(code, known - commit.ancestors([head for head in heads if head in known]))[
        ::-1
    ]
    written, facts, trouble = {}, {}, ""

    def write(_, context):
        facts.update(dialect=context.dialect.name, transactional=bool(context.impl.transactional_ddl))
        for name in names:
            module = commit.script.get_revision(name).module
            written[name] = statements(context, module.upgrade), statements(context, module.downgrade)
        context.impl.static_output = lambda text: None
        return []

    try:
        if names:
            commit.run(write, as_sql=True)
    except (Exception, SystemExit) as error:
        trouble = said(error)
    for name in names:
        script = commit.script.get_revision(name)
        up, undo = written.get(name, [(None, trouble)] * 2)
        yield {
            "id": name,
            "down": commit.parents(name),
            "title": (script.doc or "").replace("\n", " "),
            "file": os.path.join(folder, os.path.relpath(script.path, os.getcwd())),
            "source": read(script.path),
            "up": up[0],
            "undo": undo[0],
            "dialect": facts.get("dialect", ""),
            "transactional": facts.get("transactional", False),
            "unknown": {"up": (up[1], script.module.upgrade), "undo": (undo[1], script.module.downgrade)},
        }


def statements(context, function):
    """What FUNCTION would say to the database, and why it cannot be told."""
    found = []
    context.impl.static_output = found.append
    try:
        with alone():
            function()
    except (Exception, SystemExit) as error:
        return None, said(error)
    return found, ""


@contextlib.contextmanager
def alone():
    """No connections, since a migration that makes its own would carry itself out; and no pauses."""

    def refuse(*words, **options):
        raise CommandError("it connects by itself")

    kept = DefaultDialect.connect, socket.socket.connect, time.sleep
    DefaultDialect.connect = socket.socket.connect = refuse
    time.sleep = lambda seconds: None
    try:
        yield
    finally:
        DefaultDialect.connect, socket.socket.connect, time.sleep = kept


def report(revision, judge, made):
    findings, (way, sentence) = judge.verdict(revision, made)
    say("revision", revision["id"])
    say("title", revision["title"])
    say("down", " ".join(revision["down"]))
    say("path", revision["file"])
    say("dialect", revision["dialect"])
    say("transactional", "yes" if revision["transactional"] else "")
    for key in ("up", "undo"):
        for statement in revision[key] or ():
            say(key, statement)
        if revision[key] is None:
            trouble, function = revision["unknown"][key]
            say("no_" + key, trouble)
            say("source_" + key, textwrap.dedent(inspection.getsource(function)))
    say("undoable", way)
    say("because", sentence)
    remarks(revision, judge, findings)


def remarks(revision, judge, findings):
    for rule, reason in judge.allowances(revision["source"]).items():
        if judge.of_squawk(rule) and reason:
            say("allow", rule + "\t" + reason)
    for found in findings:
        if found["severity"] == "danger" and not found["allowed"]:
            say("danger", "{}: {rule} {subject}\t{why}".format(revision["id"], **found))
        say("finding", found["severity"])
        for key in ("rule", "subject", "why", "instead", "allowed"):
            say(key, found.get(key) or "")
