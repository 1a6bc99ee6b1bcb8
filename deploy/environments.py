"""Where the application's own Alembic runs on this machine: in a Python that has it, or by Docker Compose."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from deploy import answers
from deploy.errors import UsageError
from deploy.resources import resource

#: What says that another environment has to be looked for; nothing was done in this one.
_UNFIT = re.compile(
    r"ModuleNotFoundError: (.*)|(there is no Python with Alembic here)|(DATABASE_URL is not set)"
)


@dataclass(frozen=True)
class Said:
    """What the migrations answered; ``lines`` is what was printed besides, ``errors`` standard error."""

    code: int
    answers: tuple[tuple[str, str], ...]
    lines: tuple[str, ...]
    errors: str

    @classmethod
    def of(cls, done: subprocess.CompletedProcess[str]) -> Said:
        """Part the answers from whatever else was printed."""
        lines = done.stdout.splitlines()
        other = tuple(line for line in lines if not line.startswith(answers.PREFIX))
        return cls(done.returncode, tuple(answers.pairs(lines)), other, done.stderr)

    def all(self, key: str) -> list[str]:
        """The values of an answer that may come several times."""
        return answers.each(self.answers, key)

    def one(self, key: str) -> str:
        """The value of an answer; empty when there is none."""
        return answers.one(self.answers, key)

    @property
    def unfit(self) -> str:
        """Why another environment has to be looked for; empty when not for that."""
        found = _UNFIT.search(self.problem) if self.code else None
        return next(filter(None, found.groups()), "") if found else ""

    @property
    def problem(self) -> str:
        """Why it failed, in one line."""
        if error := self.one("error"):
            return error
        told = [*self.lines, *self.errors.splitlines()]
        failed = [line.partition("FAILED: ")[2] for line in told if "FAILED: " in line]
        return (failed or [line.strip() for line in told if line.strip()] or ["it said nothing"])[-1]


class Environment(Protocol):
    """``name`` is what the user is told; ``apart`` says that its files are not those of the repository."""

    @property
    def name(self) -> str: ...

    @property
    def apart(self) -> bool: ...

    def run(self, *words: str) -> Said:
        """Give a verb of probe.py to the migrations. Raises UsageError when that cannot even be started."""


@dataclass(frozen=True)
class Python:
    """A Python with the application's requirements."""

    name: str
    program: Path
    ini: Path
    environ: Mapping[str, str]
    apart: bool = False

    def run(self, *words: str) -> Said:
        """In the folder of alembic.ini."""
        environ = {**self.environ, "ALEMBIC_CONFIG": str(self.ini)}
        return _run([str(self.program), "-c", _source(), *words], self.ini.parent, environ)


class Compose:
    """The migration service's image, built of the code as it is now; what it depends on is started."""

    apart = True

    def __init__(
        self,
        root: Path,
        service: str,
        workdir: str,
        options: Iterable[str],
        environ: Mapping[str, str],
    ) -> None:
        self.name = f"the service {service} (Docker Compose)"
        self._root, self._service, self._workdir, self._environ = root, service, workdir, environ
        self._command = [*compose_command(environ), *options]
        self._built = False

    def run(self, *words: str) -> Said:
        """In a container that is gone afterwards."""
        if not self._built:
            self._build()
        said = self._start([], words)
        if words[0] == "revision" and "Permission denied" in said.problem:
            # Root may write to a folder of the image that its own user may not; nothing of it stays.
            said = self._start(["--user", "root"], words)
        return said

    def _build(self) -> None:
        done = _run_plain([*self._command, "build", "-q", self._service], self._root, self._environ)
        if done.returncode:
            raise UsageError(
                f"the image of {self._service} cannot be built: {Said.of(done).problem}",
                f"Look closer with: {' '.join(self._command)} build {self._service}",
            )
        self._built = True

    def _start(self, options: list[str], words: Iterable[str]) -> Said:
        shell = ["-c", resource("probe.sh"), "backstay", _source(), self._workdir, *words]
        run = ["run", "--rm", "-T", *options, "--entrypoint", "sh", self._service, *shell]
        return _run([*self._command, *run], self._root, self._environ)


def pythons(root: Path, ini: Path, environ: Mapping[str, str]) -> Iterator[Python]:
    """The environment that is active, those of the repository, and the one that this runs in."""
    active = environ.get("VIRTUAL_ENV", "")
    folders = [Path(active)] if active else []
    folders += [place / name for place in (root, ini.parent) for name in (".venv", "venv")]
    seen = set()
    for folder in [*folders, Path(sys.prefix)]:
        program = folder / "bin/python"
        if program.exists() and (real := folder.resolve()) not in seen:
            seen.add(real)
            yield Python(_short(folder, root), program, ini, environ)


def python_at(given: str, root: Path, ini: Path, environ: Mapping[str, str]) -> Python:
    """The environment, or the Python, that the user names. Raises UsageError when it is none."""
    path = Path(given).expanduser().absolute()
    program = path / "bin/python" if path.is_dir() else path
    if not os.access(program, os.X_OK):
        raise UsageError(f"--env {given}: there is no Python", "A virtual environment's folder, or compose.")
    return Python(_short(path, root), program, ini, environ)


def compose_command(environ: Mapping[str, str]) -> list[str]:
    """Compose v2 before v1. Raises UsageError when neither is installed."""
    path = environ.get("PATH", os.defpath)
    if shutil.which("docker", path=path):
        found = subprocess.run(["docker", "compose", "version"], env=dict(environ), capture_output=True)
        if found.returncode == 0:
            return ["docker", "compose"]
    if shutil.which("docker-compose", path=path):
        return ["docker-compose"]
    raise UsageError("Docker Compose is not installed on this machine")


def _short(folder: Path, root: Path) -> str:
    return str(folder.relative_to(root) if folder.is_relative_to(root) else folder)


def _source() -> str:
    return resource("database.py") + resource("probe.py")


def _run(argv: list[str], folder: Path, environ: Mapping[str, str]) -> Said:
    return Said.of(_run_plain(argv, folder, environ))


def _run_plain(argv: list[str], folder: Path, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            argv,
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
        )
    except OSError as error:
        raise UsageError(f"{argv[0]} cannot be started: {error.strerror}") from None
