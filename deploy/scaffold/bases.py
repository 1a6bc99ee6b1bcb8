"""Find an application's models by reading its source: nothing of it is imported or run."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["base", "metadata", "sqlmodel"]
#: What makes a Base when it is called, and what is a MetaData itself.
_MAKERS: Mapping[str, Kind] = {
    "declarative_base": "base",
    "automap_base": "base",
    "SQLAlchemy": "base",
    "generate_base": "base",
    "MetaData": "metadata",
}
#: What a Base inherits from.
_PARENTS = {"DeclarativeBase", "DeclarativeBaseNoMeta", "MappedAsDataclass"}


@dataclass(frozen=True)
class Base:
    """What knows the tables: ``name`` in the file ``file``, or SQLModel's own (then ``file`` is "")."""

    file: str
    name: str
    kind: Kind = "base"


@dataclass(frozen=True)
class Models:
    """How env.py gets at the models: the folder that goes on ``sys.path``, and what it imports from there.

    ``modules`` are those with models, the one of the Base among them.
    """

    root: str
    base: Base
    base_module: str
    modules: tuple[str, ...]

    @property
    def metadata(self) -> str:
        """The expression for the MetaData."""
        return self.base.name if self.base.kind == "metadata" else f"{self.base.name}.metadata"

    @property
    def imports(self) -> str:
        """The import lines; those for the models' sake alone say so."""
        others = [name for name in self.modules if name != self.base_module]
        wanted = [f"import {name}  # noqa: F401  its models" for name in others]
        return "\n".join([*wanted, f"from {self.base_module} import {self.base.name}"])


def find(tree: Mapping[str, str]) -> list[Base]:
    """All that may be the Base in the Python files of ``tree`` (path to text), most likely first.

    A MetaData beside a Base in the same application is that Base's own: it is not among them.
    """
    parsed = parse(tree)
    found = [base for file, module in parsed.items() for base in _made(file, module)]
    bases = [base for base in found if base.kind == "base"] or found
    if not bases and any(_has_sqlmodel(module) for module in parsed.values()):
        return [Base("", "SQLModel", "sqlmodel")]
    return sorted(bases, key=lambda base: (-len(_with_models(parsed, base)), base.file, base.name))


def named(tree: Mapping[str, str], words: str, folder: str) -> Base | None:
    """The Base that a user calls ``package.module:Name``, seen from ``folder`` or from the top."""
    module, _, name = words.partition(":")
    if words == "sqlmodel:SQLModel":
        return Base("", "SQLModel", "sqlmodel")
    path = module.replace(".", "/")
    for start in (folder, ""):
        for file in (f"{path}.py", f"{path}/__init__.py"):
            full = posixpath.normpath(posixpath.join(start, file))
            if full in tree and name.isidentifier():
                made = [base for base in _made(full, _parse(tree[full])) if base.name == name]
                return made[0] if made else Base(full, name)
    return None


def models(tree: Mapping[str, str], base: Base) -> Models:
    """How env.py imports the models of ``base``."""
    parsed = parse(tree)
    files = _with_models(parsed, base)
    root = _root(tree, parsed, [*files, *([base.file] if base.file else [])])
    modules = tuple(sorted({_module(file, root) for file in files} - {""}))
    module = _module(base.file, root) if base.file else "sqlmodel"
    return Models(root, base, module, modules)


def parse(tree: Mapping[str, str]) -> dict[str, ast.Module]:
    """The Python files of ``tree``; one that is no Python is as good as empty."""
    return {path: _parse(text) for path, text in tree.items() if path.endswith(".py")}


def _parse(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return ast.Module([], [])


def _made(file: str, module: ast.Module) -> Iterator[Base]:
    for node in module.body:
        if isinstance(node, ast.ClassDef) and _PARENTS & {_last(parent) for parent in node.bases}:
            yield Base(file, node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
            kind = _MAKERS.get(_last(node.value.func))
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if kind:
                yield from (Base(file, target.id, kind) for target in targets if isinstance(target, ast.Name))


def _last(node: ast.expr) -> str:
    """The last name of ``a.b.c`` or ``c``, or that of ``c[...]`` and ``c(...)``."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=inner) | ast.Call(func=inner):
            return _last(inner)
    return ""


def _has_sqlmodel(module: ast.Module) -> bool:
    return any(
        isinstance(node, ast.ClassDef) and any(word.arg == "table" for word in node.keywords)
        for node in module.body
    )


def _with_models(parsed: Mapping[str, ast.Module], base: Base) -> list[str]:
    """The files that define tables of ``base``: by class, however deep its ancestry, or with ``Table``."""
    if base.kind == "sqlmodel":
        return [file for file, module in parsed.items() if _has_sqlmodel(module)]
    names = {base.name}
    classes = [
        (file, node)
        for file, module in parsed.items()
        for node in module.body
        if isinstance(node, ast.ClassDef)
    ]
    files: set[str] = set()
    for _ in range(5):
        for file, node in classes:
            parents = {_last(parent) for parent in node.bases}
            owners = {_first(parent) for parent in node.bases if isinstance(parent, ast.Attribute)}
            if parents & names or (owners & {base.name} and "Model" in parents):
                names.add(node.name)
                files.add(file)
    if base.kind == "metadata":
        files |= {file for file, module in parsed.items() if _uses_table(module, base.name)}
    return sorted(file for file in files if not _is_migration(file))


def _first(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _uses_table(module: ast.Module, metadata: str) -> bool:
    return any(
        isinstance(node, ast.Call)
        and _last(node.func) == "Table"
        and any(isinstance(word, ast.Name) and word.id == metadata for word in node.args)
        for node in ast.walk(module)
    )


def _is_migration(file: str) -> bool:
    return bool({"migrations", "alembic", "versions", "tests"} & set(file.split("/")[:-1]))


def _module(file: str, root: str) -> str:
    """The dotted name of a file, seen from ``root``."""
    path = posixpath.relpath(file, root or ".").removesuffix(".py").removesuffix("/__init__")
    return path.replace("/", ".")


def _root(tree: Mapping[str, str], parsed: Mapping[str, ast.Module], files: Iterable[str]) -> str:
    """The folder from which the application's own imports are right.

    Relative imports say how many packages there are at least; absolute ones fit some folder or do not.
    """
    files = sorted(set(files))
    common = posixpath.commonpath([posixpath.dirname(file) or "." for file in files]) if files else "."
    common = "" if common == "." else common
    folders = [common]
    while folders[-1]:
        folders.append(posixpath.dirname(folders[-1]))
    if any(_is_level_up(parsed[file], file, common) for file in files):
        folders = folders[1:] or [""]
    fits = {folder: sum(_fits(tree, parsed[file], folder) for file in files) for folder in folders}
    best = max(fits.values())
    if best:
        return next(folder for folder in folders if fits[folder] == best)
    return next((f for f in folders if posixpath.join(f, "__init__.py") not in tree), "")


def _is_level_up(module: ast.Module, file: str, common: str) -> bool:
    """Whether a relative import makes ``common`` itself a package."""
    depth = len(posixpath.relpath(posixpath.dirname(file) or ".", common or ".").split("/"))
    depth = 0 if (posixpath.dirname(file) or "") == common else depth
    levels = [node.level for node in ast.walk(module) if isinstance(node, ast.ImportFrom)]
    return max(levels, default=0) > depth


def _fits(tree: Mapping[str, str], module: ast.Module, folder: str) -> int:
    """How many of a module's absolute imports name files that are in ``folder``."""
    names = []
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
    paths = [posixpath.join(folder, name.replace(".", "/")) for name in names]
    return sum(f"{path}.py" in tree or f"{path}/__init__.py" in tree for path in paths)
