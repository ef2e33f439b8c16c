"""What an encoder is. One that runs elsewhere registers a factory as a plug-in (see catalogue)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from PIL import Image

from lookalike.types import Crop, FloatArray, PixelArray, Space


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file on the Hugging Face Hub: ``path`` in ``repository``; here it is called ``name``."""

    repository: str
    path: str
    name: str


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """An encoder as data: what it is called, what it makes, whose it is.

    ``weights_digest`` is the SHA-256 of the weights file, in hex, empty for one that is downloaded
    until it is here; ``side`` the width and height of its square input in pixels;
    ``preprocessing`` names how a picture becomes that square (``preparing``).
    ``in_integers``: most layers are of 8-bit integers. ``names_classes``: the directions of
    ``categories.class_directions`` are those of its space, so that words can be searched with.

    ``hub``: the files to be downloaded, none for weights inside the package; ``architecture`` is
    the key in ``graphs.ARCHITECTURES`` of what builds the graph from the weights; ``reads_words``:
    it has a tower for text.

    What was measured on photos, None where it was not: ``tail``, how far the logits that are not
    kept lie below the last one that is, in the mean of their exponentials (without it a library
    tells no labels by this encoder); ``usual_cosines``, median and spread of the cosines of photos
    that show all sorts of things (without them only a library's own pairs say how alike is alike).
    ``places``: the tensor of the graph, (n, dim, rows, columns), whose mean over rows and columns
    is the vector before it is scaled, if there is one.
    """

    name: str
    dim: int
    side: int
    preprocessing: str
    classes: int
    weights: str
    weights_digest: str
    size_mb: float
    licence: str
    source: str
    in_integers: bool = False
    names_classes: bool = False
    hub: tuple[HubFile, ...] = ()
    architecture: str = ""
    reads_words: bool = False
    tail: float | None = None
    usual_cosines: tuple[float, float] | None = None
    places: str | None = None

    @property
    def shipped(self) -> bool:
        """Whether the weights lie inside the package."""
        return not self.hub

    @property
    def space(self) -> Space:
        """The space in which this encoder's vectors lie."""
        return Space(self.name, self.weights_digest, self.preprocessing, self.dim)


@dataclass(frozen=True, slots=True)
class Encoded:
    """``vectors`` float32 (n, dim) of unit length; ``logits`` float32 (n, classes) or None."""

    vectors: FloatArray
    logits: FloatArray | None


class Encoder(Protocol):
    """Turns pictures into unit vectors.

    The contract, held by ``tests/contracts/test_encoders.py``: ``prepare`` takes an RGB picture of
    any size and gives uint8 (side, side, 3); ``encode`` takes uint8 (n, side, side, 3), n >= 1,
    gives float32 (n, dim) of unit length, and a picture's vector does not depend on its batch
    (to 1e-5). Both may be called from several threads. One that reads words has ``encode_words``,
    too: strings to float32 (n, dim) of unit length, in the same space.
    """

    @property
    def spec(self) -> EncoderSpec: ...

    def prepare(self, image: Image.Image) -> PixelArray: ...

    def encode(self, pixels: PixelArray) -> Encoded: ...


@dataclass(frozen=True, slots=True)
class Places:
    """What an encoder saw at each place of one picture.

    ``vectors`` float32 (rows, columns, dim): their mean has the direction of the picture's vector.
    ``box``: the part of the picture that they are of.
    """

    vectors: FloatArray
    box: Crop


@runtime_checkable
class PlacesEncoder(Protocol):
    """What an Encoder may be, too: one that tells from where in a picture its vector comes."""

    def places(self, image: Image.Image) -> Places | None:
        """Of an RGB picture; None if these weights do not have that."""


def unit(vectors: FloatArray) -> FloatArray:
    """Rows scaled to length 1, float32 (n, dim); a row of zeros stays zero."""
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
