"""Wheels that are fetched once, and a Python that makes environments quickly."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from pathlib import Path

import pytest

from tests.apps.variants import EXAMPLE
from tests.runner.bench import bench

from .site import Site

# Links the files of a finished environment instead of making one; its pip then says that all is there.
QUICK = """\
#!{python}
import os, shutil, sys
if sys.argv[1:3] == ["-m", "venv"]:
    new = sys.argv[3]
    shutil.copytree({template!r}, new, symlinks=True, copy_function=os.link)
    for entry in os.scandir(new + "/bin"):
        if not entry.is_symlink():
            text = open(entry.path, "rb").read()
            os.unlink(entry.path)
            open(entry.path, "wb").write(text.replace({template!r}.encode(), new.encode()))
            os.chmod(entry.path, 0o755)
else:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
"""

PIP = """\
if "no-such-package" in open("requirements.txt").read():
    raise SystemExit("ERROR: No matching distribution found for backstay-no-such-package")
print("Requirement already satisfied")
"""


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables with which pip finds the example's requirements here and asks nobody."""
    with made_once(tmp_path_factory, "wheels") as (folder, new):
        if new:
            command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--wheel-dir", str(folder)]
            subprocess.run(
                [*command, "pymysql", "-r", str(EXAMPLE / "requirements.txt")], check=True, timeout=280
            )
    return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(folder), "PIP_CONFIG_FILE": os.devnull}


@pytest.fixture(scope="session")
def quick_python(wheels: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A program that is Python, but for the making of environments."""
    with made_once(tmp_path_factory, "python") as (folder, new):
        program, template = folder / "python", folder / "template"
        if new:
            subprocess.run([sys.executable, "-m", "venv", str(template)], check=True, timeout=120)
            install = [str(template / "bin" / "python"), "-m", "pip", "install", "--quiet"]
            install += ["pymysql", "-r", str(EXAMPLE / "requirements.txt")]
            subprocess.run(install, check=True, timeout=120, env={**os.environ, **wheels})
            (pip,) = template.glob("lib/*/site-packages/pip/__main__.py")
            pip.write_text(PIP)
            program.write_text(QUICK.format(python=sys.executable, template=str(template)))
            program.chmod(0o755)
    return str(program)


@contextmanager
def made_once(factory: pytest.TempPathFactory, name: str) -> Iterator[tuple[Path, bool]]:
    """A folder that all workers of a test run share, and whether it is still to be filled."""
    base = factory.getbasetemp()
    shared = base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
    folder, done = shared / name, shared / f"{name}.done"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        new = not done.exists()
        folder.mkdir(exist_ok=True)
        yield folder, new
        done.touch()


SiteMaker = Callable[..., Site]


@contextmanager
def site_maker(root: Path, wheels: dict[str, str], quick_python: str) -> Iterator[SiteMaker]:
    """Makes a site; at the end the application is stopped, and nothing else may be left running."""
    with ExitStack() as ends:

        def make(*, python: str = "", shell: str = "dash", **more: str | int) -> Site:
            made = ends.enter_context(bench(root / "server", shell, environ=wheels))
            site = Site(root, made, python or quick_python, **more)
            ends.callback(site.close)
            return site

        yield make


@pytest.fixture
def make_site(tmp_path: Path, wheels: dict[str, str], quick_python: str) -> Iterator[SiteMaker]:
    """Makes the test's site."""
    with site_maker(tmp_path, wheels, quick_python) as make:
        yield make


@pytest.fixture(scope="session")
def deployed(
    tmp_path_factory: pytest.TempPathFactory, wheels: dict[str, str], quick_python: str
) -> tuple[Site, Path]:
    """A site with one release of two users, stopped; and a copy of all its files."""
    root = tmp_path_factory.mktemp("deployed") / "site"
    with site_maker(root, wheels, quick_python) as make:
        site = make()
        outcome = site.deploy()
        assert outcome.exit == 0, outcome
        site.add_users()
    return site, copied(root, root.with_name("kept"))


def copied(folder: Path, to: Path) -> Path:
    """All its files; those of environments, which nobody writes to, are linked."""

    def copy(file: str, new: str) -> None:
        (os.link if "/venvs/" in file else shutil.copy2)(file, new)

    shutil.copytree(folder, to, symlinks=True, copy_function=copy)
    return to


@pytest.fixture
def site(deployed: tuple[Site, Path]) -> Iterator[Site]:
    """The same for each test: a site with one release of two users."""
    first, kept = deployed
    site = deepcopy(first)
    shutil.rmtree(site.root)
    copied(kept, site.root)
    site.start()
    try:
        yield site
        site.close()
        site.bench.wait_quiet()
    finally:
        site.bench.kill_all()
