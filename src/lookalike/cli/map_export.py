"""``lookalike map export``: a map for other programs, for print, for a page without a server."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from lookalike.cli.map_options import WHICH, add_map_options, keep_earlier, map_options
from lookalike.cli.output import (
    add_library_option,
    check_contents,
    check_folder,
    check_place,
    talk,
    write_file,
)
from lookalike.cli.steps import Steps
from lookalike.errors import InputError
from lookalike.library import Library
from lookalike.maps.exports import html, mosaic, plotly, tensorboard
from lookalike.maps.exports.html import PageOptions, write_html
from lookalike.maps.exports.mosaic import MosaicOptions, write_mosaic
from lookalike.maps.exports.page import PAPERS, THEMES, PosterOptions
from lookalike.maps.exports.plotly import PlotlyOptions, write_plotly
from lookalike.maps.exports.scatter import figure_class, write_scatter
from lookalike.maps.exports.source import ExportSource
from lookalike.maps.exports.table import TableOptions, write_csv, write_parquet
from lookalike.maps.exports.tensorboard import ProjectorOptions, write_tensorboard
from lookalike.rows.parquet import arrow

Writer = Callable[[ExportSource, Path], int]
Forms: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to those of ``lookalike map``."""
    parser = commands.add_parser(
        "export",
        help="for TensorBoard, Embedding Atlas, tables, print, or as a page without a server",
        description="Write a map in another form. It is written whole or not at all.",
    )
    forms = parser.add_subparsers(metavar="FORM", required=True)
    _add_tensorboard(forms)
    _add_tables(forms)
    _add_png(forms)
    _add_html(forms)
    _add_plotly(forms)


def _form(forms: Forms, name: str, about: str, place: str) -> argparse.ArgumentParser:
    parser = forms.add_parser(name, help=about, description=about[0].upper() + about[1:] + ".")
    parser.add_argument("--out", type=Path, required=True, metavar=place, help="where it goes")
    add_library_option(parser)
    add_map_options(parser)
    keep_earlier(parser, *WHICH)
    return parser


def _add_rows(parser: argparse.ArgumentParser, usual: int | None) -> None:
    parser.add_argument(
        "--rows",
        type=_rows,
        default=usual,
        metavar="N|all",
        help="at most so many records, drawn by cluster (default:"
        f" {'all' if usual is None else f'{usual:,}'})",
    )


def _rows(text: str) -> int | None:
    if text == "all":
        return None
    try:
        rows = int(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text}: a whole number, or all") from error
    if rows < 1:
        raise argparse.ArgumentTypeError(f"{rows}: at least 1")
    return rows


def _add_tensorboard(forms: Forms) -> None:
    about = (
        "a folder for TensorBoard's projector (tensorboard --logdir DIR): the map, and 64"
        " components for its own t-SNE and UMAP"
    )
    parser = _form(forms, "tensorboard", about, "DIR")
    _add_rows(parser, tensorboard.MOST_ROWS)
    parser.add_argument("--no-sprite", action="store_true", help="points without pictures")
    parser.set_defaults(run=run_tensorboard)


def _add_tables(forms: Forms) -> None:
    for name, about, run in (
        ("csv", "a table with a row per record", run_csv),
        ("parquet", "a Parquet file, for Embedding Atlas and data frames", run_parquet),
    ):
        parser = _form(forms, name, about, "FILE")
        _add_rows(parser, None)
        if name == "parquet":
            parser.add_argument("--thumbnails", action="store_true", help="with pictures (JPEG)")
        parser.set_defaults(run=run)


def _add_png(forms: Forms) -> None:
    usual = MosaicOptions()
    parser = _form(forms, "png", "a poster: thumbnails where they lie, or points", "FILE")
    parser.add_argument(
        "--poster",
        choices=("mosaic", "scatter"),
        default="mosaic",
        help="pictures, or points in the colours of clusters (default: %(default)s)",
    )
    parser.add_argument(
        "--paper",
        default=usual.paper,
        metavar="NAME|WxH",
        help=f"{', '.join(PAPERS)}, or millimetres like 400x300 (default: %(default)s)",
    )
    parser.add_argument(
        "--dpi", type=int, default=usual.dpi, metavar="N", help="default: %(default)s"
    )
    parser.add_argument(
        "--theme", choices=tuple(THEMES), default=usual.theme, help="default: %(default)s"
    )
    parser.add_argument(
        "--cell",
        type=float,
        metavar="MM",
        help="side of a mosaic's picture (default: by the number of records)",
    )
    parser.set_defaults(run=run_png)


def _add_html(forms: Forms) -> None:
    about = "the map page with pictures in one file that needs no server"
    parser = _form(forms, "html", about, "FILE")
    _add_rows(parser, html.MOST_ROWS)
    parser.set_defaults(run=run_html)


def _add_plotly(forms: Forms) -> None:
    parser = _form(
        forms, "plotly", "a page by Plotly that needs no server, without pictures", "FILE"
    )
    _add_rows(parser, plotly.MOST_ROWS)
    parser.set_defaults(run=run_plotly)


# -- running ---------------------------------------------------------------------------------------


def run_tensorboard(options: argparse.Namespace) -> int:
    """Write a folder for TensorBoard."""
    asked = ProjectorOptions(options.rows, not options.no_sprite)
    check_folder(options.out, "the folder")
    tensorboard.check_export_folder(options.out)
    return _export(
        options, lambda source, path: write_tensorboard(source, path, asked), folder=True
    )


def run_csv(options: argparse.Namespace) -> int:
    """Write a CSV file."""
    asked = TableOptions(options.rows)
    return _export(options, lambda source, path: write_csv(source, path, asked))


def run_parquet(options: argparse.Namespace) -> int:
    """Write a Parquet file."""
    asked = TableOptions(options.rows, options.thumbnails)
    arrow()  # before minutes of work
    return _export(options, lambda source, path: write_parquet(source, path, asked))


def run_html(options: argparse.Namespace) -> int:
    """Write the map page as one file."""
    from lookalike.web.document import document

    asked = PageOptions(options.rows)
    return _export(options, lambda source, path: write_html(source, path, document, asked))


def run_plotly(options: argparse.Namespace) -> int:
    """Write a page by Plotly."""
    asked = PlotlyOptions(options.rows)
    plotly.page_maker()  # before minutes of work
    return _export(options, lambda source, path: write_plotly(source, path, asked))


def run_png(options: argparse.Namespace) -> int:
    """Draw a poster."""
    mosaic.check_ending(options.out)
    page = (options.paper, options.dpi, options.theme)
    if options.poster == "mosaic":
        pictures = MosaicOptions(*page, options.cell)
        pictures.check()
        return _export(options, lambda source, path: write_mosaic(source, path, pictures))
    if options.cell is not None:
        raise InputError(f"--cell {options.cell:g}: is the mosaic's; leave it out")
    points = PosterOptions(*page)
    points.check()
    figure_class()  # before minutes of work
    return _export(options, lambda source, path: write_scatter(source, path, points))


def check_out(library: Library, out: Path, *, folder: bool) -> None:
    """Raise, before minutes of work, for a place where an export cannot go."""
    if str(out) == "-":
        raise InputError("-: an export is a file; name one, or ./- for one of this name")
    if not folder:
        check_place(library, out, "the export")
    else:
        check_contents(library, out, "the export")


def _export(options: argparse.Namespace, write: Writer, *, folder: bool = False) -> int:
    """Make or open the map, and have it written; the place of a ``folder`` was checked."""
    asked = map_options(options)
    with Library.open(options.library) as library:
        check_out(library, options.out, folder=folder)
        with Steps() as step:
            source = library.map_source(library.map(asked, step))
        written: list[int] = []
        write_file(
            options.out,
            "the export",
            lambda path: written.append(write(source, path)),
            told="export",
        )
    talk(f"{written[0]:,} of {len(source):,} records")
    return 0
