"""A picture at another size, as Pillow makes it, at a fraction of the time.

Half of what indexing spends beside the encoder is spent here: histogram, hash, thumbnail and
encoder each want their own size. ``kernels.resample`` gives the bytes that Pillow's two passes
give, rows first (Pillow 13 begins with the columns where a picture loses more height than width);
where it cannot run, Pillow does. Measured in ``docs/adr/0007-resampling.md``.
"""

from __future__ import annotations

import ctypes

import numpy as np
from PIL import Image

from lookalike import kernels
from lookalike.types import PixelArray

Box = tuple[float, float, float, float]


def resample(
    image: Image.Image, size: tuple[int, int], box: Box | None = None, *, cubic: bool = True
) -> PixelArray:
    """The part ``box`` (left, top, right, bottom in pixels; all by default) of an RGB picture.

    uint8 (height, width, 3) for ``size`` (width, height). ``cubic``: bicubic, stretched over all
    pixels that a smaller size covers; otherwise the mean of these.
    """
    shared = _Shared(image)
    if shared.pixels is not None:
        part = box or (0.0, 0.0, float(image.width), float(image.height))
        resampled = kernels.resample(shared.pixels, size, part, cubic=cubic)
        if resampled is not None:
            return resampled
    method = Image.Resampling.BICUBIC if cubic else Image.Resampling.BOX
    return np.asarray(image.resize(size, method, box=box))


class _ArrowArray(ctypes.Structure):
    """The C data interface of Apache Arrow, by which Pillow shows a picture's own memory."""


_ArrowArray._fields_ = [
    ("length", ctypes.c_int64),
    ("null_count", ctypes.c_int64),
    ("offset", ctypes.c_int64),
    ("n_buffers", ctypes.c_int64),
    ("n_children", ctypes.c_int64),
    ("buffers", ctypes.POINTER(ctypes.c_void_p)),
    ("children", ctypes.POINTER(ctypes.POINTER(_ArrowArray))),
    ("dictionary", ctypes.c_void_p),
    ("release", ctypes.c_void_p),
    ("private_data", ctypes.c_void_p),
]
_address_in = ctypes.pythonapi.PyCapsule_GetPointer
_address_in.restype = ctypes.c_void_p
_address_in.argtypes = [ctypes.py_object, ctypes.c_char_p]


class _Shared:
    """An RGB picture's own memory; ``pixels`` uint8 (height, width, 4) live as long as this.

    They are None if they do not lie in one piece, as those of more than 4 megapixels.
    """

    def __init__(self, image: Image.Image) -> None:
        self.pixels: PixelArray | None = None
        if image.mode != "RGB":
            return
        try:
            _, self._capsule = image.__arrow_c_array__()
        except ValueError:
            return
        address = _address_in(self._capsule, b"arrow_array")
        held = ctypes.cast(address, ctypes.POINTER(_ArrowArray)).contents.children[0].contents
        memory = ctypes.cast(held.buffers[1], ctypes.POINTER(ctypes.c_uint8))
        self.pixels = np.ctypeslib.as_array(memory, (image.height, image.width, 4))
