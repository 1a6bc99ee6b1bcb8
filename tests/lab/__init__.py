"""A real server on this one machine: OpenSSH, Docker engine, Compose v1 and v2, PostgreSQL.

    with Lab().session() as lab:
        lab.ssh.run("docker compose version", user=DEPLOY)

Needs root on Debian 12 and the machine's own package mirrors; `available` says whether it may be installed.
"""

from .machine import Lab, available
from .proxy import Line, Way
from .server import CSH, DEPLOY, FISH, SECOND, SUDO, USERS
from .system import LabError

__all__ = ["CSH", "DEPLOY", "FISH", "SECOND", "SUDO", "USERS", "Lab", "LabError", "Line", "Way", "available"]
