"""Duplicates: which changed copies are found, beside imagededup; time and memory at full size.

    python benchmarks/duplicates.py PHOTOS [--count 2000] [--peers-python VENV/bin/python]
        [--work DIR] [--full LIBRARY]

``changed.py`` draws photos from every other class of PHOTOS and changes each in 13 ways; thresholds
were chosen on the other classes, and made stricter after a look at LOOKED_AT. All are indexed into
one library, whose pairs are found by the library and by imagededup's four hashes at their own
threshold. Per change: recall is the share of photos whose changed copy was found as a pair with the
unchanged one; precision the share of all pairs found between an unchanged and a so changed picture
that are of one photo, or of two that are themselves duplicates: TWINS below names those, each
looked at by eye. Intervals are Wilson's, 95 %. ``duplicates_bursts.py`` makes shots with times of a
tenth as many pairs of photos. VENV: ``pip install imagededup torch==2.13.0``.

--full only measures seconds and memory of ``lookalike duplicates --json`` on LIBRARY.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import numpy as np
from changed import CHANGES, ORIGINAL, half_of, write_set
from duplicates_bursts import bursts, write_bursts
from duplicates_library import write_library
from PIL import Image

from lookalike import Library
from lookalike.duplicates import DuplicateOptions
from lookalike.duplicates.find import Finder

CHILD = Path(__file__).with_name("duplicates_child.py")
LOOKED_AT = ("Motorbikes", "airplanes")
TWINS = Path(__file__).with_name("duplicates_twins.txt")
"""Pairs of photos of Caltech-101 that show the same picture, a line each."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--peers-python", default=sys.executable, metavar="PATH")
    parser.add_argument("--work", type=Path, metavar="DIR", help="keeps the set and its library")
    parser.add_argument("--full", type=Path, metavar="LIBRARY")
    parser.add_argument("--false", type=Path, metavar="FILE", help="write pairs to look at")
    common.add_short(parser)
    options = parser.parse_args()
    common.require(parser, options, *([] if options.full else ["photos"]))
    result: dict[str, Any] = {"provenance": common.provenance()}
    if options.full:
        common.deliver("duplicates-full", result | full(options.full), short=options.short)
        return
    with tempfile.TemporaryDirectory() as scratch:
        work = options.work or Path(scratch)
        if options.short:
            options.photos, options.count = Path(scratch) / "photos", 6
            patchworks(options.photos, 24, 4)
        result |= made_set(options, work / "set", work / "library")
        result["bursts"] = made_bursts(options, work / "bursts", work / "bursts library")
        if options.short:
            drawn = work / "drawn"
            write_library(
                work / "bursts", work / "bursts library", drawn, count=120, copies=0.2, seed=0
            )
            result["full"] = full(drawn)
    common.deliver("duplicates", result, short=options.short)


def patchworks(folder: Path, count: int, classes: int) -> None:
    """Pictures of soft patches, evenly over so many classes; noise alone is not kept by a JPEG."""
    for number in range(count):
        patches = np.random.default_rng(number).integers(0, 256, (9, 12, 3), np.uint8)
        path = folder / f"class_{number % classes:02d}" / f"{number:05d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(patches).resize((240, 180), Image.Resampling.BICUBIC)
        picture.save(path, quality=90)


# -- the made set ----------------------------------------------------------------------------------


def made_set(options: argparse.Namespace, folder: Path, library: Path) -> dict[str, Any]:
    if not folder.exists():
        write_set(half_of(options.photos, "second"), folder, options.count, options.seed)
    own, seconds = kept(folder.with_name("own.json"), lambda: own_pairs(folder, library))
    paths = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.jpg"))
    number = {path: place for place, path in enumerate(paths)}
    pairs, relation = by_paths(own, number, folder)
    truth = Truth(paths)
    if options.false:
        options.false.write_text("\n".join(truth.false(pairs)) + "\n")
    peers = kept(folder.with_name("peers.json"), lambda: child(options.peers_python, folder))
    methods = {"lookalike": pairs} | {
        name: np.array(found["pairs"], np.int64).reshape(-1, 2)
        for name, found in peers.items()
        if name != "missing"
    }
    return {
        "photos": truth.photos,
        "files": len(paths),
        "seed": options.seed,
        "half": "second",
        "seconds": {
            "lookalike": seconds,
            **{name: found["seconds"] for name, found in peers.items() if name != "missing"},
        },
        "peers": {"missing": peers["missing"]} if "missing" in peers else sorted(peers),
        "relations": truth.relations(pairs, relation),
        "as re-encoded": truth.figures(pairs[[name == "re-encoded" for name in relation]]),
        "changes": {name: truth.figures(found) for name, found in methods.items()},
        "all pairs": {name: truth.whole(found) for name, found in methods.items()},
        "all pairs, without classes looked at": {
            name: truth.whole(found[~truth.looked_at(found)]) for name, found in methods.items()
        },
    }


def kept(path: Path, make: Callable[[], Any]) -> Any:
    """What lies in a file of the work folder, made if it is not there; it is not made twice."""
    if not path.exists():
        path.write_text(json.dumps(make()))
    return json.loads(path.read_text())


def own_pairs(folder: Path, library: Path) -> Any:
    """All pairs of records with their paths and relation, and seconds by step."""
    with Library.open(library, create=True) as opened:
        opened.add([folder])
        return _own_pairs(opened)


def _own_pairs(library: Library) -> tuple[list[tuple[list[str], list[str], str]], dict[str, float]]:
    tables, store = library._current(), library._reader()
    finder = Finder(store, tables.vectors, tables.neighbours, None, lambda _: None)
    pairs, _ = finder.pairs(DuplicateOptions())
    paths = store.paths(finder._ids(np.arange(len(finder.ids))))
    names = ("identical", "re-encoded", "edited", "burst")
    columns = zip(pairs.first.tolist(), pairs.second.tolist(), pairs.relation.tolist(), strict=True)
    found = [(list(paths[a]), list(paths[b]), names[c]) for a, b, c in columns]
    # Equal bytes are one record with several paths: they are pairs, too.
    found += [([own[0]], list(own[1:]), "identical") for own in paths if len(own) > 1]
    return found, dict(finder._seconds)


def by_paths(
    found: list[tuple[list[str], list[str], str]], number: dict[str, int], folder: Path
) -> tuple[np.ndarray, list[str]]:
    """Pairs of files as numbers (m, 2), ascending, and their relations."""
    out, relations = [], []
    for firsts, seconds, relation in found:
        for one in firsts:
            for two in seconds:
                a, b = (number[str(Path(path).relative_to(folder))] for path in (one, two))
                out.append((min(a, b), max(a, b)))
                relations.append(relation)
    return np.array(out, np.int64).reshape(-1, 2), relations


def made_bursts(options: argparse.Namespace, folder: Path, library: Path) -> dict[str, Any]:
    scenes = max(2, options.count // 10)
    if not folder.exists():
        write_bursts(half_of(options.photos, "second"), folder, scenes, options.seed)
    found, _ = kept(folder.with_name("bursts.json"), lambda: own_pairs(folder, library))
    return bursts(found, len(list(folder.iterdir())), share)


class Truth:
    """What is right among files CHANGE/CLASS/NAME."""

    def __init__(self, paths: list[str]) -> None:
        self.paths = paths
        split = [path.split("/", 1) for path in paths]
        self.change = np.array([change for change, _ in split])
        names, self.photo = np.unique([name for _, name in split], return_inverse=True)
        self.names, self.photos = names, len(names)
        place = {name: number for number, name in enumerate(names)}
        lines = TWINS.read_text().splitlines() if TWINS.exists() else []
        self.twins = {
            frozenset((place[one], place[two]))
            for one, two in (line.split() for line in lines if line and line[0] != "#")
            if one in place and two in place
        }

    def right(self, pairs: np.ndarray) -> np.ndarray:
        """Which pairs are of one photo or of twins, bool (m,)."""
        one, two = self.photo[pairs[:, 0]], self.photo[pairs[:, 1]]
        same = one == two
        for place in np.flatnonzero(~same):
            same[place] = frozenset((int(one[place]), int(two[place]))) in self.twins
        return same

    def figures(self, pairs: np.ndarray) -> dict[str, Any]:
        """Recall and precision per change."""
        first, second = self.change[pairs[:, 0]], self.change[pairs[:, 1]]
        right = self.right(pairs)
        own = self.photo[pairs[:, 0]] == self.photo[pairs[:, 1]]
        out = {}
        for change in CHANGES:
            mine = ((first == ORIGINAL) & (second == change)) | (
                (second == ORIGINAL) & (first == change)
            )
            found = len(np.unique(self.photo[pairs[mine & own, 0]]))
            out[change] = {
                "recall": share(found, self.photos),
                "precision": share(int((mine & right).sum()), int(mine.sum())),
            }
        return out

    def whole(self, pairs: np.ndarray) -> dict[str, Any]:
        """Over all pairs of files, changed ones of one photo among them."""
        right = int(self.right(pairs).sum())
        return {"pairs": len(pairs), "precision": share(right, len(pairs))}

    def looked_at(self, pairs: np.ndarray) -> np.ndarray:
        """Pairs with a photo of a class that thresholds were made stricter for, bool (m,)."""
        classes = np.array([name.split("/")[0] in LOOKED_AT for name in self.names])
        return classes[self.photo[pairs]].any(1)

    def relations(self, pairs: np.ndarray, relation: list[str]) -> dict[str, dict[str, int]]:
        """Per change, how often its pair with the unchanged photo was called what."""
        out: dict[str, dict[str, int]] = {change: {} for change in CHANGES}
        for (one, two), called in zip(pairs, relation, strict=True):
            changes = {self.change[one], self.change[two]} - {ORIGINAL}
            if self.photo[one] == self.photo[two] and len(changes) == 1:
                (change,) = changes
                if ORIGINAL in (self.change[one], self.change[two]):
                    out[str(change)][called] = out[str(change)].get(called, 0) + 1
        return out

    def false(self, pairs: np.ndarray) -> list[str]:
        """Pairs of photos that are not known to be the same, to be looked at."""
        wrong = pairs[~self.right(pairs)]
        return sorted(
            {
                " ".join(sorted((self.names[self.photo[one]], self.names[self.photo[two]])))
                for one, two in wrong
            }
        )


def share(part: int, whole: int) -> dict[str, Any]:
    """A share with Wilson's 95 % interval."""
    if not whole:
        return {"share": None, "interval": None, "of": 0}
    z, p = 1.96, part / whole
    middle = (p + z * z / (2 * whole)) / (1 + z * z / whole)
    half = z / (1 + z * z / whole) * math.sqrt(p * (1 - p) / whole + z * z / (4 * whole**2))
    interval = [round(max(0.0, middle - half), 4), round(min(1.0, middle + half), 4)]
    return {"share": round(p, 4), "interval": interval, "of": whole}


def child(python: str, folder: Path) -> dict[str, Any]:
    done = subprocess.run(
        [python, str(CHILD), str(folder)], check=True, stdout=subprocess.PIPE, text=True
    )
    return json.loads(done.stdout.splitlines()[-1])


# -- at full size ----------------------------------------------------------------------------------


def full(library: Path) -> dict[str, Any]:
    """The whole command on a large library; the neighbour graph is made in it if there is none."""
    command = [sys.executable, "-m", "lookalike", "duplicates", "--json", "--library", library]
    done = common.watched(command).checked()
    report = json.loads(done.out)
    made = library / "made.npz"
    return {
        "records": report["compared"],
        "seconds": round(done.seconds, 1),
        "cpu_seconds": round(done.cpu_seconds, 1),
        "peak_bytes": done.peak_bytes,
        "peak_anon_bytes": done.peak_anon_bytes,
        "by_step": report["seconds"],
        "pairs": report["pairs"],
        "groups": len(report["groups"]),
        "left_out": report["left_out"],
        "planted": planted(report, made) if made.exists() else None,
    }


def planted(report: dict[str, Any], made: Path) -> dict[str, Any]:
    """How many copies that ``duplicates_library.py`` planted share a group with the original.

    Only those of which both are there, as they are not if the library was not finished.
    """
    plan, count = np.load(made), report["compared"]
    group = np.full(count, -1)
    for number, own in enumerate(report["groups"]):
        for copy in [own["best"], *own["others"]]:
            group[int(Path(copy["path"]).stem)] = number
    source, change = plan["source"][:count], plan["change"][:count]
    there = np.flatnonzero((source >= 0) & (source < count))
    found = (group[there] >= 0) & (group[there] == group[source[there]])
    return {
        name: share(int(found[mine].sum()), int(mine.sum()))
        for number, name in enumerate(CHANGES)
        for mine in [change[there] == number]
    }


if __name__ == "__main__":
    main()
