"""No network, and nothing written anywhere but into the library."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .command import Command

# Every way in which Python reaches the network raises, and leaves its trace in a file.
GUARDED = """
import socket, sys
trace = open(sys.argv[1], "w")
def refuse(*arguments, **options):
    print(arguments, file=trace, flush=True)
    raise OSError("the network was asked for")
for name in ("connect", "connect_ex", "sendto", "sendmsg", "bind"):
    setattr(socket.socket, name, refuse)
for name in ("getaddrinfo", "gethostbyname", "create_connection"):
    setattr(socket, name, refuse)
from lookalike.cli.main import main
status = main(sys.argv[2:])
sys.exit(status)
"""

PROOF = GUARDED.split("from lookalike")[0] + "socket.create_connection(('192.0.2.1', 80))"

LINGER = """
import sys, time
from lookalike import Library
with Library.open(create=True) as library:
    library.add([sys.argv[1]])
    library.search(library.random_record(1))
    time.sleep(15)
"""


def commands(album: Path) -> list[tuple[str | Path, ...]]:
    photo = album / "0000.jpg"
    return [
        ("index", album),
        ("search", photo),
        ("search", photo, "--by", "mix", "--sheet", album.parent / "sheet.html"),
        ("search", photo, "--by", "pca", "--dims", "3"),
        ("ledger",),
        ("pca", "study", "--dims", "3"),
        ("plan", album),
        ("doctor", "--all"),
        ("index", album, "--prune"),
    ]


def test_python_asks_for_no_network(album: Path, command: Command, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    for arguments in commands(album):
        command.script(GUARDED, trace, *arguments).done()
        assert trace.read_text() == ""
    assert command.script(PROOF, trace).status == 1
    assert "192.0.2.1" in trace.read_text(), "the guard itself works"


def test_commands_work_where_there_is_no_network_at_all(album: Path, tmp_path: Path) -> None:
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-n", "true"]).returncode:
        pytest.skip("this user may not make a namespace without a network")
    command = Command(tmp_path / "library", ("unshare", "-n"))
    for arguments in commands(album):
        command(*arguments).done()


def test_nothing_is_written_into_the_home_folder(album: Path, command: Command) -> None:
    """Parts that phone home keep what they have to say in the home folder first."""
    for arguments in commands(album):
        command(*arguments).done()
    home = Path(command.environment()["HOME"])
    assert [str(path.relative_to(home)) for path in home.rglob("*")] == []


def test_nothing_is_left_in_the_folder_for_temporary_files(
    album: Path, command: Command, tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    for arguments in commands(album):
        command(*arguments, env=command.environment(TMPDIR=str(temporary))).done()
    assert list(temporary.iterdir()) == []


@pytest.mark.long
def test_no_part_of_the_process_opens_a_connection(
    album: Path, command: Command, tmp_path: Path
) -> None:
    """Native libraries, too; some of them wait for seconds before they phone home."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    watched = ("strace", "-f", "-e", "trace=connect,sendto,sendmsg", "-o", str(trace))
    assert Command(command.library, watched).script(LINGER, album).status == 0
    calls = re.findall(r"(?:connect|sendto|sendmsg)\(.*AF_(?:INET|UNIX).*", trace.read_text())
    assert calls == []
    program = "import socket; socket.socket(type=socket.SOCK_DGRAM).connect(('192.0.2.1', 9))"
    subprocess.run([*watched, sys.executable, "-c", program], check=True)
    assert "192.0.2.1" in trace.read_text(), "strace itself works"
