"""``lookalike models``: which encoders there are, and getting the weights of those not shipped."""

from __future__ import annotations

import argparse

from lookalike.cli.output import print_json, talk
from lookalike.errors import InputError, LookalikeError
from lookalike.features.encoders import models
from lookalike.features.encoders.base import EncoderSpec
from lookalike.features.encoders.catalogue import CATALOGUE
from lookalike.present.table import columns
from lookalike.types import printable

_NAME = "an encoder's name, as lookalike models list has it"


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group's commands to the parser."""
    group = commands.add_parser(
        "models",
        help="which encoders there are, and getting their weights",
        description="Encoders, and the weights of those that are not in the package. They lie in"
        " $LOOKALIKE_MODELS, else in lookalike-models in your data folder.",
    ).add_subparsers(dest="models_command", metavar="COMMAND", required=True)
    listing = group.add_parser(
        "list",
        help="all encoders: dimension, size, licence, whether they are here",
        description="List all encoders with their dimension, size and licence, whether they read"
        " words, and whether their weights are here.",
    )
    listing.add_argument("--json", action="store_true", help="one JSON object")
    listing.set_defaults(run=run_list)
    getting = group.add_parser(
        "get",
        help="download an encoder's weights",
        description="Download an encoder's weights from the Hugging Face Hub, without an account."
        " Broken off, the same command continues. The digest that the Hub names is checked.",
    )
    getting.add_argument("name", metavar="NAME", help=_NAME)
    getting.set_defaults(run=run_get)
    adding = group.add_parser(
        "add",
        help="take an encoder's weights from a file or folder",
        description="Copy an encoder's weights (.safetensors), and the vocabulary of one that reads"
        " words (tokenizer.json, beside them), to where they are looked for. Nothing is sent or"
        " downloaded.",
    )
    adding.add_argument("name", metavar="NAME", help=_NAME)
    adding.add_argument("path", metavar="PATH", help="a .safetensors file, or a folder with one")
    adding.set_defaults(run=run_add)


def run_list(options: argparse.Namespace) -> int:
    """Print all encoders."""
    rows = [_row(spec) for spec in CATALOGUE.values()]
    if options.json:
        print_json({"encoders": rows})
        return 0
    header = ["encoder", "dim", "MB", "words", "licence", "state", "path"]
    table = [
        [
            str(row["name"]),
            str(row["dim"]),
            f"{row['size_mb']:,.0f}",
            "yes" if row["reads_words"] else "",
            str(row["licence"]),
            _state(row),
            printable(str(row["path"] or "")),
        ]
        for row in rows
    ]
    print(columns(header, table, "lrr"))
    return 0


def _row(spec: EncoderSpec) -> dict[str, str | int | float | bool | None]:
    digest, path, state, fault = spec.weights_digest or None, None, "in the package", None
    if not spec.shipped:
        path, state, fault = models.folder_of(spec), "not here", None
        try:
            model = models.checked(spec) if models.model_of(spec) else None
        except LookalikeError as error:
            model, state, fault = None, "damaged", str(error)
        if model is not None:
            weights = model.files[spec.weights]
            digest, state = weights.sha256, "downloaded" if weights.revision else "added"
    return {
        "name": spec.name,
        "dim": spec.dim,
        "size_mb": spec.size_mb,
        "reads_words": spec.reads_words or spec.names_classes,
        "licence": spec.licence,
        "source": spec.source,
        "state": state,
        "fault": fault,
        "path": None if path is None else str(path),
        "weights_digest": digest,
    }


def _state(row: dict[str, str | int | float | bool | None]) -> str:
    if row["state"] == "not here":
        return f"to be had by: lookalike models get {row['name']}"
    return str(row["fault"] or row["state"])


def run_get(options: argparse.Namespace) -> int:
    """Download an encoder's weights."""
    _tell(models.get(_spec(options.name)), options.name)
    return 0


def run_add(options: argparse.Namespace) -> int:
    """Take an encoder's weights from where they lie."""
    spec = _spec(options.name)
    if spec.shipped:
        raise InputError(f"encoder {spec.name}: its weights lie inside the package; nothing to add")
    _tell(models.add(spec, options.path), options.name)
    return 0


def _tell(model: models.Model, name: str) -> None:
    for file, known in model.files.items():
        talk(f"{model.folder / file}: {known.bytes / 1e6:,.1f} MB, SHA-256 {known.sha256}")
    talk(f"encoder {name}: ready; lookalike index PATH --encoder {name}")


def _spec(name: str) -> EncoderSpec:
    if name not in CATALOGUE:
        raise InputError(f"encoder {name!r}: not known; use one of: {', '.join(CATALOGUE)}")
    return CATALOGUE[name]
