"""Options that several commands share."""

from __future__ import annotations

from typing import get_args

import click

from lifeiqa.config import Provider
from lifeiqa.weights import DEFAULT

model = click.option(
    "--model", default=DEFAULT, show_default=True, help="A model file or a bundled name."
)
PROVIDERS = click.Choice(get_args(Provider))
provider = click.option(
    "--provider", type=PROVIDERS, help="What runs it; the choice made without is told by inspect."
)
threads = click.option("--threads", type=click.IntRange(1), help="CPU threads of a run.")
as_json = click.option("--json", "as_json", is_flag=True, help="JSON, for machines.")
