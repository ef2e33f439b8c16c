"""The main job on real photos: index a folder, search with two inputs, draw a contact sheet.

    python examples/demo.py [FOLDER]

Without a folder, the photos in scikit-image's wheel are used. Every command is printed before it is
run. Libraries (one a folder) and the sheet lie in .demo; the sheet's path is printed last.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

DEMO = Path(".demo")
SHEET = DEMO / "sheet.png"


def main() -> int:
    """Run the demonstration; returns the exit status of the first command that fails."""
    try:
        own = Path(sys.argv[1]) if len(sys.argv) > 1 else None
        folder = own or shipped_photos()
        DEMO.mkdir(exist_ok=True)
        library = DEMO / f"library-{hashlib.sha256(bytes(folder.resolve())).hexdigest()[:8]}"
        lookalike = partial(run, library)
        lookalike("index", folder)
        inputs = (
            two_inputs(lookalike)
            if own
            else [folder / "motorcycle_left.png", folder / "rocket.jpg"]
        )
        lookalike("search", *inputs, "--sheet", SHEET)
    except subprocess.CalledProcessError as error:
        return int(error.returncode)
    print(SHEET.resolve())
    return 0


def shipped_photos() -> Path:
    """The folder of photos inside scikit-image's wheel."""
    spec = importlib.util.find_spec("skimage")
    if spec is None or spec.origin is None:
        raise SystemExit("scikit-image is not installed; name a folder: make demo PHOTOS=DIR")
    return Path(spec.origin).parent / "data"


def two_inputs(lookalike: Callable[..., str]) -> list[str]:
    """A random picture and the one most like it, so that the two have something in common."""
    found = lookalike("search", "--random", "--seed", "6", "-k", "1", "--json", show=False)
    result = json.loads(found)
    first = result["query"]["inputs"][0]["path"]
    return [first, *(hit["paths"][0] for hit in result["hits"])]


def run(library: Path, *arguments: object, show: bool = True) -> str:
    """Run the real command on a library; returns its standard output."""
    words = ["lookalike", *map(str, arguments), "--library", str(library)]
    if show:
        print(f"$ {shlex.join(words)}", flush=True)
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    if show:
        print(done.stdout, flush=True)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
