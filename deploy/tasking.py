"""How a task is made: its body gets a ``Command``, and its errors become words and an exit code in one place.

Only Fabric is imported here: ``fab --list`` and completion must not pay for anything else.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from fabric import Task
from fabric import task as fabric_task
from invoke import Exit

F = TypeVar("F", bound=Callable[..., Any])

TARGET = "the target of deploy.toml (else BACKSTAY_TARGET, else the only one)"
JSON = "one JSON object a line, the result last"


def task(*, kind: type = Task, **help_texts: str) -> Callable[[F], Any]:
    """A Fabric task whose body gets a ``Command``; flags are long ones only, so that they stay the same.

    ``kind`` is the class of the task.
    """

    def decorate(body: F) -> Any:
        @functools.wraps(body)
        def run(context: Any, **options: Any) -> None:
            from deploy.commands import execute

            code = execute(context, body, options, os.environ, sys.stdout, sys.stderr)
            if code:
                raise Exit(code=code)

        return fabric_task(klass=kind, help=help_texts, auto_shortflags=False)(run)

    return decorate
