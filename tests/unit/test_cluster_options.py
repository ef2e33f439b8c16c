"""What ``lookalike index`` says of options of a cluster, without one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from lookalike.cli.main import main
from lookalike.cluster.blocks import Recipe
from lookalike.cluster.workers import ClusterOptions, usual_actors
from lookalike.errors import InputError
from lookalike.features.encoders import load_encoder
from tests.conftest import ToyEncoder, picture


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--parts", "parts"], "--parts: goes with --ray"),
        (["--ray-actors", "2"], "--ray-actors: goes with --ray"),
        (["--ray-gpus", "1"], "--ray-gpus: goes with --ray"),
        (["--ray", "--workers", "2"], "--workers: threads of this process"),
        (["--ray", "--memory-limit", "2GB"], "--memory-limit: is for this process"),
        (["--ray", "--tiles"], "--tiles: parts are looked at by this process"),
        (["--ray", "--parts", "p", "--library", "l"], "--parts: goes instead of --library"),
        (["--ray", "--parts", "p", "--prune"], "--prune: goes with a library"),
    ],
)
def test_options_that_do_not_go_together_are_told(
    photos: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    assert main(["index", str(photos), *options]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert message in said.err


def test_without_ray_the_extra_is_named(
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    library = tmp_path / "library"
    assert main(["index", str(photos), "--ray", "--library", str(library)]) == 1
    assert "pip install 'lookalike[ray]'" in capsys.readouterr().err
    assert not library.exists()


def test_a_path_in_place_of_an_address_is_told(photos: Path) -> None:
    with pytest.raises(InputError, match="is a path, not the address of a cluster"):
        ClusterOptions(str(photos)).check()
    ClusterOptions("127.0.0.1:6379").check()


@pytest.mark.parametrize(("processors", "actors"), [(1, 1), (2, 1), (3, 2), (16, 11), (96, 64)])
def test_two_processors_of_three_encode(processors: int, actors: int) -> None:
    assert usual_actors(processors) == actors


def test_workers_prepare_pictures_as_the_encoder_does_without_its_graph() -> None:
    encoder = load_encoder("efficientnet-lite0", 1)
    recipe = Recipe.of(encoder, by_name=True)
    image = picture(3, (300, 200))
    assert recipe.given is None
    assert (recipe.prepare(image) == encoder.prepare(image)).all()
    assert recipe.encoder(1).spec == encoder.spec
    toy = ToyEncoder()
    assert Recipe.of(toy, by_name=False).encoder(1) is toy
