r"""Make the category tree and the English lexicon that ship inside the wheel.

From the WordNet 3.0 dictionary (Debian's package `wordnet-base` has it in /usr/share/wordnet) and
the WordNet ids of the thousand classes of ImageNet-1k in their usual order, one a line (the wheel
of timm has them as timm/data/_info/imagenet_synsets.txt); class weights from the shipped encoder.

    pip install onnx==1.23.2 numpy==2.4.6
    python tools/make_categories.py --wordnet DICT --classes imagenet_synsets.txt \
        --out src/lookalike/categories/data

Writes three files; the same input gives the same bytes:

    tree.tsv      a line per synset that is a class or an ancestor of one:
                  id, ids of its parents, names, number of the class if it is one
    lexicon.tsv   a line per word: how it is known (= a name, < a kind of, ~ something wider), id
    classes.npy   float16 (1000, 1280), the weights of the encoder's last layer, less their mean
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

ENCODER = (
    Path(__file__).parent.parent / "src/lookalike/features/encoders/weights/efficientnet-lite0.onnx"
)

ANIMALS = 5
SHOWN_KINDS = {ANIMALS, 6, 13, 17, 20}
"""Lexicographer files of animals, artefacts, food, natural objects and plants: what is in pictures
and has a wider word that says something."""

WIDER_STEPS = 2
WIDER_CLASSES = 12
"""A wider word is at most so many steps up, and has at most so many classes below it."""


@dataclass(frozen=True)
class Synset:
    """One sense of WordNet: its names, its parents (hypernyms), its lexicographer file."""

    id: str
    names: tuple[str, ...]
    parents: tuple[str, ...]
    file: int


def synsets(path: Path) -> Iterator[Synset]:
    """All noun senses; the format is that of wndb(5WN)."""
    for line in path.read_text("ascii").splitlines():
        if line.startswith(" "):
            continue
        fields = line.partition("|")[0].split()
        count = int(fields[3], 16)
        names = tuple(name.replace("_", " ") for name in fields[4 : 4 + 2 * count : 2])
        at = 4 + 2 * count
        pointers = [fields[at + 1 + 4 * i : at + 5 + 4 * i] for i in range(int(fields[at]))]
        parents = tuple(f"n{id_}" for sign, id_, *_ in pointers if sign in ("@", "@i"))
        yield Synset(f"n{fields[0]}", names, parents, int(fields[1]))


def senses(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Every noun with the ids of its senses, the commonest first."""
    for line in path.read_text("ascii").splitlines():
        if line.startswith(" "):
            continue
        fields = line.split()
        yield fields[0].replace("_", " "), [f"n{id_}" for id_ in fields[-int(fields[2]) :]]


class WordNet:
    """WordNet's nouns and the classes among them."""

    def __init__(self, dictionary: Path, classes: list[str]) -> None:
        self.synsets = {synset.id: synset for synset in synsets(dictionary / "data.noun")}
        self.senses = dict(senses(dictionary / "index.noun"))
        self.classes = {id_: number for number, id_ in enumerate(classes)}
        self.below: dict[str, set[int]] = {}
        for id_, number in self.classes.items():
            for ancestor in self.up(id_):
                self.below.setdefault(ancestor, set()).add(number)

    def up(self, id_: str) -> dict[str, int]:
        """A synset and its ancestors, with the least number of steps to each."""
        steps, layer = {id_: 0}, [id_]
        while layer:
            layer = [p for one in layer for p in self.synsets[one].parents if p not in steps]
            for one in layer:
                steps.setdefault(one, 1 + min(
                    steps[c] for c in steps if one in self.synsets[c].parents
                ))  # fmt: skip
        return steps

    def known(self, word: str) -> tuple[str, str] | None:
        """How a word is known, and as which synset of the tree: by its commonest such sense."""
        senses = self.senses[word]
        for sign, meant, some in (
            ("=", self._named, senses),
            ("<", self._kind, senses[:1]),
            ("~", self._wider, senses[:1]),
        ):
            for id_ in some:
                if node := meant(id_):
                    return sign, node
        return None

    def _named(self, id_: str) -> str | None:
        if id_ in self.below:
            return id_
        # Another sense of an animal's first name that is a class: a rooster is a cock.
        own = self.synsets[id_]
        others = (s for s in self.senses.get(own.names[0].lower(), ()) if s in self.classes)
        near = (s for s in others if self.synsets[s].file == own.file == ANIMALS)
        return next(near, None)

    def _kind(self, id_: str) -> str | None:
        above = self.up(id_)
        return min({*above} & {*self.classes}, key=lambda one: (above[one], one), default=None)

    def _wider(self, id_: str) -> str | None:
        if self.synsets[id_].file not in SHOWN_KINDS:
            return None
        above = self.up(id_)
        near = [
            one
            for one, steps in above.items()
            if steps <= WIDER_STEPS
            and one in self.below
            and len(self.below[one]) <= WIDER_CLASSES
            and self.synsets[one].file == self.synsets[id_].file
        ]
        return min(near, key=lambda one: (above[one], len(self.below[one]), one), default=None)


def tree_lines(wordnet: WordNet) -> Iterator[str]:
    """The lines of tree.tsv, ordered by id."""
    for id_ in sorted(wordnet.below):
        synset = wordnet.synsets[id_]
        parents = [parent for parent in synset.parents if parent in wordnet.below]
        number = str(wordnet.classes.get(id_, ""))
        yield "\t".join((id_, " ".join(parents), "|".join(synset.names), number))


def lexicon_lines(wordnet: WordNet) -> Iterator[str]:
    """The lines of lexicon.tsv, ordered by word."""
    for word in sorted(wordnet.senses):
        known = wordnet.known(word)
        if known:
            yield "\t".join((word, *known))


def class_weights() -> np.ndarray:
    """The weights of the encoder's last layer, float16 (classes, dim), less their mean."""
    graph = onnx.load(ENCODER).graph
    weights = {one.name: one for one in graph.initializer}
    (last,) = [node for node in graph.node if node.op_type == "Gemm"]
    rows = numpy_helper.to_array(weights[last.input[1]]).astype(np.float64)
    return (rows - rows.mean(axis=0)).astype(np.float16)


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--wordnet", type=Path, required=True, help="folder with data.noun")
    parser.add_argument("--classes", type=Path, required=True, help="a WordNet id a line")
    parser.add_argument("--out", type=Path, required=True, help="folder to write into")
    options = parser.parse_args()
    classes = options.classes.read_text("ascii").split()
    wordnet = WordNet(options.wordnet, classes)
    for name, lines in (("tree.tsv", tree_lines), ("lexicon.tsv", lexicon_lines)):
        (options.out / name).write_text("\n".join(lines(wordnet)) + "\n", "utf-8")
    np.save(options.out / "classes.npy", class_weights(), allow_pickle=False)
    for path in sorted(options.out.iterdir()):
        print(path.name, path.stat().st_size)


if __name__ == "__main__":
    main()
