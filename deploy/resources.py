"""The server's scripts, as they lie in the package."""

from __future__ import annotations

from pathlib import Path

# Not importlib.resources: it takes longer to load than all that is read here.
_SERVER = Path(__file__).parent / "server"


def resource(name: str) -> str:
    """The text of one of the server's scripts, such as ``compose/check.do.sh``."""
    return (_SERVER / name).read_text("utf-8")


def folder(name: str) -> dict[str, str]:
    """All scripts of a folder of the server's scripts, by file name."""
    found = (_SERVER / name).iterdir()
    return {file.name: file.read_text("utf-8") for file in found if file.suffix in (".sh", ".awk", ".py")}
