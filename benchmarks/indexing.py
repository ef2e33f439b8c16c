"""How fast is indexing from end to end: beside fastdup, and beside what it cannot do without?

    python benchmarks/indexing.py PHOTOS [--rounds 3] [--fastdup-python PATH] [--encoder NAME]
                                  [--name NAME]

Each round takes, one after the other, over the same files, which were all read once before:

1. *lookalike*: `lookalike index PHOTOS` into a new library. Finds, reads and hashes the files,
   makes vector, class logits, histogram, perceptual hash and thumbnail, and commits all durably.
2. *fastdup* (PATH is the Python of an environment that has it): decodes, embeds and writes the
   vectors to a file; `fastdup_child.py` says what is switched off. Another model: 576 numbers.
3. *the bound*, as many threads as indexing has, each taking four files at a time: "decode and
   infer" reads the bytes, calls `decode.decode` and `encoder.encode`; "infer" the latter alone.
   Not in it: finding and hashing files, `prepare` (encode gets pixels made beforehand), all other
   features, the store, starting Python, loading the encoder.

1 and 2 are timed from process start to process end ("fastdup.run" is that call alone). CPU time is
the system's account of the process, peak memory its VmHWM. LOOKALIKE_RUNTIME chooses the runtime.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from common import (
    Finished,
    add_short,
    deliver,
    index_command,
    provenance,
    require,
    small_photos,
    watched,
)

from lookalike import IndexOptions, Library
from lookalike.decode import decode, read
from lookalike.features.encoders import DEFAULT_ENCODER, load_encoder
from lookalike.pipeline import batched
from lookalike.scan import scan
from lookalike.types import FileEntry

DEFAULTS = IndexOptions()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photos", type=Path, nargs="?")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fastdup-python", type=Path, metavar="PATH")
    parser.add_argument("--encoder", default=DEFAULT_ENCODER)
    parser.add_argument("--name", default="indexing")
    add_short(parser)
    options = parser.parse_args()
    require(parser, options, "photos")
    if options.short:
        with tempfile.TemporaryDirectory() as scratch:
            small_photos(Path(scratch), 48, 4, seed=1)
            result = measure(Path(scratch), 1, options.fastdup_python, options.encoder)
    else:
        result = measure(options.photos, options.rounds, options.fastdup_python, options.encoder)
    deliver(options.name, result, short=options.short)


def measure(photos: Path, rounds: int, fastdup_python: Path | None, encoder: str) -> dict[str, Any]:
    entries = [e for e in scan([str(photos.resolve())]) if isinstance(e, FileEntry)]
    paths = [entry.path for entry in entries]
    result: dict[str, Any] = {
        "provenance": provenance(),
        "encoder": encoder,
        "runtime": load_encoder(encoder, DEFAULTS.threads).runtime,  # type: ignore[attr-defined]
        "threads": DEFAULTS.threads,
        "pictures": len(paths),
        "bytes": sum(len(Path(path).read_bytes()) for path in paths),
    }
    each = []
    for number in range(rounds):
        taken = {"lookalike": index(photos, len(paths), encoder)}
        if fastdup_python:
            taken["fastdup"] = fastdup(fastdup_python, photos, len(paths))
        taken |= bound(paths, encoder)
        each.append(taken)
        print(f"round {number + 1}", {k: v["images_per_second"] for k, v in taken.items()})
    result |= {name: medians([taken[name] for taken in each]) for name in each[0]}
    own = result["lookalike"]["images_per_second"]
    result["ratio"] = {
        f"lookalike to {name}": round(own / result[name]["images_per_second"], 3)
        for name in each[0]
        if name != "lookalike"
    }
    if fastdup_python:
        call = result["fastdup"]["run_images_per_second"]
        result["ratio"]["lookalike to fastdup.run"] = round(own / call, 3)
    return {**result, "rounds": each}


def index(photos: Path, count: int, encoder: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        library, stages = Path(scratch) / "library", Path(scratch) / "stages.json"
        command = ("index", photos, "--library", library, "--encoder", encoder)
        done = watched(index_command(stages, *command)).checked()
        seconds = json.loads(stages.read_text())
        with Library.open(library) as opened:
            records = len(opened)
    return {
        **per_image(done, count),
        "records": records,
        **{f"stage_{name}_seconds": value for name, value in seconds.items()},
    }


def fastdup(python: Path, photos: Path, count: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        answer = Path(scratch) / "answer.json"
        environment = {**os.environ, "SENTRY_OPT_OUT": "1", "HOME": scratch}
        environment.pop("PYTHONPATH", None)
        script = Path(__file__).parent / "fastdup_child.py"
        threads = str(DEFAULTS.threads)
        command = [python, script, photos.resolve(), Path(scratch) / "work", threads, answer]
        done = watched(command, env=environment).checked()
        told = json.loads(answer.read_text())
    return {
        **per_image(done, count),
        **told,
        "run_images_per_second": count / told["run_seconds"],
    }


def per_image(done: Finished, count: int) -> dict[str, Any]:
    return {
        "images_per_second": count / done.seconds,
        "seconds": done.seconds,
        "cpu_ms_per_image": done.cpu_seconds / count * 1e3,
        "peak_bytes": done.peak_bytes,
        "peak_anon_bytes": done.peak_anon_bytes,
    }


def bound(paths: Sequence[str], name: str) -> dict[str, dict[str, Any]]:
    """What indexing cannot do without, in as many threads and with the same encoder."""
    encoder = load_encoder(name, DEFAULTS.threads)
    size = DEFAULTS.encode_batch
    few = [encoder.prepare(decode(read(path).data).image) for path in paths[:size]]
    pixels = np.resize(np.stack(few), (size, *few[0].shape))

    def infer(batch: list[str]) -> None:
        encoder.encode(pixels[: len(batch)])

    def decode_and_infer(batch: list[str]) -> None:
        for path in batch:
            decode(Path(path).read_bytes())
        infer(batch)

    with ThreadPoolExecutor(DEFAULTS.threads) as pool:
        list(pool.map(infer, [paths[:size]] * 2 * DEFAULTS.threads))  # not counted: warms up
        return {
            "decode and infer": timed(pool, decode_and_infer, paths),
            "infer": timed(pool, infer, paths),
        }


def timed(
    pool: ThreadPoolExecutor, work: Callable[[list[str]], None], paths: Sequence[str]
) -> dict[str, Any]:
    started, cpu = time.perf_counter(), time.process_time()
    for _ in pool.map(work, batched(paths, DEFAULTS.encode_batch)):
        pass
    seconds = time.perf_counter() - started
    return {
        "images_per_second": len(paths) / seconds,
        "seconds": seconds,
        "cpu_ms_per_image": (time.process_time() - cpu) / len(paths) * 1e3,
    }


def medians(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """The median of each number; what is no number is the first round's."""
    return {
        name: value
        if isinstance(value, str)
        else round(statistics.median(taken[name] for taken in rounds), 4)
        for name, value in rounds[0].items()
    }


if __name__ == "__main__":
    main()
