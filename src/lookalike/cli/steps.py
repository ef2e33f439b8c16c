"""What is being done now, and on a terminal for how long already."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType

from lookalike.cli.output import talk

_EVERY_SECONDS = 0.5


class Steps:
    """Tells the steps of a command as they begin; within ``with``, so that the last one ends.

    On a terminal the line of a step counts its seconds; elsewhere it is a line of its own.
    """

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def __call__(self, name: str) -> None:
        """A step begins, and the one before has ended."""
        self._end()
        if not sys.stderr.isatty():
            talk(name)
            return
        self._ended.clear()
        self._thread = threading.Thread(target=self._count, args=(name,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Steps:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end()

    def _end(self) -> None:
        if self._thread is not None:
            self._ended.set()
            self._thread.join()
            self._thread = None

    def _count(self, name: str) -> None:
        started = time.monotonic()
        while True:
            ended = self._ended.wait(_EVERY_SECONDS)
            seconds = time.monotonic() - started
            told = f"\rlookalike: {name} ({seconds:.0f} s)"
            print(told, end="\n" if ended else "", file=sys.stderr, flush=True)
            if ended:
                return
