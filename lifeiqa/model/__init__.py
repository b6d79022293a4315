"""The PyTorch reference of Life-IQA: one network, every variant and ablation a setting of it."""

from lifeiqa.model.network import LifeIQA, Prediction, ScoringModel

__all__ = ["LifeIQA", "Prediction", "ScoringModel"]
