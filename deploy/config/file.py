"""Find the settings file and read it as a table."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any

from deploy.errors import ConfigError

_OWN = "deploy.toml"
_PYPROJECT = "pyproject.toml"
#: How few lines are enough.
EXAMPLE = """\
app  = "snapcheck"
host = "deploy@server.example.org"
path = "/opt/snapcheck\""""


def find(start: Path) -> Path:
    """The nearest deploy.toml, or pyproject.toml with [tool.backstay], from ``start`` upwards.

    In one folder deploy.toml wins. Raises ConfigError when there is none, or when one cannot be read.
    """
    try:
        here = start.resolve()
    except (OSError, RuntimeError, ValueError):
        raise ConfigError(os.fspath(start), "", "this folder cannot be found") from None
    for folder in (here, *here.parents):
        if _is_there(folder / _OWN):
            return folder / _OWN
        if _is_there(folder / _PYPROJECT) and _has_settings(folder / _PYPROJECT):
            return folder / _PYPROJECT
    hint = f"Three lines in a file named {_OWN} are enough:\n\n{EXAMPLE}"
    raise ConfigError(str(here), "", f"there is no {_OWN} here or in a folder above", hint)


def read(path: Path) -> tuple[str, dict[str, Any]]:
    """The settings as raw TOML, and the dotted name of the table they stand in ("" or "tool.backstay")."""
    table = _parse(path, _text(path, _bytes(path)))
    if path.name != _PYPROJECT:
        return "", table
    tool = table.get("tool")
    settings = tool.get("backstay") if isinstance(tool, dict) else None
    if not isinstance(settings, dict):
        raise ConfigError(str(path), "tool.backstay", "there is no such table in this file")
    return "tool.backstay", settings


def _is_there(path: Path) -> bool:
    try:
        # Not `exists`: a dangling link must be said, or a file of a folder above would be used in its place.
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _unreadable(path, error) from None
    return True


def _has_settings(path: Path) -> bool:
    data = _bytes(path)
    # Most pyproject.toml on the way up are none of our business, broken ones too.
    if b"backstay" not in data:
        return False
    tool = _parse(path, _text(path, data)).get("tool")
    return isinstance(tool, dict) and "backstay" in tool


def _bytes(path: Path) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise ConfigError(str(path), "", "this is a folder or a device, not a file")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError | ValueError) -> ConfigError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else "not a usable path"
    return ConfigError(str(path), "", f"cannot be read: {reason}")


def _text(path: Path, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(str(path), "", f"line {line}: not UTF-8", "Save the file as UTF-8.") from None


def _parse(path: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax(path, text, str(error)) from None
    except (ValueError, RecursionError):
        raise ConfigError(str(path), "", "holds a number or a nesting that is too large") from None


def _syntax(path: Path, text: str, said: str) -> ConfigError:
    """Own words around what the parser found; of its words only those that never repeat a value."""
    place = re.search(r"\(at line (\d+), column (\d+)\)", said)
    line = int(place[1]) if place else text.count("\n") + 1
    column = f", column {place[2]}" if place else ""
    what = "a key or table that stands there twice" if re.search("overwrite|twice|mutate", said) else ""
    problem = f"line {line}{column}: {what or 'this is not TOML'}"
    return ConfigError(str(path), "", problem, "" if what else 'Text stands in quotes: host = "server".')
