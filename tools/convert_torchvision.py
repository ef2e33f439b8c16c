"""Make a .safetensors of torchvision's weights: python tools/convert_torchvision.py FILE.pth OUT.

For who has torchvision's own files. They are checked against the digits of their SHA-256 that
torchvision puts into their names, and read with ``weights_only``, which runs nothing that is in
them; still it is PyTorch that reads them, so lookalike itself never does. Then:

    lookalike models add resnet50 OUT

Needs ``torch==2.13.0`` and ``safetensors``. Tensors keep their names and values; counters of
training and Inception's second exit, which no embedding needs, are left out.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path

KNOWN = {
    "resnet50": "0676ba61",
    "resnet50-v2": "11ad3fa6",
    "inception-v3": "0cc3c7bd",
}
"""The first digits of each file's SHA-256, from torchvision's list of its weights."""

_LEFT_OUT = ("num_batches_tracked",)
_SECOND_EXIT = "AuxLogits."


def convert(source: Path, target: Path, *, check: bool = True) -> str:
    """Write ``target``; returns its SHA-256. Raises ValueError for a file that is not known."""
    import torch
    from safetensors.torch import save_file

    digest = _sha256(source)
    if check and not digest.startswith(tuple(KNOWN.values())):
        known = ", ".join(f"{name} {digits}" for name, digits in KNOWN.items())
        raise ValueError(f"{source}: SHA-256 is {digest[:8]}..., none of: {known}")
    tensors = torch.load(source, map_location="cpu", weights_only=True)
    kept = {
        name: tensor.contiguous()
        for name, tensor in tensors.items()
        if not name.endswith(_LEFT_OUT) and not name.startswith(_SECOND_EXIT)
    }
    save_file(kept, target)
    return _sha256(target)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    print(convert(options.source, options.target), options.target)
