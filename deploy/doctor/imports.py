"""Which files of a repository a file imports, itself or through others; nothing of them is run."""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Iterable

#: Whoever uses one of these imports what no line names.
_DYNAMIC = {"importlib", "pkgutil", "runpy"}


def reached(start: str, lines: str) -> set[str] | None:
    """The files that ``start`` imports; None when that cannot be told.

    ``lines`` are the import lines of all files, as ``FILE:LINE``; files without any are not known.
    """
    imports: dict[str, list[str]] = {}
    for line in lines.splitlines():
        file, _, statement = line.partition(":")
        imports.setdefault(file, []).append(statement.strip())
    seen, ahead = set(), [start]
    while ahead:
        file = ahead.pop()
        if file in seen:
            continue
        seen.add(file)
        for statement in imports.get(file, ()):
            names = _named(statement)
            if names is None or any(name.split(".")[0] in _DYNAMIC for _, name in names):
                return None
            ahead += [found for level, name in names for found in _files(name, level, file, imports)]
    return seen


def _named(statement: str) -> list[tuple[int, str]] | None:
    """The modules that a line may import, each with its level; None when that cannot be told."""
    statement = statement.split("#")[0].strip()
    if statement.endswith(("(", "\\", ",")):
        # Of what follows only the package is known.
        statement = f"{statement.split(' import ')[0]} import *" if statement.startswith("from ") else ""
    try:
        [node] = ast.parse(statement).body
    except (SyntaxError, ValueError):
        return None if statement else []
    if isinstance(node, ast.Import):
        return [(0, alias.name) for alias in node.names]
    if not isinstance(node, ast.ImportFrom):
        return []
    base = node.module or ""
    inner = [f"{base}.{alias.name}".strip(".") for alias in node.names]
    return [(node.level, base), *((node.level, name) for name in inner)]


def _files(name: str, level: int, file: str, known: Iterable[str]) -> list[str]:
    """The files that ``name``, imported in ``file``, may be made of: the packages on the way, too."""
    folder = file
    for _ in range(level):
        folder = posixpath.dirname(folder)
    parts = [part for part in name.split(".") if part]
    ways = {"/".join(parts[:count]) for count in range(1, len(parts) + 1)} or {""}
    if level:
        ways = {posixpath.normpath(posixpath.join(folder, way)) for way in ways}
    return [one for one in known if any(_is_made_of(one, way, exact=bool(level)) for way in ways)]


def _is_made_of(file: str, way: str, *, exact: bool) -> bool:
    """Whether ``file`` is the module or package at ``way``, or below some folder, unless ``exact``."""
    module = file.removesuffix(".py").removesuffix("/__init__")
    if way.endswith("/*"):
        module, way = posixpath.dirname(module), way[:-2]
    return module == way or (not exact and module.endswith(f"/{way}"))
