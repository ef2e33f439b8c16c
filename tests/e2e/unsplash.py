"""Archives of the form of Unsplash's, as ``examples/unsplash_like.py`` makes them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

EXAMPLES = Path(__file__).parents[2] / "examples"


def _load() -> ModuleType:
    name = "unsplash_like"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


_made = _load()
photos_in, served, write_archive = _made.photos_in, _made.served, _made.write_archive
