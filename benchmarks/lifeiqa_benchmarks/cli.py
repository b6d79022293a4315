"""The command `lifeiqa-bench`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from lifeiqa.cli import options
from lifeiqa.cli.shared import File, Folder, guarded
from lifeiqa.cli.source import Source
from lifeiqa.errors import ConfigError, DeviceError, require_all
from lifeiqa.weights import DEFAULT
from lifeiqa_benchmarks.candidate import COMPILED, EAGER

# On a CPU, 32 crops cost minutes of a report, and a larger batch is no faster a crop.
_BATCHES = {"cpu": "1,8", "cuda": "1,8,32"}
MEASURED = options.RuntimeName(COMPILED)


@click.group()
@click.version_option(package_name="lifeiqa")
def main() -> None:
    """Measure models: how fast, how faithful, how heavy; and compare two measurements."""


@main.command(epilog="Example: lifeiqa-bench run fast --device cpu -o bench")
@click.argument("models", metavar="MODEL...", nargs=-1)
@click.option("--batch", "batches", help="Crops per run.  [default: 1,8 on a CPU, 1,8,32 on a GPU]")
@options.threads
@click.option(
    "--baseline",
    type=MEASURED,
    default=EAGER,
    show_default=True,
    help="What the others are set against, in turns.",
)
@click.option(
    "--duration",
    type=click.FloatRange(min=0.1),
    default=3.0,
    show_default=True,
    help="Seconds for each candidate and batch size; the baseline takes as long in between.",
)
@click.option(
    "--runtime",
    "runtimes",
    type=MEASURED,
    multiple=True,
    help="Measure this one beside the baseline; may be repeated. [default: all]",
)
@click.option(
    "--device",
    type=options.DEVICE,
    help="Device of runtimes that have several. [default: cuda if a driver has a GPU, else cpu]",
)
@click.option("--parity-images", type=Folder, help="Images for drift and stages.")
@click.option("--cpp", type=File, help="lifeiqa-csv of engines/cpp, to time beside Python.")
@click.option("--dataset", type=File, metavar="TABLE.csv", help="Images with human scores.")
@click.option("--images", type=Folder, help="Folder that the paths of TABLE are relative to.")
@click.option("-o", "--out", type=Folder, default=Path("bench"), help="Folder of the report.")
@guarded
def run(
    models: tuple[str, ...],
    batches: str | None,
    threads: int | None,
    baseline: str,
    duration: float,
    runtimes: tuple[str, ...],
    device: str | None,
    parity_images: Path | None,
    cpp: Path | None,
    dataset: Path | None,
    images: Path | None,
    out: Path,
) -> None:
    """Measure each MODEL, a file or a bundled name, in every runtime that takes it.

    A checkpoint runs in PyTorch also compiled. A runtime that is not installed is told and left
    out. The bundled model is also timed from a cold process. Writes report.json, report.md and
    report.html.
    """
    require_all("scipy", "matplotlib", "skimage", extra="dev", purpose="lifeiqa-bench run")
    from lifeiqa.data.images import images_in
    from lifeiqa.files import atomic_write
    from lifeiqa.preprocess.process_pool import cores
    from lifeiqa_benchmarks import page, table
    from lifeiqa_benchmarks.candidate import candidates_from
    from lifeiqa_benchmarks.run import Settings
    from lifeiqa_benchmarks.run import run as measure
    from lifeiqa_export.photographs import photographs

    labelled: Any = None
    if dataset is not None:
        labelled = Source(
            table=dataset,
            images=images,
            path_column=None,
            score_column=None,
            dataset=None,
            data=None,
        ).read()
    starts = DEFAULT in (models or (DEFAULT,))
    if cpp is not None and not starts:
        raise ConfigError(f"--cpp times the bundled model: name {DEFAULT} as well")
    device = device or _device_here()
    settings = Settings(
        batches=_sizes(_BATCHES[device] if batches is None else batches),
        threads=threads or cores(),
        seconds=duration,
        images=tuple(photographs() if parity_images is None else images_in(parity_images)),
        labelled=labelled,
        starts=starts,
        cpp=cpp,
        label_name="" if dataset is None else f"{dataset.name}, {len(labelled.paths)} images",
    )
    candidates = candidates_from(models or (DEFAULT,), baseline, device, runtimes or None)
    report = measure(candidates, settings, report=lambda line: click.echo(line, err=True))
    written = {
        "report.json": report.to_json(),
        "report.md": table.document(report),
        "report.html": page.page(report),
    }
    for name, text in written.items():
        with atomic_write(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    click.echo(table.document(report))
    click.echo(f"wrote {', '.join(str(out / name) for name in written)}", err=True)


@main.command(epilog="Example: lifeiqa-bench compare old/report.json new/report.json")
@click.argument("old", metavar="OLD.json", type=File)
@click.argument("new", metavar="NEW.json", type=File)
@guarded
def compare(old: Path, new: Path) -> None:
    """Say what got slower, less faithful or heavier from OLD.json to NEW.json beyond noise.

    Exit status 1 when something did.
    """
    from lifeiqa_benchmarks.regression import compare_reports
    from lifeiqa_benchmarks.report import Report

    found = compare_reports(Report.from_json(old), Report.from_json(new))
    click.echo(found)
    sys.exit(0 if found else 1)


@main.command(epilog="Example: lifeiqa-bench page bench/report.json")
@click.argument("report", metavar="REPORT.json", type=File)
@click.option("-o", "--out", type=File, help="File to write; REPORT.html if not given.")
@guarded
def page(report: Path, out: Path | None) -> None:
    """Make the HTML page of REPORT.json, a report of `run`: its tables, with plots."""
    require_all("matplotlib", extra="evaluation", purpose="lifeiqa-bench page")
    from lifeiqa.files import atomic_write
    from lifeiqa_benchmarks.page import page as render
    from lifeiqa_benchmarks.report import Report

    out = report.with_suffix(".html") if out is None else out
    text = render(Report.from_json(report))
    with atomic_write(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    click.echo(f"wrote {out}")


def _device_here() -> str:
    from lifeiqa.runtimes.cuda.driver import cuda_device

    try:
        cuda_device()
    except DeviceError:
        return "cpu"
    return "cuda"


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(part) for part in text.split(","))
    except ValueError:
        sizes = ()
    if not sizes or min(sizes) < 1:
        raise ConfigError(f"--batch {text!r}: write sizes with commas, 1,8,32")
    return tuple(sorted(set(sizes)))
