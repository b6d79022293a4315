"""An image becomes a score; many images do in batches."""

from lifeiqa.scorer.batches import SCORER_BATCH, score_in_batches
from lifeiqa.scorer.score import Score, not_a_number
from lifeiqa.scorer.scorer import Scorer, score_many

__all__ = ["SCORER_BATCH", "Score", "Scorer", "not_a_number", "score_in_batches", "score_many"]
