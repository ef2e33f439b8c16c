"""Export and import: seconds, megabytes a second and memory of each form.

    python benchmarks/exchange.py LIBRARY

Every form is written by the command in a process of its own, and what can be read again is imported
into a new library, which answers as LIBRARY does. MB are those of the file or folder, a second
is one of the whole command, its start and checks within. A library of 50,000 records is made by
``duplicates_library.py PHOTOS LIKE OUT --count 50000 --plain``.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import common

from lookalike import Library

ENCODER = ["--encoder", "measured", "--weights-digest", "none"]
FORMS: dict[str, tuple[list[str], list[str] | None]] = {
    # form: the export's options, place last; the import's options, None where it is not imported
    "parquet, whole": (["parquet", "--whole", "whole.parquet"], []),
    "parquet, vectors and facts": (["parquet", "bare.parquet"], []),
    "parquet, float16, in parts": (["parquet", "--half", "parts"], []),
    "photos": (["photos", "photos"], ENCODER),
    "clip-retrieval": (["clip-retrieval", "clip"], ENCODER),
    "npy": (["npy", "arrays"], None),
    "csv": (["csv", "facts.csv"], None),
}
QUERIES = 20


def main() -> None:
    parser = common.library_parser(__doc__, "exchange")
    options = parser.parse_args()
    common.require(parser, options, "library")
    provenance = common.provenance()
    with tempfile.TemporaryDirectory() as scratch, common.opened(options) as library:
        records, dim = len(library), library.space.dim
        found = {name: measured(library, Path(scratch), *form) for name, form in FORMS.items()}
    result = {"provenance": provenance, "records": records, "dim": dim, "forms": found}
    common.deliver(options.name, result, short=options.short)


def measured(
    library: Library, scratch: Path, form: list[str], bring: list[str] | None
) -> dict[str, Any]:
    """One form out, and in again."""
    place = scratch / form[-1]
    size, out = ran(["export", *form[:-1], place, "--library", library.folder], place)
    found = {"bytes": size, "export": out}
    if bring is not None:
        other = scratch / "imported"
        _, found["import"] = ran(["import", place, *bring, "--library", other], place)
        found["import"]["equal_answers"] = equal_answers(library, other, found["import"])
        shutil.rmtree(other)
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink()
    return found


def ran(arguments: list[Any], place: Path) -> tuple[int, dict[str, Any]]:
    """A command, and the bytes of the file or folder that it wrote or read."""
    done = common.watched([sys.executable, "-m", "lookalike", *arguments]).checked()
    files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    return size, {
        "seconds": round(done.seconds, 1),
        "cpu_seconds": round(done.cpu_seconds, 1),
        "mb_a_second": round(size / 1e6 / done.seconds, 1),
        "peak_mb": round(done.peak_bytes / 1e6),
        "peak_own_mb": round(done.peak_anon_bytes / 1e6),
    }


def equal_answers(library: Library, folder: Path, told: dict[str, Any]) -> str:
    """How many of some searches by record have the same scores in an imported library."""
    told["records"] = 0
    with Library.open(folder) as other:
        told["records"] = len(other)
        equal = 0
        for seed in range(QUERIES):
            record = library.random_record(seed)
            ours = library.search(record, 10, exact=True).hits
            path = library.get([record])[0].paths[0]  # type: ignore[union-attr]
            name = other.record_called(str(record))
            known = name is not None and other.get([name]) != [None]
            called = str(name) if known else path_id(other, path, record)
            theirs = other.search(f"id:{called}", 10, exact=True)
            equal += [hit.score for hit in ours] == [hit.score for hit in theirs.hits]
    return f"{equal} of {QUERIES}"


def path_id(other: Library, path: str, record: Any) -> str:
    """What a record that was imported without its content is called."""
    for name in (str(record), path):
        found = other.record_called(name)
        if found is not None and other.get([found]) != [None]:
            return str(found)
    store = other._reader()
    return str(store.find_foreign(str(record)) or store.find_foreign(path))


if __name__ == "__main__":
    main()
