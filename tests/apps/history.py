"""An application's git history: a bare origin, its developer's clone, and the server's checkouts."""

import os
import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

from .migrations import Migration
from .tree import Change, Tree, append
from .variants import VARIANTS, Variant, VariantName

# Nothing of the person who runs the tests: no configuration, hooks, signing or prompts.
GIT_ENVIRONMENT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "Developer",
    "GIT_AUTHOR_EMAIL": "developer@example.org",
    "GIT_COMMITTER_NAME": "Developer",
    "GIT_COMMITTER_EMAIL": "developer@example.org",
    "LC_ALL": "C",
}
# A submodule from a path is refused otherwise.
GIT = ("git", "-c", "protocol.file.allow=always")


def git(folder: Path, *words: str, stdin: str | None = None) -> str:
    """Run git in a folder and return what it prints, stripped; RuntimeError with its words when it fails."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        [*GIT, *words],
        cwd=folder,
        env={**inherited, **GIT_ENVIRONMENT},
        input=stdin or "",
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(f"git {' '.join(words)}: {done.stderr.strip()}")
    return done.stdout.strip()


@dataclass
class History:
    """An application in the making: each method that changes it commits and pushes.

    `origin` is a bare repository, `work` the developer's clone. The first commit is version "1" with
    the revisions 001 and 002.
    """

    folder: Path
    variant: Variant
    project: str
    port: int
    _sound: dict[Path, str | None] = field(default_factory=dict, repr=False)

    @classmethod
    def create(
        cls, folder: Path, variant: VariantName = "own", project: str = "lab", port: int = 18000
    ) -> "History":
        """Make the repositories in a folder, which may not exist yet, and push the first commit."""
        app = cls(folder.resolve(), VARIANTS[variant], project, port)
        app.work.mkdir(parents=True)
        (app.folder / "data").mkdir()
        git(app.folder, "init", "--quiet", "--bare", f"--initial-branch={app.branch}", str(app.origin))
        git(app.work, "init", "--quiet", f"--initial-branch={app.branch}")
        git(app.work, "remote", "add", "origin", str(app.origin))
        app.variant.write(app.work)
        app._commit("First release")
        return app

    @property
    def origin(self) -> Path:
        """The bare repository that servers pull from."""
        return self.folder / "origin.git"

    @property
    def work(self) -> Path:
        """The developer's clone."""
        return self.folder / "work"

    @property
    def branch(self) -> str:
        """The branch that is deployed."""
        return self.variant.branch

    @property
    def env(self) -> str:
        """The text of .env, which is on the server only."""
        return self.variant.env(self.project, self.port, self.folder)

    @property
    def tree(self) -> Tree:
        """The files of the developer's clone."""
        return Tree(self.work, self.variant.code, self.variant.dockerfile)

    @property
    def head(self) -> str:
        """The newest commit's SHA."""
        return git(self.work, "rev-parse", "HEAD")

    @property
    def heads(self) -> tuple[str, ...]:
        """The newest commit's Alembic heads, sorted."""
        return tuple(sorted(_revisions(self.tree).get_heads()))

    @property
    def version(self) -> str:
        """What the newest commit answers to /version."""
        found = re.search(r'^RELEASE = "(.*)"$', self.tree.main.read_text(), re.MULTILINE)
        assert found, "main.py has lost its RELEASE"
        return found[1]

    def clone_to(self, path: Path) -> Path:
        """Play the server: clone the branch to a path, put .env there and return the path."""
        path.parent.mkdir(parents=True, exist_ok=True)
        git(self.folder, "clone", "--quiet", "--recurse-submodules", str(self.origin), str(path))
        secrets = path / ".env"
        secrets.touch(mode=0o600)
        secrets.write_text(self.env)
        return path

    def release(
        self,
        message: str = "",
        *,
        migrations: Sequence[Migration] = (),
        version: str = "",
        breakages: Iterable[Change] = (),
        mutate: Iterable[Change] | Change = (),
    ) -> str:
        """Commit and push a release; return its SHA.

        `version` left out is the number of the commit. `migrations` are numbered and chained in the
        order given. `mutate` changes files for good; `breakages` last for this release only: the next
        one is sound again in every file that they touched.
        """
        self._mend()
        for change in [mutate] if callable(mutate) else mutate:
            change(self.tree)
        for migration in migrations:
            self._add_migration(migration)
        self._set_version(version or self._next_version())
        self._break(breakages)
        return self._commit(message or f"Release {self.version}")

    def rewrite_branch(self) -> str:
        """Amend the newest commit and force it onto the branch; return the new SHA."""
        git(self.work, "commit", "--quiet", "--amend", "-F", "-", stdin="Rewritten")
        git(self.work, "push", "--quiet", "--force", "origin", self.branch)
        return self.head

    def add_submodule(self, path: str = "vendor/notes") -> str:
        """Make a second repository and add it as a submodule; return the new SHA.

        It is reached by a path, so whoever updates it needs protocol.file.allow=always.
        """
        source = self.folder / "submodule"
        git(self.folder, "init", "--quiet", "--initial-branch=main", str(source))
        _commit_note(source, "first note\n")
        git(self.work, "submodule", "--quiet", "add", str(source), path)
        return self._commit("Add a submodule")

    def move_submodule(self, path: str = "vendor/notes") -> str:
        """Put the submodule on a newer commit of its own; return the new SHA."""
        _commit_note(self.folder / "submodule", "second note\n")
        git(self.work, "submodule", "--quiet", "update", "--remote", path)
        return self._commit("Move the submodule on")

    def _commit(self, message: str) -> str:
        git(self.work, "add", "--all")
        git(self.work, "commit", "--quiet", "-F", "-", stdin=message)
        git(self.work, "push", "--quiet", "origin", self.branch)
        return self.head

    def _next_version(self) -> str:
        return str(int(git(self.work, "rev-list", "--count", "HEAD")) + 1)

    def _set_version(self, version: str) -> None:
        main = self.tree.main
        main.write_text(main.read_text().replace(f'RELEASE = "{self.version}"', f'RELEASE = "{version}"', 1))

    def _add_migration(self, migration: Migration) -> None:
        tree = self.tree
        known = _revisions(tree)
        revision = f"{max(int(each.revision) for each in known.walk_revisions()) + 1:03}"
        parents = migration.parents or tuple(sorted(known.get_heads()))
        if len(parents) > 1 and not migration.merge:
            raise ValueError(f"{migration.slug}: there are several heads, {', '.join(parents)}; use on()")
        text = migration.render(revision, parents)
        (tree.versions / f"{revision}_{migration.slug}.py").write_text(text)
        if migration.models is not None:
            migration.models(tree.backend / "models.py")

    def _break(self, breakages: Iterable[Change]) -> None:
        before = _texts(self.work)
        for breakage in breakages:
            breakage(self.tree)
        after = _texts(self.work)
        self._sound = {path: before.get(path) for path in after if after[path] != before.get(path)}

    def _mend(self) -> None:
        for path, text in self._sound.items():
            if text is None:
                path.unlink()
            else:
                path.write_text(text)
        self._sound = {}


def dirty(checkout: Path, name: str | None = None) -> Path:
    """Edit a tracked file of a server's checkout and return it.

    `name` left out, it is main.py, which every release changes, so that a pull is in conflict.
    """
    path = checkout / name if name else next(checkout.rglob("main.py"))
    append(path, "\n# edited on the server\n")
    return path


def untracked_in_way(checkout: Path) -> Path:
    """Put an untracked file where the next pull adds one, and return it; ValueError when it adds none."""
    git(checkout, "fetch", "--quiet", "origin")
    added = git(checkout, "diff", "--name-only", "--diff-filter=A", "HEAD", "@{upstream}")
    if not added:
        raise ValueError("the newer commits add no file")
    path = checkout / added.splitlines()[0]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("somebody left this here\n")
    return path


def _revisions(tree: Tree) -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(tree.versions.parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def _texts(root: Path) -> dict[Path, str]:
    names = git(root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    files = [root / name for name in names if name]
    return {path: path.read_text() for path in files if path.is_file()}


def _commit_note(repository: Path, text: str) -> None:
    (repository / "note.txt").write_text(text)
    git(repository, "add", "--all")
    git(repository, "commit", "--quiet", "-F", "-", stdin="A note")
