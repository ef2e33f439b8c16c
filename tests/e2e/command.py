"""Runs the real command as a user would, and reads what it says."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SCRIPT_TIMEOUT_SECONDS = 120

Argument = str | bytes | os.PathLike[str]


@dataclass(frozen=True)
class Answer:
    """What a finished process left: its exit status and the bytes of both streams."""

    status: int
    out: bytes
    err: bytes

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def talk(self) -> list[str]:
        return self.err.decode().splitlines()

    @property
    def paths(self) -> list[str]:
        return [os.fsdecode(line) for line in self.out.split(b"\n")[:-1]]

    def json(self) -> Any:
        return json.loads(self.out)

    def done(self) -> Answer:
        """The same, once it is sure that the command succeeded and said nothing odd."""
        assert self.status == 0, self.err.decode()
        self.said_nothing_odd()
        return self

    def refused(self, status: int, *words: str) -> str:
        """The one line on stderr of a command that ended with this status and no output."""
        self.said_nothing_odd()
        assert (self.status, self.out) == (status, b""), (self.status, self.out, self.err)
        assert len(self.talk) == 1, self.talk
        for word in words:
            assert word in self.talk[0], (word, self.talk[0])
        return self.talk[0]

    def said_nothing_odd(self) -> None:
        """Every line on stderr is the command's own."""
        odd = [line for line in self.talk if not line.startswith("lookalike: ")]
        assert not odd, self.err.decode()

    def counts(self) -> dict[tuple[str, str], int]:
        """The summary table of ``index``: files by state and reason."""
        header, *rows = self.text.splitlines()
        assert header.split() == ["state", "reason", "files"]
        table = {}
        for row in rows:
            state, rest = row.split("  ", 1)
            reason, count = rest.strip().rsplit("  ", 1)
            table[state, reason.strip()] = int(count)
        return table


def environment(home: Path, library: Path, **more: str) -> dict[str, str]:
    """A bare environment in which the command finds its home and its library."""
    own = {"HOME": str(home), "LOOKALIKE_LIBRARY": str(library), "LANG": "C.UTF-8"}
    return {"PATH": os.environ["PATH"], "PYTHONPATH": _python_path(), **own, **more}


def _take_interrupts() -> None:
    """A process started in the background of a script would ignore them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _python_path() -> str:
    """This process's PYTHONPATH with absolute folders, so that it holds in any folder."""
    folders = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return os.pathsep.join(os.path.abspath(folder) for folder in folders if folder)


@dataclass(frozen=True)
class Command:
    """The command with a library: ``command("search", photo)`` is ``lookalike search photo``."""

    library: Path
    prefix: Sequence[str] = ()

    @property
    def program(self) -> list[str]:
        return [*self.prefix, sys.executable, "-m", "lookalike"]

    def environment(self, **more: str) -> dict[str, str]:
        home = self.library.parent / "home"
        home.mkdir(parents=True, exist_ok=True)
        return environment(home, self.library, **more)

    def __call__(
        self, *arguments: Argument, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> Answer:
        return self._finish([*self.program, *arguments], env or self.environment(), cwd)

    def script(self, source: str, *arguments: Argument) -> Answer:
        """Run a few lines of Python that use the library, as another process."""
        program = [*self.prefix, sys.executable, "-c", source, *arguments]
        return self._finish(program, self.environment(), None)

    def start(self, *arguments: Argument, source: str | None = None) -> subprocess.Popen[bytes]:
        """The command, or a script, running; the caller ends it."""
        program = self.program if source is None else [*self.prefix, sys.executable, "-c", source]
        return subprocess.Popen(
            [*program, *arguments],
            stdin=subprocess.DEVNULL if source is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment(),
            preexec_fn=_take_interrupts,
        )

    def _finish(
        self, program: Sequence[Argument], env: Mapping[str, str], cwd: Path | None
    ) -> Answer:
        done = subprocess.run(
            program,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SCRIPT_TIMEOUT_SECONDS,
            env=dict(env),
            cwd=cwd,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def ledger(self, *options: str) -> dict[str, dict[str, str]]:
        """The ledger by path, as ``ledger --csv -`` prints it."""
        text = self("ledger", "--csv", "-", *options).done().out.decode()
        return {row["path"]: row for row in csv.DictReader(io.StringIO(text, newline=""))}

    def copy(self, folder: Path) -> Command:
        """The same command with a copy of its library."""
        shutil.copytree(self.library, folder)
        return Command(folder, self.prefix)
