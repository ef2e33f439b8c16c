"""What every encoder promises (features/encoders/base.py), for one of every kind."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookalike.errors import InputError
from lookalike.features.encoders import (
    DEFAULT_ENCODER,
    Encoder,
    EncoderSpec,
    PlacesEncoder,
    catalogue,
    load_encoder,
    onnx,
    openvino,
)
from lookalike.features.encoders.catalogue import (
    CATALOGUE,
    RUNTIME_VARIABLE,
    multiplies_in_bfloat16,
)
from lookalike.features.encoders.models import add, held
from lookalike.features.encoders.onnx import OnnxEncoder
from lookalike.features.encoders.openvino import OpenVinoEncoder
from lookalike.features.encoders.preparing import central_box
from tests.conftest import BLACK, WHITE, ToyEncoder, picture, plain
from tests.models import SMALL, use_small, write_tokenizer, write_weights


def small_encoder(name: str) -> Encoder:
    return load_encoder(SMALL[name].spec.name, 2)


SPEC = CATALOGUE[DEFAULT_ENCODER]
INTEGERS = CATALOGUE["efficientnet-lite0-int8"]
ENCODERS = {
    "toy": ToyEncoder,
    "onnxruntime": lambda: OnnxEncoder(SPEC),
    "onnxruntime, two at a time": lambda: OnnxEncoder(SPEC, parallel=2),
    "openvino": lambda: OpenVinoEncoder(SPEC),
    "openvino, two at a time": lambda: OpenVinoEncoder(SPEC, parallel=2),
    "int8, onnxruntime": lambda: OnnxEncoder(INTEGERS),
    "int8, openvino": lambda: OpenVinoEncoder(INTEGERS, parallel=2),
    "openvino, bfloat16": lambda: OpenVinoEncoder(SPEC, bfloat16=True),
}
ENCODERS |= {f"downloadable, {name}": partial(small_encoder, name) for name in SMALL}
ENCODERS["downloadable, openvino"] = lambda: OpenVinoEncoder(held(SMALL["resnet50"].spec), 2)
SIZES = [(1, 1), (1, 500), (500, 1), (3000, 20), (20, 3000), (224, 224), (37, 91)]


@pytest.fixture(scope="module", autouse=True)
def downloaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Small encoders with random weights lie where downloaded ones would."""
    folder = tmp_path_factory.mktemp("weights")
    with pytest.MonkeyPatch.context() as patch:
        use_small(patch, folder / "models")
        for name, small in SMALL.items():
            (folder / name).mkdir()
            write_weights(folder / name / "model.safetensors", small.architecture)
            write_tokenizer(folder / name / "tokenizer.json")
            add(small.spec, folder / name)
        yield


@pytest.fixture(scope="module", params=ENCODERS)
def encoder(request: pytest.FixtureRequest, downloaded: None) -> Encoder:
    return ENCODERS[request.param]()


def batch(encoder: Encoder, count: int) -> np.ndarray:
    return np.stack([encoder.prepare(picture(seed)) for seed in range(count)])


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_a_picture_of_any_size_is_prepared(encoder: Encoder, size: tuple[int, int]) -> None:
    side = encoder.spec.side
    pixels = encoder.prepare(picture(1, size))
    assert pixels.shape == (side, side, 3)
    assert pixels.dtype == np.uint8


def test_preparing_keeps_a_single_colour(encoder: Encoder) -> None:
    pixels = encoder.prepare(plain((12, 200, 99), (300, 50)))
    assert (pixels == (12, 200, 99)).all()


@pytest.mark.parametrize("count", [1, 2, 9])
def test_vectors_are_float32_and_of_unit_length(encoder: Encoder, count: int) -> None:
    out = encoder.encode(batch(encoder, count))
    assert out.vectors.shape == (count, encoder.spec.dim)
    assert out.vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(out.vectors, axis=1), 1.0, atol=1e-5)


def test_logits_have_a_column_per_class(encoder: Encoder) -> None:
    logits = encoder.encode(batch(encoder, 3)).logits
    if not encoder.spec.classes:
        assert logits is None
        return
    assert logits is not None
    assert logits.shape == (3, encoder.spec.classes)
    assert logits.dtype == np.float32


def test_black_and_white_have_unit_vectors_too(encoder: Encoder) -> None:
    pixels = np.stack([encoder.prepare(plain(colour)) for colour in (BLACK, WHITE)])
    vectors = encoder.encode(pixels).vectors
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)


def test_a_vector_does_not_depend_on_its_batch(encoder: Encoder) -> None:
    pixels = batch(encoder, 5)
    together = encoder.encode(pixels).vectors
    alone = np.concatenate([encoder.encode(pixels[i : i + 1]).vectors for i in range(5)])
    turned = encoder.encode(pixels[::-1].copy()).vectors[::-1]
    np.testing.assert_allclose(alone, together, atol=1e-5)
    np.testing.assert_allclose(turned, together, atol=1e-5)


def test_different_pictures_have_different_vectors(encoder: Encoder) -> None:
    vectors = encoder.encode(batch(encoder, 4)).vectors
    cosines = vectors @ vectors.T - 2 * np.eye(4)
    assert cosines.max() < 0.999


def test_several_threads_may_encode_at_once(encoder: Encoder) -> None:
    def vector(seed: int) -> np.ndarray:
        return encoder.encode(encoder.prepare(picture(seed))[None]).vectors[0]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(vector, range(8)))
    for seed, found in enumerate(together):
        np.testing.assert_allclose(found, vector(seed), atol=1e-5)


def test_the_space_carries_everything_that_makes_vectors_comparable(encoder: Encoder) -> None:
    spec, space = encoder.spec, encoder.spec.space
    assert (space.encoder, space.weights_digest) == (spec.name, spec.weights_digest)
    assert (space.preprocessing, space.dim) == (spec.preprocessing, spec.dim)


def test_words_have_unit_vectors_in_the_space_of_the_pictures(encoder: Encoder) -> None:
    encode_words = getattr(encoder, "encode_words", None)
    assert (encode_words is not None) is encoder.spec.reads_words
    if encode_words is None:
        return
    texts = ["a red car", "grass", "", "a red car", "car " * 200]
    vectors = encode_words(texts)
    assert vectors.shape == (len(texts), encoder.spec.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    np.testing.assert_allclose(vectors[0], vectors[3], atol=1e-6)
    np.testing.assert_allclose(encode_words(texts[1:2])[0], vectors[1], atol=1e-5)
    assert vectors[0] @ vectors[1] < 0.999


def test_the_toy_gives_the_vector_worked_out_by_hand() -> None:
    toy = ToyEncoder()
    vector = toy.encode(toy.prepare(plain((255, 0, 0)))[None]).vectors[0]
    np.testing.assert_allclose(vector, np.array([1, 0, 0, 1, 0, 0, 0, 0.5]) / 1.5, atol=1e-6)


@pytest.mark.parametrize("name", [spec.name for spec in CATALOGUE.values() if spec.shipped])
def test_shipped_weights_are_those_of_the_catalogue(name: str) -> None:
    spec = CATALOGUE[name]
    weights = files("lookalike.features.encoders").joinpath("weights", spec.weights).read_bytes()
    assert hashlib.sha256(weights).hexdigest() == spec.weights_digest
    assert len(weights) / 1e6 == pytest.approx(spec.size_mb, rel=0.05)


def test_an_unknown_encoder_is_refused_and_the_known_ones_named() -> None:
    with pytest.raises(InputError, match=f"'nonesuch'.*{DEFAULT_ENCODER}"):
        load_encoder("nonesuch")


@pytest.mark.parametrize(
    ("size", "box"),
    [
        ((100, 100), (0, 0, 100, 100)),
        ((400, 100), (100, 0, 300, 100)),  # sqrt(400 * 100) = 200 of 400 are kept
        ((100, 400), (0, 100, 100, 300)),
        ((1, 1), (0, 0, 1, 1)),
    ],
)
def test_the_long_side_is_cropped_to_the_geometric_mean(
    size: tuple[int, int], box: tuple[float, ...]
) -> None:
    assert central_box(*size) == pytest.approx(box)


FIRST_CALLS = """
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from lookalike.features.encoders import DEFAULT_ENCODER
from lookalike.features.encoders.catalogue import CATALOGUE
from lookalike.features.encoders.openvino import OpenVinoEncoder
encoder = OpenVinoEncoder(CATALOGUE[DEFAULT_ENCODER], parallel=2)
pixels = np.zeros((4, 224, 224, 3), np.uint8)
with ThreadPoolExecutor(2) as pool:
    print(len(list(pool.map(encoder.encode, [pixels] * 4))))
"""


def test_the_first_calls_in_a_process_may_come_from_two_threads() -> None:
    for _ in range(3):  # it hung now and then
        done = subprocess.run(
            [sys.executable, "-c", FIRST_CALLS], capture_output=True, text=True, timeout=60
        )
        assert done.stdout.strip() == "4", done.stderr


def test_both_runtimes_give_the_same_vectors_in_float32() -> None:
    one, other = OnnxEncoder(SPEC), OpenVinoEncoder(SPEC, bfloat16=False)
    pixels = batch(one, 6)
    ours, theirs = one.encode(pixels), other.encode(pixels)
    np.testing.assert_allclose(ours.vectors, theirs.vectors, atol=1e-5)
    np.testing.assert_allclose(ours.logits, theirs.logits, atol=1e-3)


def test_eight_bits_give_nearly_the_vectors_of_float32_whatever_runs_them() -> None:
    skimage_data = pytest.importorskip("skimage").data_dir
    photos = [Image.open(Path(skimage_data, f"{name}.png")) for name in PHOTOS]
    exact = OnnxEncoder(SPEC)
    pixels = np.stack([exact.prepare(photo.convert("RGB")) for photo in photos])
    expected = exact.encode(pixels).vectors
    slow, fast = (
        encoder.encode(pixels).vectors
        for encoder in (OnnxEncoder(INTEGERS), OpenVinoEncoder(INTEGERS))
    )
    assert (slow * expected).sum(axis=1).min() > 0.98
    assert (fast * expected).sum(axis=1).min() > 0.98
    assert (slow * fast).sum(axis=1).min() > 0.995


PHOTOS = ("astronaut", "chelsea", "coffee")


@pytest.mark.parametrize(
    ("description", "multiplies"),
    [
        ("model name: old\nflags\t\t: fpu avx avx2 fma\n", False),
        ("flags\t\t: fpu avx2 avx512f avx512_bf16\n", False),  # slower than float32
        ("flags\t\t: fpu avx2 avx512f avx512_bf16 amx_bf16 amx_tile\n", True),
        ("Features\t: fp asimd bf16\n", False),
        (None, False),
    ],
)
def test_bfloat16_is_for_processors_with_matrix_instructions(
    tmp_path: Path, description: str | None, multiplies: bool
) -> None:
    file = tmp_path / "cpuinfo"
    if description is not None:
        file.write_text(description)
    assert multiplies_in_bfloat16(str(file)) is multiplies


@pytest.mark.skipif(multiplies_in_bfloat16(), reason="bfloat16 pays on this processor")
def test_float32_is_openvinos_for_many_pictures_and_onnx_runtimes_for_one() -> None:
    code = "import sys; from lookalike.features.encoders import load_encoder\n"
    code += "one = load_encoder('efficientnet-lite0')\n"
    code += "assert 'openvino' not in sys.modules  # it takes a quarter of a second\n"
    code += "print(one.runtime, load_encoder('efficientnet-lite0', 2).runtime, sep='|')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=without_runtime()
    )
    one, many = done.stdout.strip().split("|")
    assert one.startswith("ONNX Runtime"), done.stderr
    assert many == "OpenVINO on the processor, float32"


def test_an_openvino_that_does_not_load_here_is_passed_over_unless_it_was_asked_for(
    tmp_path: Path,
) -> None:
    broken = tmp_path / "openvino"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise ImportError('made for another system')")
    code = "from lookalike.features.encoders import load_encoder\n"
    code += "print(load_encoder('efficientnet-lite0', 2).runtime)"
    quiet = {**without_runtime(), "PYTHONPATH": str(tmp_path)}
    wanting = {**quiet, RUNTIME_VARIABLE: "openvino"}
    passed, asked = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=variables)
        for variables in (quiet, wanting)
    )
    assert passed.stdout.startswith("ONNX Runtime"), passed.stderr
    assert "OpenVINO does not load here (made for another system)" in asked.stderr


@pytest.mark.parametrize(
    ("parallel", "amx", "gpu", "pays"),
    [
        (0, False, False, False),
        (1, False, False, True),
        (2, False, False, True),
        (2, False, True, False),
        (0, True, False, True),
    ],
)
def test_openvino_is_chosen_for_many_pictures_without_a_gpu_and_for_matrix_instructions(
    monkeypatch: pytest.MonkeyPatch, parallel: int, amx: bool, gpu: bool, pays: bool
) -> None:
    monkeypatch.delenv(RUNTIME_VARIABLE, raising=False)
    monkeypatch.setattr(catalogue, "multiplies_in_bfloat16", lambda: amx)
    monkeypatch.setattr(onnx, "built_for", lambda name: gpu and name == "cuda")
    monkeypatch.setattr(openvino, "OpenVinoEncoder", made_by_openvino)
    monkeypatch.setattr(
        onnx, "OnnxEncoder", lambda _spec, parallel, _wanted: ("onnxruntime", parallel)
    )
    chosen = load_encoder(DEFAULT_ENCODER, parallel)
    assert chosen == ("openvino" if pays else "onnxruntime", max(1, parallel))


@pytest.mark.parametrize(
    ("wanted", "available", "usable", "told"),
    [
        ("", ["CPU"], False, "ONNX Runtime on the processor"),
        ("", ["CUDA", "CPU"], True, "ONNX Runtime on the GPU (CUDA)"),
        (
            "",
            ["CUDA", "CPU"],
            False,
            "ONNX Runtime on the processor; it is built for the GPU (CUDA)",
        ),
        ("", ["CoreML", "CPU"], True, "ONNX Runtime on the processor"),  # rounds to halves
        ("coreml", ["CoreML", "CPU"], True, "ONNX Runtime on CoreML"),
        ("directml", ["Dml", "CPU"], True, "ONNX Runtime on the GPU (DirectML)"),
    ],
)
def test_an_accelerator_is_used_where_there_is_one_and_the_runtime_says_which(
    monkeypatch: pytest.MonkeyPatch, wanted: str, available: list[str], usable: bool, told: str
) -> None:
    made = onnx.onnxruntime.InferenceSession

    def session(graph: bytes, options: object, providers: list[str]) -> object:
        """Runs on the processor, and calls itself what was asked for."""
        if len(providers) > 1 and not usable:
            raise RuntimeError("no device")
        own = made(graph, options, providers=["CPUExecutionProvider"])
        monkeypatch.setattr(own, "get_providers", lambda: providers)
        return own

    names = [f"{name}ExecutionProvider" for name in available]
    monkeypatch.setattr(onnx.onnxruntime, "get_available_providers", lambda: names)
    monkeypatch.setattr(onnx.onnxruntime, "InferenceSession", session)
    encoder = OnnxEncoder(SPEC, 1, wanted)
    assert encoder.runtime.startswith(told)
    np.testing.assert_allclose(
        np.linalg.norm(encoder.encode(batch(encoder, 3)).vectors, axis=1), 1.0, atol=1e-5
    )


@pytest.mark.parametrize("wanted", ["cuda", "coreml", "directml"])
def test_an_accelerator_that_is_asked_for_and_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, wanted: str
) -> None:
    monkeypatch.setenv(RUNTIME_VARIABLE, wanted)
    monkeypatch.setattr(
        onnx.onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"]
    )
    with pytest.raises(InputError, match=f"{wanted}: this ONNX Runtime is not built for it"):
        load_encoder(DEFAULT_ENCODER)


def test_bfloat16_is_not_for_encoders_whose_vectors_were_not_measured_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(RUNTIME_VARIABLE, raising=False)
    monkeypatch.setattr(catalogue, "multiplies_in_bfloat16", lambda: True)
    name = SMALL["dinov2-small"].spec.name
    assert load_encoder(name, 2).runtime.startswith("ONNX Runtime")  # type: ignore[attr-defined]
    monkeypatch.setenv(RUNTIME_VARIABLE, "openvino")
    told = load_encoder(name, 2).runtime  # type: ignore[attr-defined]
    assert told == "OpenVINO on the processor, float32"


def made_by_openvino(_spec: EncoderSpec, parallel: int, *, bfloat16: bool) -> tuple[str, int]:
    assert bfloat16 is catalogue.multiplies_in_bfloat16()
    return "openvino", parallel


def without_runtime() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != RUNTIME_VARIABLE}


# -- places ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(300, 200), (90, 400), (224, 224)])
def test_the_mean_of_the_places_is_the_vector(encoder: Encoder, size: tuple[int, int]) -> None:
    if not isinstance(encoder, PlacesEncoder):
        assert encoder.spec.places is None
        return
    image = picture(3, size)
    found = encoder.places(image)
    if encoder.spec.places is None:
        assert found is None
        return
    assert found is not None
    assert found.vectors.shape == (7, 7, encoder.spec.dim)
    mean = found.vectors.mean(axis=(0, 1))
    (vector,) = encoder.encode(encoder.prepare(image)[None]).vectors
    assert mean @ vector / np.linalg.norm(mean) > 0.99  # bfloat16 and 8 bits round
    left, top, width, height = found.box
    assert (left + width / 2, top + height / 2) == pytest.approx((0.5, 0.5))
    assert max(width, height) == pytest.approx(1)


def test_weights_without_places_say_so() -> None:
    assert OnnxEncoder(replace(SPEC, places=None)).places(picture(1)) is None
