"""The grammar of a query's terms."""

from __future__ import annotations

import contextlib
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lookalike.errors import InputError
from lookalike.query import Term, parse_expression, parse_term

ID = "1b4e28ba-2fa1-5ad2-883f-0016d3cca427"


def parse(text: str, *existing: str) -> Term:
    return parse_term(text, exists=existing.__contains__)


def expected(
    text: str, value: str, weight: float = 1.0, crop: tuple[float, ...] | None = None
) -> Term:
    return Term(text, "file", value, weight, crop)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["a.jpg", "2*a.jpg", "-a.jpg", "a.jpg[0,0,1,1]", "id:x", ID, "+"])
def test_a_path_that_exists_wins_whatever_it_looks_like(name: str) -> None:
    assert parse(name, name, "a.jpg") == expected(name, name)


@pytest.mark.parametrize("name", ["a[1].jpg", "weird[1]", "scan[0,0,1,1]"])
@pytest.mark.parametrize("prefix", ["", "2*", "-", "file:", "2*file:"])
def test_a_path_that_exists_keeps_its_brackets(prefix: str, name: str) -> None:
    found = parse(prefix + name, name)
    assert (found.value, found.crop) == (name, None)


@pytest.mark.parametrize(
    ("text", "weight"),
    [
        ("a.jpg", 1.0),
        ("2*a.jpg", 2.0),
        ("0.5*a.jpg", 0.5),
        (".5*a.jpg", 0.5),
        ("-a.jpg", -1.0),
        ("+a.jpg", 1.0),
        ("-2.5*a.jpg", -2.5),
        ("+3*a.jpg", 3.0),
    ],
)
def test_sign_and_weight_stand_in_front(text: str, weight: float) -> None:
    assert parse(text, "a.jpg") == expected(text, "a.jpg", weight)
    forced = text.replace("a.jpg", "file:a.jpg")
    assert parse(forced) == expected(forced, "a.jpg", weight)


def test_file_forces_a_path_that_need_not_exist_yet() -> None:
    assert parse(f"file:{ID}") == expected(f"file:{ID}", ID)
    assert parse("file:file:a") == expected("file:file:a", "file:a")


@pytest.mark.parametrize(
    ("text", "words", "weight"),
    [
        ("red sports car", "red sports car", 1.0),
        ("text:cat", "cat", 1.0),
        ("-2*text:big cat", "big cat", -2.0),
        ("Käfer", "Käfer", 1.0),
        ("U.S. flag", "U.S. flag", 1.0),
    ],
)
def test_what_is_neither_file_nor_id_nor_like_a_path_is_words(
    text: str, words: str, weight: float
) -> None:
    assert parse(text) == Term(text, "text", words, weight)


@pytest.mark.parametrize("text", ["photos/cat", "cat.jpg", "cat.heic", "cat[0,0,1,1]"])
def test_a_path_that_is_not_there_is_not_taken_for_words(text: str) -> None:
    with pytest.raises(InputError, match="no such file"):
        parse(text)


def test_a_file_is_never_words(here: Path) -> None:
    (here / "sports car").touch()
    assert parse_term("sports car").kind == "file"


@pytest.mark.parametrize("text", [ID, ID.upper(), f"id:{ID}", f"2*id:{ID}", f"-{ID}"])
def test_an_id_is_a_record(text: str) -> None:
    found = parse(text)
    assert (found.kind, UUID(found.value)) == ("id", UUID(ID))


def test_a_crop_is_four_fractions() -> None:
    text = "-2*a.jpg[0.1,0.2,0.5,0.4]"
    assert parse(text, "a.jpg") == expected(text, "a.jpg", -2.0, (0.1, 0.2, 0.5, 0.4))
    assert parse(f"id:{ID}[0,0,.5,.5]").crop == (0.0, 0.0, 0.5, 0.5)
    assert parse("file:a.jpg[0,0,1,1]").crop == (0.0, 0.0, 1.0, 1.0)


def test_the_last_brackets_are_the_crop() -> None:
    assert parse("a[1].jpg[0,0,.5,1]", "a[1].jpg").value == "a[1].jpg"


@pytest.mark.parametrize(
    "crop",
    [
        "",
        "0",
        "0,0,1",
        "0,0,1,1,1",
        "a,b,c,d",
        "0,0,0,1",
        "0,0,1,-1",
        "-0.1,0,1,1",
        "1,0,1,1",
        "0.6,0,0.5,1",
        "0,0.6,1,0.5",
        "nan,0,1,1",
        "0,0,nan,1",
        "0,0,inf,1",
        "1e999,0,1,1",
    ],
)
def test_a_crop_that_leaves_the_picture_or_is_none_is_refused(crop: str) -> None:
    with pytest.raises(InputError, match="crop"):
        parse(f"a.jpg[{crop}]", "a.jpg")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "+",
        "2*",
        "nonesuch.jpg",
        "text:",
        "text: ",
        "text:cat[0,0,1,1]",
        "colour:red",
        "color:red",
        "id: ",
        "--a.jpg",
    ],
)
def test_what_is_no_term_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        parse(text, "a.jpg")


@pytest.mark.parametrize("weight", ["0", "0.0", ".0", "-0", "9" * 400])
def test_a_weight_without_effect_or_end_is_refused(weight: str) -> None:
    with pytest.raises(InputError):
        parse(f"{weight}*a.jpg", "a.jpg")


fractions = st.integers(0, 99).map(lambda n: n / 100)


@given(
    sign=st.sampled_from(["", "+", "-"]),
    weight=st.one_of(st.none(), st.integers(1, 99_999).map(lambda n: n / 100)),
    name=st.text("abc .,*[]:+-éß\udcff/", min_size=1).filter(lambda t: t.strip("+-*. ")),
    corner=st.one_of(st.none(), st.tuples(fractions, fractions)),
)
def test_what_was_put_together_comes_apart_again(
    sign: str, weight: float | None, name: str, corner: tuple[float, float] | None
) -> None:
    crop = corner and (*corner, (1 - corner[0]) / 2, (1 - corner[1]) / 2)
    factor = "" if weight is None else f"{weight}*"
    text = f"{sign}{factor}{name}" + ("[{},{},{},{}]".format(*crop) if crop else "")
    found = parse(text, name)
    assert found.value == name
    assert found.weight == (weight or 1.0) * (-1 if sign == "-" else 1)
    assert found.crop == crop


@given(text=st.text(max_size=40))
def test_any_text_is_a_term_or_an_input_error(text: str) -> None:
    for read in (lambda t: [parse(t)], parse_expression):
        terms = []
        with contextlib.suppress(InputError):
            terms = read(text)
        assert all(term.weight for term in terms)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to stand in, with three files of which one has a blank in its name."""
    monkeypatch.chdir(tmp_path)
    for name in ("cat.jpg", "dog.jpg", "red fox.jpg"):
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("expression", "terms"),
    [
        ("cat.jpg", [("cat.jpg", 1)]),
        ("cat.jpg dog.jpg", [("cat.jpg", 1), ("dog.jpg", 1)]),
        ("cat.jpg + 2*dog.jpg", [("cat.jpg", 1), ("dog.jpg", 2)]),
        ("cat.jpg -dog.jpg", [("cat.jpg", 1), ("dog.jpg", -1)]),
        ("cat.jpg - 0.5*dog.jpg", [("cat.jpg", 1), ("dog.jpg", -0.5)]),
        ("- cat.jpg + dog.jpg", [("cat.jpg", -1), ("dog.jpg", 1)]),
        ("'red fox.jpg' - \"cat.jpg\"", [("red fox.jpg", 1), ("cat.jpg", -1)]),
        ("2*'red fox.jpg'[0,0,.5,.5]", [("red fox.jpg", 2)]),
    ],
)
def test_an_expression_is_terms_with_signs(
    here: Path, expression: str, terms: list[tuple[str, float]]
) -> None:
    assert [(term.value, term.weight) for term in parse_expression(expression)] == terms


@pytest.mark.parametrize(
    "expression",
    ["", " ", "+", "cat.jpg -", "cat.jpg + - dog.jpg", "'cat.jpg", "cat.jpg nonesuch.jpg"],
)
def test_an_expression_with_a_hole_is_refused(here: Path, expression: str) -> None:
    with pytest.raises(InputError):
        parse_expression(expression)


def test_a_minus_that_stands_apart_is_no_part_of_a_name(here: Path) -> None:
    (here / "-dog.jpg").touch()
    _, away = parse_expression("cat.jpg - dog.jpg")
    assert (away.value, away.weight) == ("dog.jpg", -1.0)


# -- places that are not on disk -------------------------------------------------------------------

URL = "https://example.org/a%20b.jpg?w=200"


@pytest.mark.parametrize(
    ("text", "weight", "crop"),
    [
        (URL, 1.0, None),
        (f"2*{URL}", 2.0, None),
        (f"-{URL}", -1.0, None),
        (f"file:{URL}", 1.0, None),
        (f"-2*{URL}[0.1,0.2,0.5,0.4]", -2.0, (0.1, 0.2, 0.5, 0.4)),
    ],
)
def test_a_url_is_a_picture(
    text: str, weight: float, crop: tuple[float, float, float, float] | None
) -> None:
    assert parse(text) == Term(text, "file", URL, weight, crop)


def test_urls_stand_in_expressions() -> None:
    first, second = parse_expression(f"{URL} - 2*http://h/b.png")
    assert (first.value, first.weight) == (URL, 1.0)
    assert (second.value, second.weight) == ("http://h/b.png", -2.0)


def test_a_member_of_an_archive_that_exists_is_a_picture() -> None:
    member = "/data/a.tar/0001.jpg"
    assert parse(member, "/data/a.tar") == expected(member, member)
    cropped = f"{member}[0,0,0.5,0.5]"
    assert parse(cropped, "/data/a.tar") == expected(cropped, member, 1.0, (0, 0, 0.5, 0.5))
    with pytest.raises(InputError, match="no such file"):
        parse(member)


def test_a_text_that_only_begins_like_a_url_is_a_picture_that_is_refused_later() -> None:
    assert parse("http://").kind == "file"
    assert parse("https pictures of cats").kind == "text"
