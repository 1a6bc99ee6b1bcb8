"""From what pydantic found to one ConfigError: the path to the key, our own words, and a way out."""

from __future__ import annotations

import json
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from deploy.config.keys import Document, Shared, TargetTable
from deploy.config.values import Bad
from deploy.errors import ConfigError

Loc = tuple[int | str, ...]

_SECTIONS: dict[str, list[str]] = {
    name: list(field.annotation.model_fields)
    for name, field in Shared.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
}
_WORDS = {
    "missing": "is required",
    "string_type": "must be a string in quotes",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number without quotes",
    "tuple_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "greater_than_equal": "must be {ge} or more",
    "less_than_equal": "must be {le} or less",
    "literal_error": "must be one of {expected}",
}
_HINTS: dict[Loc, str] = {
    ("app",): 'The name of your application: app = "shop".',
    ("target",): "The name of the default target. Targets themselves stand in [targets.NAME].",
    ("backup", "mode"): 'Write mode = "off" for no backups.',
}


def as_config_error(file: Path, root: str, error: ValidationError) -> ConfigError:
    """The first thing wrong in ``file``, whose settings stand in the table ``root`` ("": the file)."""
    errors = error.errors(include_url=False, include_input=False)
    # A key that is missing is said last: one that is misspelled is the likelier reason.
    first = min(errors, key=lambda found: found["type"] == "missing")
    kind, loc, context = first["type"], first["loc"], first.get("ctx", {})
    if kind == "extra_forbidden":
        problem, hint = _unknown(root, loc)
    else:
        problem, hint = _say(kind, loc, context)
        if loc[-1:] == ("[key]",):
            loc = loc[:-1]
    return ConfigError(str(file), dotted(root, loc), problem, hint)


def dotted(root: str, loc: Loc) -> str:
    """The path to a key as TOML writes it: ``targets.production.compose.files[1]``."""
    path = root
    for part in loc:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += ("." if path else "") + _written(part)
    return path


def _written(key: str) -> str:
    """A key that can be shown: cut when long, quoted and escaped when it is not bare."""
    short = key if len(key) <= 60 else key[:59] + "…"
    return short if re.fullmatch(r"[A-Za-z0-9_-]+", short) else json.dumps(short)


def _say(kind: str, loc: Loc, context: dict[str, Any]) -> tuple[str, str]:
    wrong = context.get("error")
    if isinstance(wrong, Bad):
        return wrong.problem, wrong.hint
    bare = loc[2:] if loc[:1] == ("targets",) else loc
    return _WORDS.get(kind, "has a value that does not fit").format(**context), _HINTS.get(bare, "")


def _unknown(root: str, loc: Loc) -> tuple[str, str]:
    """What to say about a key that nobody knows at ``loc``: where it belongs, else the nearest, else all."""
    key = str(loc[-1])
    target, above = (loc[:2], loc[2:-1]) if loc[0] == "targets" else ((), loc[:-1])
    section = str(above[0]) if above else ""
    known = _SECTIONS[section] if section else list((TargetTable if target else Document).model_fields)
    belongs = _belongs(key, section, dotted(root, target))
    hints = [f"Did you mean `{near}`?" for near in get_close_matches(key[:60], known, n=1)]
    if belongs:
        hints.append(f"`{key}` belongs {belongs}.")
    hint = " ".join(hints) or f"Known here: {', '.join(known)}."
    return "is no key of this place" if belongs else "is no key we know", hint


def _belongs(key: str, section: str, base: str) -> str:
    """Where a known key has its place, as words; empty for one that has none."""
    if section and key in TargetTable.model_fields:
        return f"into [{base}], outside of its sections" if base else "at the top, before the first [section]"
    if key in Document.model_fields:
        return "at the top of the file: it is the same for all targets"
    homes = [f"[{base}.{name}]" if base else f"[{name}]" for name, keys in _SECTIONS.items() if key in keys]
    return f"into {' or '.join(homes)}" if homes else ""
