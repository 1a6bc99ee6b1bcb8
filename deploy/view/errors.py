"""How a failure is told: what happened, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TextIO

from deploy.errors import BackstayError
from deploy.view.colour import paint, wanted
from deploy.view.jsonlines import one_line, result_record
from deploy.view.plain import message_lines
from deploy.view.sink import Sink
from deploy.view.summary import Result

_OUTCOMES = {1: "failed", 3: "failed", 2: "refused", 4: "refused", 5: "detached", 130: "cancelled"}


def show_error(
    error: BackstayError, stderr: TextIO, environ: Mapping[str, str], *, json_to: TextIO | None = None
) -> None:
    """Tell ``error`` on ``stderr``; with ``json_to`` put a result there too.

    Give ``json_to`` only when no view has printed a result before.
    """
    lead = paint("error:", "bad", wanted(stderr, environ)) + " "
    Sink(stderr).write("\n".join(message_lines(lead, error.message, error.hint)) + "\n")
    if json_to is not None:
        outcome = _OUTCOMES.get(error.exit_code, "failed")
        Sink(json_to).write(one_line(result_record(Result(outcome, error.exit_code))))
