"""The weights that lie inside the package."""

from __future__ import annotations

import hashlib
from importlib.resources import files

from lookalike.errors import LookalikeError
from lookalike.features.encoders.base import EncoderSpec


def shipped_weights(spec: EncoderSpec) -> bytes:
    """The weights file of a catalogue entry; raises LookalikeError if it is not what it was."""
    weights = files(__package__).joinpath("weights", spec.weights).read_bytes()
    digest = hashlib.sha256(weights).hexdigest()
    if digest != spec.weights_digest:
        raise LookalikeError(
            f"{spec.weights}: SHA-256 is {digest[:12]}..., expected"
            f" {spec.weights_digest[:12]}...; the file is damaged, install lookalike again"
        )
    return weights
