"""What ``fab init`` would write: a pure function of the repository's files and the user's answers."""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from deploy.errors import UsageError
from deploy.scaffold import bases, compose, dockerfile, files
from deploy.scaffold.bases import Base, Models
from deploy.scaffold.compose import MIGRATE, CannotEditError, Service

Tree = Mapping[str, str]
_FABFILE = 'from deploy.tasks import namespace\n\n__all__ = ["namespace"]\n'


@dataclass(frozen=True)
class Answers:
    """What cannot be read from the files. Empty: not said, and then a default where there is one."""

    app: str
    backend: str | None = None
    service: str = ""
    base: Base | None = None
    sequential: bool = False
    host: str = ""
    path: str = ""
    branch: str = ""
    overwrite: bool = False


@dataclass(frozen=True)
class Change:
    """A file that is to be written; ``before`` None is a new one."""

    path: str
    before: str | None
    after: str

    def diff(self) -> list[str]:
        """The change as a unified diff, without line ends."""
        old = "/dev/null" if self.before is None else f"a/{self.path}"
        before = (self.before or "").splitlines()
        return list(difflib.unified_diff(before, self.after.splitlines(), old, f"b/{self.path}", lineterm=""))


@dataclass
class Scaffold:
    """What would be written; files that have other content and are ``kept``; and what is left to the user."""

    changes: list[Change] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Place:
    """Where things are: the folder of alembic.ini, the compose file and its main service ("" when none)."""

    backend: str
    compose: str
    service: Service | None


def backend_folder(tree: Tree, given: str | None = None) -> str:
    """The folder that alembic.ini is or goes in, "" for the top: the given one, else where the code is."""
    if given is not None:
        folder = posixpath.normpath(given or ".")
        if folder.startswith(("/", "..")):
            raise UsageError(f"--backend {given!r} is not a folder below this one")
        return "" if folder == "." else folder
    existing = [path for path in tree if posixpath.basename(path) == "alembic.ini"]
    if existing:
        folder = posixpath.dirname(min(existing, key=lambda path: (path.count("/"), path)))
        return posixpath.dirname(folder) if _is_script_folder(tree, folder) else folder
    return "backend" if any(path.startswith("backend/") and path.endswith(".py") for path in tree) else ""


def _is_script_folder(tree: Tree, folder: str) -> bool:
    """The guide means alembic.ini to be beside env.py."""
    return posixpath.join(folder, "env.py") in tree and "/" in folder


def find_bases(tree: Tree, backend: str) -> list[Base]:
    """Where the models' Base may be: below ``backend``, else anywhere."""
    below = {path: text for path, text in tree.items() if not backend or path.startswith(f"{backend}/")}
    return bases.find(below) or bases.find(tree)


def scaffold(tree: Tree, answers: Answers) -> Scaffold:
    """The changes that make an application's migrations work; none where they are made already.

    Raises UsageError when something has to be chosen, or a compose file cannot be read.
    """
    backend = backend_folder(tree, answers.backend)
    name = next((name for name in compose.NAMES if name in tree), "")
    place = _Place(backend, name, _main_service(tree, name, answers.service))
    plan = Scaffold()
    _alembic(plan, tree, place, answers)
    own = _compose(plan, tree, place)
    _requirements(plan, tree, place)
    _ignore(plan, tree, place)
    if "deploy.toml" not in tree and "[tool.backstay]" not in tree.get("pyproject.toml", ""):
        plan.changes.append(Change("deploy.toml", None, _settings(answers, place, own)))
    _fabfile(plan, tree)
    return plan


def _write(plan: Scaffold, tree: Tree, answers: Answers, path: str, text: str) -> None:
    """A file of ours: new, as it is, or kept as somebody has made it."""
    before = tree.get(path)
    if before == text:
        return
    if before is None or answers.overwrite:
        plan.changes.append(Change(path, before, text))
    else:
        plan.kept.append(path)


def _alembic(plan: Scaffold, tree: Tree, place: _Place, answers: Answers) -> None:
    configs = [path for path in tree if posixpath.basename(path) == "alembic.ini"]
    ini = posixpath.join(place.backend, "alembic.ini")
    folder = _script_folder(tree.get(ini, ""), place.backend)
    if configs and ini not in configs and not answers.overwrite:
        plan.notes.append(
            f"Alembic is set up already, in {configs[0]}: that is kept. "
            "To have it beside the code: --backend FOLDER --overwrite"
        )
        return
    if answers.base is None:
        wanted = [path for path in (ini, posixpath.join(folder, "env.py")) if path not in tree]
        if not wanted and not answers.overwrite:
            plan.kept += [ini, posixpath.join(folder, "env.py")]
            return
        raise UsageError("no models were found", BASE_HINT)
    models = bases.models(tree, answers.base)
    root = posixpath.relpath(models.root or ".", place.backend or ".")
    syspath = "%(here)s" if root == "." else f"%(here)s/{root}"
    if ini not in tree or answers.overwrite:
        folder = posixpath.join(place.backend, "migrations")
    wanted_files = _alembic_files(models, syspath, answers.sequential)
    _write(plan, tree, answers, ini, wanted_files["alembic.ini"])
    for name in ("env.py", "script.py.mako"):
        _write(plan, tree, answers, posixpath.join(folder, name), wanted_files[name])
    if not models.modules:
        plan.notes.append(
            f"No model of {answers.base.name} was found: once there is one, env.py must import its module."
        )


BASE_HINT = (
    "Name the class that your models inherit from: fab init --base models:Base\n"
    "It is looked for as DeclarativeBase, declarative_base(), SQLModel, SQLAlchemy() or MetaData()."
)


def _alembic_files(models: Models, syspath: str, sequential: bool) -> dict[str, str]:
    return files.alembic(
        imports=models.imports,
        metadata=models.metadata,
        syspath=syspath,
        sequential=sequential,
        sqlmodel=models.base.kind == "sqlmodel",
    )


def _script_folder(ini: str, backend: str) -> str:
    """The folder of env.py, as an alembic.ini says it."""
    found = re.search(r"(?m)^\s*script_location\s*[=:]\s*(\S.*?)\s*$", ini)
    where = found[1].replace("%(here)s", ".") if found else "migrations"
    return posixpath.normpath(posixpath.join(backend, where))


def _main_service(tree: Tree, file: str, given: str) -> Service | None:
    if not file:
        if given:
            raise UsageError(f"there is no compose file here that could have a service {given}")
        return None
    try:
        services = compose.services(tree[file])
    except ValueError as error:
        raise UsageError(f"{file} cannot be read: {error}") from None
    if given:
        if given not in services:
            raise UsageError(f"{file} has no service {given}", f"It has: {', '.join(services)}.")
        return services[given]
    built = [service for service in services.values() if service.build and service.name != MIGRATE]
    if "backend" in services:
        return services["backend"]
    if len(built) == 1:
        return built[0]
    raise UsageError(
        f"which service of {file} is the application?", f"Say it with --service: {', '.join(services)}."
    )


def _compose(plan: Scaffold, tree: Tree, place: _Place) -> str:
    """Adds the migration service; gives the name of the one that there is then ("" for none)."""
    if place.service is None:
        plan.notes.append(
            "There is no compose file: when there is one, run fab init again for its migration service."
        )
        return ""
    text, main = tree[place.compose], place.service
    existing = _migration_service(compose.services(text))
    if existing:
        return existing
    command = ["alembic", "-c", _config_in_image(plan, tree, place, main), "upgrade", "head"]
    try:
        after = compose.add_migration(text, main.name, command)
    except CannotEditError as error:
        plan.notes.append(f"{place.compose} is left as it is: {error.message}. {error.hint}")
        return MIGRATE
    plan.changes.append(Change(place.compose, text, after))
    if "DATABASE_URL" not in main.environment and not main.env_files:
        plan.notes.append(
            f"The service {main.name} has no DATABASE_URL in its environment; {MIGRATE} needs one: "
            f"add it to both in {place.compose}."
        )
    return MIGRATE


def _migration_service(services: Mapping[str, Service]) -> str:
    if MIGRATE in services:
        return MIGRATE
    runs = [
        name for name, service in services.items() if re.search(r"\balembic\b.*\bupgrade\b", service.command)
    ]
    return runs[0] if runs else ""


def _config_in_image(plan: Scaffold, tree: Tree, place: _Place, main: Service) -> str:
    """Where alembic.ini is in the service's image, from its working directory if it is below that."""
    context = posixpath.normpath(main.context)
    inside = posixpath.relpath(place.backend or ".", context)
    text = tree.get(posixpath.normpath(posixpath.join(context, main.dockerfile)), "")
    found = None if inside.startswith("..") else dockerfile.place(text, "" if inside == "." else inside)
    if not found:
        guess = posixpath.normpath(posixpath.join("." if inside.startswith("..") else inside, "alembic.ini"))
        plan.notes.append(
            f"Where the image has alembic.ini could not be read; {MIGRATE} expects it in {guess}."
        )
        return guess
    folder, workdir = found
    workdir = posixpath.normpath(posixpath.join("/", main.working_dir or workdir))
    file = posixpath.join(folder, "alembic.ini")
    return posixpath.relpath(file, workdir) if f"{folder}/".startswith(f"{workdir.rstrip('/')}/") else file


def _requirements(plan: Scaffold, tree: Tree, place: _Place) -> None:
    """The image needs Alembic; a requirements.txt gets it, other ways are the user's."""
    names = [posixpath.join(place.backend, "requirements.txt"), "requirements.txt"]
    others = [posixpath.join(place.backend, name) for name in ("pyproject.toml", "Pipfile", "setup.py")]
    there = [name for name in dict.fromkeys(names) if name in tree]
    said = [tree[name] for name in (*there, *others, "pyproject.toml", "Pipfile") if name in tree]
    if any(re.search(r"(?im)^[\s\"',]*alembic\b|[\"']alembic\b", text) for text in said):
        return
    if not there:
        plan.notes.append("The image needs Alembic: add alembic to what it installs.")
        return
    before = tree[there[0]]
    plan.changes.append(Change(there[0], before, _with_lines(before, ["alembic>=1.13"])))


def _ignore(plan: Scaffold, tree: Tree, place: _Place) -> None:
    """Beside the Dockerfile's context: secrets and history do not belong in an image."""
    if place.service is None or not place.service.build:
        return
    context = posixpath.normpath(place.service.context)
    if context.startswith(("..", "/")) or ":" in context:
        return
    path = posixpath.normpath(posixpath.join(context, ".dockerignore"))
    wanted, before = files.template("dockerignore"), tree.get(path)
    if before is None:
        plan.changes.append(Change(path, None, wanted))
        return
    missing = [line for line in (".git", ".env") if not _mentions(before, line)]
    if missing:
        plan.changes.append(Change(path, before, _with_lines(before, missing)))


def _mentions(ignore: str, name: str) -> bool:
    """Whether some line is about ``name``, one that lets it in too."""
    lines = [line.strip().lstrip("!").strip("/") for line in ignore.splitlines()]
    return any(line in (name, f"**/{name}", "*", ".*", f"{name}*", f"**/{name}*") for line in lines)


def _with_lines(text: str, lines: list[str]) -> str:
    return text + ("\n" if text and not text.endswith("\n") else "") + "".join(f"{line}\n" for line in lines)


def _settings(answers: Answers, place: _Place, own: str) -> str:
    return files.settings(
        app=answers.app,
        host=answers.host,
        path=answers.path or f"/opt/{answers.app}",
        branch=answers.branch,
        service=place.service.name if place.service else "",
        migrate=own,
    )


def _fabfile(plan: Scaffold, tree: Tree) -> None:
    before = tree.get("fabfile.py")
    if before is None:
        plan.changes.append(Change("fabfile.py", None, _FABFILE))
    elif "deploy.tasks" not in before:
        plan.notes.append("fabfile.py is yours: for the tasks add to it: from deploy.tasks import namespace")


def lines_of(plan: Scaffold) -> Iterator[str]:
    """All diffs, one after the other."""
    for change in plan.changes:
        yield from change.diff()
