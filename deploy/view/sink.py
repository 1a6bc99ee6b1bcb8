"""Where text leaves the program: flushed at once, and quiet for good when nobody reads on."""

from __future__ import annotations

import contextlib
import os
from typing import TextIO


class Sink:
    """Writes to ``stream`` and never fails: a closed pipe or a gone terminal only makes it quiet.

    Following the deployment matters more than showing it.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self.open = True

    def write(self, text: str) -> None:
        """Write and flush; what the encoding lacks comes as an escape."""
        if not self.open:
            return
        try:
            self._stream.write(text.encode(self._encoding, "backslashreplace").decode(self._encoding))
            self._stream.flush()
        except BlockingIOError:
            # Another program on this terminal made it non-blocking.
            with contextlib.suppress(OSError, ValueError):
                os.set_blocking(self._stream.fileno(), True)
        except (OSError, ValueError):
            self._close()

    def _close(self) -> None:
        self.open = False
        # Python flushes the stream again when it ends, and would complain there.
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)
