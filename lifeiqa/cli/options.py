"""Options that several commands share."""

from __future__ import annotations

import click

from lifeiqa.weights import DEFAULT

model = click.option(
    "--model", default=DEFAULT, show_default=True, help="A model file or a bundled name."
)
provider = click.option("--provider", type=click.Choice(["cpu", "cuda"]), help="Where to run.")
threads = click.option("--threads", type=click.IntRange(1), help="CPU threads of a run.")
as_json = click.option("--json", "as_json", is_flag=True, help="JSON, for machines.")
