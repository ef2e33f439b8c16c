"""Write docs/performance.md from benchmarks/results: every figure there was measured by a script.

    python benchmarks/report.py [--check]

--check writes nothing and fails if the page is not what the results say.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"

OPENING = """# Performance

Written by `benchmarks/report.py` from [benchmarks/results](../benchmarks/results); every table
names the script that repeats it. Compare figures of one table only: machines differ, and ours is
shared; "felt" are the cores' worth of work that all cores did together just before. `make bench`
runs all scripts in their short form, which only shows that they run.

LIBRARY below is a library of half a million records. To make one without waiting for the encoder:

```sh
python benchmarks/generate.py files PHOTOS FILES --count 444668   # crops, colours, noise
lookalike index PHOTOS --library SMALL                            # whose vectors are imitated
python benchmarks/full.py FILES LIBRARY --drawn SMALL             # all but inference is done
```

Vectors drawn that way have the real ones' dimension and distances of neighbours; what differs is in
[vectors.json](../benchmarks/results/vectors.json):

![Distances of neighbours, real and generated](images/vectors-distances.svg)
![Intrinsic dimension, real and generated](images/vectors-dimension.svg)

On your own library: `lookalike doctor` measures recall and time against full comparisons;
`lookalike plan` says what indexing takes.
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    text = page()
    if not options.check:
        PAGE.write_text(text)
    elif PAGE.read_text() != text:
        sys.exit(f"{PAGE.name} is not what the results say; run benchmarks/report.py")


def page() -> str:
    parts = [OPENING]
    for name, title, command, body in SECTIONS:
        path = RESULTS / f"{name}.json"
        if path.exists():
            result = json.loads(path.read_text())
            parts.append(f"## {title}\n\n`python benchmarks/{command}` · {origin(result)}\n\n")
            parts[-1] += body(result) + "\n"
    return "\n".join(parts)


def origin(result: dict[str, Any]) -> str:
    own = result["provenance"]
    felt = f" ({own['cores_felt']} felt)" if "cores_felt" in own else ""
    return (
        f"commit `{own['commit']}`, {own['taken'][:10]}, {own['cores']} cores{felt} of"
        f" {own['cpu']}, load {own['load_before']} before"
    )


def table(head: list[str], rows: list[list[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def megabytes(count: float) -> str:
    return f"{count / 1e6:,.0f} MB"


# -- one function a result -------------------------------------------------------------------------


def indexing(result: dict[str, Any]) -> str:
    names = [n for n in ("lookalike", "fastdup", "decode and infer", "infer") if n in result]
    rows = [
        [
            name,
            f"{result[name]['images_per_second']:.1f}",
            f"{result[name]['cpu_ms_per_image']:.1f}",
            megabytes(result[name]["peak_bytes"]) if "peak_bytes" in result[name] else "",
        ]
        for name in names
    ]
    ratios = ", ".join(f"{name}: {value:.2f}" for name, value in result["ratio"].items())
    return (
        f"{result['pictures']:,} photos, {result['runtime']}; medians of rounds in turn. fastdup"
        " 2.54 makes vectors and neighbours, no histograms, thumbnails, catalogue or ledger.\n\n"
        + table(["what", "pictures a second", "ms of processor each", "peak"], rows)
        + f"\n\nRatios: {ratios}."
    )


def jpeg(result: dict[str, Any]) -> str:
    rows = [
        [
            f"{row['quality']}{', progressive' if row['progressive'] else ''}",
            row["full_ms"],
            row["reduced_ms"],
            f"{row['full_to_reduced']}x",
            row["analyse_ms"],
            f"{row['vector_cosine']['mean']:.4f} / {row['vector_cosine']['worst']:.4f}",
        ]
        for row in result["jpegs"]
    ]
    width, height = result["size"]
    head = ["quality", "Pillow, ms", "ours, ms", "ratio", "all features, ms", "vector's cosine"]
    return f"{width} x {height} pixels.\n\n" + table(head, rows)


def meaning(result: dict[str, Any]) -> str:
    rows = [
        [name, own["p50_ms"], own["p99_ms"], own["recall_at_10"], own["exact_p50_ms"]]
        for name, own in result.items()
        if isinstance(own, dict) and "exact_p50_ms" in own
    ]
    blas = result["meaning, BLAS float32"]["p50_ms"]
    filters = [
        [share, own["p50_ms"], own["without_p50_ms"], own["recall_at_10"], own["all_k_came_back"]]
        for share, own in result["filters"].items()
    ]
    memory = result["memory"]
    return (
        f"{result['records']:,} records.\n\n"
        + table(["search", "median ms", "99 % ms", "recall@10", "own exact scan, ms"], rows)
        + f"\n\nfloat32 BLAS product with all vectors in memory: {blas} ms. The process held"
        f" {megabytes(memory['RssAnon'])} of its own at the end (with BLAS's copy freed).\n\n"
        + table(["allowed", "median ms", "without, ms", "recall@10", "all ten came back"], filters)
    )


def colour(result: dict[str, Any]) -> str:
    rows = [
        [name, own["p50_ms"], own["p99_ms"], own["same_as_all_compared"], _loop(own)]
        for name, own in result.items()
        if isinstance(own, dict) and "opencv_loop_ms_for_all" in own
    ]
    head = ["metric", "median ms", "99 % ms", "as all compared", "compareHist loop, ms"]
    return (
        f"{result['records']:,} histograms of {result['bins_each']:.0f} bins on average; exact.\n\n"
        + table(head, rows)
    )


def _loop(own: dict[str, Any]) -> str:
    return f"{own['opencv_loop_ms_for_all']:,.0f}"


def batch(result: dict[str, Any]) -> str:
    rows: list[list[Any]] = [["one by one", result["one_by_one_a_second"], 1]]
    rows += [
        [name.replace("_", " "), own["a_second"], own["times_one_by_one"]]
        for name, own in result.items()
        if name.startswith("batches")
    ]
    return f"{result['records']:,} records.\n\n" + table(["queries", "a second", "times"], rows)


def command(result: dict[str, Any]) -> str:
    cold = result["cold"]
    rows = [["`lookalike search PICTURE`, cold process", cold["p50_ms"], cold["p99_ms"]]]
    rows += [[name, own["p50_ms"], own["p99_ms"]] for name, own in result["warm"].items()]
    return (
        f"{result['records']:,} records; imports alone {cold['imports_alone_p50_ms']} ms; the cold"
        f" process held {megabytes(cold['peak_anon_bytes'])} of its own.\n\n"
        + table(["what", "median ms", "99 % ms"], rows)
    )


def growth(result: dict[str, Any]) -> str:
    keys = ("codes_seconds", "p50_ms", "p99_ms", "recall_at_10", "exact_p50_ms")
    rows = [
        [f"{int(size):,}", *(own[key] for key in keys)] for size, own in result["sizes"].items()
    ]
    head = ["vectors", "index, s", "median ms", "99 % ms", "recall@10", "exact scan, ms"]
    picture = "\n\n![Seconds and milliseconds by size](images/growth.svg)"
    drawn = (PAGE.parent / "images" / "growth.svg").exists()
    return table(head, rows) + (picture if drawn else "")


def graph(result: dict[str, Any]) -> str:
    rows = [[name, took] for name, took in result["seconds"].items()]
    shares = ", ".join(f"{name} {value:.4f}" for name, value in result["recall"].items())
    return (
        f"{result['rows']:,} rows, {result['k']} neighbours each; {result['disk_mb']} MB on disk,"
        f" at most {max(result['peak_mb_own_memory'].values())} MB of own memory."
        f" Recall: {shares}.\n\n" + table(["step", "seconds"], rows)
    )


def peers(result: dict[str, Any]) -> str:
    keys = ("build_seconds", "p50_ms", "recall_at_10")
    rows = [
        [name, *(own.get(key, "") for key in keys), megabytes(own["bytes"])]
        for name, own in result["vectors"].items()
        if "p50_ms" in own
    ]
    colours = [
        [metric, own["p50_ms"], result["colour"]["inverted, numba"]["metrics"][metric]["p50_ms"]]
        for metric, own in result["colour"]["lookalike"]["metrics"].items()
        if "metrics" in result["colour"]["inverted, numba"]
    ]
    return (
        f"{result['rows']:,} vectors; each peer with the first setting that reaches the recall"
        " asked for, one query at a time; bytes with the vectors.\n\n"
        + table(["index", "build, s", "median ms", "recall@10", "bytes"], rows)
        + "\n\nColour, all rows compared by a numba scan of an inverted layout:\n\n"
        + table(["metric", "lookalike, ms", "numba, ms"], colours)
    )


def full(result: dict[str, Any]) -> str:
    total, library = result["total"], result["library"]
    own = library["bytes"]
    ended = [part for part in result["parts"] if part.get("stages")]
    stages = ", ".join(f"{name} {took:,.0f} s" for name, took in ended[0]["stages"].items())
    killed = [
        [
            "killed with SIGKILL at, of these lost",
            f"{p['records_before_kill']:,}, {p['records_lost']}",
        ]
        for p in result["parts"]
        if "records_before_kill" in p
    ]
    rows = [
        ["files, records", f"{library['files']:,}, {library['records']:,}"],
        *killed,
        ["seconds, both parts", f"{total['seconds']:,.0f}"],
        ["files a second", total["files_per_second"]],
        ["stages of the second part", stages],
        ["nothing changed", f"{total['nothing_changed_seconds']:.0f} s"],
        ["ledger complete, catalogue sound", library["complete"]],
        ["peak, own memory", f"{megabytes(total['peak_anon_bytes'])}"],
        ["peak, all resident", f"{megabytes(total['peak_bytes'])}"],
        ["vectors", megabytes(own["vectors"])],
        ["histograms", megabytes(own["histograms"])],
        ["catalogue without thumbnails", megabytes(own["catalogue"])],
        ["indexes", megabytes(own.get("derived", 0))],
        ["thumbnails", megabytes(own["thumbnails"])],
        ["without thumbnails, share of 10.3 GB", own["share_of_10_3_gb"]],
    ]
    told = f"Vectors {result['encoder']}. {result.get('note', '')}".rstrip()
    return f"{told}\n\n" + table(["what", "figure"], rows)


def categories(result: dict[str, Any]) -> str:
    labels, words, nothing = result["labels"], result["words"], result["nothing"]
    rows = [
        ["labels: confident ones that are right", labels["precision"]],
        ["labels: pictures that get one", labels["coverage"]],
        ["labels, confident or not, that are right", labels["precision_of_all"]],
        ["pictures that get a label where no class fits", labels["labelled_where_no_class_fits"]],
        [f"words: P@10 of {words['words']}", words["p_at_10"]],
        ["words that are in the library, nothing alike", words["nothing_alike"]],
        [
            f"nonsense words not understood, of {nothing['nonsense_words']}",
            nothing["nonsense_words_not_understood"],
        ],
        [
            f"pictures of the library, nothing alike, of {nothing['pictures']:,}",
            nothing["pictures_of_the_library"],
        ],
        *([f"noise, {kind}: nothing alike", share] for kind, share in nothing["noise"].items()),
    ]
    alike = [
        [way, word, f"{own['hits']:,}", own["same_folder"]]
        for way, words_of in result["likeness"].items()
        for word, own in words_of.items()
    ]
    below = ", ".join(f"{word} {share}" for word, share in words["below_0.9"].items()) or "none"
    return (
        f"{result['records']:,} photos of Caltech-101; {labels['folders_in_imagenet']} folders"
        f" ({labels['pictures']:,} photos) have a class in ImageNet-1k.\n\n"
        + table(["what", "share"], rows)
        + f"\n\nWords below 0.9: {below}. A search by words: p50 {words['p50_ms']} ms.\n\n"
        "Of the fifty nearest of 300 photos, the share that lies in the same folder, by word:\n\n"
        + table(["by", "word", "hits", "same folder"], alike)
    )


def parts(result: dict[str, Any]) -> str:
    used = result["used"]
    grids = ("whole alone", used["grid"])
    rows = [
        [kind, grid, *(own[what] for what in ("recall", "precision", "labels"))]
        for kind, of_grids in result["reported"].items()
        for grid in grids
        for own in [of_grids[grid].get(f"{used['threshold']:.1f}") or of_grids[grid]["0.5"]]
    ]
    return (
        f"{result['pictures_of_each_kind']} pictures of each kind; labels of parts from a share of"
        f" {used['threshold']} on.\n\n"
        + table(["pictures of", "looked at", "recall", "precision", "labels a picture"], rows)
    )


def duplicates(result: dict[str, Any]) -> str:
    methods = list(result["changes"])
    rows = [
        [change, *(shares(result["changes"][method][change]) for method in methods)]
        for change in result["changes"][methods[0]]
    ]
    for name in ("all pairs", "all pairs, without classes looked at"):
        rows.append([name, *(one_share(result[name][method]["precision"]) for method in methods)])
    return (
        f"Recall / precision per change of {result['photos']:,} photos ({result['files']:,} files);"
        " 95 % intervals are in the result. Classes looked at are those for which thresholds were"
        " made stricter.\n\n"
        + table(["change", *methods], rows)
        + "\n"
        + (PEERS_EARLIER if "peers_provenance" in result else "")
        + ("\n" + bursts(result["bursts"]) if "bursts" in result else "")
    )


PEERS_EARLIER = (
    "\nThe peers' figures are of an earlier run on another machine, with the same photos.\n"
)


def bursts(result: dict[str, Any]) -> str:
    called = "; ".join(f"{name} {one_share(own)}" for name, own in result["called burst"].items())
    return (
        f"Shots of {result['scenes']} scenes, two like ones after each other, called a burst:"
        f" {called}. Of what is called a burst {one_share(result['precision'])} is one.\n"
    )


def shares(figures: dict[str, Any]) -> str:
    return f"{one_share(figures['recall'])} / {one_share(figures['precision'])}"


def one_share(figure: dict[str, Any]) -> str:
    return "–" if figure["share"] is None else f"{figure['share']:.3f}"


def duplicates_full(result: dict[str, Any]) -> str:
    steps = ", ".join(f"{name} {seconds:,.0f} s" for name, seconds in result["by_step"].items())
    pairs = ", ".join(f"{count:,} {name}" for name, count in result["pairs"].items())
    return (
        f"{result['records']:,} records in {result['seconds']:,.0f} s"
        f" ({result['cpu_seconds']:,.0f} s of processor time); memory of its own at most"
        f" {megabytes(result['peak_anon_bytes'])}, with mapped files"
        f" {megabytes(result['peak_bytes'])}. Pairs: {pairs};"
        f" {result['groups']:,} groups. By step: {steps}.\n"
    )


def maps(result: dict[str, Any]) -> str:
    """What layouts keep, and what placing loses."""
    names = {"trustworthiness": "trustworthiness", "neighbours_kept": "neighbours kept",
             "purity": "same folder"}  # fmt: skip
    rows = [
        [name, f"{own['seconds']:.1f}", *(f"{own[score]:.3f}" for score in names),
         {True: "yes", False: "no", None: "–"}[own["repeats"]]]
        for name, own in result["layouts"].items()
    ]  # fmt: skip
    placed = [
        [one["later"], f"{one['placed']:.1%}", f"{one['purity_of_placed']:.3f}",
         f"{one['purity']:.3f}", f"{one['far']:.1%}"]
        for one in result["placed"]
    ]  # fmt: skip
    return (
        f"{result['records']:,} photos; the share of the ten nearest in the same folder is"
        f" {result['purity_of_space']:.3f} in 64 dimensions.\n\n"
        + table(["layout", "seconds", *names.values(), "repeats"], rows)
        + "\n\nA part of the records placed on a map of the others:\n\n"
        + table(["later", "of all", "same folder, of placed", "of all records", "far"], placed)
        + "\n"
    )


def maps_large(result: dict[str, Any]) -> str:
    """Seconds and memory of ``lookalike map``."""
    steps = list(result["runs"][0]["steps"])
    rows = [
        [f"{run['records']:,}", *(f"{run['steps'].get(step, 0):.0f}" for step in steps),
         f"{run['seconds']:.0f}" + (f" ({run['cpu_seconds']:.0f})" if run["cpu_seconds"] else ""),
         megabytes(run["peak_bytes"]), ", ".join(map(str, run["clusters"])),
         *_followed(run), f"{run['load']}"]
        for run in result["runs"]
    ]  # fmt: skip
    head = [
        "records", *steps, "all (processor)", "peak", "clusters", "placing, s",
        "trust, kept", "repeats", "load",
    ]  # fmt: skip
    return "Seconds, from a library of which nothing was made before.\n\n" + table(head, rows)


def viewer(result: dict[str, Any]) -> str:
    """How soon the page of a map is there, and how it moves."""
    rows = []
    for own in result["maps"]:
        first, moving = own["seconds_to_first_picture"], own["moving_whole_map"]
        sheets = own["with_thumbnails"]
        rows.append([
            f"{own['rows']:,}", f"{own['points_mb']:.1f} MB",
            f"{first['median']:.2f} ({first['lowest']:.2f} to {first['highest']:.2f})",
            f"{own['seconds_again']['median']:.2f}",
            f"{moving['ms_between_frames']['median']}, {moving['ms_between_frames']['p95']}",
            f"{moving['seconds_until_whole_again']:.1f}",
            f"{sheets['sheets_while_panning']} in {sheets['frames']} frames, {sheets['kb']} KB",
        ])  # fmt: skip
    head = [
        "points", "payload", "first picture, s", "again, s",
        "ms between frames (median, 95 %)", "whole again, s", "sheets in a pan",
    ]  # fmt: skip
    return (
        f"Chromium {result['chromium']}, headless, software GL. While the whole"
        " map moves, part of the points is drawn, and all once it rests.\n\n" + table(head, rows)
    )


def _followed(run: dict[str, Any]) -> list[str]:
    """What was tried on a map after it was made; of the largest nothing was."""
    if run["placing"] is None:
        return ["–", "–", "–"]
    placing, scores = run["placing"], run["scores"]
    return [
        f"{placing['records']:,}: {placing['seconds']:.1f}",
        f"{scores['trustworthiness']:.3f}, {scores['neighbours_kept']:.3f}",
        "yes" if run["repeats"] else "no",
    ]


def clusters(result: dict[str, Any]) -> str:
    """How clusters and their names fit folders."""
    found = result["folders"]
    rows = [
        [method, str(own["parameters"]["clusters"]), f"{own['parameters']['noise']:.1%}",
         f"{own['nmi']:.3f}", f"{own['ari']:.3f}", f"{own['names']['fit']:.3f}",
         f"{own['names']['fit_of_nameable']:.3f}"]
        for method, own in found.items()
        if isinstance(own, dict)
    ]  # fmt: skip
    head = ["method", "clusters", "in none", "NMI", "ARI", "name fits", "of those nameable"]
    return f"{found['records']:,} photos in {found['folders']} folders.\n\n" + table(head, rows)


def map_exports(result: dict[str, Any]) -> str:
    """What exports cost."""
    rows = [
        [form, f"{own['seconds']:.0f}", f"{own['cpu_seconds']:.0f}", f"{own['peak_mb']:,.0f} MB",
         megabytes(own["bytes"])]
        for form, own in result["forms"].items()
    ]  # fmt: skip
    head = ["form", "seconds", "of processor", "peak", "written"]
    return f"From {result['records']:,} records.\n\n" + table(head, rows)


def encoders(result: dict[str, Any]) -> str:
    rows = [
        [
            row["encoder"],
            row["runtime"],
            row["pictures_per_second"],
            "–" if row["words_per_second"] is None else row["words_per_second"],
            f"{row['load_seconds']} s",
            megabytes(row["peak_bytes"]),
        ]
        for row in result["encoders"]
    ]
    head = ["encoder", "by", "pictures a second", "texts a second", "load", "peak"]
    return (
        "The encoder alone, in full size; downloadable ones with random weights, which take as long"
        " as real ones.\n\n" + table(head, rows)
    )


def why(result: dict[str, Any]) -> str:
    rows = []
    for way, own in result["ways"].items():
        for fill, figures in own["fills"].items():
            low, high = figures["interval"]
            falls = [f"{figures[name]:.3f}" for name in ("marked", "random")]
            rows.append([way, fill, *falls, f"{figures['times']:.2f} ({low:.2f} to {high:.2f})"])
    head = ["way", "hidden by", "fall, marked", "fall, random", "times (95 % interval)"]
    starts = [
        [name, f"{own['p50_ms']:.0f}", f"{own['p99_ms']:.0f}", f"{own['cpu_p50_ms']:.0f}"]
        for name, own in result["command"].items()
    ]
    times = ", ".join(
        f"{way} {own['a_picture_p50_ms']:.0f} ms" for way, own in result["ways"].items()
    )
    nothing = ", ".join(f"{way} {own['nothing_marked']}" for way, own in result["ways"].items())
    area = result["ways"]["default"]["area"]
    return (
        f"{result['pairs']} pairs, both pictures of each; {area:.0%} of a picture marked. How far"
        " the score falls when the marks are hidden, and a random rectangle as large.\n\n"
        + table(head, rows)
        + f"\n\nPictures with nothing marked: {nothing}. A picture in a warm process: {times}."
        " The whole command, milliseconds:\n\n"
        + table(["sheet", "median", "99th percentile", "processor time"], starts)
        + "\n"
    )


def choosing(result: dict[str, Any]) -> str:
    parts = {
        "photos": lambda one: compared("Photos as they are", one),
        "tinted": lambda one: compared("The same photos tinted: class and hue count", one),
        "mix": mixtures,
        "colours": colourings,
        "found_again": changes,
    }
    return "\n\n".join(body(result[name]) for name, body in parts.items() if name in result) + "\n"


def compared(title: str, result: dict[str, Any]) -> str:
    keys = ("precision", "recall", "mean_average_precision", "ndcg")
    rows = [
        [one["name"], *(interval(one[key]) for key in keys), f"{one['bytes_a_record']:,.0f}"]
        for one in result["methods"]
    ]
    head = ["method", "P@5", "R@5", "mAP", "nDCG@5", "bytes a record"]
    return (
        f"{title}: {result['records']:,} pictures, {result['labels']} labels,"
        f" {result['queries']} queries; recommended: {result['recommended']}.\n\n"
        + table(head, rows)
    )


def interval(estimate: dict[str, float]) -> str:
    return f"{estimate['mean']:.3f} ({estimate['low']:.3f}..{estimate['high']:.3f})"


def mixtures(result: dict[str, Any]) -> str:
    halves = {name: one for name, one in result.items() if name.endswith(" on")}
    rows = [
        [what, *(interval(one[what]["precision"]) for one in halves.values())]
        for what in ("meaning", "colour")
    ]
    for kind, title in (("weights", "mix"), ("shortlists", "shortlist of")):
        for value in next(iter(halves.values()))[kind]:
            leads = [interval(one[kind][value]["lead"]) for one in halves.values()]
            rows.append([f"{title} {value}, lead", *leads])
    return (
        "P@5 of the parts, and by how much a mixture (share of colour) or a shortlist leads the"
        f" better part, on two halves of the classes. Chosen weight: {result['chosen weights']};"
        f" chosen shortlist: {result['chosen shortlists']}.\n\n" + table(["method", *halves], rows)
    )


def colourings(result: dict[str, Any]) -> str:
    changes = list(result["trials"][0]["found_again"])
    rows = [
        [
            f"{trial['colouring']}, {trial['metric']}",
            interval(trial["precision"]),
            f"{trial['bytes_a_picture']:,.0f}",
            *(f"{trial['found_again'][name]:.2f}" for name in changes),
        ]
        for trial in result["trials"]
    ]
    return (
        f"Bins a channel and parts of the picture, among {result['pictures']:,} thumbnails,"
        f" {result['queries']} queries; and the share of {result['changed']} changed thumbnails"
        " whose nearest is what they were.\n\n" + table(["colours", "P@5", "bytes", *changes], rows)
    )


def changes(result: dict[str, Any]) -> str:
    kinds = {name: one for name, one in result.items() if isinstance(one, dict)}
    kinds.pop("provenance", None)
    methods = list(next(iter(kinds.values())))
    rows = [[name, *(own[method] for method in methods)] for name, own in kinds.items()]
    return (
        f"The same for {result['pictures']} thumbnails through the library's own search, among all"
        " its records.\n\n" + table(["change", *methods], rows)
    )


def downloads(result: dict[str, Any]) -> str:
    alone: dict[int, dict[int, float]] = {}
    for one in result["downloads"]:
        alone.setdefault(one["connections"], {})[one["latency_ms"]] = one["a_second"]
    latencies = sorted({one["latency_ms"] for one in result["downloads"]})
    rows = [
        [count, *(f"{own[latency]:,.0f}" if latency in own else "–" for latency in latencies)]
        for count, own in alone.items()
    ]
    runs = [
        [name.removeprefix("index, "), turn, f"{run['seconds']:.1f}", f"{run['a_second']:.0f}",
         ", ".join(f"{count:,} {reason}" for reason, count in run["files"].items()),
         f"{run['bytes_of_pictures'] / 1e6:.1f} MB"]
        for name, both in result.items()
        if name.startswith("index, ")
        for turn, run in both.items()
    ]  # fmt: skip
    head = ["connections", *(f"a second, answers after {latency} ms" for latency in latencies)]
    return (
        f"{result['photos']:,} JPEGs of {result['mean_bytes'] / 1e3:.1f} kB from a server on the"
        " loopback that shares the cores; no gap between requests, all connections to one host."
        " Downloads alone:\n\n"
        + table(head, rows)
        + "\n\n`lookalike index --from` as a whole, with the default encoder:\n\n"
        + table(["answers after", "run", "seconds", "a second", "files", "of pictures"], runs)
    )


def side_tables(result: dict[str, Any]) -> str:
    seconds = ", ".join(f"{name} {took:.1f} s" for name, took in result["seconds"].items())
    asked = [
        [name, own["p50_ms"], own["p99_ms"], own["asked"]]
        for name, own in result["statements"].items()
    ]
    narrowed = [
        [f"`{own['where']}`", f"{own['records']:,}", own["p50_ms"], own["p99_ms"]]
        for own in result["conditions"]
    ]
    return (
        f"{result['rows']:,} rows of six columns ({result['file_mb']} MB) beside"
        f" {result['records']:,} photos: {seconds}; the catalogue grew by"
        f" {result['catalogue_grown_mb']} MB. {result['k']} hits joined with them:\n\n"
        + table(["statement", "median ms", "99 % ms", "asked"], asked)
        + "\n\nFinding all records for which a condition over them holds, five times each:\n\n"
        + table(["condition", "records", "median ms", "99 % ms"], narrowed)
    )


def join(result: dict[str, Any]) -> str:
    filled, asked = result["seconds to fill"], result["statements"]
    rows = [
        [
            question,
            *(f"{own[question]['p50_ms']} ({own[question]['p95_ms']})" for own in asked.values()),
        ]
        for question in next(iter(asked.values()))
    ]
    rows += [
        [f"filling, {what}, seconds", *(own[what] for own in filled.values())]
        for what in next(iter(filled.values()))
    ]
    return (
        f"{result['photos']:,} photos, vectors of {result['dim']} numbers, {result['rows']:,} rows"
        f" of downloads, {result['k']} candidates; {result['asked']} photos asked for on each"
        " engine in turn. PostgreSQL over a socket, ClickHouse's engine in the process (chDB)."
        " Every answer was the same on all three. Median milliseconds (95 % below):\n\n"
        + table(["question", *asked], rows)
    )


def servers(result: dict[str, Any]) -> str:
    filled = [
        [name, own["push_seconds"], *(own["of_this"].get(step, "–") for step in STEPS),
         own["megabytes"]]
        for name, own in result["filled"].items()
    ]  # fmt: skip
    names = next(iter(result["searches"].values()))
    asked = [
        [way, *(_timed(own[name]) for name in names)] for way, own in result["searches"].items()
    ]
    return (
        f"{result['records']:,} records with vectors of {result['dim']} numbers, pushed from a"
        " folder to a PostgreSQL over a socket and to ClickHouse's engine in the process (chDB),"
        " both on these cores. Seconds:\n\n"
        + table(["engine", "push", *STEPS, "MB on disk"], filled)
        + f"\n\nMilliseconds a search, median (95 % below), {result['queries']} records asked for"
        " on each engine in turn; recall@10 against the exact search in the folder:\n\n"
        + table(["search", *names], asked)
    )


STEPS = ("compare", "send", "index", "verify")


def _timed(own: dict[str, float]) -> str:
    recall = f", recall {own['recall']:.3f}" if "recall" in own else ""
    return f"{own['p50_ms']} ({own['p95_ms']}){recall}"


def scale_out(result: dict[str, Any]) -> str:
    ways = [
        [way["by"], f"{way['seconds']:.0f}", f"{way['a_second']:.0f}",
         f"{way['a_second_after']:.0f}" if "a_second_after" in way else "–"]
        for way in result["pipelines"]
    ]  # fmt: skip
    stores = [
        [own["store"], f"{own['committed_a_second']:,.0f}", f"{own['bytes_a_record']:,.0f}",
         f"{own['index_bytes_a_record']:,.0f}" if "index_bytes_a_record" in own else "–"]
        for own in result["stores"]
    ]  # fmt: skip
    parts = result["parts"]
    return (
        f"{result['photos']:,} photos of {result['mean_bytes'] / 1e3:.0f} kB; a cluster of"
        " processes on the same cores, so this shows what the way through other processes"
        " costs:\n\n"
        + table(["by", "seconds", "a second", "after the first came"], ways)
        + "\n\nWhat one writer commits, and what a record takes up:\n\n"
        + table(["into", "records a second", "bytes a record", "of its index"], stores)
        + f"\n\nParquet parts: {parts['data_bytes_a_record']:,.0f} bytes a record."
    )


def exchange(result: dict[str, Any]) -> str:
    rows = [
        [name, megabytes(own["bytes"]), *_moved(own["export"]), *_moved(own.get("import"))]
        for name, own in result["forms"].items()
    ]
    equal = {own["import"]["equal_answers"] for own in result["forms"].values() if "import" in own}
    head = ["form", "size", "export", "MB/s", "memory", "import", "MB/s", "memory"]
    return (
        f"{result['records']:,} records of {result['dim']:,} numbers; seconds of the clock and, in"
        " parentheses, of the processor; memory is the process's own. Searches in what was"
        f" imported that gave the same scores: {', '.join(sorted(equal))}.\n\n" + table(head, rows)
    )


def _moved(own: dict[str, Any] | None) -> list[str]:
    if own is None:
        return ["–"] * 3
    seconds = f"{own['seconds']:.0f} s ({own['cpu_seconds']:.0f})"
    return [seconds, str(own["mb_a_second"]), f"{own['peak_own_mb']:,.0f} MB"]


SECTIONS = [
    ("indexing", "Indexing, beside fastdup and its own bound", "indexing.py PHOTOS", indexing),
    (
        "indexing-int8",
        "The same with the encoder in 8-bit integers",
        "indexing.py PHOTOS --encoder efficientnet-lite0-int8 --name indexing-int8",
        indexing,
    ),
    ("jpeg", "JPEGs of 12 megapixels", "jpeg.py PHOTOS", jpeg),
    ("encoders", "The encoders", "encoders.py", encoders),
    ("downloads", "Pictures by their URLs", "downloads.py", downloads),
    ("meaning", "Searches by meaning and PCA-100", "meaning.py LIBRARY --photos DIR", meaning),
    (
        "meaning-real",
        "The same on real photos, 140 sifted (in proportion), 20 compared (twice those asked for)",
        "meaning.py SMALL --effort 140,20 --name meaning-real",
        meaning,
    ),
    ("colour", "Searches by colour", "colour.py LIBRARY", colour),
    ("batch", "Many searches at once", "batch.py LIBRARY", batch),
    ("command", "The whole way of one search", "command.py LIBRARY PHOTOS", command),
    ("growth", "Growth", "growth.py SMALL WORK", growth),
    ("graph", "The neighbour graph", "graph.py SMALL", graph),
    (
        "duplicates",
        "Duplicates, beside imagededup",
        "duplicates.py PHOTOS --peers-python PYTHON",
        duplicates,
    ),
    (
        "duplicates-full",
        "Duplicates among half a million records",
        "duplicates.py --full LIBRARY",
        duplicates_full,
    ),
    ("maps", "Maps of photos", "maps.py SMALL", maps),
    ("maps-large", "Maps of many records", "maps.py --large LIBRARY ...", maps_large),
    ("clusters", "Clusters and their names", "clusters.py SMALL --full LIBRARY", clusters),
    ("viewer", "The page of a map", "viewer.py", viewer),
    ("viewer-own", "The same, of a library's own map", "viewer.py LIBRARY --own", viewer),
    ("map_exports", "Exports of a map", "map_exports.py LIBRARY", map_exports),
    ("peers", "Beside FAISS and numba", "peers.py LIBRARY --peers-python PYTHON", peers),
    ("full", "Half a million files", "full.py FILES LIBRARY", full),
    (
        "full-drawn",
        "Half a million files without the encoder",
        "full.py FILES LIBRARY --drawn SMALL --name full-drawn",
        full,
    ),
    ("side_tables", "Side tables and searches in SQL", "side_tables.py SMALL", side_tables),
    ("join", "The same join on three engines", "join.py", join),
    ("servers", "Libraries on servers", "servers.py LIBRARY", servers),
    (
        "servers-full",
        "Libraries on servers, in full size",
        "servers.py LIBRARY --queries 20 --name servers-full",
        servers,
    ),
    ("scale_out", "Beyond one process", "scale_out.py PHOTOS", scale_out),
    ("exchange", "Exports and imports", "exchange.py LIBRARY", exchange),
    ("categories", "Labels, words and nothing", "categories.py PHOTOS", categories),
    ("parts", "Labels of parts", "parts.py PHOTOS", parts),
    ("why", "Why two pictures are alike", "why.py SMALL", why),
    ("choosing", "Which way of comparing", "choosing.py SMALL", choosing),
]


if __name__ == "__main__":
    main()
