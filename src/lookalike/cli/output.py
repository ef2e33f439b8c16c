"""How the commands print: data on stdout, talk on stderr, paths byte for byte."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from lookalike.present.table import printable


def talk(message: str) -> None:
    """One line for the user, on stderr."""
    print(f"lookalike: {printable(message)}", file=sys.stderr)


def print_path(path: str, end: bytes = b"\n") -> None:
    """A path on stdout exactly as the file system has it, whatever its bytes."""
    sys.stdout.flush()
    sys.stdout.buffer.write(os.fsencode(path) + end)


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on stdout, ASCII only; undecodable bytes of paths as lone surrogates."""
    print(json.dumps(value, indent=2))


def add_library_option(parser: argparse.ArgumentParser) -> None:
    """``--library DIR``, the same everywhere."""
    parser.add_argument(
        "--library",
        metavar="DIR",
        help="the library's folder (default: $LOOKALIKE_LIBRARY, else lookalike in your data"
        " folder)",
    )
