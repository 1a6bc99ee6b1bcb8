"""The house keeps its order: a module imports only from layers below its own."""

import ast
from pathlib import Path

import deploy

LAYERS = [
    {"errors", "embedded"},
    {"shell", "events", "resources", "answers"},
    {"plan", "config", "scaffold", "environments"},
    {"recipe"},
    {"engines", "runner", "transport", "ledger"},
    {"deployment", "view"},
    {"logs", "demo", "init", "doctor", "squawk"},
    {"commands"},
    {"database", "forecast", "tasking"},
    {"local"},
    {"tasks_db"},
    {"tasks"},
    {"__main__"},
]
#: Who may import which library; a library that is not named here is the standard library's.
LIBRARIES = {
    "paramiko": {"transport", "embedded"},
    "fabric": {"transport", "tasking", "tasks_db", "tasks", "__main__"},
    "invoke": {"transport", "tasking", "tasks_db", "tasks"},
    "sqlalchemy": {"ledger"},
    "alembic": {"ledger"},
    "rich": {"view"},
    "ruamel": {"scaffold", "doctor"},
}
PACKAGE = Path(deploy.__file__).parent
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}


def modules() -> dict[Path, str]:
    """Every module of ours, and the part of the house that it belongs to. What runs on servers is none."""
    files = [f for f in PACKAGE.rglob("*.py") if f.relative_to(PACKAGE).parts[0] != "server"]
    return {file: file.relative_to(PACKAGE).parts[0].removesuffix(".py") for file in files}


def imported(file: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def test_every_module_has_a_layer() -> None:
    assert set(modules().values()) - {"__init__"} == set(LEVEL)


def test_imports_go_downwards() -> None:
    wrong = []
    for file, part in modules().items():
        for name in imported(file):
            words = name.split(".")
            other = words[1] if words[0] == "deploy" and len(words) > 1 else part
            if other in LEVEL and other != part and LEVEL[other] >= LEVEL[part]:
                wrong.append(f"{file.relative_to(PACKAGE)} imports {name}")
    assert wrong == []


def test_each_library_has_its_place() -> None:
    wrong = []
    for file, part in modules().items():
        for name in imported(file):
            library = name.split(".")[0]
            if library in LIBRARIES and part not in LIBRARIES[library]:
                wrong.append(f"{file.relative_to(PACKAGE)} imports {library}")
    assert wrong == []
