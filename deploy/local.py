"""The developer's half of ``fab db.*``: new revisions, and Alembic's commands with the repository's code."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from pathlib import Path

from deploy import config, database, view
from deploy.commands import Command
from deploy.environments import Compose, Environment, Said, python_at, pythons
from deploy.errors import ConfigError, FailedError, UsageError
from deploy.scaffold import compose

#: Where alembic.ini is looked for below the repository, as on the server.
_PLACES = ("alembic.ini", "*/alembic.ini", "*/*/alembic.ini")
_PASSWORD = re.compile(r"(://[^:/@\s]*):[^@\s]+@")


class Project:
    """The application's repository, seen from the current folder. Raises UsageError without alembic.ini."""

    def __init__(self, command: Command, env: str) -> None:
        self._command, self._env = command, env
        self._used: Environment | None = None
        self.root, self.settings = _root(Path.cwd())
        self.ini = _ini(self.root, command.environ.get("ALEMBIC_CONFIG", ""))

    def run(self, *words: str) -> tuple[Environment, Said]:
        """Give a verb to the first environment with what it needs. Raises UsageError when there is none."""
        if self._used:
            return self._used, self._used.run(*words)
        passed = []
        for environment in self._environments():
            said = environment.run(*words)
            if not said.unfit:
                self._command.stderr.write(f"With {environment.name}:\n")
                self._command.stderr.flush()
                self._used = environment
                return environment, said
            passed.append(f"{environment.name}: {said.unfit}")
        raise UsageError(
            "nothing here can run the application's migrations",
            "\n".join([*passed, "Say where: --env FOLDER of a virtual environment, or --env compose."]),
        )

    def _environments(self) -> Iterator[Environment]:
        environ = self._command.environ
        if self._env == "compose":
            yield self._compose()
        elif self._env:
            yield python_at(self._env, self.root, self.ini, environ)
        else:
            yield from pythons(self.root, self.ini, environ)
            if self._compose_files():
                yield self._compose()

    def _compose_files(self) -> list[str]:
        if self.settings:
            target = self._command.target
            if target.engine != "compose" or target.compose.files:
                return list(target.compose.files)
        return [name for name in compose.NAMES if (self.root / name).exists()][:1]

    def _compose(self) -> Compose:
        files = self._compose_files()
        if not files:
            raise UsageError(f"there is no compose file in {self.root}", "Say where else: --env FOLDER")
        target = self._command.target if self.settings else None
        service = target.migrate.service if target else compose.MIGRATE
        options = [word for name in files if target and target.compose.files for word in ("-f", name)]
        found = [there[service] for name in files if service in (there := _services(self.root / name))]
        if not found:
            raise UsageError(f"{', '.join(files)} has no service {service}", "Set service in [migrate].")
        profiles = {
            *(target.compose.profiles if target else ()),
            *(p for each in found for p in each.profiles),
        }
        options += [word for profile in sorted(profiles) for word in ("--profile", profile)]
        workdir = target.migrate.workdir if target else ""
        return Compose(self.root, service, workdir, options, self._command.environ)

    def receive(self, said: Said) -> Path:
        """Write the file that came out of a container. Raises UsageError when it cannot be, or is there."""
        path = self.ini.parent / said.one("file")
        if not path.resolve().is_relative_to(self.root):
            raise UsageError(f"{path} is outside of {self.root}: nothing was written")
        content = b"".join(map(base64.b64decode, said.all("data")))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and path.read_bytes() == content:
                # The container has the repository mounted; the file is to be the user's own all the same.
                path.unlink()
            with path.open("xb") as file:
                file.write(content)
        except OSError as error:
            raise UsageError(f"{path} cannot be written: {error.strerror}") from None
        return path


def _root(here: Path) -> tuple[Path, bool]:
    """The folder of the settings, else of the git checkout, else this one; and whether there are settings."""
    try:
        return config.find(here).parent, True
    except ConfigError:
        return next((folder for folder in (here, *here.parents) if (folder / ".git").exists()), here), False


def _ini(root: Path, named: str) -> Path:
    if named:
        return Path(named).absolute()
    if (Path.cwd() / "alembic.ini").exists():
        return Path.cwd() / "alembic.ini"
    for pattern in _PLACES:
        found = [path for path in sorted(root.glob(pattern)) if not _foreign(path.parent, root)]
        if len(found) > 1:
            names = ", ".join(str(path.relative_to(root)) for path in found)
            hint = f"Run it in the folder of the one that is meant, or set ALEMBIC_CONFIG={found[0]}"
            raise UsageError(f"there are several alembic.ini: {names}", hint)
        if found:
            return found[0]
    raise UsageError(f"there is no alembic.ini in {root} or below", "fab init sets Alembic up.")


def _foreign(folder: Path, root: Path) -> bool:
    """Whether it is somebody else's: hidden, or a virtual environment."""
    parts = folder.relative_to(root).parts
    return any(part.startswith(".") or part == "node_modules" for part in parts) or any(
        (each / "pyvenv.cfg").exists() for each in (folder, folder.parent)
    )


def _services(file: Path) -> dict[str, compose.Service]:
    try:
        return compose.services(file.read_text("utf-8"))
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"{file} cannot be read: {error}") from None


def revision(command: Command, message: str, *, autogenerate: bool, rev_id: str, env: str) -> int:
    """``fab db.revision``: a new file in the repository, or none where there is nothing to write."""
    if not message:
        raise UsageError(
            "a revision needs a message", 'fab db.revision --autogenerate -m "Add avatar_url to users"'
        )
    if rev_id and not re.fullmatch(r"[A-Za-z0-9_.]{1,32}", rev_id):
        raise UsageError(f"--rev-id {rev_id!r} cannot be one", "At most 32 letters, digits, '_' and '.'.")
    project = Project(command, env)
    environment, said = project.run("revision", message, "yes" if autogenerate else "", rev_id)
    _check(command, said)
    if said.one("empty"):
        _write(command, "Nothing to write: the models and the migrations agree.")
        _write(command, "Was a model changed? Then env.py has to import its module.")
        return 0
    path = project.receive(said) if environment.apart else project.ini.parent / said.one("file")
    shown = Path(os.path.relpath(path))
    _write(command, f"Wrote {shown} (revision {said.one('revision')}).")
    _write(command, "Look at what it does; then: fab db.upgrade --local, and commit it.")
    return 0


def say(command: Command, env: str, *words: str) -> int:
    """A command of Alembic's own that only looks: ``current``, ``history``."""
    _, said = Project(command, env).run("alembic", *words)
    _check(command, said)
    for line in said.lines:
        _write(command, line)
    return 0


def check(command: Command, env: str) -> int:
    """``fab db.check --local``: do the models and the migrations of the repository agree?"""
    _, said = Project(command, env).run("alembic", "check")
    if said.code and "New upgrade operations detected" in said.problem:
        for line in said.errors.splitlines():
            if "Detected " in line:
                _write(command, line[line.index("Detected ") :])
        raise FailedError(
            "the models have what no migration brings", 'Write it: fab db.revision --autogenerate -m "…"'
        )
    _check(command, said)
    _write(command, "The models and the migrations agree.")
    return 0


def upgrade(command: Command, env: str, revision: str) -> int:
    """``fab db.upgrade --local``."""
    return _move(command, Project(command, env), "upgrade", revision)


def downgrade(command: Command, env: str, revision: str, *, yes: bool) -> int:
    """``fab db.downgrade --local``: says before what it undoes, and where."""
    project = Project(command, env)
    if not yes:
        _, said = project.run("aim", "down", revision)
        _check(command, said)
        where = f"in the database {_plain(said.one('database'))}"
        question = database.what_goes(said.answers, revision, where, "No backup is made.")
        database.agree(command, lambda: question, "db.downgrade")
    return _move(command, project, "downgrade", revision)


def _move(command: Command, project: Project, *words: str) -> int:
    _, said = project.run("move", *words)
    _check(command, said)
    for line in said.errors.splitlines():
        if "Running " in line:
            _write(command, line[line.index("Running ") :])
    _write(command, f"The database is at {said.one('heads') or 'no revision'}.")
    return 0


def _check(command: Command, said: Said) -> None:
    """Raises FailedError with the remedy, when it failed."""
    if not said.code and not said.one("error"):
        return
    problem, hint = _plain(said.problem), ""
    if "not up to date" in problem:
        hint = "Apply what is pending: fab db.upgrade --local"
    elif "Multiple head" in problem or "multiple heads" in problem:
        hint = 'Join them: alembic merge -m "…" heads'
    elif said.one("error").startswith("the database says"):
        hint = (
            "Is it running, and is DATABASE_URL right? --env compose uses the database of the compose file."
        )
    else:
        for line in said.errors.splitlines():
            command.stderr.write(f"{_plain(line)}\n")
    raise FailedError(problem, hint)


def _plain(text: str) -> str:
    return view.clean(_PASSWORD.sub(r"\1:***@", text))


def _write(command: Command, line: str) -> None:
    command.stdout.write(f"{_plain(line)}\n")
