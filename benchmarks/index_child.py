"""The ``lookalike`` command, which also writes how long the stages of indexing took to a file.

    python benchmarks/index_child.py STAGES.json BATCH index FOLDER --library LIBRARY

Started by other benchmarks. BATCH is 0 for the files a commit takes by default; short runs take
fewer, so that there is something to kill between two commits. ``drawn.VARIABLE`` in the environment
has vectors drawn instead of computed.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

import drawn

from lookalike import IndexOptions, Library
from lookalike.cli.main import main
from lookalike.pipeline import IndexReport


def tell(stages: Path, batch: int) -> None:
    """Make ``Library.add_from``, which the command calls, write its report's seconds."""
    add = Library.add_from

    def telling(library: Library, source: Any, options: IndexOptions, *others: Any) -> IndexReport:
        if batch:
            options = dataclasses.replace(options, commit_batch=batch)
        if like := os.environ.get(drawn.VARIABLE):
            library._given_encoder = drawn.DrawnEncoder(Path(like))
        report = add(library, source, options, *others)
        stages.write_text(json.dumps(report.seconds))
        return report

    Library.add_from = telling  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    tell(Path(sys.argv[1]), int(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
