"""Who writes says so every few seconds, where no lock ends with its connection."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from typing import Any

from lookalike.errors import LibraryError

HEARTBEAT_SECONDS = 10
STALE_SECONDS = 60
"""A writer that has not been heard of for so long is taken for dead."""


def is_alive(holder: str, seen: int) -> bool:
    """Whether a writer, "HOST PROCESS", that was last heard of at ``seen`` may still write."""
    if time.time_ns() - seen > STALE_SECONDS * 10**9:
        return False
    host, _, process = holder.rpartition(" ")
    if host != socket.gethostname():
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (OSError, ValueError):
        return True
    return True


class Heartbeat:
    """Says every few seconds that the writer is alive."""

    def __init__(self, tell: Any) -> None:
        self._tell = tell
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(LibraryError):
                self._tell()

    def stop(self) -> None:
        self._ended.set()
        if self._thread is not threading.current_thread():
            self._thread.join(HEARTBEAT_SECONDS)
