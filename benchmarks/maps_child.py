"""``lookalike map --library FOLDER`` that also writes its steps: maps_child.py STEPS FOLDER."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import common

from lookalike import Library


def main() -> None:
    place, folder = map(Path, sys.argv[1:])
    started = last = time.perf_counter()
    names: list[str] = []
    seconds: list[float] = []

    def step(name: str) -> None:
        nonlocal last
        now = time.perf_counter()
        names.append(name)
        seconds.append(now - last)
        last = now

    with Library.open(folder) as library:
        chart = library.map(stage=step)
    step("end")
    found = {
        "records": len(chart),
        "steps": {name: round(own, 1) for name, own in zip(names[:-1], seconds[1:], strict=True)},
        "map_seconds": round(time.perf_counter() - started, 1),
        "peak_bytes": common.memory()["VmHWM"],
        "clusters": [len(level.clusters) for level in chart.clustering.levels],
        "parameters": dict(chart.clustering.parameters),
    }
    place.write_text(json.dumps(found))


if __name__ == "__main__":
    main()
