"""How long do the encoders take, in full size, and how much memory?

    python benchmarks/encoders.py [--seconds 10] [--rounds 3] [--name NAME]

Downloadable ones get random weights, written as they are published: what they find means nothing,
what they take is the same. Each is measured in a process of its own, on all cores, by each runtime
that is installed, in turn:

- *load*: from the weights on disk to an encoder that has made its first vector; the graph is there
- *pictures*: a second, one call for each core at a time, 8 pictures a call; the best round
- *words*: texts of five words a second, one at a time
- *peak*: of the process's resident memory, with what it has mapped
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from common import add_short, deliver, memory, provenance

sys.path.insert(0, str(Path(__file__).parents[1]))

from lookalike import kernels
from lookalike.config import MODELS_VARIABLE
from lookalike.features.encoders import load_encoder, models
from lookalike.features.encoders.catalogue import CATALOGUE, RUNTIME_VARIABLE
from lookalike.features.encoders.graphs import ARCHITECTURES
from tests.models import write_tokenizer, write_weights

RUNTIMES = ("onnxruntime", "openvino")
TEXT = "a red car on grass"
BATCH = 8


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=10, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--name", default="encoders")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    add_short(parser)
    options = parser.parse_args()
    if options.one is not None:
        print(json.dumps(measured(options.one, options.seconds)))
        return
    names = ["dinov2-small"] if options.short else list(CATALOGUE)
    seconds, rounds = (0.2, 1) if options.short else (options.seconds, options.rounds)
    result = {
        "provenance": provenance(),
        "seconds": seconds,
        "rounds": rounds,
        "encoders": [row for name in names for row in by_runtime(name, seconds, rounds)],
    }
    deliver(options.name, result, short=options.short)


def by_runtime(name: str, seconds: float, rounds: int) -> list[dict[str, Any]]:
    """An encoder's figures by each runtime, the best of all rounds, its weights made before."""
    runtimes = [runtime for runtime in RUNTIMES if find_spec(runtime) is not None]
    with tempfile.TemporaryDirectory() as folder:
        os.environ[MODELS_VARIABLE] = folder
        fabricate(name, Path(folder))
        each: dict[str, list[dict[str, Any]]] = {runtime: [] for runtime in runtimes}
        for _ in range(rounds):
            for runtime in runtimes:
                each[runtime].append(in_a_process(name, runtime, seconds))
    return [best(rows) for rows in each.values()]


def fabricate(name: str, folder: Path) -> None:
    """Random weights where downloaded ones would lie, and the graphs built from them."""
    spec = CATALOGUE[name]
    if spec.shipped:
        return
    source = folder / "source"
    source.mkdir()
    write_weights(source / "model.safetensors", ARCHITECTURES[spec.architecture])
    mark = getattr(ARCHITECTURES[spec.architecture], "ending", None) or "<end>"
    write_tokenizer(source / "tokenizer.json", TEXT, mark)
    models.add(spec, source)
    (source / "model.safetensors").unlink()
    models.graph_file(models.held(spec), "image")
    if spec.reads_words:
        models.graph_file(models.held(spec), "words")


def in_a_process(name: str, runtime: str, seconds: float) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, __file__, "--one", name, "--seconds", str(seconds)],
        env={**os.environ, RUNTIME_VARIABLE: runtime},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    row: dict[str, Any] = json.loads(done.stdout)
    return row


def best(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The row with the most pictures a second, with the best time to load and words of all."""
    fastest = max(rows, key=lambda row: row["pictures_per_second"])
    words = [row["words_per_second"] for row in rows if row["words_per_second"] is not None]
    return {
        **fastest,
        "load_seconds": min(row["load_seconds"] for row in rows),
        "words_per_second": max(words, default=None),
    }


def measured(name: str, seconds: float) -> dict[str, Any]:
    """One encoder's figures in this process."""
    cores, spec = kernels.cores(), CATALOGUE[name]
    pixels = np.random.default_rng(0).integers(0, 256, (BATCH, spec.side, spec.side, 3), np.uint8)
    start = time.perf_counter()
    encoder = load_encoder(name, cores)
    encoder.encode(pixels[:1])
    loaded = time.perf_counter() - start
    with ThreadPoolExecutor(cores) as pool:
        start = time.perf_counter()
        until = start + seconds
        counts = pool.map(lambda _: encoded_until(encoder, pixels, until), range(cores))
        pictures = sum(counts) / (time.perf_counter() - start)
    peak = memory()["VmHWM"]
    return {
        "encoder": name,
        "runtime": getattr(encoder, "runtime", ""),
        "dim": spec.dim,
        "load_seconds": round(loaded, 2),
        "pictures_per_second": round(pictures, 1),
        "words_per_second": texts_per_second(encoder, seconds),
        "peak_bytes": peak,
    }


def encoded_until(encoder: Any, pixels: np.ndarray, until: float) -> int:
    for count in itertools.count(1):
        encoder.encode(pixels)
        if time.perf_counter() >= until:
            return count * len(pixels)
    raise AssertionError


def texts_per_second(encoder: Any, seconds: float) -> float | None:
    encode_words = getattr(encoder, "encode_words", None)
    if encode_words is None:
        return None
    encode_words([TEXT])  # loads the tower
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        encode_words([TEXT])
        count += 1
    return round(count / (time.perf_counter() - start), 1)


if __name__ == "__main__":
    main()
