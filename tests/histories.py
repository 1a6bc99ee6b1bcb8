"""Judges whole histories of migrations, each revision as if it were deployed by itself.

usage: python -m tests.histories [--dialect NAME] [--sample COUNT] [--seed NUMBER] FOLDER...

FOLDER has the files of the revisions; their code is run. They are rendered with plain Alembic, without their
env.py and without a database. A module that is not there is replaced by one that has everything, so that only
migrations that ask the database cannot be rendered. Those are judged by their source.
"""

import argparse
import collections
import contextlib
import importlib.abc
import importlib.util
import io
import random
import sys
import time
import traceback
import types
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import judge
from alembic.config import Config
from alembic.operations import Operations
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy.types import UserDefinedType

from deploy import squawk, view

Revision = dict[str, Any]


class Boundless(type(UserDefinedType)):  # type: ignore[misc]
    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return Anything

    def __str__(cls) -> str:
        return "1"


class Anything(UserDefinedType[Any], metaclass=Boundless):
    """Stands for what an application brings: types of columns, mostly, and lengths of texts."""

    cache_ok = True

    def __init__(self, *words: Any, **named: Any) -> None: ...

    def get_col_spec(self, **named: Any) -> str:
        return "ANYTHING"

    def __bool__(self) -> bool:
        return False


class Replaced(types.ModuleType):
    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return Anything


class Replacer(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds every module that nobody else has."""

    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        return importlib.util.spec_from_loader(name, self, is_package=True)

    def create_module(self, spec: Any) -> types.ModuleType:
        return Replaced(spec.name)

    def exec_module(self, module: types.ModuleType) -> None: ...


class Statements(io.StringIO):
    """What Alembic writes its SQL to: one call for each statement."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def write(self, text: str) -> int:
        self.found.append(text)
        return len(text)


@dataclass
class History:
    """What was found in a folder; ``seconds`` are those of our judge."""

    folder: Path
    revisions: list[Revision] = field(default_factory=list)
    seconds: float = 0.0
    crashes: list[str] = field(default_factory=list)
    findings: list[tuple[Revision, str, str, str]] = field(default_factory=list)
    noticed: str = ""

    def row(self) -> str:
        counts = collections.Counter(
            severity for _, severity, rule, _ in self.findings if "squawk" not in rule
        )
        dangerous = {each["id"] for each, severity, _, _ in self.findings if severity == "danger"}
        cells = [
            self.folder,
            len(self.revisions),
            sum(each["up"] is not None for each in self.revisions),
            f"{self.seconds * 1000 / max(1, len(self.revisions)):.1f} ms",
            len(self.crashes),
            *(counts[severity] for severity in ("danger", "warning", "note")),
            len(dangerous),
            self.noticed or sum("squawk" in rule for _, _, rule, _ in self.findings),
        ]
        return f"| {' | '.join(str(cell) for cell in cells)} |"


def load(file: Path) -> types.ModuleType | None:
    """The migration, or nothing: a file that is none, or cannot be read without its application."""
    spec = importlib.util.spec_from_file_location(f"migration_{file.stem}", file)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception:
        return None
    return module if hasattr(module, "revision") else None


def render(function: Any, script: ScriptDirectory, dialect: str) -> list[str] | None:
    statements = Statements()
    with EnvironmentContext(Config(), script, as_sql=True) as environment:
        environment.configure(
            dialect_name=dialect,
            literal_binds=True,
            dialect_opts={"paramstyle": "named"},
            output_buffer=statements,
        )
        try:
            with Operations.context(environment.get_context()):
                function()
        except (Exception, SystemExit):
            return None
    return statements.found


def revisions(folder: Path, dialect: str) -> Iterator[Revision]:
    script = ScriptDirectory(str(folder))
    for file in sorted(folder.rglob("*.py")):
        source = file.read_text()
        if "down_revision" in source:
            module = load(file)
            yield {
                "id": getattr(module, "revision", file.stem),
                "up": render(getattr(module, "upgrade", None), script, dialect),
                "undo": render(getattr(module, "downgrade", None), script, dialect),
                "file": str(file),
                "source": source,
                "dialect": dialect,
                "transactional": not dialect.startswith(("mysql", "mariadb")),
            }


def examine(folder: Path, dialect: str) -> History:
    history = History(folder)
    with contextlib.redirect_stdout(io.StringIO()):
        history.revisions = list(revisions(folder, dialect))
    for each in history.revisions:
        begun = time.process_time()
        try:
            found, _ = judge.verdict(each, judge.Made())
        except Exception:
            history.crashes.append(f"{each['file']}: {traceback.format_exc(limit=-1)}")
            continue
        finally:
            history.seconds += time.process_time() - begun
        history.findings += (
            (each, one["severity"], one["rule"], f"{one['subject']}: {one['why']}") for one in found
        )
        linted = lint(each, found)
        history.noticed = history.noticed or linted.unlinted
        for one in linted.revisions[0].findings[len(found) :]:
            history.findings.append((each, one.severity, one.rule, f"{one.subject}: {one.why}"))
    return history


def lint(each: Revision, found: list[dict[str, Any]]) -> view.Forecast:
    """What squawk adds."""
    ours = tuple(view.Remark(one["severity"], one["rule"]) for one in found)
    up = view.Way(each["up"] and tuple(each["up"]))
    one = view.Revision(each["id"], "", (), "", each["dialect"], True, up, view.Way(()), "", "", ours)
    nothing: tuple[Any, ...] = ()
    return squawk.judged(
        view.Forecast("", "", "", "", nothing, 0, nothing, 0, nothing, (), (), "", "", (), (one,), ())
    )


def main() -> None:
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--dialect", default="postgresql")
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    sys.meta_path.append(Replacer())
    print("| history | all | rendered | each | crashes | danger | warning | note | dangerous | squawk |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    histories = []
    for folder in options.folders:
        histories.append(examine(folder, options.dialect))
        print(histories[-1].row(), *histories[-1].crashes, sep="\n", flush=True)
    found = [finding for history in histories for finding in history.findings]
    for (rule, severity), count in sorted(collections.Counter((rule, s) for _, s, rule, _ in found).items()):
        print(f"{count:6}  {severity:8} {rule}")
    for each, severity, rule, text in random.Random(options.seed).sample(
        found, min(options.sample, len(found))
    ):
        print(f"{each['file']}\n    {severity} {rule} {text}")


if __name__ == "__main__":
    main()
