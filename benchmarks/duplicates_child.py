"""imagededup's hashes, run by ``duplicates.py`` in an environment that has it.

    python benchmarks/duplicates_child.py FOLDER

Finds pairs among all pictures below FOLDER by each of four hashes with imagededup's own default
threshold. Prints one JSON object: seconds, and per hash the pairs as numbers of sorted paths;
``{"missing": NAME}`` where a module is not there. Does not import lookalike.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

HASHES = ("PHash", "DHash", "AHash", "WHash")


def main() -> None:
    folder = Path(sys.argv[1])
    logging.disable(logging.INFO)
    # Its networks' module, which is not asked here, must fit torch's build to be imported at all.
    for name in ("", ".models", ".models.vision_transformer", ".transforms"):
        sys.modules[f"torchvision{name}"] = MagicMock()
    try:
        from imagededup import methods
    except ModuleNotFoundError as error:
        print(json.dumps({"missing": error.name}))
        return
    paths = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.jpg"))
    number = {path: place for place, path in enumerate(paths)}
    out: dict[str, Any] = {}
    for name in HASHES:
        started = time.perf_counter()
        method = getattr(methods, name)(verbose=False)
        encodings = method.encode_images(folder, recursive=True)
        found = method.find_duplicates(encoding_map=encodings)
        pairs = sorted(
            {
                (min(number[one], number[two]), max(number[one], number[two]))
                for one, others in found.items()
                for two in others
            }
        )
        out[name] = {"seconds": round(time.perf_counter() - started, 1), "pairs": pairs}
    print(json.dumps(out))


if __name__ == "__main__":
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    main()
