"""The application's Alembic: its ini, its env.py and its revisions, read as text; nothing of it is run."""

from __future__ import annotations

import ast
import configparser
import posixpath
import re
from collections import Counter
from collections.abc import Iterator

from deploy.config import Target
from deploy.doctor.facts import Facts
from deploy.doctor.imports import reached
from deploy.doctor.told import Told
from deploy.view import Finding

TOLD = Told("application")


def findings(facts: Facts, target: Target, runs: str = "") -> list[Finding]:
    """What is wrong with the migrations of the checkout; ``runs`` is what the migration service runs."""
    if not target.migrate.enabled or "revisions" not in facts.texts:
        return []
    return [
        *_ini(facts, target),
        *_environments(facts),
        *_revisions(facts, f"{' '.join(target.migrate.command)} {runs}"),
    ]


def _files(facts: Facts, name: str) -> dict[str, str]:
    """The tracked files of that name, by their path in the checkout."""
    files = {
        file.removeprefix("file:"): text for file, text in facts.texts.items() if file.startswith("file:")
    }
    return {file: text for file, text in files.items() if posixpath.basename(file) == name}


def _ini(facts: Facts, target: Target) -> Iterator[Finding]:
    found = _files(facts, "alembic.ini")
    if not found and not any("[tool.alembic" in text for text in _files(facts, "pyproject.toml").values()):
        yield TOLD.error(
            "alembic.ini",
            "there is none in the repository",
            "The migration cannot be run, or has a file that is on the server alone.",
            "Commit it; or set all of it up:\n  fab init\nWithout migrations, in deploy.toml:\n"
            "  [migrate]\n  enabled = false",
        )
        return
    if len(found) > 1 and not (target.migrate.workdir or target.venv.workdir):
        yield TOLD.warning(
            "alembic.ini",
            f"there are several: {', '.join(sorted(found))}",
            "Where the image has more than one of them, a deployment does not guess, and refuses.",
            f'In deploy.toml:\n  [migrate]\n  workdir = "{posixpath.dirname(min(found)) or "."}"',
        )
    broken = [(file, why) for file, text in found.items() if (why := _unreadable(text))]
    for file, why in broken:
        yield TOLD.error(
            "alembic.ini",
            f"{file}: {why}",
            "Every alembic command stops there.",
            "Write %% for each %; or leave the URL out, and build it in env.py from the environment.",
        )
    if found and not broken:
        yield TOLD.ok("alembic.ini", ", ".join(sorted(found)))


def _unreadable(text: str) -> str:
    """What Alembic's own reading of the file would stop at."""
    parser = configparser.ConfigParser({"here": "."})
    try:
        parser.read_string(text)
        if parser.has_section("alembic"):
            parser.items("alembic")
    except configparser.InterpolationError:
        return "a single % in a value, of sqlalchemy.url say, begins a reference"
    except configparser.Error:
        # A file of another form is Alembic's to refuse; what was masked may be the reason here.
        return ""
    return ""


def _environments(facts: Facts) -> Iterator[Finding]:
    seen = [
        (file, _parsed(text))
        for file, text in _files(facts, "env.py").items()
        if "alembic" in text and "run_migrations" in text
    ]
    for file, tree in seen:
        if tree is None:
            continue
        found = [
            *_relative(file, tree),
            *_percent(file, tree, facts),
            *_metadata(file, tree),
            *_offline(file, tree),
            *_transactions(file, facts),
        ]
        if len(seen) == 1:
            found += _unseen(file, tree, facts)
        yield from found or [TOLD.ok("env.py", file)]


def _parsed(text: str) -> ast.Module | None:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError):
        return None


def _relative(file: str, tree: ast.Module) -> Iterator[Finding]:
    """The guide's own: env.py has no parent package."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            name = "." * node.level + (node.module or "")
            yield TOLD.error(
                "env.py",
                f"{file}:{node.lineno} imports relatively, from {name}",
                "Alembic loads env.py as a file, which has no parent package: each command ends in "
                "an ImportError.",
                f"  from {node.module or 'models'} import …\nand in alembic.ini:\n  prepend_sys_path "
                "= %(here)s",
            )
            return


def _percent(file: str, tree: ast.Module, facts: Facts) -> Iterator[Finding]:
    """set_main_option reads a percent sign in the URL's password as its own."""
    for call in _calls(tree, "set_main_option", "set_section_option"):
        names = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
        if "sqlalchemy.url" not in names or isinstance(call.args[-1], ast.Constant):
            continue
        if "'%'" in ast.unparse(call.args[-1]):
            continue
        now = facts.yes("env.percent")
        make = TOLD.error if now else TOLD.warning
        yield make(
            "env.py",
            f"{file}:{call.lineno} puts the URL into Alembic's configuration as it is",
            "A % in the password begins a reference there: "
            + ("DATABASE_URL has one, and each command stops." if now else "with one, each command stops."),
            '  config.set_main_option("sqlalchemy.url", url.replace("%", "%%"))',
        )
        return


def _metadata(file: str, tree: ast.Module) -> Iterator[Finding]:
    for node in (each for each in ast.walk(tree) if isinstance(each, ast.Assign | ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        named = any(isinstance(one, ast.Name) and one.id == "target_metadata" for one in targets)
        if named and isinstance(node.value, ast.Constant) and node.value.value is None:
            yield TOLD.warning(
                "env.py",
                f"{file}:{node.lineno} sets target_metadata to None",
                "`alembic revision --autogenerate` and fab db.check compare with nothing.",
                "  from models import Base\n  target_metadata = Base.metadata",
            )


def _offline(file: str, tree: ast.Module) -> Iterator[Finding]:
    """SQL alone must need no database, and have its values in it."""
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for body in _offline_bodies(tree, functions):
        opened = next(_calls(body, "connect", "create_engine", "engine_from_config"), None)
        if opened:
            yield TOLD.warning(
                "env.py",
                f"{file}:{opened.lineno} opens the database in offline mode",
                "fab db.sql is to show the SQL without touching the database; this creates an empty "
                "SQLite file.",
                "In run_migrations_offline, without an engine:\n  context.configure(url=url, "
                "target_metadata=target_metadata,\n                    literal_binds=True)",
            )
            return
        for call in _calls(body, "configure"):
            if not any(word.arg in ("literal_binds", None) for word in call.keywords):
                yield TOLD.warning(
                    "env.py",
                    f"{file}:{call.lineno} has no literal_binds in offline mode",
                    "The SQL of fab db.sql has names such as :name_1 in place of the values that are "
                    "inserted.",
                    "  context.configure(…, literal_binds=True)",
                )
                return


def _offline_bodies(tree: ast.Module, functions: dict[str, ast.FunctionDef]) -> Iterator[ast.AST]:
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.If)
            and any(_calls(node.test, "is_offline_mode"))
            and not isinstance(node.test, ast.UnaryOp)
        ):
            for statement in node.body:
                yield statement
                yield from (
                    functions[name] for call in _all_calls(statement) if (name := _name(call)) in functions
                )


def _transactions(file: str, facts: Facts) -> Iterator[Finding]:
    users = facts.words("autocommit")
    if users and "transaction_per_migration" not in facts.texts.get(f"file:{file}", ""):
        yield TOLD.warning(
            "env.py",
            f"{file} runs all revisions in one transaction, and {users[0]} leaves it (autocommit_block)",
            "What came before is committed there: when it fails, half of a revision stays, and runs "
            "again next time.",
            "  context.configure(…, transaction_per_migration=True)",
        )


def _unseen(file: str, tree: ast.Module, facts: Facts) -> Iterator[Finding]:
    """Models that env.py does not import, itself or through what it imports."""
    models = set(facts.words("models"))
    seen = reached(file, facts.texts.get("imports", ""))
    unseen = sorted(models - seen) if seen is not None else []
    if unseen and _has_metadata(tree):
        more = f" and {len(unseen) - 3} more" if unseen[3:] else ""
        yield TOLD.warning(
            "env.py",
            f"{file} does not import the models in {', '.join(unseen[:3])}{more}",
            "Tables that it has not seen are not compared: the next --autogenerate leaves them out, "
            "or drops them.",
            f"In {file}:\n  import {_module(unseen[0], file)}  # noqa: F401",
        )


def _has_metadata(tree: ast.Module) -> bool:
    return any(isinstance(node, ast.Attribute) and node.attr == "metadata" for node in ast.walk(tree))


def _module(path: str, beside: str) -> str:
    """The name by which env.py may import that file: from the folder of alembic.ini, mostly."""
    root = posixpath.dirname(posixpath.dirname(beside))
    inside = path.removeprefix(f"{root}/") if root else path
    return inside.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _revisions(facts: Facts, runs: str) -> Iterator[Finding]:
    """One id a revision, and one head; only lines that hold a value whole are looked at."""
    ids: list[str] = []
    parents: set[str] = set()
    for line in facts.texts["revisions"].splitlines():
        name, _, value = line.partition("=")
        words = re.findall(r"[\"']([^\"']+)[\"']", value)
        if not value.strip() or (not words and value.split()[0] != "None"):
            return
        if name.startswith("down_"):
            parents.update(words)
        else:
            ids += words[:1]
    twins = sorted(name for name, count in Counter(ids).items() if count > 1)
    heads = sorted(set(ids) - parents)
    if twins:
        yield TOLD.error(
            "revisions",
            f"several files have the revision id {', '.join(twins[:3])}",
            "Alembic takes one of them and leaves the other out, with a warning that nobody sees.",
            "Give one of the files another revision id, and put it after the other (down_revision).",
        )
    elif len(heads) > 1 and not re.search(r"\bupgrade\s+heads\b", runs):
        yield TOLD.error(
            "revisions",
            f"there are {len(heads)} heads: {', '.join(heads[:4])}",
            "Two branches each brought a revision: `alembic upgrade head` refuses to choose.",
            f'In the repository:\n  alembic merge -m "Merge heads" {" ".join(heads[:4])}',
        )
    elif ids:
        yield TOLD.ok("revisions", f"{len(ids)}, at {', '.join(heads)}")


def _calls(tree: ast.AST, *names: str) -> Iterator[ast.Call]:
    return (call for call in _all_calls(tree) if _name(call) in names)


def _all_calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def _name(call: ast.Call) -> str:
    return getattr(call.func, "attr", getattr(call.func, "id", ""))
