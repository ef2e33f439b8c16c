from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.servers import postgres_library

from .command import Command
from .gallery import crops, write_gallery


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The gallery. Nobody may write here; tests that change photos make their own folder."""
    folder = tmp_path_factory.mktemp("gallery") / "photos"
    write_gallery(folder)
    return folder


@pytest.fixture(scope="session")
def indexed(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The command with a library in which the gallery was indexed. Only to be read."""
    command = Command(tmp_path_factory.mktemp("indexed") / "library")
    command("index", photos).done()
    return command


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """The command with a library that does not exist yet."""
    return Command(tmp_path / "library")


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder of six small photos of the test's own: 0000.jpg to 0005.jpg."""
    folder = tmp_path / "album"
    folder.mkdir()
    for name, data in crops(6):
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture(params=["postgresql", "chdb"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A server where nothing lies yet; chDB in a folder of its own, for one process at a time."""
    if request.param == "postgresql":
        return postgres_library(tmp_path / "there")
    return f"chdb://{tmp_path / 'chdb'}?database=there"


@pytest.fixture(scope="session")
def powerless() -> tuple[str, ...]:
    """What to put before a command so that file permissions hold for it, even for root."""
    if os.geteuid():
        return ()
    if shutil.which("setpriv") is None:
        pytest.skip("root passes every permission, and setpriv is not there to give that up")
    return ("setpriv", "--bounding-set=-all", "--inh-caps=-all")


@pytest.fixture
def protect() -> Callable[[Path, int], None]:
    """``protect(path, mode)``: set permissions until the test ends."""
    before: list[tuple[Path, int]] = []

    def change(path: Path, mode: int) -> None:
        before.append((path, path.stat().st_mode))
        path.chmod(mode)

    yield change
    for path, mode in reversed(before):
        path.chmod(mode)


class Disk:
    """A small file system in memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def resize(self, megabytes: int) -> None:
        options = f"remount,size={megabytes}m"
        subprocess.run(["mount", "-o", options, str(self.folder)], check=True)

    def fill(self) -> Path:
        """Leave not a byte free; returns the file that takes the room."""
        stuffing = self.folder / "stuffing"
        with open(stuffing, "wb", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue
        return stuffing


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this user may not mount a small file system")
    yield Disk(folder)
    subprocess.run(["umount", "-l", str(folder)], check=True)
