"""The settings of a training run."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from lifeiqa.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Three phases: the decoder on cached features of a frozen backbone, everything together, and
    the decoder once more on cached features of the backbone as it then is.

    Attributes:
        seed: of every random draw: weights, order, crops, dropout.
        frozen_epochs: epochs of the first phase.
        frozen_lr: peak learning rate of the first phase.
        frozen_crops: random crops a picture whose features are cached in the first and the last
            phase; every other is mirrored.
        epochs: epochs of the second phase; 0 leaves the backbone as it came.
        lr: peak learning rate of the decoder in the second phase.
        backbone_lr: peak learning rate of the backbone in the second phase.
        frozen_layers: parameters of the backbone whose names begin with one of these never
            change. Early layers cost most of a backward pass and hold little about quality.
        refine_epochs: epochs of the last phase; 0 leaves it out.
        refine_lr: its peak learning rate.
        sharpen: factor on the router's logits at its beginning. The last expert that a token uses
            then weighs less, and so does a near-tie that another arithmetic decides otherwise.
        batch_size: crops a step; a step sees one crop of each of its pictures.
        weight_decay: of AdamW, on tensors of two or more dimensions.
        clip: largest gradient norm.
        warmup: share of each phase over which the learning rate rises; it then falls to 0 by a
            cosine.
        ema: decay of the moving average of weights that is evaluated and kept; 0 keeps the last.
    """

    seed: int = 0
    frozen_epochs: int = 12
    frozen_lr: float = 1e-3
    frozen_crops: int = 8
    epochs: int = 0
    lr: float = 3e-4
    backbone_lr: float = 1e-4
    frozen_layers: tuple[str, ...] = ()
    refine_epochs: int = 0
    refine_lr: float = 3e-4
    sharpen: float = 1.0
    batch_size: int = 32
    weight_decay: float = 0.05
    clip: float = 5.0
    warmup: float = 0.1
    ema: float = 0.99

    def __post_init__(self) -> None:
        object.__setattr__(self, "frozen_layers", tuple(self.frozen_layers))
        for name in ("frozen_epochs", "epochs", "refine_epochs", "weight_decay"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} is {getattr(self, name)}: 0 or more is expected")
        if self.frozen_epochs + self.epochs == 0:
            raise ConfigError("frozen_epochs and epochs are both 0: nothing would be trained")
        rates = ("frozen_lr", "lr", "backbone_lr", "refine_lr")
        for name in (*rates, "sharpen", "clip", "batch_size", "frozen_crops"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}: more than 0 is expected")
        if not 0 <= self.warmup < 1:
            raise ConfigError(f"warmup is {self.warmup}: a share in [0, 1) is expected")
        if not 0 <= self.ema < 1:
            raise ConfigError(f"ema is {self.ema}: a decay in [0, 1) is expected")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for the record."""
        return dataclasses.asdict(self) | {"frozen_layers": list(self.frozen_layers)}
