"""Words to vectors by an encoder's tower for text, in the space of its pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lookalike.errors import LookalikeError, MissingExtraError
from lookalike.features.encoders.base import Encoded, Encoder, EncoderSpec, unit
from lookalike.features.encoders.downloadable import TOKENIZER
from lookalike.features.encoders.graphs import ARCHITECTURES, WordsArchitecture
from lookalike.features.encoders.models import graph_file, held_file
from lookalike.kernels import cores
from lookalike.types import FloatArray, PixelArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class WordsEncoder:
    """An Encoder of pictures that reads words, too; what that takes is loaded with the first."""

    def __init__(self, pictures: Encoder) -> None:
        self._pictures = pictures
        self.runtime: str = getattr(pictures, "runtime", "")

    @property
    def spec(self) -> EncoderSpec:
        return self._pictures.spec

    def prepare(self, image: Image.Image) -> PixelArray:
        """As the encoder of pictures does it."""
        return self._pictures.prepare(image)

    def encode(self, pixels: PixelArray) -> Encoded:
        """As the encoder of pictures does it."""
        return self._pictures.encode(pixels)

    def encode_words(self, texts: Sequence[str]) -> FloatArray:
        """Texts as float32 (n, dim) of unit length; what is too long loses its end.

        Raises MissingExtraError without the library ``tokenizers``, LookalikeError if the
        vocabulary is missing or damaged.
        """
        vectors = [
            self._session.run(["embedding"], {"tokens": self._tokens(text)})[0] for text in texts
        ]
        return unit(np.concatenate(vectors))

    def _tokens(self, text: str) -> NDArray[np.int64]:
        return np.array([self._tokenizer.encode(text).ids], np.int64)

    @cached_property
    def _session(self) -> Any:
        from lookalike.features.encoders.onnx import session

        return session(str(graph_file(self.spec, "words")), cores())  # one text: the processor

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        architecture = ARCHITECTURES[self.spec.architecture]
        assert isinstance(architecture, WordsArchitecture)
        file = held_file(self.spec, TOKENIZER)
        return load_tokenizer(file, architecture)


def load_tokenizer(file: Path, architecture: WordsArchitecture) -> Tokenizer:
    """What makes token ids of a text, as many as an architecture takes.

    ``file`` is a tokenizer.json, which has the vocabulary. Capitals count as small letters, as both
    CLIP and SigLIP 2 were trained. Raises MissingExtraError without the library ``tokenizers``,
    LookalikeError for another file.
    """
    try:
        from tokenizers import Tokenizer, normalizers, processors
    except ImportError as error:
        raise MissingExtraError("searching with words by this encoder", "models") from error
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises nothing narrower
        raise LookalikeError(f"{file}: not a tokenizer.json ({error}); fetch it again") from error
    own = [] if tokenizer.normalizer is None else [tokenizer.normalizer]
    tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])
    tokenizer.enable_truncation(architecture.length)
    if architecture.padding is None:
        tokenizer.no_padding()
    else:
        tokenizer.enable_padding(length=architecture.length, pad_id=architecture.padding)
    if architecture.ending is not None:
        number = tokenizer.token_to_id(architecture.ending)
        if number is None:
            raise LookalikeError(f"{file}: has no {architecture.ending}; another's vocabulary")
        tokenizer.post_processor = processors.TemplateProcessing(
            single=f"$A {architecture.ending}", special_tokens=[(architecture.ending, number)]
        )
    return tokenizer
