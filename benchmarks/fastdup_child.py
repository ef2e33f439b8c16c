"""fastdup over a folder, in its own environment; started by ``indexing.py``.

    python benchmarks/fastdup_child.py FOLDER WORK THREADS ANSWER.json

``run_mode=1`` stops after the embeddings: no neighbours, no components, no galleries. Statistics of
the pictures, connected components and page rank are switched off. What is left decodes and embeds
each picture and writes one file of float32 vectors and one of names.
"""

import json
import sys
import time

import fastdup

DIM = 576


def main() -> None:
    folder, work, threads, answer = sys.argv[1:]
    started = time.perf_counter()
    status = fastdup.run(
        folder,
        work,
        run_mode=1,
        num_threads=int(threads),
        turi_param="run_stats=0,run_cc=0,run_pagerank=0",
    )
    seconds = time.perf_counter() - started
    names, vectors = fastdup.load_binary_feature(f"{work}/atrain_features.dat", DIM)
    with open(answer, "w") as file:
        found = {"version": fastdup.__version__, "status": status, "run_seconds": seconds}
        json.dump({**found, "embedded": len(names), "dim": vectors.shape[1]}, file)


if __name__ == "__main__":
    main()
