"""The command `lifeiqa`: one module for each family of subcommands."""

from __future__ import annotations

import click

from lifeiqa.cli.datasets import datasets
from lifeiqa.cli.evaluation import evaluate
from lifeiqa.cli.explain import explain
from lifeiqa.cli.models import compare, convert, inspect
from lifeiqa.cli.monotonicity import monotonicity, sense
from lifeiqa.cli.scoring import score
from lifeiqa.cli.training import crossfit, study, train


@click.group()
@click.version_option(package_name="lifeiqa")
def main() -> None:
    """Score images without a reference, with Life-IQA.

    Exit status 0; 1 if a check failed; 2 for bad input.
    """


for family in (
    (score, inspect, compare, convert),
    (train, study, crossfit),
    (evaluate, monotonicity, sense, explain, datasets),
):
    for command in family:
        main.add_command(command)
