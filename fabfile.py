"""The tasks of backstay; `fab --list` shows them."""

from deploy.tasks import namespace

__all__ = ["namespace"]
