"""The implementations that encoders are compared with: torchvision, transformers, open_clip.

They are not needed to run lookalike; where they cannot be imported, their tests say so and are
skipped.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

os.environ.setdefault("HF_HUB_OFFLINE", "1")
PHOTOS = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "retina.jpg")


def photos(count: int = len(PHOTOS)) -> list[Image.Image]:
    """Photos from scikit-image's wheel, upright and lying, larger and smaller."""
    folder = pytest.importorskip("skimage").data_dir
    return [Image.open(Path(folder, name)).convert("RGB") for name in PHOTOS[:count]]


@contextmanager
def quiet() -> Iterator[None]:
    """What the references warn of is theirs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _imported(name: str) -> ModuleType:
    with quiet():
        return pytest.importorskip(name, reason=f"{name} is not at hand", exc_type=ImportError)


def torch() -> Any:
    """PyTorch with one thread."""
    module = _imported("torch")
    module.set_num_threads(1)
    return module


def torchvision() -> Any:
    """torchvision, also where its compiled part is for another PyTorch: models need none of it."""
    own = torch()
    try:
        return _imported("torchvision")
    except RuntimeError:  # operators that it wants to add to do not exist
        for name in [one for one in sys.modules if one.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        for operator in ("nms", "qnms"):
            signature = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            own.library.define(f"torchvision::{operator}", signature)
        return _imported("torchvision")


def transformers() -> Any:
    """The library transformers, with the parts that need torchvision."""
    torchvision()
    return _imported("transformers")


def open_clip() -> Any:
    torchvision()
    return _imported("open_clip")


def timm() -> Any:
    """The library that publishes torchvision's weights on the Hub."""
    torchvision()
    return _imported("timm")


def tensors(path: Path) -> dict[str, Any]:
    """A safetensors file as PyTorch's tensors."""
    torch()
    with quiet():
        loaded: dict[str, Any] = _imported("safetensors.torch").load_file(path)
    return loaded


def normalised(pixels: np.ndarray, mean: tuple[float, ...], deviation: tuple[float, ...]) -> Any:
    """uint8 (n, side, side, 3) as torchvision's ToTensor and Normalize give it."""
    scaled = torch().tensor(pixels).permute(0, 3, 1, 2).float() / 255
    torchvision()
    transforms = _imported("torchvision.transforms.functional")
    return transforms.normalize(scaled, list(mean), list(deviation))
