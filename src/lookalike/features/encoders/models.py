"""Weights of downloadable encoders: getting them, keeping them, and knowing them again.

Each encoder has a folder under ``config.models_folder()`` with its files under fixed names, a
``model.json`` that says where they came from and which SHA-256 each had when it came, and the
graphs that were built from them. A file that has changed since is refused. Nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout

from lookalike.config import models_folder
from lookalike.errors import InputError, LookalikeError, MissingExtraError, StorageError
from lookalike.features.encoders.base import EncoderSpec, HubFile
from lookalike.features.encoders.downloadable import TOKENIZER
from lookalike.features.encoders.graphs import ARCHITECTURES, WordsArchitecture
from lookalike.features.encoders.graphs.builder import VERSION, GraphBuilder, Weights
from lookalike.features.encoders.hub import DownloadError, OtherContentError, download

Tower = Literal["image", "words"]

RECORD = "model.json"
_FORMAT = 1
_DIGITS = 12
"""Hex digits of a digest in a file's name."""


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A file as it was when it came; ``mtime_ns`` spares reading it all before each use.

    ``source`` is the folder or the repository it came from, ``revision`` the Hub's commit.
    """

    sha256: str
    bytes: int
    mtime_ns: int
    source: str
    revision: str


@dataclass(frozen=True, slots=True)
class Model:
    """What is here of an encoder, by the names of its files."""

    folder: Path
    files: Mapping[str, HeldFile]


def folder_of(spec: EncoderSpec) -> Path:
    """Where the weights of an encoder lie, or would."""
    return models_folder() / spec.name


# -- what is here ----------------------------------------------------------------------------------


def model_of(spec: EncoderSpec) -> Model | None:
    """What is here of an encoder, or None; raises LookalikeError if the record is damaged."""
    path = folder_of(spec) / RECORD
    try:
        record = json.loads(path.read_text("utf-8"))
        files = {name: HeldFile(**entry) for name, entry in record["files"].items()}
        if record["format"] != _FORMAT or spec.weights not in files:
            raise ValueError("another version's")
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise LookalikeError(f"{path}: not readable ({error}); {_remove(spec)}") from error
    return Model(path.parent, files)


def held(spec: EncoderSpec) -> EncoderSpec:
    """The catalogue's entry with the digest of the weights that are here, checked.

    Raises LookalikeError if they are not here, or not what they were.
    """
    return replace(spec, weights_digest=checked(spec).files[spec.weights].sha256)


def checked(spec: EncoderSpec) -> Model:
    """What is here of an encoder, all of it and as it came; raises as ``held`` does."""
    model = _here(spec)
    for own in spec.hub:
        if own.name not in model.files:
            raise LookalikeError(f"encoder {spec.name}: {own.name} is not here; {_get(spec)}")
        _check(spec, model, own.name)
    return model


def held_file(spec: EncoderSpec, name: str) -> Path:
    """One of an encoder's files, checked; raises as ``held`` does."""
    return checked(spec).folder / name


def _here(spec: EncoderSpec) -> Model:
    model = model_of(spec)
    if model is None:
        raise LookalikeError(f"encoder {spec.name}: its weights are not here; {_get(spec)}")
    return model


def _check(spec: EncoderSpec, model: Model, name: str) -> None:
    path, known = model.folder / name, model.files[name]
    try:
        status = path.stat()
    except FileNotFoundError as error:
        raise LookalikeError(f"{path}: missing; {_get(spec)}") from error
    if (status.st_size, status.st_mtime_ns) == (known.bytes, known.mtime_ns):
        return
    found = digest_of(path)
    if found != known.sha256:
        raise LookalikeError(
            f"{path}: SHA-256 is {found[:_DIGITS]}..., was {known.sha256[:_DIGITS]}... when it"
            f" came; {_get(spec)}"
        )


def digest_of(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _get(spec: EncoderSpec) -> str:
    return f"lookalike models get {spec.name}"


def _remove(spec: EncoderSpec) -> str:
    return f"remove the folder, then: {_get(spec)}"


# -- graphs ----------------------------------------------------------------------------------------


def graph_file(spec: EncoderSpec, tower: Tower) -> Path:
    """The graph of one tower, beside the weights of ``spec.weights_digest``; built if need be.

    Raises MissingExtraError without the library ``onnx``, LookalikeError for weights that are not
    this encoder's, or have been replaced since ``held``.
    """
    model = checked(spec)
    folder = model.folder
    if model.files[spec.weights].sha256 != spec.weights_digest:
        raise LookalikeError(
            f"encoder {spec.name}: its weights have been replaced by others meanwhile; begin again"
        )
    path = folder / f"{tower}-v{VERSION}-{spec.weights_digest[:_DIGITS]}.onnx"
    if not path.exists():
        graph = built(spec, Weights(folder / spec.weights), tower)
        with _made_whole(path) as partial:
            partial.write_bytes(graph)
    return path


def built(spec: EncoderSpec, weights: Weights, tower: Tower) -> bytes:
    """An ONNX graph that refers to the weights; it must lie beside them. Raises as above."""
    architecture = ARCHITECTURES[spec.architecture]
    graph = GraphBuilder(weights)
    try:
        if tower == "image":
            architecture.image(graph)
        else:
            assert isinstance(architecture, WordsArchitecture)
            architecture.words(graph)
        return bytes(graph.model().SerializeToString())
    except ImportError as error:
        raise MissingExtraError(f"encoder {spec.name}", "models") from error


@contextlib.contextmanager
def _made_whole(path: Path) -> Iterator[Path]:
    """A file to be written that then takes its name at once, or is not there at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    os.close(handle)
    try:
        yield Path(name)
        os.replace(name, path)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        Path(name).unlink(missing_ok=True)


# -- putting files in ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Arrived:
    """A file that is to be one of an encoder's, on the same disk as their folder."""

    path: Path
    source: str
    revision: str = ""


def put(spec: EncoderSpec, files: Mapping[str, Arrived]) -> Model:
    """Move files that fit, by the names that they get, to where an encoder's lie."""
    folder = folder_of(spec)
    (folder / RECORD).unlink(missing_ok=True)  # what is half replaced counts as not here
    for old in folder.glob("*.onnx"):
        old.unlink()
    model = Model(folder, {name: _moved(one, folder / name) for name, one in files.items()})
    entries = {name: asdict(one) for name, one in model.files.items()}
    record = {"format": _FORMAT, "encoder": spec.name, "licence": spec.licence, "files": entries}
    with _made_whole(folder / RECORD) as partial:
        partial.write_text(json.dumps(record, indent=2) + "\n", "utf-8")
    return model


def check_fit(spec: EncoderSpec, files: Mapping[str, Path]) -> None:
    """Raise LookalikeError if these files, by the names that they get, are not an encoder's."""
    weights = Weights(files[spec.weights])
    built(spec, weights, "image")
    if spec.reads_words:
        built(spec, weights, "words")
        _check_vocabulary(files[TOKENIZER])


def _check_vocabulary(path: Path) -> None:
    """Refuse what is surely no tokenizer.json; the library that reads it need not be here yet."""
    try:
        json.loads(path.read_bytes())["model"]["vocab"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise LookalikeError(f"{path}: not a tokenizer.json; fetch it again") from error


def _moved(file: Arrived, place: Path) -> HeldFile:
    digest = digest_of(file.path)
    os.replace(file.path, place)
    status = place.stat()
    return HeldFile(digest, status.st_size, status.st_mtime_ns, file.source, file.revision)


@contextlib.contextmanager
def _alone(spec: EncoderSpec) -> Iterator[None]:
    """An encoder's folder, made if need be, with no other process getting or adding."""
    folder = folder_of(spec)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(folder / ".lock", timeout=0):
            yield
    except Timeout as error:
        raise LookalikeError(
            f"encoder {spec.name}: another process is getting its weights; wait for it"
        ) from error


def add(spec: EncoderSpec, source: str | os.PathLike[str]) -> Model:
    """Take weights from a file, or from a folder that has them under their own or the Hub's names.

    The originals stay. Raises InputError for a place that has not what the encoder needs,
    LookalikeError for weights of another encoder.
    """
    place = Path(os.path.abspath(os.path.expanduser(source)))
    found = {own.name: _found(spec, place, own) for own in spec.hub}
    check_fit(spec, found)
    folder = folder_of(spec)
    with _alone(spec), tempfile.TemporaryDirectory(dir=folder, prefix=".adding-") as temporary:
        copies = {
            name: Arrived(Path(shutil.copyfile(path, Path(temporary, name))), str(path))
            for name, path in found.items()
        }
        return put(spec, copies)


def _found(spec: EncoderSpec, place: Path, own: HubFile) -> Path:
    """The file at, beside or in ``place`` that is to be called ``own.name``."""
    if place.suffix in (".pth", ".pt", ".bin"):
        raise InputError(
            f"{place}: PyTorch's files are not read, since that would run what is in them;"
            " tools/convert_torchvision.py makes torchvision's into .safetensors"
        )
    weights = own.name == spec.weights
    if place.is_file() and weights:
        return place
    folder = place.parent if place.is_file() else place
    further = sorted(folder.glob("*.safetensors")) if weights else []
    for candidate in (folder / own.path, folder / own.name, *further):
        if candidate.is_file():
            return candidate
    raise InputError(f"{place}: no {own.name} there; {by_hand(spec)}")


def by_hand(spec: EncoderSpec) -> str:
    """What to fetch where this machine has no way to the Hub, and where to put it."""
    wanted = " and ".join(f"{file.path} of {file.repository}" for file in spec.hub)
    place = "a folder" if len(spec.hub) > 1 else "any place"
    return (
        f"fetch {wanted} from the Hugging Face Hub by hand into {place}, then:"
        f" lookalike models add {spec.name} PATH"
    )


# -- downloading -----------------------------------------------------------------------------------


def get(spec: EncoderSpec) -> Model:
    """Download an encoder's files from the Hugging Face Hub, unless they are here.

    Broken off, the same call continues. The digest that the Hub names is compared, and where a file
    was here before, the one that it had then: the same commit is asked for. Raises InputError for
    an encoder inside the package, MissingExtraError without the Hub's client, LookalikeError if the
    Hub cannot be reached or gives another file.
    """
    if spec.shipped:
        raise InputError(f"encoder {spec.name}: its weights lie inside the package; nothing to get")
    with contextlib.suppress(LookalikeError):
        return checked(spec)
    with _alone(spec):
        before = model_of(spec)
        partial = folder_of(spec) / "partial"
        partial.mkdir(exist_ok=True)
        try:
            files = {own.name: _fetched(own, partial, before) for own in spec.hub}
            check_fit(spec, {name: one.path for name, one in files.items()})
            model = put(spec, files)
        except OtherContentError as error:
            shutil.rmtree(partial)
            raise LookalikeError(f"encoder {spec.name}: {error}") from error
        except DownloadError as error:
            raise LookalikeError(f"encoder {spec.name}: {error}; {by_hand(spec)}") from error
        shutil.rmtree(partial)
        return model


def _fetched(own: HubFile, partial: Path, before: Model | None) -> Arrived:
    known = before.files.get(own.name) if before else None
    pinned = known.revision if known and known.source == own.repository else None
    path, commit = download(own, partial, pinned or None)
    if known and pinned and digest_of(path) != known.sha256:
        raise OtherContentError(
            f"{own.path} is not the file that came first; nothing was kept; remove"
            f" {partial.parent} to take the other, whose vectors make another space"
        )
    return Arrived(path, own.repository, commit)
