"""One part of a run, in a process of its own; started by `lifeiqa_benchmarks.gpu.run`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from lifeiqa.cli.shared import Folder
from lifeiqa_benchmarks.gpu.records import RECORDS, Records


@click.command()
@click.argument("part", type=click.Choice(["export", "eager", "compile", "graphs", "refusal"]))
@click.argument("network")
@click.option("--folder", type=Folder, required=True)
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cuda")
@click.option("--batches", default="32", help="Sizes with commas; for `compile`, one of them.")
@click.option("--precision", type=click.Choice(["fp32", "fp16"]), default="fp16")
@click.option("--seconds", type=float, default=0.4)
def main(
    part: str,
    network: str,
    folder: Path,
    device: str,
    batches: str,
    precision: Any,
    seconds: float,
) -> None:
    """Do PART of a run for NETWORK and add what was found to the records in FOLDER."""
    records = Records(folder / RECORDS)
    sizes = [int(size) for size in batches.split(",")]
    if part == "export":
        from lifeiqa_benchmarks.gpu.networks import export

        with records.attempt(network=network, part=part, precision=precision):
            export(network, precision, folder)
    elif part == "eager":
        from lifeiqa_benchmarks.gpu import eager

        eager.measure(network, folder, device, sizes, seconds, records)
    elif part == "compile":
        from lifeiqa_benchmarks.gpu import compiled

        compiled.measure(network, folder, device, sizes[0], seconds, records)
    elif part == "graphs":
        from lifeiqa_benchmarks.gpu import graphs

        graphs.measure(network, folder, device, sizes, seconds, records)
    else:
        from lifeiqa_benchmarks.gpu import refusal

        refusal.measure(network, folder, records)


if __name__ == "__main__":
    main()
