"""Downloadable encoders do what the implementations do with which they were published.

Real weights are not needed for that: the same random ones go into both. Preprocessing and tokens
are compared with the references' own, too.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lookalike.errors import LookalikeError
from lookalike.features.encoders import Encoder, load_encoder, models, preparing
from lookalike.features.encoders.catalogue import CATALOGUE
from lookalike.features.encoders.graphs import ARCHITECTURES
from lookalike.features.encoders.graphs.builder import IMAGENET
from lookalike.features.encoders.graphs.clip import DEVIATION, MEAN, Clip
from lookalike.features.encoders.graphs.dinov2 import DinoV2
from lookalike.features.encoders.graphs.resnet import ResNet
from lookalike.features.encoders.graphs.siglip import Siglip
from lookalike.features.encoders.preparing import prepare
from lookalike.features.encoders.words import load_tokenizer
from tests import reference
from tests.models import END, SMALL, Small, shapes_of, use, write_tokenizer, write_weights

CLOSE = {"rtol": 1e-4, "atol": 1e-4}
HALF = (0.5, 0.5, 0.5)


@pytest.fixture
def patch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    monkeypatch.setenv("LOOKALIKE_MODELS", str(tmp_path / "models"))
    return monkeypatch


def encoder_of(
    patch: pytest.MonkeyPatch, folder: Path, small: Small, *, open_clip: bool = False
) -> tuple[Encoder, Path]:
    """An encoder with random weights, and the folder in which they were found."""
    use(patch, small.spec, small.architecture)
    source = folder / "published"
    source.mkdir()
    write_weights(source / "model.safetensors", small.architecture, open_clip=open_clip)
    write_tokenizer(source / "tokenizer.json")
    models.add(small.spec, source)
    return load_encoder(small.spec.name), source


def squares(encoder: Encoder) -> np.ndarray:
    return np.stack([encoder.prepare(photo) for photo in reference.photos(3)])


def unit(rows: Any) -> np.ndarray:
    numbers = rows.detach().numpy().astype(np.float64)
    return numbers / np.linalg.norm(numbers, axis=1, keepdims=True)


# -- torchvision -----------------------------------------------------------------------------------


def test_a_resnet_is_torchvisions(patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small = Small("resnet50", 2048, ResNet(blocks=(1, 2, 1, 1), side=96))
    resnet = reference.torchvision().models.resnet
    same_as_torchvision(
        patch, tmp_path, small, resnet.ResNet(resnet.Bottleneck, [1, 2, 1, 1]), IMAGENET
    )


@pytest.mark.long
def test_resnet50_is_torchvisions_in_full_size(patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small = Small("resnet50", 2048, ARCHITECTURES["resnet50"])
    same_as_torchvision(patch, tmp_path, small, reference.torchvision().models.resnet50(), IMAGENET)


def test_inception_v3_is_torchvisions(patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small = Small("inception-v3", 2048, ARCHITECTURES["inception-v3"])
    model = reference.torchvision().models.inception_v3(
        transform_input=True, aux_logits=False, init_weights=False
    )
    same_as_torchvision(patch, tmp_path, small, model, IMAGENET)


def same_as_torchvision(
    patch: pytest.MonkeyPatch, folder: Path, small: Small, model: Any, scale: Any
) -> None:
    encoder, source = encoder_of(patch, folder, small)
    missing, unexpected = model.load_state_dict(
        reference.tensors(source / "model.safetensors"), strict=False
    )
    assert not unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing)
    pixels = squares(encoder)
    seen = []
    model.fc.register_forward_pre_hook(lambda _layer, inputs: seen.append(inputs[0]))
    with reference.torch().no_grad():
        logits = model.eval()(reference.normalised(pixels, *scale))
    ours = encoder.encode(pixels)
    np.testing.assert_allclose(ours.vectors, unit(seen[0]), **CLOSE)
    largest = np.abs(logits.numpy()).max()
    np.testing.assert_allclose(ours.logits / largest, logits.numpy() / largest, **CLOSE)


@pytest.mark.parametrize(
    ("name", "published"),
    [("resnet50", "resnet50.tv_in1k"), ("resnet50-v2", "resnet50.tv2_in1k"),
     ("inception-v3", "inception_v3.tv_in1k")],
)  # fmt: skip
def test_tensors_are_called_as_in_the_files_that_timm_publishes(name: str, published: str) -> None:
    spec = CATALOGUE[name]
    with reference.torch().device("meta"):  # its numbers are not looked at
        model = reference.timm().create_model(published, pretrained=False)
    theirs = {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}
    wanted = shapes_of(ARCHITECTURES[spec.architecture])
    assert len(wanted) > 260
    assert wanted.items() <= theirs.items()
    assert spec.hub[0].repository == f"timm/{published}"


# -- transformers ----------------------------------------------------------------------------------


def load(kind: str, config: Any, source: Path) -> Any:
    """A model of transformers with the weights of a published file."""
    library = reference.transformers()
    config.save_pretrained(source)
    with reference.quiet():
        model, told = getattr(library, kind).from_pretrained(
            source, output_loading_info=True, attn_implementation="eager"
        )
    assert not told["missing_keys"] - {"logit_scale", "logit_bias", "embeddings.mask_token"}
    assert not told["unexpected_keys"]
    return model.eval()


def clip_config(clip: Clip) -> Any:
    library = reference.transformers()
    see, read = clip.seeing, clip.reading
    return library.CLIPConfig(
        projection_dim=clip.dim,
        vision_config={
            "hidden_size": see.width, "intermediate_size": see.inner, "projection_dim": clip.dim,
            "num_hidden_layers": clip.layers, "num_attention_heads": see.heads,
            "image_size": clip.side, "patch_size": clip.patch,
        },
        text_config={
            "hidden_size": read.width, "intermediate_size": read.inner, "projection_dim": clip.dim,
            "num_hidden_layers": clip.layers, "num_attention_heads": read.heads,
            "vocab_size": clip.vocabulary, "max_position_embeddings": clip.length,
            "bos_token_id": 1, "eos_token_id": END, "pad_token_id": END,
        },
    )  # fmt: skip


def siglip_config(siglip: Siglip) -> Any:
    layer = siglip.layer
    same = {
        "hidden_size": layer.width, "intermediate_size": layer.inner,
        "num_hidden_layers": siglip.layers, "num_attention_heads": layer.heads,
    }  # fmt: skip
    return reference.transformers().SiglipConfig(
        vision_config={**same, "image_size": siglip.side, "patch_size": siglip.patch},
        text_config={
            **same, "vocab_size": siglip.vocabulary, "max_position_embeddings": siglip.length,
            "projection_size": layer.width,
            "bos_token_id": 1, "eos_token_id": END, "pad_token_id": 0,
        },
    )  # fmt: skip


TEXTS = ["a red car", "grass", "car on car on car on grass unheard of"]


def same_as_two_towers(
    patch: pytest.MonkeyPatch, folder: Path, small: Small, kind: str, config: Any, scale: Any
) -> None:
    encoder, source = encoder_of(patch, folder, small)
    model = load(kind, config, source)
    pixels = squares(encoder)
    with reference.torch().no_grad():
        seen = model.get_image_features(pixel_values=reference.normalised(pixels, *scale))
        tokens = [encoder._tokens(text) for text in TEXTS]  # type: ignore[attr-defined]
        read = [model.get_text_features(input_ids=reference.torch().tensor(one)) for one in tokens]
    pooled = [getattr(one, "pooler_output", one) for one in (seen, *read)]
    np.testing.assert_allclose(encoder.encode(pixels).vectors, unit(pooled[0]), **CLOSE)
    words = encoder.encode_words(TEXTS)  # type: ignore[attr-defined]
    np.testing.assert_allclose(words, np.concatenate([unit(one) for one in pooled[1:]]), **CLOSE)


def test_both_towers_of_clip_are_those_of_transformers(
    patch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    small = SMALL["clip-vit-b32"]
    config = clip_config(small.architecture)  # type: ignore[arg-type]
    same_as_two_towers(patch, tmp_path, small, "CLIPModel", config, (MEAN, DEVIATION))


def test_both_towers_of_siglip_are_those_of_transformers(
    patch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    small = SMALL["siglip2-base"]
    config = siglip_config(small.architecture)  # type: ignore[arg-type]
    same_as_two_towers(patch, tmp_path, small, "SiglipModel", config, (HALF, HALF))


@pytest.mark.long
def test_clip_vit_b32_is_that_of_transformers_in_full_size(
    patch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    small = Small("clip-vit-b32", 512, Clip())
    same_as_two_towers(patch, tmp_path, small, "CLIPModel", clip_config(Clip()), (MEAN, DEVIATION))


@pytest.mark.long
def test_siglip2_base_is_that_of_transformers_in_full_size(
    patch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = replace(Siglip(), ending=None)  # the vocabulary is a small one of our own
    small = Small("siglip2-base", 768, whole)
    same_as_two_towers(patch, tmp_path, small, "SiglipModel", siglip_config(whole), (HALF, HALF))


def same_dinov2(patch: pytest.MonkeyPatch, folder: Path, small: Small, dino: DinoV2) -> None:
    encoder, source = encoder_of(patch, folder, small)
    layer = dino.layer
    config = reference.transformers().Dinov2Config(
        hidden_size=layer.width, num_hidden_layers=dino.layers, num_attention_heads=layer.heads,
        mlp_ratio=layer.inner // layer.width, image_size=dino.trained_side, patch_size=dino.patch,
    )  # fmt: skip
    model = load("Dinov2Model", config, source)
    pixels = squares(encoder)
    with reference.torch().no_grad():
        seen = model(reference.normalised(pixels, *IMAGENET)).pooler_output
    np.testing.assert_allclose(encoder.encode(pixels).vectors, unit(seen), **CLOSE)


def test_dinov2_is_that_of_transformers(patch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    small = SMALL["dinov2-small"]
    same_dinov2(patch, tmp_path, small, small.architecture)  # type: ignore[arg-type]


def test_dinov2_without_interpolated_places_is_that_of_transformers(
    patch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = replace(SMALL["dinov2-small"].architecture, trained_side=56)  # type: ignore[type-var]
    same_dinov2(patch, tmp_path, Small("dinov2-small", 32, whole), whole)  # type: ignore[arg-type]


@pytest.mark.long
def test_dinov2_small_is_that_of_transformers_in_full_size(
    patch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    same_dinov2(patch, tmp_path, Small("dinov2-small", 384, DinoV2()), DinoV2())


# -- open_clip -------------------------------------------------------------------------------------


def same_as_open_clip(patch: pytest.MonkeyPatch, folder: Path, clip: Clip) -> None:
    encoder, source = encoder_of(
        patch, folder, Small("clip-vit-b32", clip.dim, clip), open_clip=True
    )
    library = reference.open_clip()
    see, read = clip.seeing, clip.reading
    model = library.CLIP(
        embed_dim=clip.dim, quick_gelu=True,
        vision_cfg={"image_size": clip.side, "patch_size": clip.patch, "layers": clip.layers,
                    "width": see.width, "head_width": see.width // see.heads,
                    "mlp_ratio": see.inner / see.width},
        text_cfg={"context_length": clip.length, "vocab_size": clip.vocabulary, "width": read.width,
                  "heads": read.heads, "layers": clip.layers, "mlp_ratio": read.inner / read.width},
    )  # fmt: skip
    missing, unexpected = model.load_state_dict(
        reference.tensors(source / "model.safetensors"), strict=False
    )
    assert not unexpected
    assert set(missing) <= {"logit_scale", "logit_bias"}
    pixels = squares(encoder)
    texts = np.zeros((len(TEXTS), clip.length), np.int64)
    for row, text in zip(texts, TEXTS, strict=True):
        ids = encoder._tokens(text)[0]  # type: ignore[attr-defined]
        row[: len(ids)] = ids
    with reference.torch().no_grad():
        seen = model.eval().encode_image(reference.normalised(pixels, MEAN, DEVIATION))
        words = model.encode_text(reference.torch().tensor(texts))
    np.testing.assert_allclose(encoder.encode(pixels).vectors, unit(seen), **CLOSE)
    np.testing.assert_allclose(encoder.encode_words(TEXTS), unit(words), **CLOSE)  # type: ignore[attr-defined]


def test_clip_is_that_of_open_clip_with_its_names_of_tensors(
    patch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    same_as_open_clip(patch, tmp_path, SMALL["clip-vit-b32"].architecture)  # type: ignore[arg-type]


# -- preprocessing ---------------------------------------------------------------------------------

SHAPES = [(1, 1), (224, 224), (37, 91), (500, 375), (375, 500), (1001, 333), (225, 260), (60, 900)]


def pictures() -> list[Image.Image]:
    """Photos as they are, and one of them in several shapes."""
    whole = reference.photos()
    return [*whole, *(whole[0].resize(size) for size in SHAPES)]


@pytest.mark.parametrize("name", ["resnet50", "resnet50-v2", "inception-v3"])
def test_pictures_are_prepared_as_torchvision_does_it_byte_for_byte(name: str) -> None:
    spec, models_ = CATALOGUE[name], reference.torchvision().models
    weights = {
        "resnet50": models_.ResNet50_Weights.IMAGENET1K_V1,
        "resnet50-v2": models_.ResNet50_Weights.IMAGENET1K_V2,
        "inception-v3": models_.Inception_V3_Weights.IMAGENET1K_V1,
    }
    preset = weights[name].transforms()
    preset.mean, preset.std = [0.0] * 3, [1.0] * 3
    for picture in pictures():
        theirs = np.rint(preset(picture).permute(1, 2, 0).numpy() * 255).astype(np.uint8)
        np.testing.assert_array_equal(prepare(picture, spec.preprocessing, spec.side), theirs)


def processor(name: str) -> Any:
    """As the published settings of each have it (preprocessor_config.json)."""
    library = reference.transformers()
    plain = {"do_rescale": False, "do_normalize": False}
    if name == "clip-vit-b32":
        return library.CLIPImageProcessorPil(**plain)
    if name == "siglip2-base":
        return library.SiglipImageProcessorPil(resample=Image.Resampling.BILINEAR, **plain)
    return library.BitImageProcessorPil(size={"shortest_edge": 256}, **plain)


@pytest.mark.parametrize("name", ["clip-vit-b32", "siglip2-base", "dinov2-small"])
def test_pictures_are_prepared_as_transformers_does_it_byte_for_byte(name: str) -> None:
    spec, own = CATALOGUE[name], processor(name)
    for picture in pictures():
        theirs = own(picture, return_tensors="np")["pixel_values"][0].transpose(1, 2, 0)
        np.testing.assert_array_equal(prepare(picture, spec.preprocessing, spec.side), theirs)


def test_a_long_strip_is_prepared_as_others_are_but_for_rounding(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    strip = reference.photos(1)[0].resize((1200, 40))
    for name in ("resnet50", "clip-vit-b32", "dinov2-small"):
        spec = CATALOGUE[name]
        monkeypatch.setattr(preparing, "_LONGEST", 100)
        whole = prepare(strip, spec.preprocessing, spec.side).astype(int)
        monkeypatch.undo()
        assert np.abs(prepare(strip, spec.preprocessing, spec.side) - whole).max() <= 1


# -- tokens ----------------------------------------------------------------------------------------

SAYINGS = [
    "a photo of a cat", "A Photo Of A CAT", "  two   spaces\tand a tab ", "", "don't, it's 3.14!",
    "ein Foto von einem Kätzchen", "Straße ÄÖÜ", "une forêt près d'un château", "¿dónde está?",
    "собака на траве", "σκύλος στο γρασίδι", "草地上的狗", "芝生の上の犬", "잔디 위의 개",
    "كلب على العشب", "घास पर कुत्ता", "สุนัขบนหญ้า", "🐶🌱 dog", "x" * 300, "word " * 100,
]  # fmt: skip


def test_texts_become_the_tokens_that_open_clip_makes_of_them(tmp_path: Path) -> None:
    library, transformers = reference.open_clip(), reference.transformers()
    pieces = library.tokenizer.SimpleTokenizer()
    ranks = sorted(pieces.bpe_ranks, key=pieces.bpe_ranks.get)
    marks = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    vocabulary = {marks.get(piece, piece): number for piece, number in pieces.encoder.items()}
    own = transformers.CLIPTokenizer(vocab=vocabulary, merges=ranks)
    own.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))  # as it is published
    clip = Clip()
    tokenizer = load_tokenizer(tmp_path / "tokenizer.json", clip)
    for text in SAYINGS:
        theirs = pieces([text])[0].tolist()
        ours = tokenizer.encode(text).ids
        assert ours + [0] * (clip.length - len(ours)) == theirs, text


def test_texts_become_what_transformers_tokenizer_of_siglip2_makes_of_them(tmp_path: Path) -> None:
    """With a vocabulary of single letters: the real one cannot be had here."""
    marks = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    letters, codes = "▁abcdefghijklmnopqrstuvwxyzäößéπсобак草狗", range(256)
    pieces = [*marks, *letters, *(f"<0x{code:02X}>" for code in codes)]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    library = reference.transformers()
    with reference.quiet():
        own = library.Siglip2Tokenizer(
            vocab=vocabulary, merges=[], add_bos_token=False, add_eos_token=True,
            padding_side="right",
        )  # fmt: skip
    own.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    siglip = Siglip()
    tokenizer = load_tokenizer(tmp_path / "tokenizer.json", siglip)
    for text in SAYINGS:
        theirs = own(text, padding="max_length", max_length=siglip.length, truncation=True)
        assert tokenizer.encode(text).ids == theirs["input_ids"], text


def test_texts_are_filled_up_and_cut_off_where_an_encoder_wants_a_fixed_number_of_tokens(
    tmp_path: Path,
) -> None:
    file = write_tokenizer(tmp_path / "tokenizer.json")
    tokenizer = load_tokenizer(file, Siglip(length=8, ending="<end>"))
    assert tokenizer.encode("A red CAR").ids == [3, 4, 5, END, 0, 0, 0, 0]
    assert tokenizer.encode("car " * 20).ids == [*[5] * 7, END]
    with pytest.raises(LookalikeError, match="has no <eos>"):
        load_tokenizer(file, Siglip())
