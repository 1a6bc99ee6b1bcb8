"""An SSH server inside the process, for ``fab demo`` and tests: loopback, one throw-away key, exec only."""

from deploy.embedded.server import EmbeddedServer
from deploy.embedded.shims import shims

__all__ = ["EmbeddedServer", "shims"]
