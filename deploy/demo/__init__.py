"""``fab demo``: the whole story on this machine, with a real ``fab`` against a server made for it."""

from deploy.demo.story import main

__all__ = ["main"]
