"""An event loop in a thread of its own, for callers that wait."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


def _forever(loop: asyncio.AbstractEventLoop) -> None:
    """Run a loop until it is stopped, and close it."""
    loop.run_forever()
    loop.close()


class Loop:
    """An event loop in a thread of its own, for callers that wait."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=_forever, args=(self._loop,), daemon=True)
        self._thread.start()

    def run(self, work: Awaitable[T]) -> T:
        """The result of what is awaited; an interrupt ends it."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(_awaited(work), self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def end_after(self, last: Callable[[], object]) -> None:
        """Do one thing more and end, without waiting for it. May be called from any thread."""

        def end() -> None:
            last()
            self._loop.call_later(0.1, self._loop.stop)  # what it closed says goodbye

        with contextlib.suppress(RuntimeError):  # the loop has ended, with the process
            self._loop.call_soon_threadsafe(end)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


def _awaited(work: Awaitable[T]) -> Coroutine[Any, Any, T]:
    async def wait() -> T:
        return await work

    return wait()
