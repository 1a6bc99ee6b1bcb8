"""What can run the application on the server: one module each, listed here."""

from __future__ import annotations

from deploy.engines.compose import Compose
from deploy.engines.venv import Venv
from deploy.recipe import Engine

ENGINES: dict[str, Engine] = {"compose": Compose(), "venv": Venv()}
