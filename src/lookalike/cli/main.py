"""Entry point: parse, run one command, turn errors into one line and an exit status."""

from __future__ import annotations

import argparse
import importlib
import io
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from typing import NoReturn

from lookalike import __version__
from lookalike.cli.output import talk
from lookalike.errors import LookalikeError

COMMANDS = (
    "index", "plan", "search", "why", "compare", "categories", "label", "duplicates",
    "map", "table", "sql", "unsplash", "spaces", "models", "ledger", "pca", "evaluate", "doctor",
    "export", "import", "push", "status",
)  # fmt: skip
"""The commands, each in the module of its name."""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        talk(f"{message}; see: {self.prog} --help")
        raise SystemExit(2)


def build_parser(commands: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """The parser of these commands."""
    parser = _Parser(prog="lookalike", description="Find pictures by pictures, offline.")
    parser.add_argument("--version", action="version", version=f"lookalike {__version__}")
    parsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for command in commands:
        importlib.import_module(f"lookalike.cli.{command}").add_commands(parsers)
    return parser


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace | int:
    """The options, or the exit status with which the parser had its say (--help, an error)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    named = arguments[:1]  # what other commands import costs a tenth of a second
    try:
        return build_parser(named if {*named} & {*COMMANDS} else COMMANDS).parse_args(arguments)
    except SystemExit as end:
        return int(end.code or 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    warnings.filterwarnings("ignore", module="PIL")  # odd metadata is no news to the user
    if sys.stdout is None:  # closed by who started it: nobody reads the data
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if isinstance(sys.stdout, io.TextIOWrapper):  # names a terminal cannot show are escaped
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        options = _parsed(arguments)
        status: int = options if isinstance(options, int) else options.run(options)
        sys.stdout.flush()
        return status
    except LookalikeError as error:
        talk(str(error))
        return error.exit_status
    except KeyboardInterrupt:
        talk("stopped; what was committed stays, the same command continues")
        return 128 + signal.SIGINT
    except BrokenPipeError:  # the reader of a pipe has seen enough
        _drop_output()
        return 0
    except OSError as error:
        _drop_output()
        talk(f"{error.filename or 'output'}: {error.strerror}; check the disk it goes to")
        return 1


def _drop_output() -> None:
    """Keep Python from trying to write what is left when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
