"""Histories of small applications in real git repositories, for tests that deploy them."""

from .history import History, dirty, untracked_in_way

__all__ = ["History", "dirty", "untracked_in_way"]
