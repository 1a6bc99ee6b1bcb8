"""The settings: find deploy.toml, read and check it, and hand out one frozen target.

    find ─► file ─► checks of all keys ─► merge top level and target ─► Target
                      └► faults: the first mistake, with the path to the key

Every failure is a ``ConfigError`` that names the file and the key. None repeats a value: it may be a secret.
"""

from deploy.config.file import find
from deploy.config.keys import Backup, Build, Compose, Health, Logs, Migrate, Pull, Restart, Target, Venv
from deploy.config.settings import Settings, load, load_settings

__all__ = [
    "find",
    "load",
    "load_settings",
    "Settings",
    "Target",
    "Compose",
    "Migrate",
    "Build",
    "Restart",
    "Pull",
    "Backup",
    "Health",
    "Logs",
    "Venv",
]
