"""Threads with a library each: an open library belongs to one thread, and a server to many asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from lookalike.library import Library

Answer = TypeVar("Answer")


class Desk:
    """One thread with its own open library, which takes one question after the other."""

    def __init__(self, folder: Path | str) -> None:
        self._folder = folder
        self._library: Library | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="lookalike-desk")

    async def ask(self, question: Callable[[Library], Answer]) -> Answer:
        """What a question to the library gives, asked in the desk's thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: question(self._opened()))

    def _opened(self) -> Library:
        if self._library is None:
            self._library = Library.open(self._folder)
        return self._library

    def close(self) -> None:
        """End the thread; its library is closed."""
        self._thread.submit(self._close).result()
        self._thread.shutdown()

    def _close(self) -> None:
        if self._library is not None:
            self._library.close()
            self._library = None
