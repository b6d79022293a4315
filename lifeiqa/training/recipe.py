"""The settings of a training run: what is minimised, by what, in which phases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from lifeiqa.config import require_choice
from lifeiqa.errors import ConfigError

Optimizer = Literal["adam", "adamw"]
Schedule = Literal["cosine", "step", "constant"]
Autocast = Literal["no", "fp16", "bf16"]
MainLoss = Literal["l1", "smooth_l1"]


@dataclass(frozen=True, kw_only=True)
class Phase:
    """A stretch of epochs in which one set of parameters learns.

    The decoder and the head learn in every phase. Where the backbone does not, it runs once over
    a few crops of each image, and the epochs run on its cached features.

    Attributes:
        name: for the log, and for changing a value: ``--set joint.epochs=3``.
        epochs: how many.
        lr: peak learning rate of decoder and head.
        backbone_lr: peak learning rate of the backbone; None means `lr`.
        unfreeze: modules of the backbone that learn, by their dotted names in timm; ``"all"``
            means every one, and nothing means none. Phases that name more and more of them are
            staged unfreezing.
        crops: random crops of each image: taken anew in every epoch, or cached once where the
            backbone is frozen, and then an epoch sees one of them.
        twins: crops of a step that also come at two strengths of one distortion, whose scores are
            to keep that order.
        warmup: epochs over which the learning rate rises from 0.
        schedule: how it falls afterwards: to 0 by a half cosine, by steps, or not.
        step_every: epochs between two steps.
        step_factor: what a step multiplies the learning rate by.
        sharpen: factor on the router's logits at the beginning. The last expert that a token uses
            then weighs less, and so does a near-tie that another arithmetic decides otherwise.
    """

    name: str
    epochs: int
    lr: float
    backbone_lr: float | None = None
    unfreeze: tuple[str, ...] = ()
    crops: int = 1
    twins: int = 0
    warmup: float = 0.0
    schedule: Schedule = "cosine"
    step_every: int = 10
    step_factor: float = 0.1
    sharpen: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "unfreeze", tuple(self.unfreeze))
        where = f"phase {self.name}: "
        if not self.name.replace("-", "").replace("_", "").isalnum():
            raise ConfigError(f"a phase is named {self.name!r}: letters, digits, - and _ are taken")
        _at_least(self, ("epochs", "warmup", "twins"), 0, where)
        _at_least(self, ("crops", "step_every"), 1, where)
        _above_zero(self, ("lr", "step_factor", "sharpen"), where)
        if self.backbone_lr is not None:
            _above_zero(self, ("backbone_lr",), where)
        if self.warmup > self.epochs:
            raise ConfigError(f"{where}warmup is {self.warmup} epochs of {self.epochs}")
        require_choice(f"{where}schedule", self.schedule, get_args(Schedule))

    @property
    def cached(self) -> bool:
        """Whether it runs on cached features of a frozen backbone."""
        return not self.unfreeze


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network learns; equation numbers are the paper's.

    Attributes:
        phases: in order.
        seed: of weights, order, crops and dropout.
        batch_size: crops a step, over all processes together.
        optimizer: Adam as in the paper, or AdamW as in the published code.
        weight_decay: on tensors of two or more dimensions.
        clip: largest gradient norm; 0 does not clip.
        ema: decay of the moving average of weights that is judged and kept; 0 keeps the last.
        autocast: half-precision arithmetic of the forward pass; the router stays in float32.
        loss: on the score, equation (27) or the published code's.
        rank: weight of the ranking loss among the images of a batch.
        correlation: weight of (1 - PLCC) / 2 over a batch.
        balance: weight of the load balance loss, lambda_1 of equation (28).
        z: weight of the router's z-loss, lambda_2 of equation (28).
        sense: weight of the ranking loss on a phase's twins.
        normalise: learn 0..1 of the label range; otherwise labels in their own units, as the
            published code does, which changes what every loss but the correlation weighs.
        flip: mirror every other crop.
    """

    phases: tuple[Phase, ...]
    seed: int = 0
    batch_size: int = 32
    optimizer: Optimizer = "adamw"
    weight_decay: float = 0.05
    clip: float = 5.0
    ema: float = 0.99
    autocast: Autocast = "no"
    loss: MainLoss = "l1"
    rank: float = 0.0
    correlation: float = 0.0
    balance: float = 0.01
    z: float = 0.001
    sense: float = 1.0
    normalise: bool = True
    flip: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "phases", tuple(self.phases))
        _at_least(self, ("seed", "weight_decay", "clip"), 0)
        _at_least(self, ("rank", "correlation", "balance", "z", "sense"), 0)
        _at_least(self, ("batch_size",), 1)
        for name, kind in (("optimizer", Optimizer), ("autocast", Autocast), ("loss", MainLoss)):
            require_choice(name, getattr(self, name), get_args(kind))
        if not 0 <= self.ema < 1:
            raise ConfigError(f"ema is {self.ema}: a decay in [0, 1) is expected")
        names = [phase.name for phase in self.phases]
        if len(set(names)) < len(names):
            raise ConfigError(f"two phases have one name: {', '.join(names)}")
        if not sum(phase.epochs for phase in self.phases):
            raise ConfigError(
                "no phase has an epoch: nothing would be trained. Name one: [phases.NAME]"
            )
        for phase in self.phases:
            if phase.twins > self.batch_size:
                raise ConfigError(
                    f"phase {phase.name}: twins is {phase.twins}, a batch has {self.batch_size} "
                    f"crops"
                )


def _at_least(settings: object, names: tuple[str, ...], least: float, where: str = "") -> None:
    for name in names:
        if not getattr(settings, name) >= least:
            value = getattr(settings, name)
            raise ConfigError(f"{where}{name} is {value}: {least} or more is expected")


def _above_zero(settings: object, names: tuple[str, ...], where: str = "") -> None:
    for name in names:
        if not getattr(settings, name) > 0:
            value = getattr(settings, name)
            raise ConfigError(f"{where}{name} is {value}: more than 0 is expected")
