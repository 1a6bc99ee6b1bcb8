"""``fab doctor``: facts of laptop, server and application in, findings with a remedy out. Changes nothing.

The server's scripts report facts only; what they mean is decided here, by pure functions.
"""

from deploy.doctor.examination import examine

__all__ = ["examine"]
