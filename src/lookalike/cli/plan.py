"""``lookalike plan``: what indexing would take, before anything is done."""

from __future__ import annotations

import argparse

from lookalike.cli.index import add_reading_options, positive
from lookalike.cli.output import print_json
from lookalike.config import IndexOptions, Limits
from lookalike.plan import SAMPLE, Disk, Plan, plan_paths


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group's commands to the parser."""
    parser = commands.add_parser(
        "plan",
        help="what indexing would take: images, time, disk, memory",
        description="Count the pictures, read a few of them, and say how long indexing all would"
        " take, how much disk and how much memory. Writes nothing.",
    )
    add_reading_options(parser)
    parser.add_argument(
        "--sample",
        type=positive,
        default=SAMPLE,
        metavar="N",
        help="pictures to read (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Plan, and print it."""
    index_options = IndexOptions(
        hidden=options.hidden,
        workers=options.workers,
        encoder=options.encoder,
        limits=Limits(options.max_megapixels, options.max_megabytes),
    )
    plan = plan_paths(options.library, options.paths, index_options, options.sample)
    if options.json:
        print_json(plan.to_dict())
    else:
        print(text(plan))
    return 0


def text(plan: Plan) -> str:
    """The plan as a few lines, each a word and what it is about."""
    lines = [("images", _images(plan))]
    if plan.passed_over:
        others = ", ".join(f"{count:,} {reason}" for reason, count in plan.passed_over.items())
        lines.append(("others", others))
    if plan.new:
        lines.append(("time", f"{_time(plan)} on {_counted(plan.workers, 'worker')}"))
        lines.append(("disk", _disk(plan.disk)))
        lines.append(("memory", f"about {size(plan.memory_bytes)}"))
        lines.append(("sample", _sample(plan)))
    return "\n".join(f"{word:<8}{line}" for word, line in lines)


def _images(plan: Plan) -> str:
    found = f"{_counted(plan.images, 'image')} ({size(plan.bytes)})"
    if not plan.new:
        return f"{found}, none of them new or changed: nothing to do"
    if plan.new == plan.images:
        return f"{found}, all new or changed"
    return f"{found}, {plan.new:,} new or changed ({size(plan.new_bytes)})"


def _time(plan: Plan) -> str:
    low, high = plan.seconds_low, plan.seconds_high
    if high < 1:
        return "less than a second"
    unit = next((unit for unit, seconds in _UNITS.items() if high >= 2 * seconds), "seconds")
    first, last = (_digits(value / _UNITS[unit]) for value in (low, high))
    return f"about {last} {unit}" if first == last else f"about {first} to {last} {unit}"


_UNITS = {"hours": 3600, "minutes": 60, "seconds": 1}


def _digits(value: float) -> str:
    """Whole numbers from 10 on, below with one digit behind the point unless that is zero."""
    return f"{value:.0f}" if value >= 10 else f"{round(value, 1):g}"


def _disk(disk: Disk) -> str:
    parts = {
        "vectors": disk.vectors,
        "histograms": disk.histograms,
        "thumbnails": disk.thumbnails,
        "catalogue": disk.catalogue,
        "index": disk.index,
    }
    each = ", ".join(f"{name} {size(count)}" for name, count in parts.items())
    needed = f"{size(disk.total)} of {size(disk.free)} free"
    if disk.suffices:
        return f"{needed}: {each}"
    return f"{needed}, NOT ENOUGH; choose another --library: {each}"


def _sample(plan: Plan) -> str:
    found = f"{_counted(plan.sampled, 'picture')} read in {plan.sample_seconds:.1f} s"
    shares = ((plan.unreadable_share, "unreadable"), (plan.known_share, "already known by content"))
    return ", ".join([found, *(f"{share:.0%} {what}" for share, what in shares if share)])


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def size(count: int) -> str:
    """Bytes for people, in powers of 1000: ``7.6 GB``, ``79 GB``, ``0.6 MB``."""
    scales = {"TB": 1e12, "GB": 1e9, "MB": 1e6}
    unit = next((unit for unit, scale in scales.items() if count >= scale / 2), "MB")
    value = count / scales[unit]
    return f"{value:.0f} {unit}" if value >= 10 else f"{value:.1f} {unit}"
