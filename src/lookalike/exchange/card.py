"""The card of a data set: a README.md as the Hugging Face Hub wants it.

Front matter as https://huggingface.co/docs/hub/datasets-cards describes it.
"""

from __future__ import annotations

import json
from typing import Any

from lookalike.exchange.selection import Selection
from lookalike.features.encoders.catalogue import CATALOGUE
from lookalike.version import __version__

_SIZES = (
    (1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"), (100_000_000, "10M<n<100M"), (1_000_000_000, "100M<n<1B"),
)  # fmt: skip

_MEANING = {
    "id": "the record: UUIDv5 of the SHA-256 of the picture file",
    "content_hash": "that SHA-256, hexadecimal",
    "foreign_id": "what another table calls the picture",
    "path": "where the file lay, or its URL",
    "mtime_ns": "when the file was changed, nanoseconds since 1970",
    "other_paths": "further files of equal content",
    "other_mtimes_ns": "when these were changed",
    "width": "pixels, upright",
    "height": "pixels, upright",
    "format": "of the file",
    "taken": "EXIF capture time, ISO 8601, no time zone",
    "camera": "EXIF make and model",
    "latitude": "degrees, north positive",
    "longitude": "degrees, east positive",
    "bytes": "size of the file",
    "phash": "64-bit perceptual hash",
    "labels": "what the picture was said to show",
    "label_sources": "by whom: own, folders, table, names",
    "label_confidences": "0 to 1",
    "classes": "the encoder's classes of the highest logits",
    "logits": "these logits, descending",
    "thumbnail": "JPEG, at most 256 pixels",
    "histogram_bins": "occupied bins of the 16 x 16 x 16 colour histogram, ascending",
    "histogram_counts": "pixels of each",
    "embedding": "vector of unit length",
}


def size_category(rows: int) -> str:
    """The Hub's word for so many rows."""
    return next((word for limit, word in _SIZES if rows < limit), "n>1B")


def card(selection: Selection, name: str, schema: Any) -> str:
    """The text of README.md for a data set called ``name`` with the columns of ``schema``."""
    licence = selection.options.licence
    front = [
        "---",
        f"pretty_name: {json.dumps(name)}",
        *([f"license: {json.dumps(licence)}"] if licence else []),
        "size_categories:",
        f"- {size_category(selection.count)}",
        "task_categories:",
        "- image-feature-extraction",
        "tags:",
        "- embeddings",
        "- image-similarity",
        "- lookalike",
        "configs:",
        "- config_name: default",
        "  data_files:",
        "  - split: train",
        "    path: data/train-*.parquet",
        "---",
    ]
    return "\n".join([*front, "", *_body(selection, name, schema), ""])


def _body(selection: Selection, name: str, schema: Any) -> list[str]:
    space, what = selection.space, selection.by.removesuffix("s")
    columns = [f"| `{f.name}` | {_kind(f.type)} | {_MEANING[f.name]} |" for f in schema]
    licence = selection.options.licence
    terms = (
        f"Licence: {licence}, as stated by who exported it."
        if licence
        else "No licence was stated: ask who exported it. Pictures have their makers' licences."
    )
    return [
        f"# {name}",
        "",
        f"Embeddings of {selection.count:,} pictures, a row per {what}, exported by lookalike"
        f" {__version__}.",
        "",
        "## Embeddings",
        "",
        *_encoder(selection),
        f"- Preprocessing: `{space.preprocessing}`",
        f"- Numbers: {space.dim}, unit length, kept in half precision",
        "",
        "Vectors are compared by cosine, and only with vectors of the same encoder, weights and"
        " preprocessing; the files' metadata name all three.",
        "",
        "## Columns",
        "",
        "| column | type | meaning |",
        "|---|---|---|",
        *columns,
        "",
        "## Use",
        "",
        "```python",
        "from datasets import load_dataset",
        "",
        'rows = load_dataset("PATH OR NAME OF THIS DATA SET", split="train")',
        "```",
        "",
        "## Licence",
        "",
        terms,
    ]


def _kind(kind: Any) -> str:
    """A type as people write it."""
    return (
        str(kind).replace("item: ", "").replace("fixed_size_", "").replace("halffloat", "float16")
    )


def _encoder(selection: Selection) -> list[str]:
    space = selection.space
    lines = [f"- Encoder: `{space.encoder}`, weights with SHA-256 `{space.weights_digest}`"]
    spec = CATALOGUE.get(space.encoder)
    if spec is not None:
        lines += [f"- Source of the weights: {spec.source}", f"- Their licence: {spec.licence}"]
    return lines
