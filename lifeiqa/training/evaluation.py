"""Agreement of a model with human scores."""

from __future__ import annotations

from lifeiqa.data.table import Table
from lifeiqa.metrics import Agreement, agreement
from lifeiqa.scorer import Scorer


def evaluate(scorer: Scorer, table: Table) -> Agreement:
    """Score every picture of a table and compare with its human scores.

    Raises:
        ImageError: a picture cannot be scored; nothing is left out silently.
    """
    return agreement([scorer.score(path).value for path in table.paths], table.scores)
