"""`lifeiqa explain`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from lifeiqa.cli import options
from lifeiqa.cli.shared import File, guarded
from lifeiqa.errors import require_all
from lifeiqa.text import printable
from lifeiqa.weights import model_file


@click.command(epilog="Example: lifeiqa explain photo.jpg -o explained.png")
@click.argument("photo", type=File)
@click.option("-o", "--out", type=File, help="PNG to write.  [default: NAME.explained.png]")
@click.option("--layer", type=click.IntRange(1), help="Decoder layer to draw.  [default: the last]")
@click.option("--crops", metavar="PLAN", help="center, cover, five, grid:N or random:N:SEED.")
@options.model
@options.as_json
@guarded
def explain(
    photo: Path, out: Path | None, layer: int | None, crops: str | None, model: str, as_json: bool
) -> None:
    """Draw what the network looked at in PHOTO, as a PNG.

    For each query token: its attention over the image, its score, and the experts that it chose.
    The model is a checkpoint (.safetensors).
    """
    require_all("torch", "timm", "safetensors", extra="export", purpose="lifeiqa explain")
    from lifeiqa.evaluation.explanation import draw, write
    from lifeiqa.model.explain import explain_file

    out = Path(f"{photo.stem}.explained.png") if out is None else out
    path = model_file(model, ".safetensors")
    found = explain_file(path, photo, crops=crops)
    write(draw(found, layer=layer), out)
    if as_json:
        click.echo(json.dumps({"image": printable(photo), "model": path.name, **found.to_dict()}))
    else:
        click.echo(f"wrote {printable(out)}: score {found.score:.4f}, crops {len(found.windows)}")
