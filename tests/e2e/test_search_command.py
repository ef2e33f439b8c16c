"""Searching: methods, metrics, several inputs, and every form of output."""

from __future__ import annotations

import base64
import html
import io
import math
import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from .command import Answer, Command
from .gallery import NAMES, photo

METRICS = {
    "correlation": cv2.HISTCMP_CORREL,
    "chi-square": cv2.HISTCMP_CHISQR,
    "intersection": cv2.HISTCMP_INTERSECT,
    "bhattacharyya": cv2.HISTCMP_BHATTACHARYYA,
}
WAYS = [
    ("--by", "meaning"),
    ("--by", "pca", "--dims", "8"),
    *(("--by", "colour", "--metric", metric) for metric in METRICS),
    *(("--by", "mix", "--metric", metric) for metric in METRICS),
]


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos as somebody else would send them: smaller, another format, not in the library."""
    folder = tmp_path_factory.mktemp("outside")
    for name in ("coffee", "chelsea", "rocket", "astronaut"):
        source = photo("rocket.jpg" if name == "rocket" else f"{name}.png")
        half = (source.width // 2, source.height // 2)
        source.resize(half, Image.Resampling.LANCZOS).save(folder / f"{name}.jpg", quality=92)
    return folder


def found(answer: Answer) -> dict[str, Any]:
    """The one JSON object that a search prints."""
    assert answer.done().out.endswith(b"}\n")
    result: dict[str, Any] = answer.json()
    return result


def hits(command: Command, *arguments: str | Path) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = found(command("search", "--json", *arguments))["hits"]
    return listed


def scores_by_id(command: Command, *arguments: str | Path) -> dict[str, float]:
    every = hits(command, "-k", "1000", "--include-self", *arguments)
    return {hit["id"]: hit["score"] for hit in every}


def name_of(hit: dict[str, Any]) -> str:
    return os.path.basename(hit["paths"][0])


# -- methods and metrics -------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_smaller_jpeg_of_a_photo_finds_the_photo(
    way: Sequence[str], indexed: Command, outside: Path
) -> None:
    result = found(indexed("search", outside / "coffee.jpg", *way, "--json"))
    assert name_of(result["hits"][0]) == "coffee.png"
    _check_order(result)


def _check_order(result: dict[str, Any]) -> None:
    score, listed = result["query"]["score"], result["hits"]
    assert [hit["rank"] for hit in listed] == list(range(1, len(listed) + 1))
    scores = [hit["score"] for hit in listed]
    assert scores == sorted(scores, reverse=score["higher_is_better"])
    distances = [hit["distance"] for hit in listed]
    assert distances == sorted(distances)
    lowest, highest = score["range"]
    assert all(lowest - 1e-6 <= value <= (highest or math.inf) + 1e-6 for value in scores)


@pytest.mark.parametrize("metric", METRICS)
def test_colour_scores_are_those_of_opencv(metric: str, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    pictures = {}
    for name in ("coffee", "chelsea", "astronaut", "motorcycle_left"):
        pictures[f"{name}.png"] = photo(f"{name}.png").crop((100, 100, 300, 290))
        pictures[f"{name}.png"].save(folder / f"{name}.png")
    command = Command(tmp_path / "library")
    command("index", folder).done()
    arguments = ("--by", "colour", "--metric", metric, "--include-self", "-k", "9")
    listed = hits(command, folder / "coffee.png", *arguments)
    assert len(listed) == 4
    query = _histogram(pictures["coffee.png"])
    for hit in listed:
        expected = cv2.compareHist(query, _histogram(pictures[name_of(hit)]), METRICS[metric])
        # OpenCV accumulates Bhattacharyya's root of a difference near 0 less exactly than we do.
        assert hit["score"] == pytest.approx(expected, rel=1e-6, abs=1e-4 if expected < 1e-3 else 0)


def _histogram(picture: Image.Image) -> np.ndarray:
    pixels = np.asarray(picture).reshape(-1, 3) // 16
    bins = pixels @ np.array([256, 16, 1])
    return (np.bincount(bins, minlength=4096) / len(bins)).astype(np.float32)


def test_mix_of_no_colour_is_meaning_and_of_all_colour_is_colour(
    indexed: Command, outside: Path
) -> None:
    query = outside / "chelsea.jpg"
    for weight, pure in (("0", ("meaning",)), ("1", ("colour", "--metric", "intersection"))):
        mix = ("--by", "mix", "--metric", "intersection", "--colour-weight", weight)
        mixed = [hit["id"] for hit in hits(indexed, query, *mix)]
        assert mixed == [hit["id"] for hit in hits(indexed, query, "--by", *pure)]


def test_all_components_give_the_same_order_as_the_full_vectors(indexed: Command) -> None:
    """Full-rank PCA keeps the space in which the centred vectors lie, so neighbours stay close."""
    query = ("--random", "--seed", "3", "-k", "3")
    reduced = {hit["id"] for hit in hits(indexed, *query, "--by", "pca", "--dims", "30")}
    full = {hit["id"] for hit in hits(indexed, *query, "--by", "meaning")}
    assert len(reduced & full) >= 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--metric", "euclid"), ("euclid", "intersection")),
        (("--by", "smell"), ("smell", "meaning")),
        (("--combine", "any"), ("any", "mean")),
        (("-k", "0"), ("k 0", "at least 1")),
        (("-k", "-3"), ("-3",)),
        (("-k", "many"), ("many",)),
        (("--by", "pca", "--dims", "0"), ("0",)),
        (("--by", "pca", "--dims", "5000"), ("5000",)),
        (("--by", "mix", "--colour-weight", "2"), ("2.0", "between 0 and 1")),
        (("--by", "mix", "--colour-weight", "nan"), ("nan", "between 0 and 1")),
        (("--sheet", "sheet.gif"), ("sheet.gif", ".png", ".html")),
        (("--json", "--paths"), ("--paths",)),
        (("--nonsense",), ("--nonsense",)),
        (("no-such-file.jpg",), ("no-such-file.jpg", "no such file")),
        (("colour:red",), ("colour:red",)),
        (("id:123",), ("id:123", "no record with this id")),
        (("00000000-0000-5000-8000-000000000000",), ("00000000", "no record")),
        (("--query", "'unclosed"), ("unclosed", "quotation")),
        (("--query", "-"), ("a term is missing",)),
        (("--query", ""), ("a term is missing",)),
    ],
    ids=lambda value: " ".join(value)[:40],
)
def test_unusable_argument_is_refused_in_one_line(
    arguments: Sequence[str], words: Sequence[str], indexed: Command, outside: Path
) -> None:
    indexed("search", outside / "coffee.jpg", *arguments).refused(2, *words)


@pytest.mark.parametrize("crop", ["[2,0,1,1]", "[0,0,0,1]", "[0.5,0,0.9,1]", "[a]", "[nan,0,1,1]"])
def test_unusable_crop_is_refused_in_one_line(crop: str, indexed: Command, outside: Path) -> None:
    indexed("search", f"{outside / 'coffee.jpg'}{crop}").refused(2, "coffee.jpg", "crop")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("damaged/truncated.jpg", "truncated"),
        ("damaged/text.jpg", "not an image"),
        ("damaged/empty.jpg", "zero bytes"),
        ("damaged/corrupt.png", "corrupt"),
        ("damaged/large.png", "too many pixels"),
        ("odd/layers.psd", "unsupported"),
        ("originals", "read error"),
    ],
)
def test_unreadable_query_picture_is_refused_with_its_reason(
    name: str, reason: str, indexed: Command, photos: Path
) -> None:
    indexed("search", photos / name).refused(2, name, reason)


def test_search_without_input_is_refused(indexed: Command) -> None:
    indexed("search").refused(2, "no input", "--random")


def test_query_picture_of_more_than_the_default_limit_is_judged_like_an_indexed_one(
    indexed: Command, photos: Path
) -> None:
    line = indexed("search", photos / "damaged/large.png").refused(2, "150 MP exceeds 100 MP")
    assert "--max-megapixels" not in line, "search has no such option"


# -- how many, and which ---------------------------------------------------------------------------


def test_more_hits_than_records_gives_all_and_says_so(indexed: Command, photos: Path) -> None:
    records = {row["record"] for row in indexed.ledger("--state", "indexed").values()}
    query = photos / "originals/coffee.png"
    answer = indexed("search", query, "-k", "500", "--paths").done()
    assert answer.talk == [
        f"lookalike: -k 500: only {len(records) - 1} records can be compared; showing all"
    ]
    every = hits(indexed, query, "-k", "500", "--include-self")
    assert {hit["id"] for hit in every} == records


def test_input_that_is_in_the_library_is_left_out_unless_asked_for(
    indexed: Command, photos: Path, tmp_path: Path
) -> None:
    inside = photos / "originals/coffee.png"
    copy = tmp_path / "copy elsewhere.png"
    copy.write_bytes(inside.read_bytes())
    for query in (inside, copy):
        assert "coffee.png" not in map(name_of, hits(indexed, query, "-k", "99"))
        (first, *_) = hits(indexed, query, "--include-self")
        assert name_of(first) == "coffee.png"
        assert first["score"] == pytest.approx(1.0, abs=1e-3)


def test_file_by_path_by_copy_and_by_record_id_gives_the_same_hits(
    indexed: Command, photos: Path, tmp_path: Path
) -> None:
    path = photos / "originals/chelsea.png"
    record = indexed.ledger()[str(path)]["record"]
    copy = tmp_path / "copy.png"
    copy.write_bytes(path.read_bytes())
    expected = hits(indexed, path)
    for query in (copy, record, f"id:{record}", f"file:{path}"):
        assert hits(indexed, query) == expected


def test_picture_may_come_out_of_a_pipe(indexed: Command, outside: Path) -> None:
    program = '"$@" <(cat "$PICTURE")'
    piped = Command(indexed.library, ("bash", "-c", program, "bash"))
    environment = indexed.environment(PICTURE=str(outside / "coffee.jpg"))
    found_by_pipe = found(piped("search", "--json", env=environment))["hits"]
    assert found_by_pipe == hits(indexed, outside / "coffee.jpg")


def test_input_that_changed_since_it_was_indexed_is_read_anew(
    album: Path, command: Command
) -> None:
    command("index", album).done()
    expected = hits(command, album / "0003.jpg", "--include-self", "-k", "1")
    (album / "0001.jpg").write_bytes((album / "0003.jpg").read_bytes())
    assert hits(command, album / "0001.jpg", "--include-self", "-k", "1") == expected


def test_random_input_is_repeatable_by_its_seed(indexed: Command) -> None:
    drawn = set()
    for seed in ("1", "2", "3", "1", "2"):
        drawn.add(indexed("search", "--random", "--seed", seed, "--json").done().out)
    assert len(drawn) == 3


def test_random_input_is_named_on_stderr(indexed: Command, photos: Path) -> None:
    (line,) = indexed("search", "--random", "--seed", "1").done().talk
    assert line.startswith(f"lookalike: input: {photos}")


# -- several inputs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("by", "combine"), [("meaning", "mean"), ("colour", "all"), ("mix", "mean"), ("mix", "all")]
)
def test_scores_per_input_are_those_of_single_searches(
    by: str, combine: str, indexed: Command, outside: Path
) -> None:
    queries = [outside / "coffee.jpg", outside / "chelsea.jpg", outside / "rocket.jpg"]
    way = ("--by", by, "--metric", "intersection")
    alone = [scores_by_id(indexed, query, *way) for query in queries]
    for hit in hits(indexed, *queries, *way, "--combine", combine, "-k", "9"):
        assert hit["input_scores"] == pytest.approx([s[hit["id"]] for s in alone], abs=5e-5)


def test_combine_all_scores_by_the_input_least_alike(indexed: Command, outside: Path) -> None:
    queries = (outside / "coffee.jpg", outside / "chelsea.jpg")
    for metric, worst in (("intersection", min), ("bhattacharyya", max)):
        way = ("--by", "colour", "--metric", metric, "--combine", "all")
        for hit in hits(indexed, *queries, *way):
            assert hit["score"] == pytest.approx(worst(hit["input_scores"]), abs=1e-9)


def test_same_input_five_times_is_like_once(indexed: Command, outside: Path) -> None:
    query = outside / "coffee.jpg"
    once = hits(indexed, query)
    five = hits(indexed, *[query] * 5)
    assert [hit["id"] for hit in five] == [hit["id"] for hit in once]
    assert [h["score"] for h in five] == pytest.approx([h["score"] for h in once], abs=1e-6)


def test_order_of_inputs_changes_only_the_order_of_their_scores(
    indexed: Command, outside: Path
) -> None:
    one, two = outside / "coffee.jpg", outside / "rocket.jpg"
    for forward, back in zip(hits(indexed, one, two), hits(indexed, two, one), strict=True):
        assert forward["id"] == back["id"]
        assert forward["input_scores"] == back["input_scores"][::-1]


def test_mean_of_two_photos_finds_both(indexed: Command, outside: Path) -> None:
    found_both = hits(indexed, outside / "coffee.jpg", outside / "rocket.jpg", "-k", "4")
    assert {"coffee.png", "rocket.jpg"} <= {name_of(hit) for hit in found_both}


def test_weights_pull_towards_the_heavier_input(indexed: Command, outside: Path) -> None:
    coffee, rocket = outside / "coffee.jpg", outside / "rocket.jpg"
    assert name_of(hits(indexed, f"9*{coffee}", rocket)[0]) == "coffee.png"
    assert name_of(hits(indexed, coffee, f"9*{rocket}")[0]) == "rocket.jpg"


def test_minus_pushes_away(indexed: Command, outside: Path) -> None:
    coffee, rocket = outside / "coffee.jpg", outside / "rocket.jpg"
    away = hits(indexed, "--query", f"'{coffee}' - '{rocket}'", "-k", "1000")
    order = [name_of(hit) for hit in away]
    assert order[0] == "coffee.png"
    assert order.index("rocket.jpg") > len(order) // 2


def test_query_in_one_string_is_the_same_as_arguments(indexed: Command, outside: Path) -> None:
    coffee, rocket = outside / "coffee.jpg", outside / "rocket.jpg"
    expected = hits(indexed, coffee, f"2*{rocket}")
    assert hits(indexed, "--query", f"{coffee} + 2*{rocket}") == expected


def test_crop_of_a_montage_finds_its_part(indexed: Command, tmp_path: Path) -> None:
    montage = Image.new("RGB", (600, 300))
    montage.paste(photo("coffee.png").resize((300, 300)), (0, 0))
    montage.paste(photo("astronaut.png").resize((300, 300)), (300, 0))
    montage.save(tmp_path / "montage.png")
    left = hits(indexed, f"{tmp_path / 'montage.png'}[0,0,0.5,1]", "-k", "1")
    right = hits(indexed, f"{tmp_path / 'montage.png'}[0.5,0,0.5,1]", "-k", "1")
    assert name_of(left[0]) == "coffee.png"
    assert "astronaut" in name_of(right[0])


# -- output ----------------------------------------------------------------------------------------


def test_paths_can_end_with_a_zero_byte(indexed: Command, photos: Path) -> None:
    arguments = ("search", photos / "originals/coffee.png", "-k", "99", "--paths")
    by_line = indexed(*arguments).done().out
    by_zero = indexed(*arguments, "-z").done().out
    assert by_zero.endswith(b"\0")
    assert by_zero.replace(b"\0", b"\n") == by_line
    assert by_zero.count(b"\0") < by_line.count(b"\n")  # one name has a line feed


def test_json_has_the_documented_shape(indexed: Command, outside: Path, photos: Path) -> None:
    inside = photos / "originals/rocket.jpg"
    way = ("--by", "mix", "--metric", "chi-square", "--colour-weight", "0.3", "-k", "2", "--json")
    answer = indexed("search", outside / "coffee.jpg", f"2*{inside}", *way)
    result = found(answer)
    assert answer.talk == []
    records = indexed.ledger()
    assert result["query"] == {
        "inputs": [
            {
                "term": str(outside / "coffee.jpg"),
                "weight": 1.0,
                "path": str(outside / "coffee.jpg"),
                "id": None,
                "crop": None,
            },
            {
                "term": f"2*{inside}",
                "weight": 2.0,
                "path": str(inside),
                "id": records[str(inside)]["record"],
                "crop": None,
            },
        ],
        "by": "mix",
        "metric": "chi-square",
        "colour_weight": 0.3,
        "combine": "mean",
        "space": "efficientnet-lite0",
        "searched": len({row["record"] for row in records.values()} - {""}) - 1,
        "exact": True,
        "score": {"kind": "mix", "range": [-1.0, 1.0], "higher_is_better": True},
    }
    assert len(result["hits"]) == 2
    for hit in result["hits"]:
        own = [
            "rank",
            "id",
            "paths",
            "score",
            "distance",
            "input_scores",
            "likeness",
            "label",
            "labels",
        ]
        assert list(hit) == own
        assert [records[path]["record"] for path in hit["paths"]] == [hit["id"]] * len(hit["paths"])
        assert len(hit["input_scores"]) == 2


def test_json_names_the_crop_of_an_input(indexed: Command, outside: Path) -> None:
    picture = f"{outside / 'coffee.jpg'}[0.25,0,0.5,1]"
    (understood,) = found(indexed("search", picture, "--json"))["query"]["inputs"]
    assert understood["crop"] == [0.25, 0.0, 0.5, 1.0]
    assert understood["path"] == str(outside / "coffee.jpg")


def test_unbounded_range_is_null_and_valid_json(indexed: Command, outside: Path) -> None:
    way = ("--by", "colour", "--metric", "chi-square")
    result = found(indexed("search", outside / "coffee.jpg", *way, "--json"))
    assert result["query"]["score"]["range"] == [0.0, None]
    assert result["query"]["space"] is None


def test_table_has_a_row_per_hit_with_the_scores_of_each_input(
    indexed: Command, outside: Path
) -> None:
    queries = (outside / "coffee.jpg", outside / "chelsea.jpg")
    answer = indexed("search", *queries, "--by", "colour").done()
    header, *rows, compared = answer.text.splitlines()
    assert re.fullmatch(r"exact: the nearest of \d+ records", compared)
    way = ["rank", "bhattacharyya", "alike", "each", "input", "id", "shows", "path"]
    assert header.split() == way
    ranked = [row for row in rows if row.split()[0].isdigit()]
    assert len(ranked) == 5
    for row, hit in zip(ranked, hits(indexed, *queries, "--by", "colour"), strict=True):
        rank, score, likeness, one, two, record, *_path = row.split()
        assert likeness == hit["likeness"]
        assert (int(rank), record) == (hit["rank"], hit["id"])
        shown = [float(score), float(one), float(two)]
        assert shown == pytest.approx([hit["score"], *hit["input_scores"]], abs=6e-4)


def test_only_data_goes_to_stdout(indexed: Command, outside: Path, tmp_path: Path) -> None:
    sheet = ("--sheet", tmp_path / "sheet.html", "-k", "500")
    paths = indexed("search", outside / "coffee.jpg", "--paths", *sheet).done()
    as_json = indexed("search", outside / "coffee.jpg", "--json", *sheet)
    assert len(paths.talk) == len(as_json.talk) == 2
    listed = [path for hit in found(as_json)["hits"] for path in hit["paths"]]
    assert paths.out == b"".join(os.fsencode(path) + b"\n" for path in listed)


def test_sheet_as_png_shows_the_input_and_the_hits(
    indexed: Command, outside: Path, tmp_path: Path
) -> None:
    target = tmp_path / "sheet.png"
    arguments = ("search", outside / "coffee.jpg", "--sheet", target, "-k", "7")
    assert indexed(*arguments).done().talk == [f"lookalike: contact sheet: {target}"]
    with Image.open(target) as opened:
        opened.load()
        assert opened.format == "PNG"
        sheet = np.asarray(opened.convert("RGB"))
    coffee = photo("coffee.png").resize((200, 133), Image.Resampling.BILINEAR)
    match = cv2.matchTemplate(sheet, np.asarray(coffee), cv2.TM_CCOEFF_NORMED)
    places = [int(x) for x in np.flatnonzero((match > 0.97).any(axis=0))]
    assert places
    assert min(places) < 60, "the input stands on the left"
    assert max(places) > 200, "the best hit, which is the same photo, stands on the right"


def test_sheet_as_html_contains_its_pictures_and_asks_for_nothing(
    indexed: Command, photos: Path, tmp_path: Path
) -> None:
    target = tmp_path / "sheet.html"
    query = photos / "names" / NAMES[0]
    listed = hits(indexed, query, "-k", "6", "--sheet", target)
    page = target.read_text(encoding="utf-8")
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(pictures) == len(re.findall("<img", page)) == 7
    for data in pictures:
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            picture.load()
            assert max(picture.size) <= 256
    for hit in listed:
        assert html.escape(name_of(hit).replace("\n", " ")) in page.replace("\n", " ")
    assert not re.findall(r"https?://|<script|<link|url\(", page)


@pytest.mark.parametrize("form", ["sheet.html", "sheet.png"])
def test_sheet_can_show_undecodable_names(
    form: str, indexed: Command, photos: Path, tmp_path: Path
) -> None:
    every = ("search", photos / "originals/coffee.png", "-k", "99", "--sheet", tmp_path / form)
    indexed(*every).done()
    assert (tmp_path / form).stat().st_size > 50_000


def test_sheet_of_a_vanished_input_file_still_works(
    indexed: Command, photos: Path, tmp_path: Path
) -> None:
    record = indexed.ledger()[str(photos / "originals/coffee.png")]["record"]
    target = tmp_path / "sheet.png"
    indexed("search", record, "--sheet", target).done()
    with Image.open(target) as sheet:
        assert sheet.width > 1000


def test_sheet_that_cannot_be_written_is_one_line(
    indexed: Command, outside: Path, tmp_path: Path
) -> None:
    target = tmp_path / "none" / "sheet.png"
    answer = indexed("search", outside / "coffee.jpg", "--sheet", target)
    assert answer.status == 1
    (line,) = answer.talk
    assert line.startswith(f"lookalike: {target}: the sheet cannot be written")


@pytest.mark.parametrize(
    "arguments",
    [
        ("search", "--random", "--paths", "-k", "99"),
        ("search", "--random", "--json"),
        ("search", "--random", "--seed", "1"),
        ("ledger",),
        ("ledger", "--csv", "-"),
        ("pca", "study", "--dims", "4"),
        ("doctor", "--queries", "2"),
        ("--help",),
    ],
    ids=" ".join,
)
def test_reader_that_leaves_early_is_no_error(arguments: Sequence[str], indexed: Command) -> None:
    running = indexed.start(*arguments)
    assert running.stdout is not None
    assert running.stderr is not None
    running.stdout.close()
    errors = running.stderr.read().decode().splitlines()
    running.stderr.close()
    assert running.wait(timeout=60) == 0
    assert [line for line in errors if not line.startswith("lookalike: ")] == []


@pytest.mark.parametrize("arguments", [(), ("index",), ("nonsense",), ("index", "--limit", "0")])
def test_unusable_command_line_is_refused_in_one_line(
    arguments: Sequence[str], command: Command
) -> None:
    command(*arguments).refused(2, "--help")


def test_version_is_printed_on_stdout(command: Command) -> None:
    assert re.fullmatch(r"lookalike \d+\.\d+\.\d+\S*\n", command("--version").done().text)


@pytest.mark.parametrize("by", ["meaning", "colour", "mix"])
def test_library_of_a_single_photo_answers_every_method(
    by: str, tmp_path: Path, outside: Path
) -> None:
    command = Command(tmp_path / "library")
    command("index", outside / "coffee.jpg").done()
    query = (outside / "chelsea.jpg", "--by", by)
    assert [name_of(hit) for hit in hits(command, *query)] == ["coffee.jpg"]
    assert hits(command, outside / "coffee.jpg", "--by", by) == []


def test_pca_of_a_single_photo_is_refused_in_one_line(tmp_path: Path, outside: Path) -> None:
    command = Command(tmp_path / "library")
    command("index", outside / "coffee.jpg").done()
    command("search", outside / "chelsea.jpg", "--by", "pca", "--dims", "1").refused(2)


def test_pca_study_recommends_one_of_its_trials(indexed: Command) -> None:
    answer = indexed("pca", "study", "--dims", "4,16,30", "--queries", "20", "--json").done()
    study = answer.json()
    assert {trial["dims"] for trial in study["trials"]} >= {4, 16, 30}
    shares = [trial["variance"] for trial in study["trials"] if trial["dims"]]
    assert shares == sorted(shares)
    indexed("pca", "study", "--dims", "4,x").refused(2, "--dims", "x")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
@pytest.mark.parametrize(
    "arguments", [("search", "--random"), ("ledger",), ("ledger", "--csv", "-")]
)
def test_output_that_cannot_be_written_is_one_line(
    arguments: tuple[str, ...], indexed: Command
) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*indexed.program, *arguments],
            env=indexed.environment(),
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert b"No space left" in done.stderr.splitlines()[-1]
