"""The settings of a training run: what is minimised, by what, in which phases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from lifeiqa.config import require_choice
from lifeiqa.data.distortions import KINDS
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
        twins: crops of a step that also come as two distorted copies, one kind of distortion at two
            strengths, beside the `Recipe.batch_size` undistorted ones. Both learn their severity,
            and together their order.
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
        severity: weight of the loss between the scores of distorted copies and what the severity
            of their distortion makes of the image's own score; that of the image itself has 1.
        ruined: score of an image of which nothing is left, in 0..1 from the worse end of the label
            range: near the worst that people give.
        sense: weight of the loss on the order of two strengths of one distortion.
        copies: pairs of distorted copies of an image that a run has; each step draws one of them.
            0 draws new ones all the time, and caches one for each cached crop.
        composed: share of the pairs that another kind of distortion has damaged before.
        held_out: kinds of distortion that are never learned, so that they can test what is.
        stored: cut every image once, at one place, with its distorted copies, and keep the crops
            in the cache; epochs then read them, which a GPU needs. Otherwise epochs decode the
            images anew.
        chosen_from: phases whose epochs the checkpoint may be chosen from; all where none is named.
        shift: largest shift of a stored crop in pixels, edges reflected, drawn for each step.
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
    severity: float = 1.0
    ruined: float = 0.0
    sense: float = 1.0
    copies: int = 0
    composed: float = 0.0
    held_out: tuple[str, ...] = ()
    stored: bool = False
    shift: int = 0
    chosen_from: tuple[str, ...] = ()
    normalise: bool = True
    flip: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "phases", tuple(self.phases))
        object.__setattr__(self, "held_out", tuple(self.held_out))
        object.__setattr__(self, "chosen_from", tuple(self.chosen_from))
        _at_least(self, ("seed", "weight_decay", "clip"), 0)
        _at_least(self, ("rank", "correlation", "balance", "z", "sense", "severity"), 0)
        _at_least(self, ("copies", "shift"), 0)
        _at_least(self, ("batch_size",), 1)
        for name, kind in (("optimizer", Optimizer), ("autocast", Autocast), ("loss", MainLoss)):
            require_choice(name, getattr(self, name), get_args(kind))
        if not 0 <= self.ema < 1:
            raise ConfigError(f"ema is {self.ema}: a decay in [0, 1) is expected")
        for name in ("ruined", "composed"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)}: 0 to 1 is expected")
        if self.shift and not self.stored:
            raise ConfigError(f"shift is {self.shift}, and crops are not stored: set stored = true")
        self._require_copies()
        names = [phase.name for phase in self.phases]
        if len(set(names)) < len(names):
            raise ConfigError(f"two phases have one name: {', '.join(names)}")
        if not sum(phase.epochs for phase in self.phases):
            raise ConfigError(
                "no phase has an epoch: nothing would be trained. Name one: [phases.NAME]"
            )
        epochs = {phase.name: phase.epochs for phase in self.phases}
        if self.chosen_from and not sum(epochs.get(name, 0) for name in self.chosen_from):
            raise ConfigError(
                f"chosen_from is {', '.join(self.chosen_from)}, and no such phase has an epoch: "
                f"choose of {', '.join(name for name, count in epochs.items() if count)}"
            )
        for phase in self.phases:
            if phase.twins > self.batch_size:
                raise ConfigError(
                    f"phase {phase.name}: twins is {phase.twins}, a batch has {self.batch_size} "
                    f"crops"
                )

    def _require_copies(self) -> None:
        unknown = sorted(set(self.held_out) - set(KINDS))
        if unknown:
            raise ConfigError(f"held_out has {unknown[0]!r}: choose of {', '.join(KINDS)}")
        if not any(kind.opinions for name, kind in KINDS.items() if name not in self.held_out):
            raise ConfigError("held_out leaves no kind of distortion whose severity is known")
        if self.stored and not self.copies and any(phase.twins for phase in self.phases):
            raise ConfigError("copies is 0, and stored crops have no others: set it to 1 or more")
        if self.stored and any(phase.crops > 1 for phase in self.phases):
            raise ConfigError("stored crops are one of each image: set the crops of phases to 1")


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
