"""``python -m lifeiqa_benchmarks.gpu --out FOLDER``; see `lifeiqa_benchmarks.gpu`."""

from __future__ import annotations

from pathlib import Path

import click

from lifeiqa.cli.shared import Folder
from lifeiqa.weights import DEFAULT


@click.command()
@click.option("--out", type=Folder, required=True, help="Folder of gpu.json and of the logs.")
@click.option("--networks", default=f"{DEFAULT},swin_tiny,swin_base", show_default=True)
@click.option("--batches", default="32,1,8,128", show_default=True, help="In order of worth.")
@click.option("--minutes", type=click.FloatRange(min=0.1), default=20.0, show_default=True)
@click.option("--seconds", type=float, default=0.4, show_default=True, help="Of a series of runs.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cuda", show_default=True)
@click.option("--compile/--no-compile", "compiled", default=True, help="torch.compile as well.")
@click.option("--await", "awaited", type=Path, help="File that ONNX Runtime's part waits for.")
def main(
    out: Path,
    networks: str,
    batches: str,
    minutes: float,
    seconds: float,
    device: str,
    compiled: bool,
    awaited: Path | None,
) -> None:
    """Measure the networks on the GPU and print tables, which also list what failed."""
    from lifeiqa_benchmarks.gpu.records import read_report
    from lifeiqa_benchmarks.gpu.run import Run, Settings
    from lifeiqa_benchmarks.gpu.table import document

    settings = Settings(
        folder=out,
        device=device,
        networks=tuple(networks.split(",")),
        batches=tuple(int(size) for size in batches.split(",")),
        minutes=minutes,
        seconds=seconds,
        compiled=compiled,
        awaited=awaited,
    )
    click.echo(document(read_report(Run(settings).do())))


if __name__ == "__main__":
    main()
