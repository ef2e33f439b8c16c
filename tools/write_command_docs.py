"""Write docs/commands.md from the parser's own help: python tools/write_command_docs.py."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from lookalike.cli.main import build_parser

PAGE = Path(__file__).parent.parent / "docs" / "commands.md"
HEADER = """# Commands

Written by `tools/write_command_docs.py` from the commands' own help; a test compares.

Data goes to stdout, everything else to stderr. Exit status: 0 done (also if some files could not
be read), 1 nothing could be done or the library cannot be used (or, with `doctor --check`,
something is off), 2 an argument cannot be used.
"""


def commands_page() -> str:
    """The text of docs/commands.md."""
    os.environ["COLUMNS"] = "100"
    os.environ["NO_COLOR"] = "1"
    sections = [
        f"## {parser.prog}\n\n```text\n{parser.format_help().strip()}\n```"
        for parser in _all(build_parser())
    ]
    return HEADER + "\n" + "\n\n".join(sections) + "\n"


def _all(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in dict.fromkeys(action.choices.values()):
                yield from _all(inner)


if __name__ == "__main__":
    PAGE.write_text(commands_page(), encoding="utf-8")
