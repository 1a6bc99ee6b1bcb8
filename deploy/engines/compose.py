"""Docker Compose, v1 and v2: the guide's way."""

from __future__ import annotations

from collections.abc import Mapping

from deploy.config import Target
from deploy.recipe import last_first
from deploy.resources import folder
from deploy.shell import Values


class Compose:
    """Images and containers under Docker Compose."""

    name = "compose"

    def scripts(self) -> Mapping[str, str]:
        """The engine's files for the server."""
        return folder("compose")

    def values(self, target: Target) -> Values:
        """The settings of ``[compose]`` and what depends on them."""
        command = target.compose.command
        options = tuple(word for file in target.compose.files for word in ("-f", file))
        return {
            "compose_command": last_first(command),
            "docker_command": last_first(docker(command)),
            "compose_files": last_first(options),
            "compose_profiles": target.compose.profiles,
            "compose_project": target.compose.project,
            "services": " ".join(target.compose.services),
            "migrate_service": target.migrate.service if target.migrate.enabled else "",
            "build_fresh": not target.build.cache,
            "build_pull": target.build.pull,
        }


def docker(command: tuple[str, ...]) -> tuple[str, ...]:
    """How ``docker`` itself is called, where Compose is called by ``command``: behind the same sudo, say."""
    if not command:
        return ()
    if command[-1] == "compose":
        return command[:-1]
    return (*command[:-1], command[-1].removesuffix("-compose"))
