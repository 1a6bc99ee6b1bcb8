"""The server's scripts, as they lie in the package."""

from __future__ import annotations

from importlib.resources import files


def resource(name: str) -> str:
    """The text of one of the server's scripts, such as ``compose/check.do.sh``."""
    return (files("deploy") / "server" / name).read_text("utf-8")


def folder(name: str) -> dict[str, str]:
    """All scripts of a folder of the server's scripts, by file name."""
    found = (files("deploy") / "server" / name).iterdir()
    return {entry.name: entry.read_text("utf-8") for entry in found if entry.name.endswith((".sh", ".awk"))}
