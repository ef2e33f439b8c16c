"""The processes of a Ray cluster, and Ray Data's way of blocks through them.

Tasks read and decode blocks, a pool of actors holds the encoder, and where parts are wanted tasks
write them. A process that is lost takes nothing with it: its blocks are done again elsewhere.

Used as documented: https://docs.ray.io/en/releases-2.60.0/data/ (``map_batches``,
``ActorPoolStrategy``, ``TaskPoolStrategy``, ``ExecutionOptions.preserve_order``).
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TextIO, cast

from lookalike.cluster.blocks import (
    Recipe,
    analysed,
    block_size,
    blocks,
    encoded,
    outcomes_of,
)
from lookalike.cluster.packing import Packed, pack_entries
from lookalike.cluster.parts import Counts, Form, PartsFolder, write_part
from lookalike.config import IndexOptions
from lookalike.errors import ClusterError, InputError, LookalikeError, MissingExtraError
from lookalike.features.encoders import Encoder
from lookalike.kernels import cores
from lookalike.rows.parquet import arrow
from lookalike.sources import Source
from lookalike.sources.urls import UrlTableSource
from lookalike.types import FileEntry, Outcome, Reason, Space, State
from lookalike.version import __version__

WINDOW = 4_096
"""Blocks that are listed and begun together: half a million pictures."""

RETRIES = 4
"""Times that a block is read again whose process is lost: one of its pictures may be why."""

STORE_BYTES = 500 * 10**6
"""Shared memory of a cluster of this machine alone, for blocks on their way."""

TICK_SECONDS = 10.0
"""After so long what has come is committed."""

_COLUMN = "block"
_ANSWER_SECONDS = 10.0
_RAY_THREAD = "ray_listen_error_messages"
_REMOVALS = 100


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """Where and how a run is spread.

    ``address``: of a cluster that runs; None starts one on this machine, for the run. ``actors``
    that hold the encoder, one process each; None is ``usual_actors``. ``gpus``
    that each of them gets. ``store_bytes``: see ``STORE_BYTES``.
    """

    address: str | None = None
    actors: int | None = None
    gpus: float = 0.0
    store_bytes: int = STORE_BYTES

    def check(self) -> None:
        """Raise InputError for values that cannot be used."""
        if self.address is not None and os.path.exists(self.address):
            raise InputError(
                f"--ray {self.address}: is a path, not the address of a cluster (HOST:PORT); name"
                " paths before --ray"
            )


def usual_actors(processors: int) -> int:
    """Two processors of three: so much of the work is the default encoder's, without a GPU."""
    return max(1, round(processors * 2 / 3))


class Cluster:
    """Worker processes, started or joined when there is work, and left when this is closed.

    ``outcomes`` is a ``pipeline.Work``. Raises MissingExtraError without Ray, ClusterError if the
    cluster cannot be had or gives up.
    """

    def __init__(self, options: ClusterOptions = ClusterOptions(), *, by_name: bool = True) -> None:
        options.check()
        load_ray()
        self._options, self._by_name = options, by_name
        self._ends = contextlib.ExitStack()
        self._processors = 0

    def __enter__(self) -> Cluster:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ends.close()

    # -- what it does ----------------------------------------------------------------------------

    def outcomes(
        self,
        source: Source,
        entries: Iterable[FileEntry],
        count: int,
        encoder: Encoder,
        options: IndexOptions,
    ) -> Generator[Outcome | None, None, None]:
        """What each of ``count`` entries gave, in their order."""
        recipe, told = Recipe.of(encoder, by_name=self._by_name), time.monotonic()
        for piece in self._through(source, entries, count, recipe, options, None):
            yield from outcomes_of(piece)
            if time.monotonic() - told > TICK_SECONDS:
                told = time.monotonic()
                yield None

    def write_parts(
        self,
        source: Source,
        entries: Iterable[FileEntry],
        count: int,
        encoder: Encoder,
        options: IndexOptions,
        folder: PartsFolder,
    ) -> Iterator[Counts]:
        """Have what each entry gave written to parts; yields what became of some, in any order."""
        recipe = Recipe.of(encoder, by_name=self._by_name)
        form = Form(recipe.spec.space, bool(recipe.spec.classes))
        write = _Writing(folder, form)
        for told in self._through(source, entries, count, recipe, options, write):
            yield _counts_of(told)

    def _through(
        self,
        source: Source,
        entries: Iterable[FileEntry],
        count: int,
        recipe: Recipe,
        options: IndexOptions,
        write: _Writing | None,
    ) -> Iterator[Packed]:
        """Blocks of entries through the cluster, a window of them at a time."""
        if not count:
            return
        self._start()
        cut = blocks(entries, block_size(count, self._processors))
        while window := [pack_entries(block) for block in itertools.islice(cut, WINDOW)]:
            dataset = self._dataset(window, source, recipe, options, write)
            with _readable_errors():
                for row in dataset.iter_rows():
                    yield row[_COLUMN]

    def _dataset(
        self,
        window: Sequence[Packed],
        source: Source,
        recipe: Recipe,
        options: IndexOptions,
        write: _Writing | None,
    ) -> Any:
        """Ray's plan for some blocks: nothing is done before its rows are asked for."""
        ray = load_ray()
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        context.execution_options.preserve_order = write is None
        gpus = {"num_gpus": self._options.gpus} if self._options.gpus else {}
        source, readers = self._shared(source, options)
        share = 1 if self._processors > 1 else 0.3  # three steps on one processor
        with warnings.catch_warnings():
            # Ray Data would read a block for ever that ends its process each time.
            warnings.simplefilter("ignore")
            dataset = ray.data.from_arrow([_table([block]) for block in window]).map_batches(
                _read,
                fn_kwargs={"source": source, "recipe": recipe, "options": options},
                batch_size=1,
                batch_format="pyarrow",
                num_cpus=share,
                compute=ray.data.TaskPoolStrategy(size=readers) if readers else None,
                max_retries=RETRIES,
            )
        dataset = dataset.map_batches(
            _Encoding,
            fn_constructor_args=(recipe, options.encode_batch, __version__),
            fn_constructor_kwargs={"alone": bool(gpus)},
            batch_size=1,
            batch_format="pyarrow",
            num_cpus=share,
            compute=ray.data.ActorPoolStrategy(size=self._actors()),
            **gpus,
        )
        if write is None:
            return dataset
        return dataset.map_batches(
            _write,
            fn_kwargs={"writing": write},
            batch_size=1,
            batch_format="pyarrow",
            num_cpus=share,
        )

    def _actors(self) -> int:
        """How many processes hold the encoder; raises InputError if none is left for the rest."""
        asked = self._options.actors
        if asked is None:
            return max(1, min(usual_actors(self._processors), self._processors - 1))
        if self._processors > 1 and asked >= self._processors:
            raise InputError(
                f"--ray-actors {asked}: the cluster has {self._processors} processors, and one at"
                " least has to read; name fewer"
            )
        return asked

    def _shared(self, source: Source, options: IndexOptions) -> tuple[Source, int | None]:
        """A source as each task has it, and how many may read at a time, None for any number.

        Servers are asked by no more tasks than each host may be asked at a time.
        """
        if not isinstance(source, UrlTableSource):
            return source, None
        how = options.fetching
        readers = max(1, min(how.per_host, how.connections, self._processors - 1))
        return source.shared_by(readers), readers

    # -- coming and going ------------------------------------------------------------------------

    def _start(self) -> None:
        if self._processors:
            return
        ray = load_ray()
        self._ends.enter_context(_stdout_without_ray())
        if not ray.is_initialized():
            with _readable_errors(), _silent():
                self._join(ray) if self._options.address else self._start_own(ray)
            self._ends.callback(_shut_down, ray)
        self._processors = max(1, int(ray.cluster_resources().get("CPU", 1)))

    def _join(self, ray: Any) -> None:
        assert self._options.address is not None
        _require_answer(self._options.address)
        ray.init(self._options.address, logging_level=logging.CRITICAL, log_to_driver=False)

    def _start_own(self, ray: Any) -> None:
        """A cluster of this machine alone: it leaves nothing behind, and no page is served."""
        scratch = tempfile.mkdtemp(prefix="lr-")  # the paths of its sockets have to be short
        self._ends.callback(_remove, scratch)
        # Else Ray puts one into the home folder. It remembers it: one for all of a process.
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
        # Encoders wait for readers, and readers for them: each side has a processor's turn.
        ray.init(
            num_cpus=cores() + (self._options.actors or usual_actors(cores())),
            include_dashboard=False,
            object_store_memory=self._options.store_bytes,
            logging_level=logging.CRITICAL,
            log_to_driver=False,
            _temp_dir=scratch,
        )


def _remove(folder: str) -> None:
    """Take a folder away; processes that are just ending may still write into it."""
    for _ in range(_REMOVALS):
        shutil.rmtree(folder, ignore_errors=True)
        if not os.path.exists(folder):
            return
        time.sleep(0.1)


def _require_answer(address: str) -> None:
    """Raise ClusterError where nobody listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():  # auto, or a way that Ray knows
        return
    host = host.rpartition("/")[2].strip("[]")
    try:
        socket.create_connection((host, int(port)), _ANSWER_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise ClusterError(
            f"the cluster at {address}: nobody answers ({error}); check the address, or start one:"
            " ray start --head"
        ) from error


# -- the steps, as Ray calls them: tables of one row and one column go in and come out -------------


@dataclass(frozen=True)
class _Writing:
    """Where parts are written, and how."""

    folder: PartsFolder
    form: Form


def _read(batch: Any, source: Source, recipe: Recipe, options: IndexOptions) -> Iterator[Any]:
    """A task that reads and decodes a block."""
    with _plain_errors():
        for block in batch.column(_COLUMN).to_pylist():
            for piece in analysed(block, source, recipe, options.limits):
                yield _table([piece])


class _Encoding:
    """An actor that holds the encoder."""

    def __init__(self, recipe: Recipe, batch: int, version: str, *, alone: bool) -> None:
        with _plain_errors():
            if version != __version__:
                raise ClusterError(
                    f"a worker has lookalike {__version__}, this process {version}; install the"
                    " same everywhere"
                )
            self._encoder, self._batch = recipe.encoder(1 if alone else cores()), batch
            _require_same(self._encoder.spec.space, recipe.spec.space)

    def __call__(self, batch: Any) -> Any:
        with _plain_errors():
            pieces = batch.column(_COLUMN).to_pylist()
            return _table([encoded(piece, self._encoder, self._batch) for piece in pieces])


def _write(batch: Any, writing: _Writing) -> Any:
    """A task that writes the part of a piece, and tells what became of its pictures."""
    with _plain_errors():
        pieces = batch.column(_COLUMN).to_pylist()
        told = (write_part(writing.folder, outcomes_of(one), writing.form) for one in pieces)
        return _table([_counts_packed(counts) for counts in told])


def _require_same(own: Space, wanted: Space) -> None:
    if own != wanted:
        raise ClusterError(
            f"a worker's {own.name} is {own.weights_digest[:12]}, not {wanted.weights_digest[:12]};"
            " install the same weights everywhere"
        )


def _table(values: Sequence[Packed]) -> Any:
    pa, _ = arrow()
    return pa.table({_COLUMN: pa.array(values, pa.large_binary())})


def _counts_packed(counts: Counts) -> Packed:
    rows = [[state, reason, count] for (state, reason), count in counts.items()]
    return json.dumps(rows).encode()


def _counts_of(packed: Packed) -> Counts:
    rows = json.loads(packed)
    return Counter({(State(state), Reason(reason)): count for state, reason, count in rows})


# -- Ray itself, and what it says ------------------------------------------------------------------


def load_ray() -> Any:
    """Ray and Ray Data, told to be silent and to report to nobody; MissingExtraError without."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # read when it starts a cluster
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("indexing beyond one machine", "ray") from error
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return ray


class _WithoutRay(io.TextIOBase):
    """A stream of text that leaves out what Ray's own thread writes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        if threading.current_thread().name == _RAY_THREAD:
            return len(text)
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()


@contextlib.contextmanager
def _stdout_without_ray() -> Iterator[None]:
    """Ray tells of lost workers on stdout, whatever it was asked: that is for data.

    They are done again, and what cannot be is raised.
    """
    if sys.stdout is None:  # closed by who started this process
        yield
        return
    with contextlib.redirect_stdout(cast(TextIO, _WithoutRay(sys.stdout))):
        yield


def _shut_down(ray: Any) -> None:
    """End Ray, which says last what it has not yet said."""
    with (
        open(os.devnull, "w", encoding="utf-8") as nothing,
        contextlib.redirect_stdout(nothing),
    ):
        ray.shutdown()


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Nothing that is written to stderr is seen: Ray's own code says there how it logs.

    What goes wrong meanwhile is raised, too.
    """
    try:
        kept = os.dup(2)
    except OSError:  # closed by who started this process
        yield
        return
    try:
        with open(os.devnull, "wb") as nothing:
            os.dup2(nothing.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """Errors that are told in one line travel as such."""
    try:
        yield
    except ClusterError:
        raise
    except LookalikeError as error:
        raise ClusterError(str(error)) from None


@contextlib.contextmanager
def _readable_errors() -> Iterator[None]:
    """Ray's own errors as ClusterErrors of one line."""
    ray = load_ray()
    try:
        yield
    except (ray.exceptions.RayError, ConnectionError, RuntimeError, ValueError) as error:
        if isinstance(error, LookalikeError):
            raise
        raise ClusterError(_told(error)) from error


def _told(error: BaseException) -> str:
    cause: BaseException | None = error
    while cause is not None:
        own = getattr(cause, "cause", None)
        if isinstance(own, ClusterError):
            return str(own)
        cause = own if isinstance(own, BaseException) else cause.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [""]
    why = lines[0] if len(lines) == 1 else f"{lines[0]} ... {lines[-1]}"
    return (
        f"the cluster gave up: {type(error).__name__}: {why[:400]}; what was committed stays, the"
        " same command continues"
    )
