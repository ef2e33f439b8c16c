"""How often a host is asked: few at a time, with gaps, and not at all while it fails."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

J = TypeVar("J")

FAILURES_BEFORE_REST = 12
"""Attempts in a row that must fail before a host is given a rest."""

RESTS = (2.0, 10.0, 30.0)
"""Seconds of a host's rests; it is given up for this run when it fails after the last."""

LONGEST_WAIT = 120.0
"""Seconds that are waited if a host asks for it; one that asks for more is given up for a run."""


class Host(Generic[J]):
    """What waits for one host, and when it may be asked. Belongs to one event loop.

    ``given_up``: why nothing is asked of it any more, or None.
    """

    def __init__(self, name: str, gap_seconds: float) -> None:
        self.name = name
        self.waiting: deque[J] = deque()
        self.workers = 0
        self.given_up: str | None = None
        self._gap = gap_seconds
        self._next = self._rests_until = 0.0
        self._failures = self._rests = 0

    @property
    def idle(self) -> bool:
        """Whether nothing waits for it."""
        return not (self.waiting or self.workers)

    async def rested(self) -> None:
        """Wait for the end of its rest, or until it is given up."""
        loop = asyncio.get_running_loop()
        while (wait := self._rests_until - loop.time()) > 0 and self.given_up is None:
            await asyncio.sleep(wait)

    async def turn(self) -> float:
        """Wait for the gap after the last request; returns the time of this one."""
        loop = asyncio.get_running_loop()
        while (wait := self._next - loop.time()) > 0:
            await asyncio.sleep(wait)
        self._next = loop.time() + self._gap
        return loop.time()

    def answered(self) -> None:
        """The host gave an answer, whatever it was."""
        self._failures = self._rests = 0

    def failed(self, asked_at: float, detail: str, wait: float | None = None) -> None:
        """An attempt of ``asked_at`` failed; ``wait``: how long the host wants to be left alone."""
        now = asyncio.get_running_loop().time()
        self._failures += 1
        if wait is not None and wait > LONGEST_WAIT:
            self.given_up = f"{detail}, and {self.name} asks to wait {wait:.0f} s; index again then"
            return
        if self._failures >= FAILURES_BEFORE_REST and asked_at >= self._rests_until:
            if self._rests == len(RESTS):
                self.given_up = (
                    f"{detail}; {self.name} was given up after {self._failures} failures"
                )
                return
            wait = max(wait or 0.0, RESTS[self._rests])
            self._rests += 1
        if wait is not None:
            self._rests_until = max(self._rests_until, now + wait)
