"""A map in other programs' forms: whole or not at all, whatever names and numbers are in it."""

from __future__ import annotations

import csv
import json
import re
import socket
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lookalike import Library
from lookalike.errors import InputError, MissingExtraError
from lookalike.maps.base import Cluster, Clustering, Level, MapOptions, PictureMap
from lookalike.maps.exports import source as sources
from lookalike.maps.exports.html import ALIKE, PageOptions, along, nearest, write_html
from lookalike.maps.exports.mosaic import (
    MosaicOptions,
    cell_pixels,
    nearest_of_cells,
    write_mosaic,
)
from lookalike.maps.exports.page import STRETCH, Page, Places, PosterOptions
from lookalike.maps.exports.pictures import GREY, tile
from lookalike.maps.exports.plotly import LOOSE, OTHERS, PlotlyOptions, write_plotly
from lookalike.maps.exports.scatter import write_scatter
from lookalike.maps.exports.source import ExportSource, RowFacts
from lookalike.maps.exports.table import TableOptions, write_csv, write_parquet
from lookalike.maps.exports.tensorboard import (
    CONFIG,
    LAYOUT,
    METADATA,
    PCA,
    SPRITE,
    ProjectorOptions,
    unreadable_as_text,
    write_tensorboard,
)
from lookalike.types import ID_DTYPE, printable
from lookalike.web.document import document
from lookalike.writing import write_whole
from tests.conftest import encoded, plain, record_ids

ODD = (
    "/p/new\nline.jpg", "/p/tab\there.jpg", "/p/caf\udce9.jpg", '/p/"quoted", too.jpg',
    "/p/<script>alert(1)</script>.jpg", "/p/写真 \u2028 🐱.jpg", "/p/back\\slash\r.jpg", "=1+1",
)  # fmt: skip
COLOURS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)]


def cluster(name: str, size: int, centre: tuple[float, ...]) -> Cluster:
    return Cluster(size, name, (), UUID(int=1), (UUID(int=1),), (), centre)


def made(rows: int = 40, dims: int = 2, groups: int = 4, names: Sequence[str] = ()) -> ExportSource:
    """A map of ``rows`` records in groups of four corners; every sixth is in no cluster."""
    dice = np.random.default_rng(1)
    group = np.arange(rows) % groups
    angle = 2 * np.pi * group / groups
    corners = np.column_stack([np.cos(angle), np.sin(angle), np.zeros(rows)])[:, :dims]
    positions = (0.7 * corners + dice.uniform(-0.2, 0.2, (rows, dims))).astype(np.float32)
    fine = np.where(np.arange(rows) % 6 == 5, -1, group).astype(np.int32)
    wide = (group // 2).astype(np.int32)
    levels = tuple(
        Level(of, tuple(
            cluster(
                names[number] if number < len(names) else f"{word} {number}",
                int((of == number).sum()),
                tuple(map(float, positions[of == number].mean(axis=0)))
                if (of == number).any() else (0.0,) * dims,
            )
            for number in range(of.max(initial=0) + 1)
        ))
        for word, of in (("wide", wide), ("fine", fine))
    )  # fmt: skip
    ids = record_ids(rows)
    row_of = {UUID(bytes=id_.tobytes()): row for row, id_ in enumerate(ids)}
    jpegs = [encoded(plain(colour, (64, 48)), "JPEG") for colour in COLOURS]

    def fact(id_: UUID) -> RowFacts:
        row = row_of[id_]
        path = ODD[row] if row < len(ODD) else f"/p/{row:05d}.jpg"
        labels = ("a", "b\tc") if row == 0 else ()
        taken = "2020-05-04T03:02:01" if row % 2 else ""
        return RowFacts(path, 64, 48, taken, "cat" if row % 3 else "", labels)

    points = dice.normal(size=(rows, 64)).astype(np.float32)
    chart = PictureMap(
        MapOptions(dims=dims),
        ids,
        positions,
        np.arange(rows) % 5 == 0,
        Clustering("kmeans", {}, levels),
    )
    return ExportSource(
        chart,
        lambda: points,
        lambda ids: [fact(id_) for id_ in ids],
        lambda ids: [jpegs[row_of[id_] % 4] if row_of[id_] % 7 else None for id_ in ids],
    )


WRITERS = {
    "tensorboard": (write_tensorboard, "folder"),
    "csv": (write_csv, "map.csv"),
    "parquet": (write_parquet, "map.parquet"),
    "mosaic": (write_mosaic, "map.png"),
    "scatter": (write_scatter, "map.png"),
    "plotly": (write_plotly, "map.html"),
    "html": (lambda source, path, _: write_html(source, path, document), "map.html"),
}
FORMS = pytest.mark.parametrize("form", WRITERS)


def small(form: str) -> Any:
    return {
        "mosaic": MosaicOptions("90x60", 100),
        "scatter": PosterOptions("90x60", 100),
    }.get(form)


def contents(path: Path) -> dict[str, bytes]:
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {file.name: file.read_bytes() for file in files}


# -- all forms -------------------------------------------------------------------------------------


@FORMS
@pytest.mark.parametrize(("rows", "dims"), [(1, 2), (40, 2), (41, 3)])
def test_every_form_is_written_and_repeats_exactly(
    tmp_path: Path, form: str, rows: int, dims: int
) -> None:
    write, name = WRITERS[form]
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        write(made(rows, dims), tmp_path / place / name, small(form))
        assert [path.name for path in (tmp_path / place).iterdir()] == [name]
    assert contents(tmp_path / "one" / name) == contents(tmp_path / "two" / name)


@FORMS
def test_a_map_without_records_is_refused_and_writes_nothing(tmp_path: Path, form: str) -> None:
    write, name = WRITERS[form]
    with pytest.raises(InputError, match="no records"):
        write(made(0), tmp_path / name, small(form))
    assert not list(tmp_path.iterdir())


@FORMS
def test_what_was_there_stays_when_writing_fails(tmp_path: Path, form: str) -> None:
    write, name = WRITERS[form]
    write(made(12), tmp_path / name, small(form))
    before = contents(tmp_path / name)

    def lost(ids: Sequence[UUID]) -> Any:
        raise OSError(28, "No space left on device")

    broken = replace(made(12), facts=lost, thumbnails=lost, points=lambda: lost(()))
    if form == "scatter":  # reads nothing but the map
        broken = replace(
            broken, chart=replace(broken.chart, positions=np.empty((0, 2), np.float32))
        )
    with pytest.raises((OSError, ValueError)):
        write(broken, tmp_path / name, small(form))
    assert contents(tmp_path / name) == before
    assert [path.name for path in tmp_path.iterdir()] == [name]


@FORMS
def test_a_place_that_is_not_there_is_an_error_of_the_system(tmp_path: Path, form: str) -> None:
    write, name = WRITERS[form]
    with pytest.raises(OSError, match="No such file"):
        write(made(3), tmp_path / "nowhere" / name, small(form))


def test_a_file_is_as_readable_as_others_that_the_user_makes(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write_whole(tmp_path / "ours", lambda file: file.write(b"x"))
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.parametrize(
    ("form", "package", "extra"),
    [
        ("parquet", "pyarrow", "parquet"),
        ("plotly", "plotly.io", "plotly"),
        ("scatter", "matplotlib.figure", "plots"),
    ],
)
def test_a_missing_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, package: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    write, name = WRITERS[form]
    with pytest.raises(MissingExtraError, match=rf"lookalike\[{extra}\]"):
        write(made(3), tmp_path / name, small(form))
    assert not list(tmp_path.iterdir())


# -- which rows ------------------------------------------------------------------------------------


@given(rows=st.integers(1, 300), most=st.integers(1, 300), groups=st.integers(1, 4))
def test_a_sample_has_every_cluster_by_its_share(rows: int, most: int, groups: int) -> None:
    source = made(rows, groups=groups)
    some = source.some(most)
    assert len(some) == min(rows, most) == len(set(some.tolist()))
    sizes, kept = (np.bincount(of + 1, minlength=groups + 1) for of in (source.of, source.of[some]))
    if most >= np.count_nonzero(sizes):
        assert (kept[sizes > 0] > 0).all()
    assert (np.abs(kept - sizes * min(1, most / rows)) <= groups + 1).all()
    assert (some == made(rows, groups=groups).some(most)).all()


def test_rows_are_shuffled() -> None:
    some = made(200).some(None)
    assert sorted(some) == list(range(200))
    assert abs(np.corrcoef(some, np.arange(200))[0, 1]) < 0.3


# -- TensorBoard -----------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1))
def test_a_tensor_never_begins_like_text(bits: int) -> None:
    number = np.array([[bits]], "<u4").view("<f4")
    data = unreadable_as_text(number)
    with pytest.raises(UnicodeDecodeError) as caught:
        data.decode()
    assert caught.value.start == 0  # before any line of it could be taken for numbers
    if np.isfinite(number).all():
        moved = float(np.frombuffer(data, "<f4")[0])
        assert moved == pytest.approx(float(number[0, 0]), rel=2**-16, abs=2e-43)


def test_tensors_are_the_numbers_of_their_rows(tmp_path: Path) -> None:
    source = made(50)
    write_tensorboard(source, tmp_path / "logs", ProjectorOptions(rows=20))
    rows = source.some(20)
    pca = np.fromfile(tmp_path / "logs" / PCA, "<f4").reshape(20, 64)
    np.testing.assert_allclose(pca, source.points()[rows], rtol=1e-5)
    layout = np.fromfile(tmp_path / "logs" / LAYOUT, "<f4").reshape(20, 3)
    np.testing.assert_allclose(layout[:, :2], source.chart.positions[rows], rtol=1e-5)
    assert not layout[:, 2].any()


def test_metadata_has_a_line_per_row_whatever_the_names(tmp_path: Path) -> None:
    source = made(30, names=["a\tb\nc", "fine"])
    write_tensorboard(source, tmp_path / "logs")
    text = (tmp_path / "logs" / METADATA).read_bytes().decode("utf-8")
    lines = text.splitlines()  # also at what only Python takes for line ends
    assert len(lines) == 31
    assert lines[0].split("\t") == ["path", "cluster", "cluster 1", "category", "label", "taken"]
    assert {line.count("\t") for line in lines} == {5}
    for line, row in zip(lines[1:], source.some(None).tolist(), strict=True):
        path, fine, _, _, label, _ = line.split("\t")
        assert path == printable(ODD[row] if row < len(ODD) else f"/p/{row:05d}.jpg")
        assert label == ("a; b\\tc" if row == 0 else "")
        assert (fine == "in no cluster") == (row % 6 == 5)
    assert "a\\tb\\nc" in text


def test_the_sprite_has_the_pictures_row_by_row_on_a_square(tmp_path: Path) -> None:
    source = made(30)
    write_tensorboard(source, tmp_path / "logs")
    with Image.open(tmp_path / "logs" / SPRITE) as sprite:
        assert sprite.format == "JPEG"
        assert sprite.size == (6 * 64, 6 * 64)
        pixels = np.asarray(sprite.convert("RGB")).astype(int)
    for place, row in enumerate(source.some(None).tolist()):
        top, left = 64 * (place // 6), 64 * (place % 6)
        wanted = COLOURS[row % 4] if row % 7 else (GREY, GREY, GREY)
        assert np.abs(pixels[top + 32, left + 32] - wanted).max() < 12
    assert "single_image_dim: 64" in (tmp_path / "logs" / CONFIG).read_text()


def test_without_sprite_nothing_says_that_there_is_one(tmp_path: Path) -> None:
    write_tensorboard(made(9), tmp_path / "logs", ProjectorOptions(sprite=False))
    assert {path.name for path in (tmp_path / "logs").iterdir()} == {CONFIG, METADATA, PCA, LAYOUT}
    assert "sprite" not in (tmp_path / "logs" / CONFIG).read_text()


def test_an_earlier_export_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    write_tensorboard(made(9), logs)
    write_tensorboard(made(5), logs, ProjectorOptions(sprite=False))
    assert {path.name for path in logs.iterdir()} == {CONFIG, METADATA, PCA, LAYOUT}
    (logs / "holiday\n.jpg").write_bytes(b"dear")
    with pytest.raises(InputError, match=r"no earlier export \(has 'holiday\\\\n.jpg'\)"):
        write_tensorboard(made(5), logs)
    (tmp_path / "file").write_text("dear")
    with pytest.raises(InputError, match="no folder"):
        write_tensorboard(made(5), tmp_path / "file")
    assert (logs / "holiday\n.jpg").read_bytes() == b"dear"


@pytest.mark.long
def test_a_real_tensorboard_shows_the_export(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    source = made(120)
    points = source.points().copy()
    points[source.some(None)[0], 0] = np.float32(1.0)  # 00 00 80 3f: begins like text as it is
    points[:, 1:] = np.frombuffer(b"1\n2\t", "<f4")[0]  # reads as text throughout
    source = replace(source, points=lambda: points)
    write_tensorboard(source, tmp_path / "logs")
    rows = source.some(None)
    with tensorboard(tmp_path / "logs") as ask:
        assert json.loads(ask("runs")) == ["."]
        config = json.loads(ask("info", run="."))
        embeddings = {one["tensorName"]: one for one in config["embeddings"]}
        assert [one["tensorShape"] for one in embeddings.values()] == [[120, 3], [120, 64]]
        for name, one in embeddings.items():
            assert one["sprite"]["singleImageDim"] == [64, 64]
            numbers = np.frombuffer(ask("tensor", run=".", name=name, num_rows=100_000), "<f4")
            wanted = points[rows] if one["tensorShape"][1] == 64 else source.chart.positions[rows]
            found = numbers.reshape(one["tensorShape"])[:, : wanted.shape[1]]
            np.testing.assert_allclose(found, wanted, rtol=1e-5)
            lines = ask("metadata", run=".", name=name, num_rows=100_000).decode().split("\n")
            assert lines == (tmp_path / "logs" / METADATA).read_text("utf-8").split("\n")
            sprite = ask("sprite_image", run=".", name=name)
            assert sprite == (tmp_path / "logs" / SPRITE).read_bytes()


class tensorboard:  # noqa: N801
    """A real TensorBoard without TensorFlow, on a free port of this machine."""

    def __init__(self, logs: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.logs = logs

    def __enter__(self) -> Any:
        command = [sys.executable, "-W", "ignore", "-m", "tensorboard.main", "--logdir", self.logs]
        command += ["--port", str(self.port), "--host", "127.0.0.1", "--load_fast", "false"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        for _ in range(600):
            assert self.process.poll() is None, self.process.stderr and self.process.stderr.read()
            with socket.socket() as there:
                if there.connect_ex(("127.0.0.1", self.port)) == 0:
                    return self.ask
            time.sleep(0.1)
        raise AssertionError("TensorBoard did not start")

    def ask(self, route: str, **query: Any) -> bytes:
        address = f"http://127.0.0.1:{self.port}/data/plugin/projector/{route}"
        with urllib.request.urlopen(f"{address}?{urllib.parse.urlencode(query)}") as answer:
            return answer.read()

    def __exit__(self, *error: object) -> None:
        self.process.kill()
        self.process.communicate()


# -- tables ----------------------------------------------------------------------------------------


def test_a_csv_has_every_record_in_the_order_of_the_map(tmp_path: Path) -> None:
    source = made(30, dims=3)
    assert write_csv(source, tmp_path / "map.csv") == 30
    with (tmp_path / "map.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == [str(id_) for id_ in source.ids(np.arange(30))]
    for number, row in enumerate(rows):
        at = [float(row[axis]) for axis in "xyz"]
        np.testing.assert_allclose(at, source.chart.positions[number], rtol=1e-4, atol=1e-6)
        loose = number % 6 == 5
        assert row["cluster"] == ("" if loose else str(number % 4))
        assert row["cluster_2"] == ("" if loose else f"fine {number % 4}")
        assert row["cluster_1"] == f"wide {number % 4 // 2}"
        assert row["taken"] == ("2020-05-04T03:02:01" if number % 2 else "")
        assert row["placed"] == ("yes" if number % 5 == 0 else "")
    paths = [row["path"] for row in rows[: len(ODD)]]
    assert paths == [path.replace("\udce9", "\\xe9") for path in ODD]


def test_a_parquet_file_has_typed_columns_and_thumbnails(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    source = made(30)
    write_parquet(source, tmp_path / "map.parquet", TableOptions(thumbnails=True))
    table = parquet.read_table(tmp_path / "map.parquet")
    kinds = {field.name: str(field.type) for field in table.schema}
    assert kinds.pop("taken").startswith("timestamp")
    assert kinds == {
        **dict.fromkeys(("id", "path", "cluster_1", "cluster_2", "category", "label"), "string"),
        "x": "float",
        "y": "float",
        "cluster": "int32",
        "width": "int32",
        "height": "int32",
        "placed": "bool",
        "thumbnail": "binary",
    }
    np.testing.assert_array_equal(table["x"].to_numpy(), source.chart.positions[:, 0])
    assert table["cluster"].to_pylist()[:6] == [0, 1, 2, 3, 0, None]
    assert table["taken"][1].as_py().isoformat() == "2020-05-04T03:02:01"
    thumbnails = table["thumbnail"].to_pylist()
    assert thumbnails == source.thumbnails(source.ids(np.arange(30)))


def test_a_table_may_have_fewer_rows(tmp_path: Path) -> None:
    assert write_csv(made(30), tmp_path / "map.csv", TableOptions(rows=7)) == 7
    with (tmp_path / "map.csv").open(encoding="utf-8", newline="") as file:
        assert len(list(csv.DictReader(file))) == 7


def test_records_that_left_the_library_keep_their_rows(tmp_path: Path) -> None:
    source = replace(made(3), facts=lambda ids: [sources.NOTHING] * len(ids))
    write_csv(source, tmp_path / "map.csv")
    assert (tmp_path / "map.csv").read_text().count("\n") == 4


# -- posters ---------------------------------------------------------------------------------------


def test_a_cell_shows_the_nearest_picture_and_empty_cells_stay_empty(tmp_path: Path) -> None:
    points = np.array([[4, 5], [5, 5], [14, 5], [15, 16], [29, 1]], np.float32)
    cells, rows = nearest_of_cells(points, 10)
    assert cells.tolist() == [[0, 0], [1, 0], [1, 1], [2, 0]]
    assert rows.tolist() == [1, 2, 3, 4]


def test_a_mosaic_has_pictures_where_the_map_has_them(tmp_path: Path) -> None:
    source, options = made(60, names=["", "", "", ""]), MosaicOptions("120x90", 50, cell=4)
    shown = write_mosaic(source, tmp_path / "map.png", options)
    page = Page.of(source.chart, options, stretch=STRETCH)
    side = cell_pixels(page, options, 60)
    cells, rows = nearest_of_cells(page.points, side)
    assert shown == len(rows)
    with Image.open(tmp_path / "map.png") as poster:
        assert poster.size == (round(120 / 25.4 * 50), round(90 / 25.4 * 50))
        pixels = np.asarray(poster).astype(int)
    for (column, row), record in zip(cells.tolist(), rows.tolist(), strict=True):
        if (row + 1) * side > page.height - 12:  # under the line at the foot
            continue
        middle = pixels[row * side + side // 2, column * side + side // 2]
        wanted = COLOURS[record % 4] if record % 7 else (GREY, GREY, GREY)
        assert np.abs(middle - wanted).max() < 12
    for column, row in cells.tolist():
        pixels[row * side : (row + 1) * side, column * side : (column + 1) * side] = 255
    assert (pixels[:-12] == 255).all()


def rgb(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("write", [write_mosaic, write_scatter])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_poster_has_its_themes_ground_and_its_names(
    tmp_path: Path, write: Any, theme: str
) -> None:
    options = (MosaicOptions if write is write_mosaic else PosterOptions)("90x60", 100, theme)
    named, bare = made(60, names=["$x", "b", "写真", "<i>d</i>"]), made(60, names=[""] * 4)
    write(named, tmp_path / "named.png", options)
    write(bare, tmp_path / "bare.png", options)
    one, two = (rgb(tmp_path / name) for name in ("named.png", "bare.png"))
    assert (one[0, 0] == ((255, 255, 255) if theme == "light" else (16, 17, 20))).all()
    assert 50 < (one != two).any(axis=2).sum() < one.size / 6


def test_points_have_the_colours_of_their_clusters(tmp_path: Path) -> None:
    source = made(60, names=[""] * 4)
    write_scatter(source, tmp_path / "map.png", PosterOptions("90x90", 100))
    pixels = rgb(tmp_path / "map.png")
    page = Page.of(source.chart, PosterOptions("90x90", 100), stretch=STRETCH)
    found: dict[int, set[tuple[int, ...]]] = {}
    for row in range(60):
        x, y = np.floor(page.points[row]).astype(int)
        found.setdefault(int(source.of[row]), set()).add(tuple(pixels[y, x].tolist()))
    for number in range(4):
        assert any(found[number] - found[other] for other in range(4) if other != number)
        assert (255, 255, 255) not in found[number]


def test_names_never_overlap_and_come_once() -> None:
    dice, places, boxes = np.random.default_rng(3), Places(300, 200), []
    for number in range(200):
        width, height = dice.uniform(5, 60), dice.uniform(4, 15)
        at = places.put(str(number % 150), tuple(dice.uniform(0, 300, 2)), width, height)
        if at:
            boxes.append(
                (at[0] - width / 2, at[1] - height / 2, at[0] + width / 2, at[1] + height / 2)
            )
    assert 20 < len(boxes) <= 150
    for number, (left, top, right, bottom) in enumerate(boxes):
        assert left >= 0
        assert bottom <= 200 + 1e-9
        for other in boxes[:number]:
            assert left >= other[2] or right <= other[0] or top >= other[3] or bottom <= other[1]


def test_a_name_stands_at_the_narrowest_cluster_that_has_it() -> None:
    source = made(60, names=["both", "other"])  # of both levels
    page = Page.of(source.chart, PosterOptions("400x300", 20))
    names = list(page.names(source))
    assert sorted(name for name, _, _ in names) == sorted(
        ["both", "other"] * 2 + ["fine 2", "fine 3"]
    )
    (wide, at), (narrow, same) = ((height, at) for name, height, at in names if name == "both")
    assert wide > narrow
    assert at == same
    np.testing.assert_allclose(at, page.points[source.of == 0].mean(axis=0), atol=0.05)


def test_a_map_of_three_axes_is_seen_from_where_it_is_widest() -> None:
    positions = np.zeros((50, 3), np.float32)
    positions[:, 0] = np.linspace(-0.1, 0.1, 50)
    positions[:, 1] = np.sin(np.arange(50))
    positions[:, 2] = np.cos(np.arange(50))
    chart = replace(made(50, dims=3).chart, positions=positions)
    page = Page.of(chart, PosterOptions("100x100", 100))
    spans = np.ptp(page.points, axis=0)
    assert spans.min() > 0.8 * spans.max()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (PosterOptions("a9"), "paper 'a9'"),
        (PosterOptions("0x100"), "paper '0x100'"),
        (PosterOptions("a0", 600), "MP exceed"),
        (PosterOptions(dpi=1), "dpi 1"),
        (PosterOptions(theme="pink"), "theme 'pink'"),
        (MosaicOptions(cell=0.1), "cell 0.1"),
    ],
)
def test_options_that_cannot_be_used_are_named(options: PosterOptions, message: str) -> None:
    with pytest.raises(InputError, match=message):
        options.check()


@pytest.mark.parametrize("write", [write_mosaic, write_scatter])
def test_a_poster_is_a_picture_by_its_name(tmp_path: Path, write: Any) -> None:
    with pytest.raises(InputError, match="ending in"):
        write(made(3), tmp_path / "map.gif")


def test_damaged_thumbnails_are_grey() -> None:
    jpeg = encoded(plain((9, 9, 9), (64, 48)), "JPEG")
    for data in (b"", b"no picture", jpeg[:80], None):
        assert (tile(data, 5) == GREY).all()
    assert tile(jpeg, 5).shape == (5, 5, 3)


# -- Plotly ----------------------------------------------------------------------------------------


def plotted(page: Path) -> tuple[list[dict[str, Any]], dict[str, Any], dict[str, Any]]:
    """Traces, layout and configuration of a page."""
    text = page.read_text("utf-8")
    call = text[text.rindex("Plotly.newPlot(") :]
    decode = json.JSONDecoder().raw_decode
    found, at = [], 0
    for opening in ("[{", "{", "{"):
        at = call.index(opening, at)
        value, at = decode(call, at)
        found.append(value)
    return found[0], found[1], found[2]


@pytest.mark.parametrize("dims", [2, 3])
def test_a_page_by_plotly_has_every_point_in_the_trace_of_its_cluster(
    tmp_path: Path, dims: int
) -> None:
    source = made(60, dims=dims)
    assert write_plotly(source, tmp_path / "map.html") == 60
    traces, _, config = plotted(tmp_path / "map.html")
    assert {trace["type"] for trace in traces} == {"scattergl" if dims == 2 else "scatter3d"}
    assert sum(len(trace["x"]) for trace in traces) == 60
    names = {f"fine {number}": number for number in range(4)} | {LOOSE: -1}
    for trace in traces:
        own = np.sort(source.chart.positions[source.of == names[trace["name"]], 0])
        np.testing.assert_allclose(np.sort(trace["x"]), own, atol=1e-4)
    assert config["showSendToCloud"] is False


def test_names_on_a_page_by_plotly_are_text_whatever_is_in_them(tmp_path: Path) -> None:
    names = ["<b>bold</b>", "</script><script>alert(2)</script>", 'a"b', "c\nd"]
    write_plotly(made(60, names=names), tmp_path / "map.html")
    text = (tmp_path / "map.html").read_text("utf-8")
    tail = text[text.rindex("Plotly.newPlot(") :]
    assert "alert(1)" in tail
    assert "<script" not in tail
    assert tail.count("</script>") == 1  # its own
    traces, _, _ = plotted(tmp_path / "map.html")
    told = [one for trace in traces for one in trace["text"]]
    assert not any(re.search(r"<(?!br>)", one) for one in told)  # Plotly takes <b> for bold
    assert any("&lt;script&gt;alert(1)" in one for one in told)
    assert "c\\nd" in {trace["name"] for trace in traces}


def test_a_page_by_plotly_has_fewer_points_and_names_the_largest_clusters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lookalike.maps.exports.plotly.MOST_TRACES", 2)
    assert write_plotly(made(60), tmp_path / "map.html", PlotlyOptions(rows=25)) == 25
    traces, _, _ = plotted(tmp_path / "map.html")
    assert [trace["name"] for trace in traces][-2:] == [OTHERS, LOOSE]
    assert len(traces) == 4
    assert sum(len(trace["text"]) for trace in traces) == 25


# -- the page without a server ---------------------------------------------------------------------


def packed(source: ExportSource, path: Path, options: PageOptions | None = None) -> Any:
    """Facts, records and packets of a page, packets as their JSON and payload."""
    found: list[Any] = []

    def keep(*parts: Any) -> str:
        found.extend(parts)
        return "page"

    write_html(source, path, keep, options)
    facts, records, packets = found
    return facts, records, {name: unpacked(data) for name, data in packets.items()}


def unpacked(packet: bytes) -> tuple[dict[str, Any], bytes]:
    length = int.from_bytes(packet[:4], "little")
    return json.loads(packet[4 : 4 + length]), packet[4 + length :]


def test_a_page_has_points_names_neighbours_and_every_picture_once(tmp_path: Path) -> None:
    source = made(60)
    facts, records, packets = packed(source, tmp_path / "map.html")
    assert facts["n"] == 60
    head, payload = packets["points"]
    positions = np.frombuffer(payload, "<f4", 120).reshape(60, 2)
    np.testing.assert_array_equal(positions, source.chart.positions)
    of = np.frombuffer(payload, "<u2", 60, 480)
    np.testing.assert_array_equal(of, np.where(source.of < 0, 65535, source.of))
    assert records["ids"] == [str(id_) for id_ in source.ids(np.arange(60))]
    assert records["paths"][2] == "/p/caf\\xe9.jpg"
    assert records["captions"][1] == "cat · 64 x 48 · 2020-05-04 03:02:01"
    names = [one["name"] for one in facts["colourings"]]
    assert {f"colouring-{name}" for name in names} <= set(packets)
    sheets = [packets[name][0] for name in packets if name.startswith("sheet-")]
    assert sorted(row for sheet in sheets for row in sheet["rows"]) == list(range(60))
    missing = [
        row
        for sheet in sheets
        for row, width in zip(sheet["rows"], sheet["sizes"][::2], strict=True)
        if not width
    ]
    assert sorted(missing) == [row for row in range(60) if row % 7 == 0]
    head, payload = packets["neighbours"]
    rows = np.frombuffer(payload, "<i4").reshape(60, head["k"])
    assert head["k"] == ALIKE
    apart = ((source.points()[:, None] - source.points()[None]) ** 2).sum(axis=2)
    np.fill_diagonal(apart, np.inf)
    np.testing.assert_array_equal(rows, np.argsort(apart, axis=1)[:, :ALIKE])


def test_a_page_of_some_records_speaks_of_those_alone(tmp_path: Path) -> None:
    source = made(120)
    facts, records, _ = packed(source, tmp_path / "map.html", PageOptions(rows=30))
    assert facts["n"] == len(records["ids"]) == 30
    finest = facts["clustering"]["levels"][-1]
    of = source.of[np.sort(source.some(30))]
    assert [one["size"] for one in finest] == np.bincount(of[of >= 0], minlength=4).tolist()
    for one in finest:
        assert {one["medoid"], *one["exemplars"]} <= set(records["ids"])


def test_names_on_a_page_end_no_element(tmp_path: Path) -> None:
    names = ["</script><script>alert(2)</script>", "<!--"]
    write_html(made(60, names=names), tmp_path / "map.html", document)
    text = (tmp_path / "map.html").read_text("utf-8")
    plain = made(60)
    write_html(plain, tmp_path / "plain.html", document)
    usual = (tmp_path / "plain.html").read_text("utf-8")
    assert "alert(2)" in text
    for opening in ("<script", "</script", "<!--"):
        assert text.count(opening) == usual.count(opening)
    (facts,) = re.findall(r'id="lookalike-facts">(.*?)</script>', text)
    found = json.loads(facts)["clustering"]["levels"][-1]
    assert [one["name"] for one in found[:2]] == names


def test_near_points_follow_each_other() -> None:
    positions = np.random.default_rng(0).uniform(-1, 1, (2_000, 2)).astype(np.float32)
    order = along(positions)
    assert sorted(order) == list(range(2_000))
    steps = np.linalg.norm(np.diff(positions[order], axis=0), axis=1)
    assert steps.mean() < 0.1 * np.linalg.norm(np.diff(positions, axis=0), axis=1).mean()


def test_neighbours_of_few_points_are_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lookalike.maps.exports.html._DISTANCES", 3)
    line = np.array([[0], [1], [3]], np.float32)
    assert nearest(line, 5).tolist() == [[1, 2], [0, 2], [1, 0]]
    assert nearest(line[:1], 5).shape == (1, 0)


# -- from a library --------------------------------------------------------------------------------


def test_facts_are_those_of_the_catalogue(filled: Library, photos: Path) -> None:
    ids = sorted(filled.matching("width > 0"), key=str)
    filled.label("mine", ids[:2])
    raw = np.frombuffer(b"".join(id_.bytes for id_ in ids), ID_DTYPE)
    chart = replace(made(12).chart, ids=raw, options=MapOptions(space=filled.space.name))
    source = filled.map_source(chart)
    ((piece, facts),) = source.described(np.arange(12))
    assert piece.tolist() == list(range(12))
    for id_, fact, record in zip(ids, facts, filled.get(ids), strict=True):
        assert record is not None
        assert (fact.path,) == record.paths
        assert (fact.width, fact.height) == (48, 32)
        assert fact.label == ("mine" if id_ in ids[:2] else "")
    assert source.thumbnails(ids) == filled.thumbnails(ids)
    gone = filled.map_source(replace(chart, ids=record_ids(1)))
    assert gone.facts(gone.ids(np.arange(1))) == [sources.NOTHING]
