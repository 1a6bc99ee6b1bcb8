"""Where things lie in a checkout of an application, whatever its variant."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Tree:
    """A checkout: its root and, relative to it, the folder with the code and the Dockerfile."""

    root: Path
    code: str
    dockerfile: str | None

    @property
    def backend(self) -> Path:
        """The folder with main.py and alembic.ini."""
        return self.root / self.code

    @property
    def main(self) -> Path:
        """The application's module."""
        return self.backend / "main.py"

    @property
    def versions(self) -> Path:
        """The folder with the revisions."""
        return self.backend / "migrations" / "versions"

    @property
    def image(self) -> Path:
        """The Dockerfile; ValueError for a variant without Docker."""
        if self.dockerfile is None:
            raise ValueError("this variant has no Dockerfile")
        return self.root / self.dockerfile


Change = Callable[[Tree], None]


def replace(path: Path, old: str, new: str) -> None:
    """Replace the one place where `old` stands in a file; ValueError unless there is exactly one."""
    text = path.read_text()
    if text.count(old) != 1:
        raise ValueError(f"{path.name} has {text.count(old)} times: {old}")
    path.write_text(text.replace(old, new))


def append(path: Path, text: str) -> None:
    """Write `text` at the end of a file."""
    path.write_text(path.read_text() + text)
