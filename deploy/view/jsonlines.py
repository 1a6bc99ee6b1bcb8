"""The view for programs: one JSON object a line on standard output, and nothing else there."""

from __future__ import annotations

import json
import math
from types import TracebackType
from typing import Any, Self

from deploy.events import Item, Output, State
from deploy.view.plain import message_lines
from deploy.view.sink import Sink
from deploy.view.summary import Result

_ENCODER = json.JSONEncoder(ensure_ascii=True, allow_nan=False)


class JsonView:
    """Events as they came on ``out``, the result last; warnings as text on ``err``."""

    def __init__(self, out: Sink, err: Sink) -> None:
        self._out = out
        self._err = err

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def item(self, item: Item, state: State) -> None:
        """Print the item as an object."""
        if isinstance(item, Output):
            self._put({"event": "output", "step": state.current, "line": item.line})
        else:
            self._put(item.fields)

    def tick(self, now: float) -> None:
        """Nothing: objects do not depend on the time."""

    def warn(self, text: str, hint: str = "") -> None:
        """The warning, as text on standard error."""
        self._err.write("\n".join(message_lines("warning: ", text, hint)) + "\n")

    def result(self, result: Result) -> None:
        """The last object."""
        self._put(result_record(result))

    def _put(self, record: dict[str, Any]) -> None:
        self._out.write(one_line(record))


def one_line(record: dict[str, Any]) -> str:
    """``record`` as one line of strict JSON in ASCII."""
    try:
        line = _ENCODER.encode(record)
    except ValueError:
        line = ""
    # Nearly every record is fine as it is, and a build has many.
    return (line if line and "\\ud" not in line else _ENCODER.encode(_strict(record))) + "\n"


def result_record(result: Result) -> dict[str, Any]:
    """The result as programs read it; null where the server's state is not known."""
    return {
        "event": "result",
        "outcome": result.outcome,
        "exit_code": result.exit_code,
        "release": result.release,
        "commit": {"before": result.commit.before, "after": result.commit.after},
        "heads": {"before": _list(result.heads.before), "after": _list(result.heads.after)},
        "image": {"before": result.image.before, "after": result.image.after},
        "applied": list(result.applied),
        "undone": list(result.undone),
        "backup": result.backup or None,
        "seconds": round(result.seconds, 3) if math.isfinite(result.seconds) else None,
    }


def _list(words: tuple[str, ...] | None) -> list[str] | None:
    return None if words is None else list(words)


def _strict(value: Any) -> Any:
    """``value`` without what Python reads as JSON and others do not: NaN, infinity, half characters."""
    if isinstance(value, dict):
        return {_strict(str(key)): _strict(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_strict(item) for item in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode() if not value.isascii() else value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
