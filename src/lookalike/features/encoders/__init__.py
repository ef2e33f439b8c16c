"""Encoders: pictures to vectors. ``base`` says what one is, ``catalogue`` lists those at hand."""

from lookalike.features.encoders.base import Encoded, Encoder, EncoderSpec, Places, PlacesEncoder
from lookalike.features.encoders.catalogue import DEFAULT_ENCODER, load_encoder

__all__ = [
    "DEFAULT_ENCODER",
    "Encoded",
    "Encoder",
    "EncoderSpec",
    "Places",
    "PlacesEncoder",
    "load_encoder",
]
