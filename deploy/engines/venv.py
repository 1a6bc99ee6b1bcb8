"""A virtual environment and a restart command, without Docker."""

from __future__ import annotations

from collections.abc import Mapping

from deploy.config import Target
from deploy.recipe import last_first
from deploy.resources import folder
from deploy.shell import Values


class Venv:
    """A process of the server's own service manager, run from a virtual environment."""

    name = "venv"

    def scripts(self) -> Mapping[str, str]:
        """The engine's files for the server."""
        return folder("venv")

    def values(self, target: Target) -> Values:
        """The settings of ``[venv]``."""
        venv = target.venv
        return {
            "venv_folder": venv.folder,
            "requirements": venv.requirements,
            "python": venv.python,
            "venv_workdir": venv.workdir,
            "restart_command": venv.restart,
            "stop_command": venv.stop,
            "logs_command": venv.logs,
            "env_file": venv.env_file,
            "build_fresh": not target.build.cache,
            "migrate_command": last_first(target.migrate.command or ("alembic", "upgrade", "head")),
        }
