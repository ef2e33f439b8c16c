"""Tables of URLs as a source, against a server that also does what it should not."""

from __future__ import annotations

import gzip
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike import IndexOptions, Library
from lookalike.config import Fetching, Limits
from lookalike.errors import InputError, MissingExtraError, NothingDoneError, StorageError
from lookalike.pipeline import IndexReport
from lookalike.sources import downloads, fetching, hosts
from lookalike.sources.fetching import Validator, retry_after
from lookalike.sources.urls import UrlTableSource, joined, url_problem
from lookalike.stores.originals import Originals
from lookalike.types import LedgerRow, Reason, State
from tests.conftest import CrashError, ToyEncoder, encoded, picture
from tests.e2e.webserver import Site, served
from tests.servers import chdb_library, postgres_library

QUICK = Fetching(gap_ms=0, timeout_seconds=0.6, retries=2)
"""For servers of which it is known that they will fail."""


@pytest.fixture
def site() -> Iterator[Site]:
    with served() as running:
        yield running


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waits between attempts, not those that servers ask for."""
    monkeypatch.setattr(downloads, "_FIRST_WAIT", 0.05)


def table(folder: Path, rows: Sequence[Sequence[str]], header: str = "photo_id\turl") -> Path:
    path = folder / "photos.tsv000"
    path.write_text("\n".join([header, *("\t".join(row) for row in rows)]) + "\n", "utf-8")
    return path


def of(site: Site, folder: Path, names: Sequence[str], **options: Any) -> UrlTableSource:
    """A source of some of a site's paths; their ids are their numbers in the list."""
    rows = [(f"id{number}", site.url(name)) for number, name in enumerate(names)]
    options.setdefault("fetching", QUICK)
    return UrlTableSource([table(folder, rows)], "url", "photo_id", **options)


def row_of(library: Library, site: Site, name: str) -> LedgerRow:
    return next(row for row in library.ledger() if row.path == site.url(name))


def counts(report: IndexReport) -> dict[str, int]:
    return {reason.value: count for (_, reason), count in report.counts.items()}


# -- the table -------------------------------------------------------------------------------------


def test_pictures_are_indexed_under_their_urls_with_their_ids(
    library: Library, site: Site, tmp_path: Path
) -> None:
    report = library.add_from(of(site, tmp_path, ["ok/1.png", "ok/2.png"]))
    assert counts(report) == {"new": 2}
    found = library.search("id:id1", include_self=True)
    assert found.hits[0].paths == (site.url("ok/2.png"),)
    with Library.open(library.folder) as again:
        again._encoders["toy"] = ToyEncoder()
        assert again.record_at(site.url("ok/1.png")) == library.record_at(site.url("ok/1.png"))
    assert library.record_at(site.url("ok/77.png")) is None


def test_what_is_odd_about_rows_is_counted_and_in_the_ledger(
    library: Library, site: Site, tmp_path: Path
) -> None:
    good = site.url("ok/1.png")
    rows = [
        ("a", good),
        ("b", ""),
        ("c", "ftp://example.org/1.png"),
        ("d", "http:///1.png"),
        ("e", f"http://me:secret@127.0.0.1:{site.port}/ok/1.png"),
        ("f", "http://127.0.0.1/a b.png"),
        ("g", good),
        ("", site.url("ok/2.png")),
        ("a", site.url("ok/3.png")),
        ("h", "http://127.0.0.1:99999/1.png"),
        ("i", "photo.jpg"),
    ]
    source = UrlTableSource([table(tmp_path, rows)], "url", "photo_id", fetching=QUICK)
    report = library.add_from(source)
    assert counts(report) == {"new": 3, "not a URL of a picture": 6}
    told = source.counts
    assert (told.rows, told.without_url, told.bad_url, told.repeated_url) == (11, 1, 6, 1)
    assert (told.without_id, told.repeated_id) == (1, 1)
    assert len(told.told()) == 5
    ledger = {row.path: row for row in library.ledger()}
    assert ledger["photo.jpg"].state is State.SKIPPED
    assert f"http://***@127.0.0.1:{site.port}/ok/1.png" in ledger
    assert "secret" not in "".join(ledger)
    assert library.search("id:a", include_self=True).hits[0].paths == (good,)


def test_a_column_that_is_not_there_is_refused_with_those_that_are(
    site: Site, tmp_path: Path
) -> None:
    path = table(tmp_path, [("a", site.url("ok/1.png"))])
    with pytest.raises(InputError, match=r"no column 'link'.*photo_id, url"):
        UrlTableSource([path], "link")


def test_several_parts_are_one_table(library: Library, site: Site, tmp_path: Path) -> None:
    for number in range(3):
        url = site.url(f"ok/{number}.png")
        (tmp_path / f"photos.tsv00{number}").write_text(f"photo_id\turl\nid{number}\t{url}\n")
    source = UrlTableSource([tmp_path / "photos.tsv*"], "url", "photo_id", fetching=QUICK)
    assert counts(library.add_from(source)) == {"new": 3}


def test_without_the_client_the_extra_is_named(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "httpx2", None)
    with pytest.raises(MissingExtraError, match=r"lookalike\[urls\]"):
        of(site, tmp_path, ["ok/1.png"])


@pytest.mark.parametrize(
    ("url", "suffix", "fetched"),
    [
        ("http://h/a", "", "http://h/a"),
        ("http://h/a", "?w=200", "http://h/a?w=200"),
        ("http://h/a?x=1", "?w=200", "http://h/a?x=1&w=200"),
        ("http://h/a?x=1#top", "?w=200", "http://h/a?x=1&w=200"),
        ("http://h/a", "/small.jpg", "http://h/a/small.jpg"),
    ],
)
def test_a_suffix_joins_the_query_that_is_there(url: str, suffix: str, fetched: str) -> None:
    assert joined(url, suffix) == fetched


@given(st.text(max_size=60))
def test_any_text_is_a_url_or_has_a_problem(text: str) -> None:
    assert url_problem(text) or text.lower().startswith(("http://", "https://"))
    assert url_problem("http://" + text) is not None or urlsplit("http://" + text).hostname


TAGS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1)


@given(st.builds(Validator, st.text(), st.none() | TAGS, st.none() | TAGS, st.booleans()))
def test_a_validator_is_read_as_it_was_written(validator: Validator) -> None:
    assert Validator.of(validator.text) == validator


@pytest.mark.parametrize("text", [None, "", "no json", "[]", "3", '{"suffix": 3}'])
def test_a_validator_that_means_nothing_is_none(text: str | None) -> None:
    found = Validator.of(text)
    assert found is None or found.headers() == {}


# -- the second run --------------------------------------------------------------------------------


def test_a_second_run_downloads_nothing_anew(library: Library, site: Site, tmp_path: Path) -> None:
    names = ["ok/1.png", "modified/2.png", "redirect/3.png", "liar/4.png"]
    library.add_from(of(site, tmp_path, names))
    site.forget()
    site.pictures = {}
    report = library.add_from(of(site, tmp_path, names[:3]))
    assert counts(report) == {"not modified": 3}
    assert sum(site.sent.values()) == 0
    asked = [one.headers for one in site.requests]
    assert all("If-None-Match" in one or "If-Modified-Since" in one for one in asked)


def test_a_picture_without_a_validator_is_known_by_its_content(
    library: Library, site: Site, tmp_path: Path, toy: ToyEncoder
) -> None:
    library.add_from(of(site, tmp_path, ["plain/1.png"]))
    assert counts(library.add_from(of(site, tmp_path, ["plain/1.png"]))) == {"same content": 1}
    assert toy.encoded == 1


def test_a_changed_picture_is_downloaded(library: Library, site: Site, tmp_path: Path) -> None:
    library.add_from(of(site, tmp_path, ["ok/1.png", "ok/2.png"]))
    site.pictures["1.png"] = encoded(picture(99), "PNG")
    report = library.add_from(of(site, tmp_path, ["ok/1.png", "ok/2.png"]))
    assert counts(report) == {"changed": 1, "not modified": 1}


def test_another_suffix_is_fetched_anew(library: Library, site: Site, tmp_path: Path) -> None:
    names = ["ok/1.png", "html/2.png"]
    library.add_from(of(site, tmp_path, names, suffix="?w=200"))
    assert {one.path for one in site.requests} == {"/ok/1.png?w=200", "/html/2.png?w=200"}
    site.forget()
    report = library.add_from(of(site, tmp_path, names, suffix="?w=400"))
    assert counts(report) == {"same content": 1, "not an image": 1}
    assert len(site.requests) == 2
    assert all("If-None-Match" not in one.headers for one in site.requests)


def test_what_is_no_picture_is_not_asked_for_again(
    library: Library, site: Site, tmp_path: Path
) -> None:
    names = ["ok/1.png", "html/2.png", "damaged/3.png", "empty/4.png"]
    library.add_from(of(site, tmp_path, names))
    site.forget()
    library.add_from(of(site, tmp_path, names))
    assert [one.path for one in site.requests] == ["/ok/1.png"]
    library.add_from(of(site, tmp_path, names), IndexOptions(retry=True))
    assert len(site.requests) == 5


def test_a_server_that_fails_now_takes_nothing_away(
    library: Library, site: Site, tmp_path: Path
) -> None:
    library.add_from(of(site, tmp_path, ["ok/1.png", "twice/2.png"]))
    site.requests.clear()  # so that it fails twice more
    once = Fetching(gap_ms=0, retries=0)
    report = library.add_from(of(site, tmp_path, ["ok/1.png", "twice/2.png"], fetching=once))
    assert counts(report) == {"not modified": 1, "not reached": 1}
    row = row_of(library, site, "twice/2.png")
    assert (row.state, row.reason) == (State.UNCHANGED, Reason.NOT_REACHED)
    assert row.detail.startswith("500 Internal Server Error")
    assert len(library) == 2


def test_a_picture_that_its_server_refuses_now_is_no_longer_found(
    library: Library, site: Site, tmp_path: Path
) -> None:
    library.add_from(of(site, tmp_path, ["ok/1.png", "ok/2.png"]))
    broken = site.port
    site.pictures["2.png"] = b""
    report = library.add_from(of(site, tmp_path, ["ok/1.png", "ok/2.png"]))
    assert broken == site.port
    assert counts(report) == {"not modified": 1, "zero bytes": 1}
    assert len(library) == 1


def test_a_new_id_is_entered_without_a_download(
    library: Library, site: Site, tmp_path: Path
) -> None:
    url = site.url("ok/1.png")
    for id_ in ("old", "new"):
        source = UrlTableSource([table(tmp_path, [(id_, url)])], "url", "photo_id", fetching=QUICK)
        library.add_from(source)
    assert library.search("id:new", include_self=True).hits[0].paths == (url,)
    assert len(site.sent) == 1


def test_a_tag_that_cannot_be_sent_back_is_none(
    library: Library, site: Site, tmp_path: Path
) -> None:
    library.add_from(of(site, tmp_path, ["oddtag/1.png"]))
    assert counts(library.add_from(of(site, tmp_path, ["oddtag/1.png"]))) == {"same content": 1}
    assert "If-None-Match" not in site.requests[-1].headers


# -- failures --------------------------------------------------------------------------------------

FAILURES = {
    "404/1.png": (Reason.REFUSED, "404 Not Found"),
    "status/410/1.png": (Reason.REFUSED, "410 Gone"),
    "status/401/1.png": (Reason.REFUSED, "401 Unauthorized"),
    "status/403/1.png": (Reason.REFUSED, "403 Forbidden"),
    "status/451/1.png": (Reason.REFUSED, "451 Unavailable For Legal Reasons"),
    "status/204/1.png": (Reason.REFUSED, "204 No Content"),
    "status/501/1.png": (Reason.NOT_REACHED, "501 Not Implemented"),
    "status/503/1.png": (Reason.NOT_REACHED, "503 Service Unavailable; asked 3 times"),
    "html/1.png": (Reason.NOT_AN_IMAGE, "text/html instead of a picture"),
    "htmlaspng/1.png": (Reason.NOT_AN_IMAGE, "text instead of a picture"),
    "empty/1.png": (Reason.ZERO_BYTES, ""),
    "damaged/1.png": (Reason.TRUNCATED, ""),
    "short/1.png": (Reason.TRUNCATED, ""),
    "brotli/1.png": (Reason.REFUSED, "packed as br"),
    "loop/1.png": (Reason.REFUSED, "redirected more than 5 times"),
    "tofile/1.png": (Reason.REFUSED, "redirected to file: URL"),
    "toodd/1.png": (Reason.REFUSED, "redirected to what is no URL"),
    "stall/1.png": (Reason.NOT_REACHED, "no answer within 0.6 s; asked 3 times"),
    "half/1.png": (Reason.NOT_REACHED, "no answer within 0.6 s; asked 3 times"),
    "drip/1.png": (Reason.NOT_REACHED, "not there whole after 3.6 s"),
    "cut/1.png": (Reason.NOT_REACHED, "the connection failed"),
    "drop/1.png": (Reason.NOT_REACHED, "the connection failed"),
    "huge/1.png": (Reason.TOO_MANY_BYTES, "10000 MB or more exceed 8 MB; raise --max-megabytes"),
    "zeros/1.png": (Reason.TOO_MANY_BYTES, "8 MB or more exceed 8 MB; raise --max-megabytes"),
    "bomb/1.png": (Reason.TOO_MANY_BYTES, "8 MB or more exceed 8 MB; raise --max-megabytes"),
}


def test_every_failure_is_in_the_ledger_with_what_it_was(
    library: Library, site: Site, tmp_path: Path
) -> None:
    source = of(site, tmp_path, ["ok/1.png", *FAILURES], limits=Limits(megabytes=8))
    source._downloads._fetching = Fetching(gap_ms=0, timeout_seconds=0.6, retries=2, per_host=30)
    library.add_from(source)
    found = {row.path: row for row in library.ledger()}
    for name, (reason, detail) in FAILURES.items():
        row = found[site.url(name)]
        assert (row.state, row.reason) == (State.UNREADABLE, reason), name
        assert row.detail.startswith(detail), (name, row.detail)
    assert found[site.url("ok/1.png")].state is State.INDEXED
    assert site.sent["zeros/1.png"] < 60e6  # what lay in buffers, not ten gigabytes


@pytest.mark.parametrize("way", ["twice", "busy", "cutonce", "gzip", "liar", "redirect", "cookie"])
def test_what_can_be_mended_is_mended(
    library: Library, site: Site, tmp_path: Path, way: str
) -> None:
    report = library.add_from(of(site, tmp_path, [f"{way}/1.png", f"{way}/2.png"]))
    assert counts(report) == {"new": 2}
    assert not any("Cookie" in one.headers for one in site.requests)
    assert {one.headers["User-Agent"].partition("/")[0] for one in site.requests} == {"lookalike"}


ODD_HOSTS = (
    "a..b", f"{'a' * 70}.com", "xn--", "host_name", "1.2.3.4.5.6", "999.1.1.1", "%41",
    "\u00fc.invalid", "\U0001f600", "-", ".", "localhost.", "[::1]:1", "a,b", "*", "0", "127.1:1",
)  # fmt: skip


def test_hosts_that_are_none_are_rows_of_the_ledger(
    library: Library, site: Site, tmp_path: Path
) -> None:
    rows = [(f"o{number}", f"http://{host}/a.png") for number, host in enumerate(ODD_HOSTS)]
    path = table(tmp_path, [*rows, ("good", site.url("ok/1.png"))])
    once = Fetching(gap_ms=0, retries=0, timeout_seconds=1)
    report = library.add_from(UrlTableSource([path], "url", "photo_id", fetching=once))
    assert report.total(State.INDEXED) == 1
    assert report.total(State.UNREADABLE, State.SKIPPED) == len(ODD_HOSTS)


def test_content_that_was_packed_is_the_same_record(
    library: Library, site: Site, tmp_path: Path
) -> None:
    report = library.add_from(of(site, tmp_path, ["ok/1.png", "gzip/1.png"]))
    assert counts(report) == {"new": 1, "same content as another file": 1}
    assert len(library) == 1
    assert len(gzip.compress(site.body("1.png"))) != len(site.body("1.png"))


def test_a_dead_host_is_given_up_soon_and_holds_up_no_other(
    library: Library, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "RESTS", (0.1, 0.2))
    dead = [(f"d{n}", f"http://127.0.0.1:1/{n}.png") for n in range(400)]
    live = [(f"l{n}", site.url(f"ok/{n}.png")) for n in range(20)]
    source = UrlTableSource(
        [table(tmp_path, [*dead, *live])], "url", "photo_id", fetching=Fetching(gap_ms=0)
    )
    start = time.monotonic()
    report = library.add_from(source)
    assert time.monotonic() - start < 10
    assert counts(report) == {"new": 20, "not reached": 400}
    details = {row.detail for row in library.ledger(State.UNREADABLE)}
    assert any("127.0.0.1:1 was given up" in one for one in details)
    assert site.requests[-1].at - start < 3


def test_a_host_that_comes_back_is_asked_on(
    library: Library, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosts, "FAILURES_BEFORE_REST", 3)
    monkeypatch.setattr(hosts, "RESTS", (0.3, 0.3))
    names = [f"twice/{n}.png" for n in range(8)]
    assert counts(library.add_from(of(site, tmp_path, names))) == {"new": 8}


def test_many_hosts_are_not_all_remembered(
    library: Library, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "HOSTS_REMEMBERED", 4)
    monkeypatch.setattr(downloads, "WINDOW", 2)
    remembered: list[int] = []
    forget = downloads._Loop._forget_idle

    def watched(loop: downloads._Loop) -> None:
        forget(loop)
        remembered.append(len(loop._hosts))

    monkeypatch.setattr(downloads._Loop, "_forget_idle", watched)
    rows = [(f"h{n}", f"http://127.0.0.{n}:{site.port}/ok/{n}.png") for n in range(2, 40)]
    once = Fetching(gap_ms=0, retries=0)
    with pytest.raises(NothingDoneError):  # nobody listens there
        library.add_from(UrlTableSource([table(tmp_path, rows)], "url", fetching=once))
    assert len(remembered) == 38
    assert max(remembered) <= 4


def test_a_host_that_wants_to_be_left_alone_long_is(
    library: Library, site: Site, tmp_path: Path
) -> None:
    names = ["ok/1.png", *(f"tomorrow/{n}.png" for n in range(50))]
    one = Fetching(gap_ms=0, per_host=1)
    report = library.add_from(of(site, tmp_path, names, fetching=one))
    assert counts(report) == {"new": 1, "not reached": 50}
    assert len(site.requests) == 2
    assert "asks to wait 86400 s" in row_of(library, site, "tomorrow/7.png").detail


# -- politeness ------------------------------------------------------------------------------------


@pytest.mark.parametrize("per_host", [1, 3])
def test_a_host_gets_few_requests_at_once(
    library: Library, site: Site, tmp_path: Path, per_host: int
) -> None:
    site.hold_seconds = 0.02
    names = [f"ok/{n}.png" for n in range(20)]
    library.add_from(of(site, tmp_path, names, fetching=Fetching(per_host=per_host, gap_ms=0)))
    assert site.most_at_once == per_host


def test_all_hosts_together_get_no_more_than_the_total(
    library: Library, site: Site, tmp_path: Path
) -> None:
    site.hold_seconds = 0.02
    rows = [(f"{host}{n}", site.url(f"ok/{n}.png", host)) for n in range(12) for host in (
        "127.0.0.1", "localhost")]  # fmt: skip
    few = Fetching(connections=3, per_host=3, gap_ms=0)
    library.add_from(UrlTableSource([table(tmp_path, rows)], "url", "photo_id", fetching=few))
    assert site.most_at_once == 3


def test_between_two_requests_lies_a_gap(library: Library, site: Site, tmp_path: Path) -> None:
    names = [f"ok/{n}.png" for n in range(12)]
    start = time.monotonic()
    library.add_from(of(site, tmp_path, names, fetching=Fetching(gap_ms=40)))
    assert time.monotonic() - start > 11 * 0.04
    assert sorted(site.gaps)[len(site.gaps) // 2] > 0.03


@pytest.mark.parametrize(("way", "least"), [("busy", 1.0), ("busydate", 1.0)])
def test_a_server_is_left_alone_for_as_long_as_it_asks(
    library: Library, site: Site, tmp_path: Path, way: str, least: float
) -> None:
    library.add_from(of(site, tmp_path, [f"{way}/1.png"]))
    first, second = site.asked(f"{way}/1.png")
    assert least <= second.at - first.at < 4


@pytest.mark.parametrize(
    ("text", "seconds"), [(None, None), ("", None), ("7", 7.0), ("soon", None), ("-1", None)]
)
def test_retry_after_in_seconds(text: str | None, seconds: float | None) -> None:
    assert retry_after(text) == seconds


def test_retry_after_as_a_date() -> None:
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert (retry_after("Wed, 21 Oct 2099 07:28:00 GMT") or 0) > 1e9


def test_a_redirect_into_the_own_network_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    from lookalike.errors import ImageError

    async def redirected(start: str, url: str, location: str) -> str:
        return await fetching._redirected(start, url, location)

    def refused(start: str, location: str) -> str:
        with pytest.raises(ImageError) as caught:
            asyncio.run(redirected(start, start, location))
        return caught.value.detail

    public = "http://93.184.215.14/a.jpg"
    for inside in ("127.0.0.1", "10.0.0.8", "169.254.169.254", "[::1]", "192.168.1.1", "[fd00::1]"):
        assert "inside your network" in refused(public, f"http://{inside}/a.jpg")
    assert "inside your network" in refused(public, "http://[::ffff:127.0.0.1]/a.jpg")
    assert "from https to http" in refused("https://93.184.215.14/", "http://93.184.215.14/a")
    own = asyncio.run(redirected("http://127.0.0.1/", "http://127.0.0.1/", "http://10.0.0.8/a"))
    assert own == "http://10.0.0.8/a"
    out = asyncio.run(redirected(public, public, "https://93.184.215.15/b"))
    assert out == "https://93.184.215.15/b"


def test_settings_of_a_proxy_that_cannot_be_used_are_one_line(
    library: Library, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", "nonsense://127.0.0.1:1")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(InputError, match=r"network settings.*ALL_PROXY"):
        library.add_from(of(site, tmp_path, ["ok/1.png"]))


def test_a_proxy_of_the_environment_is_used(
    library: Library, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{site.port}")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, "")
    path = table(tmp_path, [("a", "http://pictures.invalid/ok/1.png")])
    assert counts(library.add_from(UrlTableSource([path], "url", fetching=QUICK))) == {"new": 1}
    assert [one.path for one in site.requests] == ["http://pictures.invalid/ok/1.png"]


# -- waiting ---------------------------------------------------------------------------------------


def test_what_has_come_is_committed_while_others_stall(
    library: Library, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "TICK_SECONDS", 0.1)
    slow = Fetching(gap_ms=0, timeout_seconds=3, retries=0, per_host=8)
    source = of(site, tmp_path, ["stall/0.png", *(f"ok/{n}.png" for n in range(5))], fetching=slow)
    committed: list[float] = []

    class Watch:
        def stage(self, name: str) -> None: ...

        def start(self, total: int) -> None:
            self.since = time.monotonic()

        def advance(self, count: int) -> None:
            committed.extend([time.monotonic() - self.since] * count)

        def close(self) -> None: ...

    library.add_from(source, IndexOptions(), Watch())
    assert len(committed) == 6
    assert committed[4] < 1.5 < committed[5]


def test_many_bytes_that_wait_to_be_read_stop_no_run(
    library: Library, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "LARGE_BYTES", 1_000)
    names = [f"ok/{n}.png" for n in range(40)]
    start = time.monotonic()
    about_a_picture = Fetching(gap_ms=0, waiting_megabytes=0.003)
    source = of(site, tmp_path, names, fetching=about_a_picture)
    assert counts(library.add_from(source)) == {"new": 40}
    assert time.monotonic() - start < 4


def test_a_window_of_urls_is_all_that_is_held(
    library: Library, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "WINDOW", 5)
    names = [f"ok/{n}.png" for n in range(30)]
    assert counts(library.add_from(of(site, tmp_path, names))) == {"new": 30}


def test_no_thread_is_left_when_a_run_breaks_off(
    site: Site, tmp_path: Path, toy: ToyEncoder
) -> None:
    toy.fail_after = 3
    with Library.open(tmp_path / "other", create=True, encoder=toy) as library:
        source = of(site, tmp_path, [*(f"ok/{n}.png" for n in range(40)), "stall/1.png"])
        with pytest.raises(CrashError):
            library.add_from(source)
    deadline = time.monotonic() + 3
    while any(one.name == "downloads" for one in threading.enumerate()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


# -- originals -------------------------------------------------------------------------------------


def test_originals_are_kept_whole_and_are_what_is_read_again(
    library: Library, site: Site, tmp_path: Path
) -> None:
    source = of(site, tmp_path, ["ok/1.png", "liar/2.png"], keep=library.originals.keep)
    library.add_from(source)
    kept = sorted((library.folder / "originals").glob("??/*"))
    assert {path.read_bytes() for path in kept} == {site.body("1.png"), site.body("2.png")}
    assert all(path.suffix == ".png" and path.parent.name == path.name[:2] for path in kept)
    site.forget()
    other = ToyEncoder("other")
    assert library.add_space(other).added == 2
    crop = f"{site.url('ok/1.png')}[0,0,0.5,0.5]"
    assert library.search(crop).inputs[0].record == library.record_at(site.url("ok/1.png"))
    why = library.why("id:id0", "id:id1", quick=True)
    assert why.query.from_thumbnail is None
    assert site.requests == []


def test_originals_are_fetched_for_pictures_that_were_not_kept_before(
    library: Library, site: Site, tmp_path: Path
) -> None:
    library.add_from(of(site, tmp_path, ["ok/1.png"]))
    report = library.add_from(of(site, tmp_path, ["ok/1.png"], keep=library.originals.keep))
    assert counts(report) == {"same content": 1}
    assert len(list((library.folder / "originals").glob("??/*"))) == 1
    site.forget()
    library.add_from(of(site, tmp_path, ["ok/1.png"], keep=library.originals.keep))
    assert sum(site.sent.values()) == 0


def test_prune_removes_originals_of_no_record(library: Library, site: Site, tmp_path: Path) -> None:
    names = ["ok/1.png", "damaged/2.png"]
    library.add_from(of(site, tmp_path, names, keep=library.originals.keep))
    (library.folder / "originals" / "ab").mkdir(exist_ok=True)
    (library.folder / "originals" / "ab" / ".x.part").write_bytes(b"half")
    library.add_from(of(site, tmp_path, names), IndexOptions(prune=True))
    kept = [p for p in (library.folder / "originals").glob("??/*") if p.is_file()]
    assert [path.read_bytes() for path in kept] == [site.body("1.png")]


def test_a_full_disk_is_one_line_and_loses_nothing(
    library: Library, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add_from(of(site, tmp_path, ["ok/1.png"]))

    def full(_handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="No space left"):
            library.add_from(of(site, tmp_path, ["ok/2.png"], keep=library.originals.keep))
    assert not [p for p in (library.folder / "originals").glob("??/*") if p.is_file()]
    assert len(library) == 1
    library.add_from(of(site, tmp_path, ["ok/2.png"], keep=library.originals.keep))
    assert len(library) == 2


def test_an_original_is_found_by_its_content(tmp_path: Path) -> None:
    originals = Originals(tmp_path / "originals")
    for number, form in enumerate(("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")):
        data = encoded(picture(1), form)
        assert originals.keep(data, bytes([number]) * 32)
        path = originals.find(bytes([number]) * 32)
        assert path is not None
        assert Path(path).read_bytes() == data
    assert originals.find(b"z" * 32) is None
    assert not originals.keep(b"no picture", b"y" * 32)


# -- known pictures again --------------------------------------------------------------------------


def test_a_known_url_is_searched_without_a_download(
    library: Library, site: Site, tmp_path: Path
) -> None:
    library.add_from(of(site, tmp_path, ["ok/1.png", "ok/2.png"], suffix="?w=1"))
    site.forget()
    found = library.search(site.url("ok/1.png"), include_self=True)
    assert found.hits[0].paths == (site.url("ok/1.png"),)
    why = library.why("id:id0", site.url("ok/2.png"), quick=True)
    assert "not kept" in (why.query.from_thumbnail or "")
    assert site.requests == []


def test_an_unknown_url_is_downloaded_for_a_search(
    library: Library, site: Site, tmp_path: Path
) -> None:
    library.add_from(of(site, tmp_path, ["ok/1.png", "ok/2.png"]))
    found = library.search(site.url("plain/1.png"), include_self=True)
    assert found.inputs[0].record == library.record_at(site.url("ok/1.png"))
    fresh = library.search(f"2*{site.url('plain/7.png')}", 2)
    assert (fresh.inputs[0].record, fresh.inputs[0].weight) == (None, 2.0)
    assert fresh.inputs[0].path == site.url("plain/7.png")
    with pytest.raises(InputError, match="404 Not Found"):
        library.search(site.url("404/1.png"))


def test_further_spaces_download_what_is_not_kept(
    library: Library, site: Site, tmp_path: Path
) -> None:
    names = [f"ok/{n}.png" for n in range(5)]
    library.add_from(of(site, tmp_path, names, suffix="?w=1"))
    site.pictures["3.png"] = encoded(picture(50), "PNG")
    site.forget()
    report = library.add_space(
        ToyEncoder("other"), options=IndexOptions(fetching=Fetching(gap_ms=0))
    )
    assert (report.added, report.left) == (4, 1)
    assert {one.path for one in site.requests} == {f"/{name}?w=1" for name in names}


def test_a_space_is_filled_of_some_urls(library: Library, site: Site, tmp_path: Path) -> None:
    library.add_from(of(site, tmp_path, ["ok/1.png", "liar/2.png"]))
    quick = IndexOptions(fetching=QUICK)
    assert library.add_space(ToyEncoder("other"), [site.url("ok")], quick).added == 1
    assert library.add_space(ToyEncoder("other"), options=quick).added == 1


def test_a_large_picture_gets_the_time_that_it_takes(
    library: Library, site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "SLOWEST_BYTES", 100)
    site.pictures["1.png"] = encoded(picture(1, (400, 300)), "PNG")
    hasty = Fetching(gap_ms=0, timeout_seconds=0.2, retries=0)
    report = library.add_from(of(site, tmp_path, ["trickle/1.png", "drip/2.png"], fetching=hasty))
    assert counts(report) == {"new": 1, "not reached": 1}


def test_conditions_and_labels_take_urls(library: Library, site: Site, tmp_path: Path) -> None:
    library.add_from(of(site, tmp_path, ["ok/1.png", "liar/2.png"]))
    assert len(library.matching(f"under '{site.url('ok')}'")) == 1
    assert len(library.matching("foreign_id = 'id1'")) == 1


def test_folders_and_urls_lie_side_by_side(
    filled: Library, site: Site, tmp_path: Path, photos: Path
) -> None:
    filled.add_from(of(site, tmp_path, ["plain/0.png", "plain/70.png"]))
    assert len(filled) == 13 or len(filled) == 14
    report = filled.add([photos])
    assert counts(report) == {"same size and time": 12}


@pytest.mark.parametrize("server", [postgres_library, chdb_library])
def test_urls_are_indexed_into_servers(
    server: Callable[[Path], str], site: Site, tmp_path: Path, toy: ToyEncoder
) -> None:
    names = ["ok/1.png", "ok/2.png", "html/3.png"]
    with Library.open(server(tmp_path), create=True, encoder=toy) as library:
        assert counts(library.add_from(of(site, tmp_path, names))) == {"new": 2, "not an image": 1}
        site.forget()
        report = library.add_from(of(site, tmp_path, names))
        assert counts(report) == {"not modified": 2, "not an image": 1}
        assert sum(site.sent.values()) == 0
        found = library.search("id:id1", include_self=True)
        assert found.hits[0].paths == (site.url("ok/2.png"),)
        assert library.add_space(ToyEncoder("other")).added == 2
        with pytest.raises(InputError, match="beside a library in a folder only"):
            _ = library.originals


# -- several processes -----------------------------------------------------------------------------


def test_processes_that_share_a_table_keep_to_its_limits_together(
    site: Site, tmp_path: Path
) -> None:
    site.hold_seconds = 0.05
    names = [f"ok/{number}.png" for number in range(24)]
    source = of(site, tmp_path, names, fetching=Fetching(per_host=4, gap_ms=20))
    entries: list[Any] = list(source.found())
    shares = [source.shared_by(2), source.shared_by(2)]

    def fetch(number: int) -> None:
        for one in shares[number].supply(entries[number::2]):
            if one is not None:
                one.read()

    threads = [threading.Thread(target=fetch, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(urlsplit(one.path).path for one in site.requests) == sorted(
        f"/{n}" for n in names
    )
    assert 1 < site.most_at_once <= 4
    taken = site.requests[-1].at - site.requests[0].at
    assert taken >= 22 * 0.02  # 12 each, 40 ms apart
