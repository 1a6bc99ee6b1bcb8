"""From what is wrong with a value to one ConfigError: the path to the key, and a way out."""

from __future__ import annotations

import json
import re
from pathlib import Path

from deploy.config.checks import Bad, Unknown, nearest
from deploy.config.keys import FILE, SECTIONS, TARGET
from deploy.errors import ConfigError

Loc = tuple[int | str, ...]


def as_config_error(file: Path, root: str, bad: Bad) -> ConfigError:
    """What is wrong in ``file``, whose settings stand in the table ``root`` ("": the file)."""
    problem, hint = _unknown(root, bad.loc) if isinstance(bad, Unknown) else (bad.problem, bad.hint)
    return ConfigError(str(file), dotted(root, bad.loc), problem, hint)


def dotted(root: str, loc: Loc) -> str:
    """The path to a key as TOML writes it: ``targets.production.compose.files[1]``."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{_written(part)}" for part in loc)
    return (root + "".join(parts)).removeprefix(".")


def _written(key: str) -> str:
    """A key that can be shown: cut when long, quoted and escaped when it is not bare."""
    short = key if len(key) <= 60 else key[:59] + "…"
    return short if re.fullmatch(r"[A-Za-z0-9_-]+", short) else json.dumps(short)


def _unknown(root: str, loc: Loc) -> tuple[str, str]:
    """What to say about a key that nobody knows at ``loc``: where it belongs, else the nearest, else all."""
    key = str(loc[-1])
    target, above = (loc[:2], loc[2:-1]) if loc[0] == "targets" else ((), loc[:-1])
    section = str(above[0]) if above else ""
    known = SECTIONS[section] if section else TARGET if target else FILE
    belongs = _belongs(key, section, dotted(root, target))
    hints = [f"Did you mean `{near}`?" for near in nearest(key, known)]
    if belongs:
        hints.append(f"`{key}` belongs {belongs}.")
    hint = " ".join(hints) or f"Known here: {', '.join(known)}."
    return "is no key of this place" if belongs else "is no key we know", hint


def _belongs(key: str, section: str, base: str) -> str:
    """Where a known key has its place, as words; empty for one that has none."""
    if section and key in TARGET:
        return f"into [{base}], outside of its sections" if base else "at the top, before the first [section]"
    if key in FILE:
        return "at the top of the file: it is the same for all targets"
    homes = [f"[{base}.{name}]" if base else f"[{name}]" for name, keys in SECTIONS.items() if key in keys]
    return f"into {' or '.join(homes)}" if homes else ""
