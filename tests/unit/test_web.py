"""The map's server: every route, what it refuses, and how it ends."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from PIL import Image
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from lookalike import Library
from lookalike.cli import map as map_command
from lookalike.cli.main import main
from lookalike.conditions import In, parse_condition
from lookalike.errors import InputError
from lookalike.maps import Cluster, Clustering, Level, MapOptions, PictureMap, Tree, sheets
from lookalike.query.search import Method
from lookalike.stores import SqliteStore
from lookalike.types import ID_DTYPE
from lookalike.web.app import create_app
from lookalike.web.document import document
from lookalike.web.guard import HEADERS
from lookalike.web.serve import serve
from tests.conftest import encoded, picture, plain

ORIGIN = "http://127.0.0.1"
Answer = Any


def chart(library: Library, options: MapOptions) -> PictureMap:
    """All records on a line, in three clusters and a rest, with a tree of three leaves."""
    ids = np.frombuffer(b"".join(id_.bytes for id_ in library.matching("width > 0")), ID_DTYPE)
    n = len(ids)
    of = np.array([-1 if row % 4 == 3 else row % 4 for row in range(n)], np.int32)
    at = np.linspace(-0.9, 0.9, n)
    positions = np.stack([at] * options.dims, axis=1).astype(np.float32)
    clusters = []
    for number in range(3):
        rows = np.flatnonzero(of == number)
        shown = tuple(UUID(bytes=ids[row].tobytes()) for row in rows)
        centre = (0.1 * number,) * options.dims
        clusters.append(Cluster(len(rows), f"c{number}", (), shown[0], shown, (), centre))
    wide = Level(np.where(of > 0, 0, of), tuple(clusters[:1]))
    levels = (wide, Level(of, tuple(clusters)))
    tree = Tree(np.maximum(of, 0), np.array([[0.0, 1.0, 0.1, 2.0], [2.0, 3.0, 0.5, 3.0]]))
    clustering = Clustering("agglomerative", {"count": 3}, levels, tree)
    placed = np.arange(n) == n - 1
    return PictureMap(options, ids, positions, placed, clustering, {"engine": "toy"})


def halves(library: Library, of: PictureMap, count: int) -> Level:
    """A cut of the tree: the first clusters, by row."""
    clusters = of.clustering.finest.clusters[:count]
    return Level((np.arange(len(of)) % count).astype(np.int32), clusters)


@pytest.fixture
def client(filled: Library) -> Iterator[TestClient]:
    app = create_app(filled.folder, make=chart, cutter=halves)
    with TestClient(app, base_url=ORIGIN) as made:
        yield made


@pytest.fixture
def base(client: TestClient) -> str:
    (one,) = client.get("/api/map").json()
    return f"/api/map/{one['name']}"


def rows_of(*rows: int) -> bytes:
    return np.array(rows, "<i4").tobytes()


def post(client: TestClient, path: str, *rows: int, **headers: str) -> Answer:
    return client.post(path, content=rows_of(*rows), headers={"Origin": ORIGIN, **headers})


def opened(packet: bytes) -> tuple[Any, bytes]:
    """The JSON and the payload of a packet."""
    length = int.from_bytes(packet[:4], "little")
    assert length % 4 == 0
    return json.loads(packet[4 : 4 + length]), packet[4 + length :]


# -- maps ------------------------------------------------------------------------------------------


def test_the_page_is_there_and_loads_from_this_server_alone(client: TestClient) -> None:
    page = client.get("/")
    assert page.url.path == "/map"
    assert "/static/map.js" in page.text
    assert page.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
    assert "http" not in HEADERS["Content-Security-Policy"]
    for name in ("map.js", "map.css"):
        found = client.get(f"/static/{name}")
        assert found.status_code == 200
        assert "://" not in found.text.replace("http://www.w3.org/2000/svg", "")


def test_facts_tell_how_the_map_was_made(client: TestClient, base: str) -> None:
    facts = client.get(base).json()
    assert (facts["n"], facts["dims"], facts["placed"]) == (12, 2, 1)
    assert facts["title"] == "12 pictures by meaning, t-SNE in 2-D"
    assert facts["parameters"] == {"engine": "toy"}
    assert [len(level) for level in facts["clustering"]["levels"]] == [1, 3]
    assert facts["clustering"]["cut"] == {"lowest": 2, "highest": 3}
    names = [one["name"] for one in facts["colourings"]]
    assert names == ["clusters-0", "clusters-1", "folder", "placed"]  # no dates, no classes


def test_points_come_as_numbers_and_only_once(client: TestClient, base: str) -> None:
    answer = client.get(f"{base}/points")
    head, payload = opened(answer.content)
    assert head == {"n": 12, "dims": 2}
    assert len(payload) == 12 * 10
    positions = np.frombuffer(payload[: 12 * 8], "<f4").reshape(12, 2)
    assert positions[0] == pytest.approx([-0.9, -0.9])
    clusters = np.frombuffer(payload[12 * 8 :], "<u2")
    assert clusters.tolist() == [0, 1, 2, 65535] * 3
    tag = answer.headers["etag"]
    again = client.get(f"{base}/points", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


def test_a_map_in_space_has_three_numbers_a_point(filled: Library) -> None:
    app = create_app(filled.folder, [MapOptions(method="umap", dims=3)], make=chart)
    with TestClient(app, base_url=ORIGIN) as client:
        (one,) = client.get("/api/map").json()
        head, payload = opened(client.get(f"/api/map/{one['name']}/points").content)
        assert (head["dims"], len(payload)) == (3, 12 * 14)
        facts = client.get(f"/api/map/{one['name']}").json()
        assert facts["clustering"]["cut"] == {"lowest": 2, "highest": 3}


@pytest.mark.parametrize(
    ("name", "labels", "codes"),
    [
        ("clusters-0", ["c0"], [0, 0, 0, 65535] * 3),
        ("clusters-1", ["c0", "c1", "c2"], [0, 1, 2, 65535] * 3),
        ("folder", ["photos"], [0] * 12),
        ("placed", ["in the map from the start", "placed later"], [0] * 11 + [1]),
    ],
)
def test_colourings_give_a_legend_and_a_place_in_it_for_every_row(
    client: TestClient, base: str, name: str, labels: list[str], codes: list[int]
) -> None:
    head, payload = opened(client.get(f"{base}/colourings/{name}").content)
    assert [entry["label"] for entry in head["legend"]] == labels
    found = np.frombuffer(payload, "<u2")
    assert found.tolist() == codes
    for number, entry in enumerate(head["legend"]):
        if name != "clusters-0":  # whose toy cluster says what it says
            assert entry["count"] == int((found == number).sum())


def test_a_colouring_is_sent_again_when_it_changed_and_the_map_did_not(
    filled: Library, photos: Path
) -> None:
    def asked(tag: str) -> Answer:
        with TestClient(create_app(filled.folder, make=chart), base_url=ORIGIN) as client:
            (one,) = client.get("/api/map").json()
            path = f"/api/map/{one['name']}/colourings/folder"
            return client.get(path, headers={"If-None-Match": tag})

    tag = asked("").headers["etag"]
    assert asked(tag).status_code == 304
    (photos / "moved").mkdir()
    (photos / "000.png").rename(photos / "moved" / "000.png")
    filled.add([photos])
    head, _ = opened(asked(tag).content)
    assert len(head["legend"]) == 2


def test_a_tree_is_cut_anew(client: TestClient, base: str) -> None:
    head, payload = opened(client.get(f"{base}/cut?count=2").content)
    assert len(head["level"]) == len(head["legend"]) == 2
    assert np.frombuffer(payload, "<u2").tolist() == [0, 1] * 6


# -- pictures --------------------------------------------------------------------------------------


def test_a_sheet_has_every_thumbnail_in_its_tile(
    client: TestClient, base: str, filled: Library
) -> None:
    rows = [3, 1, 7, 0, 2]
    answer = post(client, f"{base}/sheet?tile=32", *rows)
    head, payload = opened(answer.content)
    assert (head["tile"], head["columns"], head["rows"]) == (32, 3, rows)
    assert head["sizes"] == [32, 21] * 5  # pictures of 48 x 32
    page = Image.open(io.BytesIO(payload))
    assert page.size == (96, 64)
    ids = filled.matching("width > 0")
    for place, row in enumerate(rows):
        left, top = place % 3 * 32, place // 3 * 32 + 5
        tile = np.asarray(page.crop((left, top, left + 32, top + 21)), float)
        (jpeg,) = filled.thumbnails([ids[row]])
        assert jpeg is not None
        own = Image.open(io.BytesIO(jpeg)).convert("RGB").resize((32, 21))
        assert np.abs(tile - np.asarray(own, float)).mean() < 12


def test_thumbnails_are_never_enlarged_and_damaged_ones_left_out() -> None:
    small, broad = encoded(plain((200, 30, 30), (10, 6)), "JPEG"), encoded(picture(1), "JPEG")
    head, payload = opened(sheets.sheet_packet([0, 1, 2, 3], [small, broad, None, b"\xff\xd8"], 24))
    assert head["sizes"] == [10, 6, 24, 16, 0, 0, 0, 0]
    page = Image.open(io.BytesIO(payload)).convert("RGB")
    assert page.getpixel((12, 12))[0] > 150  # type: ignore[index]
    assert page.getpixel((2, 2)) == pytest.approx(sheets.GROUND, abs=6)


def test_a_picture_is_told_of(client: TestClient, base: str, filled: Library) -> None:
    facts = client.get(f"{base}/pictures/11").json()
    (record,) = filled.get([filled.matching("width > 0")[11]])
    assert record is not None
    assert facts["id"] == str(record.id)
    assert facts["paths"] == list(record.paths)
    assert (facts["width"], facts["height"], facts["placed"]) == (48, 32, True)


def test_a_large_thumbnail_is_kept_for_good(client: TestClient, filled: Library) -> None:
    id_ = filled.matching("width > 0")[0]
    answer = client.get(f"/thumb/{id_}")
    assert answer.content == filled.thumbnails([id_])[0]
    assert "immutable" in answer.headers["cache-control"]


# -- searches --------------------------------------------------------------------------------------


def test_look_alikes_on_a_map_by_colour_are_alike_in_colour(filled: Library) -> None:
    app = create_app(filled.folder, [MapOptions(by="colour")], make=chart)
    with TestClient(app, base_url=ORIGIN) as client:
        (one,) = client.get("/api/map").json()
        found = client.get(f"/api/map/{one['name']}/pictures/3/alike?k=5").json()["hits"]
    own = chart(filled, MapOptions()).ids[3]
    wanted = filled.search(UUID(bytes=own.tobytes()), 5, Method(by="colour")).hits
    assert [hit["id"] for hit in found] == [str(hit.id) for hit in wanted]
    by_meaning = filled.search(UUID(bytes=own.tobytes()), 5).hits
    assert [hit.id for hit in by_meaning] != [hit.id for hit in wanted]


def test_look_alikes_are_those_of_a_search_with_their_rows(
    client: TestClient, base: str, filled: Library
) -> None:
    ids = filled.matching("width > 0")
    hits = client.get(f"{base}/pictures/4/alike?k=5").json()["hits"]
    own = filled.search(ids[4], 5)
    assert [hit["id"] for hit in hits] == [str(hit.id) for hit in own.hits]
    assert [ids[hit["row"]] for hit in hits] == [hit.id for hit in own.hits]
    assert [hit["score"] for hit in hits] == [hit.score for hit in own.hits]


def test_a_search_takes_a_whole_expression_and_a_condition(
    client: TestClient, base: str, filled: Library
) -> None:
    ids = filled.matching("width > 0")
    query = {"q": f"id:{ids[2]} - id:{ids[5]}", "k": 4, "where": "not name = '001.png'"}
    hits = client.get(f"{base}/search", params=query).json()["hits"]
    own = filled.search([str(ids[2]), f"-id:{ids[5]}"], 4, where=query["where"])  # type: ignore
    assert [hit["id"] for hit in hits] == [str(hit.id) for hit in own.hits]
    assert len(hits) == 4


def test_hits_that_are_not_on_the_map_have_no_row(filled: Library) -> None:
    def part(library: Library, options: MapOptions) -> PictureMap:
        whole = chart(library, options)
        of = tuple(Level(level.of[:8], level.clusters) for level in whole.clustering.levels)
        clustering = Clustering("kmeans", {}, of)
        return PictureMap(options, whole.ids[:8], whole.positions[:8], whole.placed[:8], clustering)

    with TestClient(create_app(filled.folder, make=part), base_url=ORIGIN) as client:
        (one,) = client.get("/api/map").json()
        answer = client.get(f"/api/map/{one['name']}/pictures/0/alike?k=11").json()
        rows = [hit["row"] for hit in answer["hits"]]
        assert sorted(rows) == [-1] * 4 + list(range(1, 8))


# -- selections ------------------------------------------------------------------------------------


def test_a_selection_is_a_condition_and_sql_that_find_it_again(
    client: TestClient, base: str, filled: Library
) -> None:
    ids = filled.matching("width > 0")
    facts = post(client, f"{base}/selection", 1, 4, 6).json()
    wanted = sorted([ids[1], ids[4], ids[6]])
    assert facts["count"] == 3
    assert isinstance(parse_condition(facts["condition"]), In)
    assert filled.matching(facts["condition"]) == wanted
    assert found_by_sql(filled, facts["sql"]) == wanted


def found_by_sql(library: Library, condition: str) -> list[UUID]:
    import sqlite3

    catalog = sqlite3.connect(library.folder / "catalog.sqlite")
    rows = catalog.execute(f"SELECT id FROM records WHERE {condition} ORDER BY id").fetchall()
    catalog.close()
    return [UUID(bytes=row[0]) for row in rows]


def test_a_label_is_written_and_finds_the_selection(
    client: TestClient, base: str, filled: Library
) -> None:
    ids = filled.matching("width > 0")
    done = post(client, f"{base}/label?name=it's%20mine", 0, 5)
    assert done.json()["count"] == 2
    wanted = sorted([ids[0], ids[5]])
    assert filled.matching(done.json()["condition"]) == wanted
    assert found_by_sql(filled, done.json()["sql"]) == wanted
    told = post(client, f"{base}/selection", 0, 1, 5, 7).json()["labels"]
    assert told == [{"name": "it's mine", "share": 0.5}]


def test_pictures_that_are_gone_get_no_label(
    client: TestClient, base: str, filled: Library, photos: Path
) -> None:
    ids = filled.matching("width > 0")
    client.get(base)  # the map is open, with all of them
    (record,) = filled.get([ids[3]])
    assert record is not None
    Path(record.paths[0]).unlink()
    filled.add([photos])
    store = SqliteStore(filled.folder, write=True)
    assert store.delete() == 1
    store.close()
    done = post(client, f"{base}/label?name=left", 3, 4)
    assert done.json()["count"] == 1
    assert filled.matching("label = 'left'") == [ids[4]]


def test_many_pictures_need_a_label(
    client: TestClient, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lookalike.web.selections.MOST_IDS", 2)
    facts = post(client, f"{base}/selection", 0, 1, 2).json()
    assert facts["condition"] is facts["sql"] is None
    assert "label" in facts["note"]


@pytest.mark.parametrize("form", ["csv", "json", "paths"])
def test_a_selection_is_exported(
    client: TestClient, base: str, filled: Library, photos: Path, form: str
) -> None:
    ids = filled.matching("width > 0")
    answer = post(client, f"{base}/export?form={form}", 2, 3)
    paths = [record.paths[0] for record in filled.get([ids[2], ids[3]]) if record]
    assert "attachment" in answer.headers["content-disposition"]
    if form == "paths":
        assert answer.text.splitlines() == paths
    elif form == "json":
        assert [row["path"] for row in answer.json()] == paths
    else:
        lines = answer.text.splitlines()
        assert lines[0] == "id,path,width,height,taken"
        assert lines[1:] == [
            f"{id_},{path},48,32," for id_, path in zip(ids[2:4], paths, strict=True)
        ]


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/api/map/none", 400, "maps are: tsne"),
        ("/api/map/{name}/colourings/none", 400, "colouring 'none': not known"),
        ("/api/map/{name}/pictures/12", 400, "rows 0 to 11"),
        ("/api/map/{name}/pictures/x", 400, "a number from 0 on"),
        ("/api/map/{name}/pictures/1/alike?k=0", 400, "k '0': a whole number from 1"),
        ("/api/map/{name}/pictures/1/alike?k=x", 400, "k 'x'"),
        ("/api/map/{name}/search", 400, "a term is missing"),
        ("/api/map/{name}/search?q=no-such.jpg", 400, "no such file"),
        ("/api/map/{name}/search?q=%22", 400, "close the quotation"),
        ("/api/map/{name}/search?q=id:x", 400, "no record with this id"),
        ("/api/map/{name}/cut?count=9", 400, "2 to 3 clusters"),
        ("/api/map/{name}/cut", 400, "count None"),
        ("/thumb/1b4e28ba-2fa1-5ad2-883f-0016d3cca427", 404, "no record of this library"),
        ("/thumb/x", 400, "not a record id"),
        ("/nothing", 404, "Not Found"),
        ("/static/../app.py", 404, "Not Found"),
        ("/static/%2e%2e/app.py", 404, "Not Found"),
    ],
)
def test_what_cannot_be_had_is_said_in_one_line(
    client: TestClient, base: str, path: str, status: int, words: str
) -> None:
    answer = client.get(path.replace("/api/map/{name}", base))
    assert answer.status_code == status
    line = answer.json()["error"]
    assert words in line
    assert "\n" not in line


@pytest.mark.parametrize(
    "path", ["/pictures/" + "9" * 5_000, "/search?q=" + "x" * 50_000, "/colourings/" + "y" * 5_000]
)
def test_what_was_asked_for_is_repeated_in_short(client: TestClient, base: str, path: str) -> None:
    answer = client.get(base + path)
    assert answer.status_code == 400
    assert len(answer.json()["error"]) < 500


def test_a_server_waits_for_no_pipe_and_no_device(
    client: TestClient, base: str, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    for path in (tmp_path / "pipe.jpg", Path("/dev/zero"), tmp_path):
        answer = client.get(f"{base}/search", params={"q": str(path)})
        assert answer.json()["error"] == f"{path}: not a file; give a picture"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError(5, "Input/output error", "/x/y"), "/x/y: Input/output error; check the disk"),
        (MemoryError(), "not enough memory"),
    ],
)
def test_what_the_machine_lacks_is_one_line(filled: Library, error: Exception, words: str) -> None:
    def failing(library: Library, options: MapOptions) -> PictureMap:
        raise error

    app = create_app(filled.folder, make=failing)
    client = TestClient(app, base_url=ORIGIN)
    (one,) = client.get("/api/map").json()
    answer = client.get(f"/api/map/{one['name']}")
    assert answer.status_code == 500
    assert words in answer.json()["error"]


def test_a_client_that_breaks_off_or_is_slow_leaves_no_trace(filled: Library) -> None:
    program = "import sys; from lookalike.cli.main import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", program, "map", "--serve", "--library", str(filled.folder)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        line = next(line for line in server.stderr if "http://" in line)
        port = int(line.split("127.0.0.1:")[1].split("/")[0])
        url = f"http://127.0.0.1:{port}"
        (one,) = json.loads(urllib.request.urlopen(f"{url}/api/map").read())
        head = (
            f"POST /api/map/{one['name']}/sheet HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            f"Origin: {url}\r\nContent-Length: 400\r\n\r\nab"
        )
        slow, gone = (socket.create_connection(("127.0.0.1", port)) for _ in range(2))
        with slow:
            for client in (slow, gone):
                client.sendall(head.encode())
            urllib.request.urlopen(f"{url}/api/map").read()
            gone.close()
            urllib.request.urlopen(f"{url}/api/map").read()
            server.send_signal(signal.SIGINT)
            said = server.stderr.read()
    assert "Traceback" not in said
    assert server.returncode == 0


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/sheet", b"", "at least one"),
        ("/sheet", b"abc", "rows are int32"),
        ("/sheet", rows_of(12), "this map has 12"),
        ("/sheet", rows_of(-1), "this map has 12"),
        ("/sheet?tile=9999", rows_of(0), "tile '9999': a whole number from 16 to 256"),
        ("/sheet", rows_of(*[0] * 4097), "more than 4096 rows"),
        ("/selection", rows_of(*[0] * 13), "more than 12 rows"),
        ("/export?form=xls", rows_of(0), "form 'xls': not known"),
        ("/label?name=", rows_of(0), "label"),
    ],
)
def test_rows_that_are_none_are_refused(
    client: TestClient, base: str, path: str, body: bytes, words: str
) -> None:
    answer = client.post(base + path, content=body, headers={"Origin": ORIGIN})
    assert answer.status_code == 400
    assert words in answer.json()["error"]


def test_a_library_that_is_written_to_takes_no_label(
    client: TestClient, base: str, filled: Library
) -> None:
    with filled._writing():
        answer = post(client, f"{base}/label?name=mine", 0)
    assert answer.status_code == 409
    assert "error" in answer.json()


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1:80", ""])
def test_another_host_is_refused(client: TestClient, host: str) -> None:
    answer = client.get("/api/map", headers={"Host": host})
    assert answer.status_code == 403
    assert "this machine alone" in answer.json()["error"]


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "LOCALHOST:1", "[::1]:80"])
def test_names_of_the_loopback_are_taken(client: TestClient, host: str) -> None:
    assert client.get("/api/map", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", None])
def test_nothing_is_taken_from_another_page(
    client: TestClient, base: str, filled: Library, origin: str | None
) -> None:
    headers = {} if origin is None else {"Origin": origin}
    answer = client.post(f"{base}/label?name=mine", content=rows_of(0), headers=headers)
    assert answer.status_code == 403
    assert filled.label_counts() == []


def test_another_site_may_link_here_and_ask_for_nothing(client: TestClient, base: str) -> None:
    foreign = {"Sec-Fetch-Site": "cross-site"}
    assert client.get(base, headers={**foreign, "Sec-Fetch-Mode": "no-cors"}).status_code == 403
    assert client.get(base, headers={**foreign, "Sec-Fetch-Mode": "cors"}).status_code == 403
    assert client.get("/map", headers={**foreign, "Sec-Fetch-Mode": "navigate"}).status_code == 200
    assert client.get(base, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 200


def test_further_hosts_and_routes_join_by_being_named(filled: Library) -> None:
    async def hello(request: Any) -> PlainTextResponse:
        return PlainTextResponse("hello")

    app = create_app(
        filled.folder, make=chart, hosts=["photos.example"], routes=[Route("/hello", hello)]
    )
    with TestClient(app, base_url="http://photos.example") as client:
        assert client.get("/hello").text == "hello"


def test_no_library_is_one_line_and_not_found(tmp_path: Path) -> None:
    with TestClient(create_app(tmp_path / "none", make=chart), base_url=ORIGIN) as client:
        (one,) = client.get("/api/map").json()
        answer = client.get(f"/api/map/{one['name']}")
        assert answer.status_code == 404
        assert "no library here" in answer.json()["error"]


# -- a document without a server -------------------------------------------------------------------


def test_a_document_holds_all_of_the_map_and_asks_for_nothing() -> None:
    facts = {"title": "</script><b>", "n": 1}
    text = document(facts, {"ids": ["a"], "paths": ["</script>"]}, {"points": b"abc"})
    assert text.count("</script>") == text.count("<script")  # no text ends an element
    assert "/static/" not in text
    assert 'id="lookalike-points">YWJj<' in text
    inside = text.partition('id="lookalike-facts">')[2].partition("</script>")[0]
    assert json.loads(inside) == facts


# -- serving ---------------------------------------------------------------------------------------

SERVE = """
import sys
from lookalike.web.serve import serve
serve(sys.argv[1], ready=lambda address: print(address, flush=True))
"""


def test_the_server_takes_a_free_port_of_the_loopback_and_ends_on_ctrl_c(filled: Library) -> None:
    command = [sys.executable, "-c", SERVE, str(filled.folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    watchdog = threading.Timer(60, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(address, timeout=30) as page:
            assert b"<title>" in page.read()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
        assert "Traceback" not in errors
        assert process.returncode in (0, 130, -signal.SIGINT)
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def test_the_page_shows_the_map_that_was_made_and_makes_none_again(
    filled: Library, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown: list[Answer] = []
    made: list[MapOptions] = []

    def once(own: Library, asked: MapOptions, *step: Any, **more: Any) -> PictureMap:
        made.append(asked)
        return chart(own, asked)

    def ask(folder: Any, maps: Any, port: int, *, make: Any, **more: Any) -> None:
        with TestClient(create_app(folder, maps, make=make), base_url=ORIGIN) as client:
            (one,) = client.get("/api/map").json()
            shown.append(client.get(f"/api/map/{one['name']}").json())

    monkeypatch.setattr(map_command, "serve", ask)
    monkeypatch.setattr(Library, "map", once)
    assert main(["map", "--serve", "--library", str(filled.folder)]) == 0
    assert "12 records" in capsys.readouterr().out
    assert [one["n"] for one in shown] == [12]
    assert len(made) == 1


def test_a_port_that_is_taken_is_refused(filled: Library) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(InputError, match="choose another, or 0"):
            serve(filled.folder, port=taken.getsockname()[1])
    with pytest.raises(InputError, match="from 0"):
        serve(filled.folder, port=65_536)
