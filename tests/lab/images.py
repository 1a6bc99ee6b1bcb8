"""The images `python:3.11-slim` and `postgres:15`, made from Debian packages: no image registry is needed."""

import hashlib
import inspect
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from .engine import DOCKER, docker
from .system import ROOT, end, mirror, processes, remove, run, write

WHEELS = ("fastapi", "uvicorn", "sqlalchemy", "alembic", "psycopg[binary]")
"""What `pip install` in a build can have: these and all they need, as fetched when the image was made."""

LABEL = "backstay.lab.recipe"
_ENTRYPOINT = Path(__file__).with_name("postgres-entrypoint.sh")
_PIP = "[global]\nno-index = true\nfind-links = /opt/wheels\nroot-user-action = ignore\n"
_BALLAST = ("var/cache/apt", "var/lib/apt/lists", "var/log", "usr/share/doc", "usr/share/locale")
_PG = "/usr/lib/postgresql/15/bin"


@dataclass(frozen=True)
class Recipe:
    """One image: its Debian packages, what is then done to the tree, its settings as Dockerfile lines.

    `also` is whatever else makes the image another one when it changes.
    """

    name: str
    packages: tuple[str, ...]
    finish: Callable[[Path], None]
    settings: tuple[str, ...]
    also: str

    @property
    def digest(self) -> str:
        """Changes whenever the recipe does."""
        text = repr((self.name, self.packages, self.settings, inspect.getsource(self.finish), self.also))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    @property
    def short(self) -> str:
        """The name without its tag."""
        return self.name.partition(":")[0]


def _finish_python(tree: Path) -> None:
    for name in ("python", "python3"):
        (tree / "usr/local/bin" / name).symlink_to("/usr/bin/python3.11")
    # The official image's pip installs without being asked twice; Debian's wants to be told.
    (tree / "usr/lib/python3.11/EXTERNALLY-MANAGED").unlink(missing_ok=True)
    write(tree / "etc/pip.conf", _PIP)
    (tree / "opt/wheels").mkdir(parents=True)
    fetch = (sys.executable, "-m", "pip", "download", "-q", "--only-binary=:all:", "--python-version=3.11")
    run(*fetch, "--dest", tree / "opt/wheels", *WHEELS, cwd=ROOT)


def _finish_postgres(tree: Path) -> None:
    remove(tree / "var/lib/postgresql")
    own = ("chroot", tree, "install", "-d", "-o", "postgres", "-g", "postgres")
    run(*own, "/var/lib/postgresql")
    run(*own, "-m", "2777", "/run/postgresql")
    write(tree / "usr/local/bin/docker-entrypoint.sh", _ENTRYPOINT.read_text(), 0o755)


RECIPES = (
    Recipe(
        "python:3.11-slim",
        ("python3", "python3-pip", "python3-venv", "ca-certificates", "curl"),
        _finish_python,
        (
            "ENV LANG=C.UTF-8",
            "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin",
            'CMD ["python3"]',
        ),
        _PIP + repr(WHEELS),
    ),
    Recipe(
        "postgres:15",
        ("postgresql-15", "postgresql-client-15"),
        _finish_postgres,
        (
            "ENV LANG=C.UTF-8",
            "ENV PGDATA=/var/lib/postgresql/data",
            f"ENV PATH={_PG}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "VOLUME /var/lib/postgresql/data",
            "EXPOSE 5432",
            "STOPSIGNAL SIGINT",
            'ENTRYPOINT ["docker-entrypoint.sh"]',
            'CMD ["postgres"]',
        ),
        _ENTRYPOINT.read_text(),
    ),
)


def make_images(say: Callable[[str], None]) -> None:
    """Have both images in the engine, made anew only where the recipe changed: two minutes, or nothing."""
    stale = [recipe for recipe in RECIPES if not _current(recipe)]
    if not stale:
        return
    say(f"making {' and '.join(recipe.name for recipe in stale)} from Debian packages")
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(_make, stale))


def remove_images() -> None:
    """Remove the lab's images from the engine."""
    if names := docker("image", "ls", "-q", "--filter", f"label={LABEL}").split():
        docker("rmi", "-f", *dict.fromkeys(names))


def _current(recipe: Recipe) -> bool:
    """Whether the image is there; a test that took its name away gets it back."""
    kept = _kept(recipe)
    label = f'{{{{index .Config.Labels "{LABEL}"}}}}'
    if docker("image", "inspect", "-f", label, recipe.name, check=False) == recipe.digest:
        return True
    if not docker("image", "ls", "-q", kept):
        return False
    docker("tag", kept, recipe.name)
    return True


def _kept(recipe: Recipe) -> str:
    return f"backstay-{recipe.short}:{recipe.digest}"


def _make(recipe: Recipe) -> None:
    tree = ROOT / "build" / recipe.short
    end(p.pid for p in processes() if str(tree) in p.args)
    remove(tree)
    debs = ROOT / "debs" / recipe.short
    debs.mkdir(parents=True, exist_ok=True)
    options = ("--variant=minbase", f"--include={','.join(recipe.packages)}", f"--cache-dir={debs}")
    run("debootstrap", *options, "bookworm", tree, mirror())
    for folder in _BALLAST:
        remove(tree / folder)
        (tree / folder).mkdir()
    recipe.finish(tree)
    _import(recipe, tree)
    remove(tree)


def _import(recipe: Recipe, tree: Path) -> None:
    """The image gets its name when it is whole, settings and label included: there is never half of one."""
    archive, raw = tree.with_suffix(".tar"), f"backstay-{recipe.short}:tree"
    run("tar", "-C", tree, "--one-file-system", "--exclude=./dev/*", "-cf", archive, ".")
    docker("import", archive, raw)
    archive.unlink()
    lines = (f"FROM {raw}", *recipe.settings, f"LABEL {LABEL}={recipe.digest}")
    run(DOCKER, "build", "-q", "-t", _kept(recipe), "-", input="\n".join(lines), env={"DOCKER_BUILDKIT": "0"})
    docker("tag", _kept(recipe), recipe.name)
    made = docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", f"backstay-{recipe.short}").split()
    docker("rmi", *(name for name in made if name != _kept(recipe)), check=False)
