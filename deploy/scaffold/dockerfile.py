"""Where an image has a folder of the repository: read from the Dockerfile."""

from __future__ import annotations

import json
import posixpath
import re
import shlex


def place(text: str, folder: str) -> tuple[str, str] | None:
    """Where ``folder`` (relative to the build context, "" for all of it) is in the last stage's image.

    Gives its absolute path and the working directory; None when no COPY brings it, or not from the context.
    """
    workdir, found = "/", ""
    for line in _lines(text):
        word, _, rest = line.partition(" ")
        match word.upper():
            case "FROM":
                workdir, found = "/", ""
            case "WORKDIR":
                workdir = posixpath.normpath(posixpath.join(workdir, rest.strip().strip("\"'")))
            case "COPY" | "ADD" if "--from" not in rest:
                found = _copied(rest, folder, workdir) or found
    return (found, workdir) if found and "$" not in found + workdir else None


def _lines(text: str) -> list[str]:
    joined = re.sub(r"\\[ \t]*\n", " ", re.sub(r"(?m)^\s*#.*\n?", "", text))
    return [line.strip() for line in joined.splitlines() if line.strip()]


def _copied(rest: str, folder: str, workdir: str) -> str:
    """Where one COPY puts ``folder``, or ""."""
    *sources, target = _words(rest) or [""]
    for source in sources:
        source = posixpath.normpath(source.lstrip("/") or ".")
        inside = posixpath.relpath(folder or ".", source)
        if source != "." and (inside == ".." or inside.startswith("../")):
            continue
        return posixpath.normpath(posixpath.join(workdir, target, inside))
    return ""


def _words(rest: str) -> list[str]:
    plain = re.sub(r"--\S+\s+", "", rest).strip()
    try:
        words = json.loads(plain) if plain.startswith("[") else shlex.split(plain)
    except ValueError:
        return []
    return [str(word) for word in words]
