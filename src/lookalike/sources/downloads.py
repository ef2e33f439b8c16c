"""Many pictures from their servers, side by side and politely, in the order in which they come.

An event loop in a thread of its own asks the servers. What has arrived waits for the threads that
read pictures, and while too much waits nothing more is asked for.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import queue
import random
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import urlsplit

from lookalike.config import Fetching, Limits
from lookalike.decode import ReadFile
from lookalike.errors import ImageError
from lookalike.sources.base import Kept, Supplied
from lookalike.sources.fetching import Answer, Fetcher, NotNow, Validator, load_httpx
from lookalike.sources.hosts import Host
from lookalike.types import FileEntry, Reason

WINDOW = 10_000
"""URLs that may wait for their hosts: so many of a slow one are passed before others wait."""

TICK_SECONDS = 5.0
"""After so long who reads is told to go on with what has come, and to commit it."""

HOSTS_REMEMBERED = 1_000
"""Hosts of which it is known when they were last asked, beside those that are being asked."""

_FIRST_WAIT = 0.5
_LONGEST_BACK_OFF = 30.0
_END_SECONDS = 1.0

Keep = Callable[[bytes, bytes], bool]
"""Keeps a picture's bytes, by its content hash; returns whether it did."""


@dataclass(frozen=True, slots=True)
class Job:
    """A picture to be fetched: its entry, where from, and what was known of it if that counts."""

    entry: FileEntry
    url: str
    suffix: str = ""
    known: Validator | None = None


class Downloads:
    """Fetches pictures; ``keep`` gets the bytes of each that comes.

    Raises MissingExtraError without the HTTP client.
    """

    def __init__(
        self,
        fetching: Fetching = Fetching(),
        limits: Limits = Limits(),
        keep: Keep | None = None,
    ) -> None:
        load_httpx()
        self._fetching, self._limits, self._keep = fetching, limits, keep

    def shared_by(self, processes: int) -> Downloads:
        """The same for one of several processes, which together keep to the limits.

        No more of them than the limits allow may ask at a time: each has one connection at least.
        """
        how = self._fetching
        share = replace(
            how,
            connections=max(1, how.connections // processes),
            per_host=max(1, how.per_host // processes),
            gap_ms=how.gap_ms * processes,
        )
        return Downloads(share, self._limits, self._keep)

    def supply(self, jobs: Iterable[Job]) -> Iterator[Supplied | None]:
        """The pictures as they come; None every few seconds, and when all wait to be read."""
        jobs, waiting, told = iter(jobs), 0, time.monotonic()
        with _running(_Loop(self._fetching, self._limits)) as loop:
            while True:
                while waiting < WINDOW and (job := next(jobs, None)) is not None:
                    loop.add(job)
                    waiting += 1
                if not waiting:
                    return
                arrival = loop.next_arrival(TICK_SECONDS)
                if arrival is not None:
                    waiting -= 1
                    yield Supplied(arrival.job.entry, partial(self._read, arrival, loop))
                if arrival is None or time.monotonic() - told > TICK_SECONDS:
                    told = time.monotonic()
                    yield None

    def fetch(self, entry: FileEntry, url: str, suffix: str = "") -> ReadFile:
        """One picture, now; raises ImageError where it cannot be had."""
        for one in self.supply([Job(entry, url, suffix)]):
            if one is not None:
                try:
                    return one.read()
                except Kept as kept:
                    raise ImageError(kept.reason, kept.detail) from kept
        raise ImageError(Reason.NOT_REACHED, "")  # never: each job gives something

    def _read(self, arrival: _Arrival, loop: _Loop) -> ReadFile:
        answer, entry = arrival.take(), arrival.job.entry
        loop.release(arrival.bytes)
        if not isinstance(answer, Answer):
            raise answer
        digest = hashlib.sha256(answer.data).digest()
        kept = self._keep is not None and self._keep(answer.data, digest)
        said = Validator(arrival.job.suffix, answer.etag, answer.last_modified, kept)
        now = replace(
            entry, bytes=len(answer.data), mtime_ns=answer.modified_ns, validator=said.text
        )
        return ReadFile(now, answer.data, digest)


class _Arrival:
    """What came of a job: the picture, or why there is none. It is taken once."""

    def __init__(self, job: Job, answer: Answer | Kept | ImageError) -> None:
        self.job = job
        self._answer: Answer | Kept | ImageError | None = answer
        self.bytes = len(answer.data) if isinstance(answer, Answer) else 0

    def take(self) -> Answer | Kept | ImageError:
        answer, self._answer = self._answer, None
        assert answer is not None
        return answer


# -- the event loop --------------------------------------------------------------------------------


class _SocketLoop(asyncio.SelectorEventLoop):
    """Looks names up in threads that nobody waits for: the end of the process never does."""

    async def getaddrinfo(self, host: Any, port: Any, **options: Any) -> Any:
        found: asyncio.Future[Any] = self.create_future()

        def settle(set_: Callable[[Any], None], value: Any) -> None:
            if not found.done():
                set_(value)

        def look_up() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                try:
                    value = socket.getaddrinfo(host, port, **options)
                    self.call_soon_threadsafe(settle, found.set_result, value)
                except (OSError, UnicodeError) as error:
                    self.call_soon_threadsafe(settle, found.set_exception, error)

        threading.Thread(target=look_up, daemon=True).start()
        return await found


@contextlib.contextmanager
def _running(loop: _Loop) -> Iterator[_Loop]:
    loop.start()
    try:
        yield loop
    finally:
        loop.stop()


class _Loop:
    """The thread that asks: jobs go in by ``add``, and come out by ``next_arrival``."""

    def __init__(self, fetching: Fetching, limits: Limits) -> None:
        self._fetching, self._limits = fetching, limits
        self._arrivals: queue.SimpleQueue[_Arrival | BaseException | None] = queue.SimpleQueue()
        self._most = fetching.waiting_megabytes * 1e6
        self._waiting, self._guard = 0, threading.Lock()
        self._hosts: dict[str, Host[Job]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._fetcher: Fetcher | None = None
        self._loop = _SocketLoop()
        self._thread = threading.Thread(target=self._run, name="downloads", daemon=True)

    # -- in the thread that reads ----------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End at once; what is under way is dropped."""
        self._call(self._loop.stop)
        self._thread.join(_END_SECONDS)

    def add(self, job: Job) -> None:
        self._call(self._add, job)

    def next_arrival(self, seconds: float) -> _Arrival | None:
        """What comes next; None if nothing does for so long, or before something is read."""
        try:
            arrival = self._arrivals.get(timeout=seconds)
        except queue.Empty:
            return None
        if isinstance(arrival, BaseException):
            raise arrival
        return arrival

    def release(self, size: int) -> None:
        """So many bytes are read and wait no longer; from any thread."""
        with self._guard:
            self._waiting -= size
            has_room = self._waiting < self._most
        if has_room and size:
            self._call(self._make_room)

    def _call(self, function: Callable[..., Any], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(function, *arguments)

    # -- in the loop's thread --------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._open())
            self._loop.run_forever()
        except Exception as error:  # noqa: BLE001 (raised again in the thread that waits)
            self._arrivals.put(error)
        finally:
            self._loop.run_until_complete(self._end())
            self._loop.close()

    async def _open(self) -> None:
        self._fetcher = Fetcher(self._fetching, self._limits)
        self._connections = asyncio.Semaphore(self._fetching.connections)
        self._room = asyncio.Event()
        self._room.set()

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._fetcher is not None:
            await self._fetcher.client.aclose()

    def _add(self, job: Job) -> None:
        name = urlsplit(job.url).netloc.lower()
        host = self._hosts.get(name)
        if host is None:
            self._forget_idle()
            host = self._hosts[name] = Host(name, self._fetching.gap_ms / 1000)
        host.waiting.append(job)
        if host.workers < self._fetching.per_host:
            host.workers += 1
            task = self._loop.create_task(self._work(host))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._arrivals.put(error)

    def _forget_idle(self) -> None:
        if len(self._hosts) >= HOSTS_REMEMBERED:
            idle = [host for host in self._hosts.values() if host.idle]
            idle.sort(key=lambda host: host.given_up is not None)
            for host in idle[: HOSTS_REMEMBERED // 2]:
                del self._hosts[host.name]

    async def _work(self, host: Host[Job]) -> None:
        """Take what waits for a host, one after the other, until nothing does."""
        try:
            while host.waiting:
                await self._room.wait()
                if host.waiting:
                    job = host.waiting.popleft()
                    self._arrived(_Arrival(job, await self._attempts(host, job)))
        finally:
            host.workers -= 1

    def _arrived(self, arrival: _Arrival) -> None:
        self._arrivals.put(arrival)
        with self._guard:
            self._waiting += arrival.bytes
            is_full = self._waiting >= self._most
        if is_full:
            self._room.clear()
            self._arrivals.put(None)  # who reads goes on with what has come

    def _make_room(self) -> None:
        with self._guard:
            has_room = self._waiting < self._most
        if has_room:
            self._room.set()

    async def _attempts(self, host: Host[Job], job: Job) -> Answer | Kept | ImageError:
        """What a job gives in the end, after as many attempts as it takes."""
        assert self._fetcher is not None
        detail = ""
        for attempt in range(self._fetching.retries + 1):
            if attempt:
                await asyncio.sleep(_back_off(attempt))
            await host.rested()
            if host.given_up is not None:
                return Kept(Reason.NOT_REACHED, host.given_up)
            try:
                async with self._connections:
                    asked_at = await host.turn()
                    answer = await self._fetcher.get(job.url, job.known)
            except NotNow as error:
                detail = error.detail
                host.failed(asked_at, detail, error.wait)
            except (Kept, ImageError) as error:
                host.answered()
                return error
            else:
                host.answered()
                return answer
        times = self._fetching.retries + 1
        return Kept(Reason.NOT_REACHED, f"{detail}; asked {times} times" if times > 1 else detail)


def _back_off(attempt: int) -> float:
    """Seconds before the next attempt, doubled each time; drawn, so that not all come at once."""
    longest = min(_FIRST_WAIT * 2.0 ** (attempt - 1), _LONGEST_BACK_OFF)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 (nothing secret)
