"""The main job on real photos: index a folder, search with two inputs, draw a contact sheet.

    python examples/demo.py [FOLDER]

Without a folder, the photos in scikit-image's wheel are used. Every command is printed before it is
run. The library lies in .demo/library, the sheet in .demo/sheet.png; its path is printed last.
"""

from __future__ import annotations

import importlib.util
import json
import shlex
import subprocess
import sys
from pathlib import Path

DEMO = Path(".demo")
LIBRARY = DEMO / "library"
SHEET = DEMO / "sheet.png"


def main() -> int:
    """Run the demonstration; returns the exit status of the first command that fails."""
    try:
        own = Path(sys.argv[1]) if len(sys.argv) > 1 else None
        folder = own or shipped_photos()
        DEMO.mkdir(exist_ok=True)
        lookalike("index", folder)
        inputs = two_inputs() if own else [folder / "motorcycle_left.png", folder / "rocket.jpg"]
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


def two_inputs() -> list[str]:
    """A random picture and the one most like it, so that the two have something in common."""
    found = lookalike("search", "--random", "--seed", "6", "-k", "1", "--json", show=False)
    result = json.loads(found)
    first = result["query"]["inputs"][0]["path"]
    return [first, *(hit["paths"][0] for hit in result["hits"])]


def lookalike(*arguments: object, show: bool = True) -> str:
    """Run the real command on the demo's library; returns its standard output."""
    words = ["lookalike", *map(str, arguments), "--library", str(LIBRARY)]
    if show:
        print(f"$ {shlex.join(words)}", flush=True)
    command = [sys.executable, "-m", *words]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    if show:
        print(done.stdout, flush=True)
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
