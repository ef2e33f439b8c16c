"""Weights of downloadable encoders: adding, downloading, and knowing them again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from lookalike import Library
from lookalike.cli.main import main
from lookalike.config import IndexOptions
from lookalike.errors import InputError, LookalikeError, MissingExtraError
from lookalike.features.encoders import load_encoder, models
from lookalike.features.encoders.catalogue import CATALOGUE
from lookalike.query.tables import has_classes
from tests.models import SMALL, use_small, write_tokenizer, write_weights

SPEC = SMALL["clip-vit-b32"].spec
RESNET = SMALL["resnet50"].spec
COMMIT = "c0ffee" * 6 + "beef"


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where weights are looked for; the catalogue has the small encoders, too."""
    use_small(monkeypatch, tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """What the Hub would have of the small CLIP."""
    folder = tmp_path / "published"
    folder.mkdir()
    architecture = SMALL["clip-vit-b32"].architecture
    write_weights(folder / "open_clip_model.safetensors", architecture, open_clip=True)
    write_tokenizer(folder / "tokenizer.json")
    return folder


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# -- adding ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["", "open_clip_model.safetensors"])
def test_added_weights_make_an_encoder_whose_space_has_their_digest(
    here: Path, published: Path, given: str
) -> None:
    models.add(SPEC, published / given)
    encoder = load_encoder(SPEC.name)
    assert encoder.spec.space.weights_digest == sha256(published / "open_clip_model.safetensors")
    assert encoder.spec.dim == 24
    assert (published / "tokenizer.json").exists()  # originals stay
    assert not list((here / SPEC.name).glob(".adding*"))


def test_an_encoder_that_is_not_here_says_in_one_line_how_to_get_it(here: Path) -> None:
    with pytest.raises(LookalikeError) as caught:
        load_encoder(SPEC.name)
    told = f"encoder {SPEC.name}: its weights are not here; lookalike models get {SPEC.name}"
    assert str(caught.value) == told


def test_weights_that_changed_are_refused(here: Path, published: Path) -> None:
    models.add(SPEC, published)
    file = here / SPEC.name / SPEC.weights
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    os.utime(file, ns=(1, 1))
    with pytest.raises(LookalikeError, match=r"SHA-256 is .*, was .* when it came"):
        load_encoder(SPEC.name)


def test_a_copied_folder_is_known_again_by_its_digests(
    here: Path, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.add(SPEC, published)
    shutil.copytree(here, tmp_path / "elsewhere", copy_function=shutil.copyfile)
    monkeypatch.setenv("LOOKALIKE_MODELS", str(tmp_path / "elsewhere"))
    assert load_encoder(SPEC.name).spec.weights_digest == models.held(SPEC).weights_digest


def test_other_weights_of_the_same_encoder_make_another_graph_and_another_space(
    here: Path, published: Path
) -> None:
    models.add(SPEC, published)
    before = load_encoder(SPEC.name)
    pixels = np.full((1, SPEC.side, SPEC.side, 3), 77, np.uint8)
    first = before.encode(pixels).vectors
    write_weights(
        published / "open_clip_model.safetensors", SMALL["clip-vit-b32"].architecture, seed=1,
        open_clip=True,
    )  # fmt: skip
    models.add(SPEC, published)
    after = load_encoder(SPEC.name)
    assert after.spec.space != before.spec.space
    assert float((after.encode(pixels).vectors * first).sum()) < 0.9
    assert len(list((here / SPEC.name).glob("image-*.onnx"))) == 1


def test_a_tower_is_not_loaded_from_weights_that_replaced_those_of_the_other(
    here: Path, published: Path
) -> None:
    models.add(SPEC, published)
    encoder = load_encoder(SPEC.name)
    write_weights(
        published / "open_clip_model.safetensors", SMALL["clip-vit-b32"].architecture, seed=1,
        open_clip=True,
    )  # fmt: skip
    models.add(SPEC, published)
    with pytest.raises(LookalikeError, match="have been replaced by others meanwhile"):
        encoder.encode_words(["car"])  # type: ignore[attr-defined]


def test_weights_of_another_encoder_are_refused_and_what_was_there_stays(
    here: Path, published: Path, tmp_path: Path
) -> None:
    models.add(SPEC, published)
    other = tmp_path / "other"
    other.mkdir()
    write_weights(other / "model.safetensors", SMALL["dinov2-small"].architecture)
    write_tokenizer(other / "tokenizer.json")
    with pytest.raises(LookalikeError, match=rf"{other}/model\.safetensors: tensor .* is missing"):
        models.add(SPEC, other)
    assert load_encoder(SPEC.name).spec.weights_digest
    wider = SMALL["resnet50"].architecture
    write_weights(tmp_path / "narrow.safetensors", wider)
    with pytest.raises(LookalikeError, match=r"has shape \(8, 3, 7, 7\), not \(64, 3, 7, 7\)"):
        models.add(CATALOGUE["resnet50"], tmp_path / "narrow.safetensors")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "not a safetensors file"),
        (b"\xff" * 100, "no plausible length"),
        (b"\x02\0\0\0\0\0\0\0{}", "tensor conv1.weight is missing"),
        (b"\x02\0\0\0\0\0\0\0[]", "not a safetensors file"),
    ],
)
def test_damaged_weights_are_refused_in_one_line(
    here: Path, tmp_path: Path, content: bytes, told: str
) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(content)
    with pytest.raises(LookalikeError, match=told) as caught:
        models.add(RESNET, file)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("shape", "offsets"), [([9, 9], [0, 16]), ([4], [-4, 12]), ([2], [0, 4])])
def test_a_table_of_contents_that_lies_is_refused(
    here: Path, tmp_path: Path, shape: list[int], offsets: list[int]
) -> None:
    entry = {"conv1.weight": {"dtype": "F32", "shape": shape, "data_offsets": offsets}}
    header = json.dumps(entry).encode()
    file = tmp_path / "model.safetensors"
    file.write_bytes(len(header).to_bytes(8, "little") + header + bytes(16))
    with pytest.raises(LookalikeError, match=r"conv1\.weight has another size than its shape"):
        models.add(RESNET, file)


def test_weights_that_were_cut_off_are_refused(here: Path, tmp_path: Path) -> None:
    file = write_weights(tmp_path / "model.safetensors", SMALL["resnet50"].architecture)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(LookalikeError, match="it ends before"):
        models.add(RESNET, file)


def test_pytorchs_files_are_refused_unread_and_the_tool_named(here: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"tools/convert_torchvision\.py"):
        models.add(RESNET, tmp_path / "resnet50-0676ba61.pth")


def test_a_folder_without_the_vocabulary_is_refused(here: Path, published: Path) -> None:
    (published / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"no tokenizer.json there; fetch open_clip_model\."):
        models.add(SPEC, published)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"model": null}', "<html>not found</html>"])
def test_what_is_no_vocabulary_is_refused_and_what_was_there_stays(
    here: Path, published: Path, content: str
) -> None:
    models.add(SPEC, published)
    (published / "tokenizer.json").write_text(content)
    with pytest.raises(LookalikeError, match=r"not a tokenizer\.json"):
        models.add(SPEC, published)
    assert load_encoder(SPEC.name).encode_words(["grass"]).shape == (1, 24)  # type: ignore[attr-defined]


def test_half_precision_weights_are_computed_in_float32(here: Path, tmp_path: Path) -> None:
    from safetensors.numpy import load_file, save_file

    file = write_weights(tmp_path / "model.safetensors", SMALL["resnet50"].architecture)
    halves = {name: one.astype(np.float16) for name, one in load_file(file).items()}
    save_file(halves, tmp_path / "halves.safetensors")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    vectors = []
    for path in (file, tmp_path / "halves.safetensors"):
        models.add(RESNET, path)
        vectors.append(load_encoder(RESNET.name).encode(pixels).vectors)
    np.testing.assert_allclose((vectors[0] * vectors[1]).sum(axis=1), 1, atol=1e-4)


def test_what_the_tool_makes_of_torchvisions_file_can_be_added(here: Path, tmp_path: Path) -> None:
    from tests import reference
    from tools.convert_torchvision import convert

    file = write_weights(tmp_path / "model.safetensors", SMALL["resnet50"].architecture)
    tensors = reference.tensors(file)
    tensors["bn1.num_batches_tracked"] = reference.torch().tensor(3)
    tensors["AuxLogits.fc.weight"] = reference.torch().zeros(2)
    reference.torch().save(tensors, tmp_path / "weights.pth")
    with pytest.raises(ValueError, match="none of: resnet50 0676ba61"):
        convert(tmp_path / "weights.pth", tmp_path / "out.safetensors")
    digest = convert(tmp_path / "weights.pth", tmp_path / "out.safetensors", check=False)
    models.add(RESNET, tmp_path / "out.safetensors")
    assert models.held(RESNET).weights_digest == digest


# -- downloading -----------------------------------------------------------------------------------


class Hub(ThreadingHTTPServer):
    """Serves a folder's files as the Hugging Face Hub does, as far as its client asks."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Files)
        self.folder = folder
        self.asked: list[tuple[str, str, str | None]] = []
        self.break_after: int | None = None
        self.claimed: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Files(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        name = self.path.rpartition("/")[2]
        file = self.server.folder / name
        span = self.headers.get("Range")
        self.server.asked.append((self.command, self.path, span))
        if not file.exists():
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        content = file.read_bytes()
        start = int(span.removeprefix("bytes=").partition("-")[0]) if span else 0
        self.send_response(206 if span else 200)
        if span:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        digest = self.server.claimed.get(name, hashlib.sha256(content).hexdigest())
        self.send_header("ETag", f'"{digest}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        if body:
            end = self.server.break_after or len(content)
            self.wfile.write(content[start:end])
            if end < len(content):
                self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Quietly."""


@pytest.fixture
def hub(here: Path, published: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A stand-in for the Hub that has the small CLIP."""
    import huggingface_hub
    from huggingface_hub import constants

    server = Hub(published)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    assert huggingface_hub.hf_hub_url("a/b", "c").startswith(server.url)
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_download_is_checked_recorded_and_usable(hub: Hub, here: Path) -> None:
    model = models.get(SPEC)
    known = model.files[SPEC.weights]
    assert known.sha256 == sha256(hub.folder / "open_clip_model.safetensors")
    assert (known.source, known.revision) == ("timm/vit_base_patch32_clip_224.openai", COMMIT)
    assert load_encoder(SPEC.name).spec.weights_digest == known.sha256
    assert not (here / SPEC.name / "partial").exists()
    asked = len(hub.asked)
    assert models.get(SPEC) == model
    assert len(hub.asked) == asked  # what is here is not asked for again


def test_a_download_that_was_broken_off_is_continued(
    hub: Hub, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (hub.folder / "open_clip_model.safetensors").read_bytes()
    hub.break_after = len(content) // 2
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 1_000)
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)  # between the client's own attempts
    with pytest.raises(LookalikeError, match="cannot be downloaded"):
        models.get(SPEC)
    assert models.model_of(SPEC) is None
    hub.break_after = None
    hub.asked.clear()
    models.get(SPEC)
    (span,) = [
        span
        for command, path, span in hub.asked
        if command == "GET" and path.endswith(".safetensors")
    ]
    start = len(content) // 2 // 1_000 * 1_000  # the client keeps whole parts
    assert span == f"bytes={start}-"
    assert load_encoder(SPEC.name).spec.weights_digest == hashlib.sha256(content).hexdigest()


def test_a_download_with_another_digest_is_refused_and_nothing_kept(hub: Hub, here: Path) -> None:
    hub.claimed["open_clip_model.safetensors"] = "ab" * 32
    with pytest.raises(LookalikeError, match=r"came with digest .*, the Hub names abababababab"):
        models.get(SPEC)
    assert {path.name for path in here.rglob("*") if path.is_file()} <= {".lock"}


@pytest.mark.parametrize("etag", ["W/abc", "../" * 8 + "x", "0" * 32])
def test_a_hub_that_names_no_digest_is_not_believed(hub: Hub, here: Path, etag: str) -> None:
    hub.claimed["open_clip_model.safetensors"] = etag
    with pytest.raises(LookalikeError, match="names no commit, or no digest"):
        models.get(SPEC)


def test_small_files_are_checked_by_gits_digest(hub: Hub, here: Path) -> None:
    content = (hub.folder / "tokenizer.json").read_bytes()
    own = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    hub.claimed["tokenizer.json"] = "cd" * 20
    with pytest.raises(LookalikeError, match="the Hub names cdcdcdcdcdcd"):
        models.get(SPEC)
    hub.claimed["tokenizer.json"] = own
    assert models.get(SPEC).files["tokenizer.json"].bytes == len(content)


def test_lost_weights_are_fetched_again_from_the_same_commit_and_no_others_taken(
    hub: Hub, here: Path
) -> None:
    models.get(SPEC)
    file = here / SPEC.name / SPEC.weights
    before = sha256(file)
    file.unlink()
    hub.asked.clear()
    models.get(SPEC)
    assert sha256(file) == before
    assert all(COMMIT in path for _, path, _ in hub.asked)
    file.unlink()
    write_weights(
        hub.folder / "open_clip_model.safetensors", SMALL["clip-vit-b32"].architecture, seed=5,
        open_clip=True,
    )  # fmt: skip
    with pytest.raises(LookalikeError, match="not the file that came first"):
        models.get(SPEC)
    assert not file.exists()


def test_without_a_network_the_files_are_named_and_what_to_do_with_them(
    hub: Hub, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(LookalikeError) as caught:
        models.get(SPEC)
    told = str(caught.value)
    assert "\n" not in told
    assert f"{hub.url}/timm/vit_base_patch32_clip_224.openai/resolve/main" in told
    assert told.endswith(
        "; fetch open_clip_model.safetensors of timm/vit_base_patch32_clip_224.openai and"
        " tokenizer.json of openai/clip-vit-base-patch32 from the Hugging Face Hub by hand into a"
        f" folder, then: lookalike models add {SPEC.name} PATH"
    )


def test_a_file_that_the_hub_has_not_is_named(hub: Hub, here: Path) -> None:
    (hub.folder / "tokenizer.json").unlink()
    with pytest.raises(LookalikeError, match=r"tokenizer\.json cannot be downloaded from http"):
        models.get(SPEC)


def test_two_processes_do_not_get_the_same_weights_at_once(
    hub: Hub, here: Path, published: Path
) -> None:
    (here / SPEC.name).mkdir(parents=True)
    with FileLock(here / SPEC.name / ".lock"):
        for call in (lambda: models.get(SPEC), lambda: models.add(SPEC, published)):
            with pytest.raises(LookalikeError, match="another process is getting its weights"):
                call()
    assert models.get(SPEC).files


def test_encoders_inside_the_package_need_not_be_got() -> None:
    with pytest.raises(InputError, match="inside the package; nothing to get"):
        models.get(CATALOGUE["efficientnet-lite0"])


@pytest.mark.parametrize(
    ("library", "needed"), [("huggingface_hub", "get"), ("onnx", "add"), ("tokenizers", "words")]
)
def test_a_missing_extra_is_named(
    here: Path, published: Path, monkeypatch: pytest.MonkeyPatch, library: str, needed: str
) -> None:
    if needed == "words":
        models.add(SPEC, published)
    for name in [one for one in sys.modules if one.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    does = {
        "get": lambda: models.get(SPEC),
        "add": lambda: models.add(SPEC, published),
        "words": lambda: load_encoder(SPEC.name).encode_words(["car"]),  # type: ignore[attr-defined]
    }
    with pytest.raises(MissingExtraError, match=r"pip install 'lookalike\[models\]'"):
        does[needed]()


# -- in a library ----------------------------------------------------------------------------------


def test_words_search_a_space_by_its_own_tower_for_text(
    here: Path, published: Path, photos: Path, tmp_path: Path
) -> None:
    models.add(SPEC, published)
    with Library.open(tmp_path / "library", create=True) as library:
        library.add([photos], IndexOptions(encoder=SPEC.name))
        result = library.search("a red car", k=12)
    assert result.inputs[0].understood == ("a red car",)
    encoder = load_encoder(SPEC.name)
    (words,) = encoder.encode_words(["a red car"])  # type: ignore[attr-defined]
    for hit in result.hits:
        pixels = encoder.prepare(Image.open(hit.paths[0]).convert("RGB"))[None]
        assert hit.score == pytest.approx(encoder.encode(pixels).vectors[0] @ words, abs=1e-3)
        assert hit.label is None
    scores = [hit.score for hit in result.hits]
    assert len(scores) == 12
    assert scores == sorted(scores, reverse=True)


def test_an_encoder_whose_sureness_was_not_measured_tells_no_labels_and_reads_no_words(
    here: Path, photos: Path, tmp_path: Path
) -> None:
    models.add(RESNET, write_weights(tmp_path / "w.safetensors", SMALL["resnet50"].architecture))
    assert has_classes(CATALOGUE["efficientnet-lite0"].space)
    assert not has_classes(CATALOGUE["resnet50"].space)
    with Library.open(tmp_path / "library", create=True) as library:
        library.add([photos], IndexOptions(encoder=RESNET.name))
        assert {hit.label for hit in library.search(photos / "000.png").hits} == {None}
        with pytest.raises(InputError, match="knows no words"):
            library.search("dog")
        with pytest.raises(InputError, match="no space of this library has classes"):
            library.search(photos / "000.png", category="dog")


def test_indexing_with_an_encoder_that_is_not_here_leaves_no_catalogue(
    here: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    library = tmp_path / "library"
    command = ["index", str(photos), "--library", str(library), "--encoder", SPEC.name]
    assert main(command) == 1
    told = f"encoder {SPEC.name}: its weights are not here; lookalike models get {SPEC.name}"
    assert capsys.readouterr().err.strip() == f"lookalike: {told}"
    assert not (library / "catalog.sqlite").exists()


# -- the command -----------------------------------------------------------------------------------


def test_models_list_says_what_is_here(
    here: Path, published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "add", SPEC.name, str(published)]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert f"encoder {SPEC.name}: ready; lookalike index PATH --encoder {SPEC.name}" in told.err
    assert main(["models", "list", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["encoders"]}
    assert rows[SPEC.name]["state"] == "added"
    assert rows[SPEC.name]["path"] == str(here / SPEC.name)
    assert rows["resnet50"]["state"] == "not here"
    assert rows["efficientnet-lite0"]["path"] is None
    (here / SPEC.name / SPEC.weights).unlink()
    assert main(["models", "list"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert f"{SPEC.weights}: missing; lookalike models get {SPEC.name}" in lines[SPEC.name]
    assert "to be had by: lookalike models get resnet50" in lines["resnet50"]
    assert "in the package" in lines["efficientnet-lite0"]


def test_models_get_downloads_says_what_came_and_shows_no_progress_to_a_file(
    hub: Hub, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "get", SPEC.name]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    weights, vocabulary, ready = told.err.splitlines()
    digest = sha256(hub.folder / "open_clip_model.safetensors")
    assert weights.endswith(f"{SPEC.weights}: 0.2 MB, SHA-256 {digest}")
    assert "tokenizer.json" in vocabulary
    assert ready.startswith(f"lookalike: encoder {SPEC.name}: ready")
    assert main(["models", "list"]) == 0
    (row,) = [line for line in capsys.readouterr().out.splitlines() if SPEC.name in line]
    assert "downloaded" in row


@pytest.mark.parametrize("command", [["get", "nonesuch"], ["add", "nonesuch", "x"]])
def test_an_unknown_encoder_is_refused(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", *command]) == 2
    assert "encoder 'nonesuch': not known; use one of: efficientnet-lite0," in (
        capsys.readouterr().err
    )


def test_nothing_of_the_extra_is_imported_before_it_is_needed() -> None:
    code = "import sys; from lookalike.features.encoders import models, catalogue\n"
    code += "print({'onnx', 'huggingface_hub', 'tokenizers', 'torch'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr
