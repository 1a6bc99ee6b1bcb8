"""``fab init``: reads the repository, asks what it has to, shows what it would write, and writes that."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from deploy import scaffold, view
from deploy.errors import UsageError
from deploy.scaffold import Answers, Base, Scaffold

#: Folders that hold no code of the application's own.
_SKIPPED = {"node_modules", "venv", "env", "site-packages", "dist", "build", "__pycache__"}
_WANTED = re.compile(
    r"(.*\.(py|ini|toml|ya?ml)|.*Dockerfile.*|requirements.*\.txt|.*\.mako|Pipfile|\.dockerignore)\Z"
)
#: A file larger than this is data; more files than this are no repository of one application.
_LARGEST, _MOST = 1_000_000, 20_000


@dataclass(frozen=True)
class Options:
    """What the command line says; empty is not said."""

    backend: str = ""
    service: str = ""
    base: str = ""
    sequential: bool = False
    host: str = ""
    path: str = ""
    yes: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class Terminal:
    """Where questions are asked; ``asks`` is whether somebody can answer."""

    stdin: TextIO
    stdout: TextIO
    environ: Mapping[str, str]

    @property
    def asks(self) -> bool:
        return self.stdin.isatty() and self.stdout.isatty()

    def say(self, line: str = "", style: str = "") -> None:
        """One line of text."""
        self.stdout.write(f"{view.paint(view.clean(line), style, view.colours(self.stdout, self.environ))}\n")

    def ask(self, question: str) -> str:
        """The user's answer; empty at the end of input."""
        self.stdout.write(f"{question} ")
        self.stdout.flush()
        return self.stdin.readline().strip()


def run(folder: Path, options: Options, stdout: TextIO, environ: Mapping[str, str]) -> int:
    """``fab init`` in ``folder``; 0 when all is there afterwards. Raises UsageError when it cannot be."""
    terminal = Terminal(sys.stdin, stdout, environ)
    tree = read_tree(folder)
    answers = _answers(folder, tree, options, terminal)
    plan = scaffold.scaffold(tree, answers)
    _show(plan, terminal)
    if not plan.changes:
        terminal.say("Nothing to write: all of it is there.", "good")
        _tell(plan, terminal)
        return 0
    if not options.yes and not _agreed(plan, terminal):
        raise UsageError("nothing was written")
    for change in plan.changes:
        _write(folder / change.path, change.after)
    terminal.say(f"Wrote {_count(plan)}.", "good")
    _tell(plan, terminal)
    _next_steps(plan, answers, terminal)
    return 0


def read_tree(folder: Path) -> dict[str, str]:
    """The text files of a repository that matter here, by their path below ``folder``."""
    tree: dict[str, str] = {}
    for path in _walk(folder):
        if len(tree) >= _MOST:
            raise UsageError(
                f"{folder} holds too many files to be one application", "Run it in its repository."
            )
        try:
            if path.stat().st_size <= _LARGEST:
                tree[path.relative_to(folder).as_posix()] = path.read_bytes().decode("utf-8")
        except (OSError, UnicodeDecodeError):
            continue
    return tree


def _walk(folder: Path) -> Iterator[Path]:
    for here, folders, names in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if name not in _SKIPPED
            and not name.startswith(".")
            and not os.path.exists(os.path.join(here, name, "pyvenv.cfg"))
        )
        yield from (Path(here, name) for name in sorted(names) if _WANTED.match(name))


def _answers(folder: Path, tree: dict[str, str], options: Options, terminal: Terminal) -> Answers:
    backend = scaffold.backend_folder(tree, options.backend or None)
    return Answers(
        app=re.sub(r"[^a-z0-9_-]+", "-", folder.resolve().name.lower()).strip("-_") or "app",
        backend=backend if options.backend else None,
        service=options.service,
        base=_base(tree, backend, options.base, terminal),
        sequential=options.sequential,
        host=_host(tree, options.host, terminal),
        path=options.path,
        branch=_branch(folder),
        overwrite=options.overwrite,
    )


def _base(tree: dict[str, str], backend: str, given: str, terminal: Terminal) -> Base | None:
    """The models' Base: the given one, the only one there is, or the one that the user chooses."""
    if given:
        found = scaffold.named(tree, given, backend)
        if found is None:
            raise UsageError(f"--base {given}: there is no such module here", scaffold.BASE_HINT)
        return found
    bases = scaffold.find_bases(tree, backend)
    if len(bases) < 2:
        return bases[0] if bases else None
    choices = [f"{base.file.removesuffix('.py').replace('/', '.')}:{base.name}" for base in bases]
    if not terminal.asks:
        raise UsageError(
            f"there are several bases for models: {', '.join(choices)}",
            f"Choose with --base, for example --base {choices[0]}.",
        )
    for number, choice in enumerate(choices, 1):
        terminal.say(f"  {number}  {choice}")
    answer = terminal.ask(f"Which one has the application's models? [1-{len(choices)}]")
    if not answer.isdigit() or not 0 < int(answer) <= len(choices):
        raise UsageError("none was chosen; nothing was written")
    return bases[int(answer) - 1]


def _host(tree: dict[str, str], given: str, terminal: Terminal) -> str:
    if given or "deploy.toml" in tree or not terminal.asks:
        return given
    return terminal.ask("Which server will it be deployed to? user@host, or Enter to write it later:")


def _branch(folder: Path) -> str:
    """The checkout's branch; empty when there is none."""
    try:
        head = (folder / ".git/HEAD").read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
    return head.removeprefix("ref: refs/heads/") if head.startswith("ref: refs/heads/") else ""


def _show(plan: Scaffold, terminal: Terminal) -> None:
    styles = {"+": "good", "-": "bad", "@": "dim"}
    for change in plan.changes:
        for number, line in enumerate(change.diff()):
            terminal.say(line, "bold" if number < 2 else styles.get(line[:1], ""))
        terminal.say()


def _agreed(plan: Scaffold, terminal: Terminal) -> bool:
    if not terminal.asks:
        raise UsageError(
            "nothing was written: there is no terminal to ask on", "Write it with: fab init --yes"
        )
    return terminal.ask(f"Write {_count(plan)}? [y/N]").lower() in ("y", "yes")


def _count(plan: Scaffold) -> str:
    new = sum(change.before is None for change in plan.changes)
    edited = len(plan.changes) - new
    parts = [f"{count} {what}" for count, what in ((new, "new"), (edited, "changed")) if count]
    return f"{' and '.join(parts)} file{'s' if len(plan.changes) > 1 else ''}"


def _write(path: Path, text: str) -> None:
    """Beside, then renamed: a file is the old or the new one. A link stays a link."""
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.backstay")
    try:
        beside.write_bytes(text.encode())
        if path.exists():
            beside.chmod(path.stat().st_mode & 0o7777)
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None


def _tell(plan: Scaffold, terminal: Terminal) -> None:
    for path in plan.kept:
        terminal.say(f"kept: {path} has content of its own (--overwrite shows and writes ours)", "dim")
    for note in plan.notes:
        for number, line in enumerate(note.splitlines()):
            terminal.say(line if number else f"note: {line}", "" if number else "warn")


def _next_steps(plan: Scaffold, answers: Answers, terminal: Terminal) -> None:
    written = {change.path for change in plan.changes}
    steps = [
        'fab db.revision --autogenerate -m "Initial tables"   and look at the file that it writes',
        "fab db.upgrade --local",
    ]
    if "deploy.toml" in written and not answers.host:
        steps.append("write host and path into deploy.toml")
    steps += ["git add, commit, push", "fab deploy"]
    terminal.say("Next:")
    for number, step in enumerate(steps, 1):
        terminal.say(f"  {number}. {step}")
