"""Frozen settings: the network, its preprocessing, and what its scores mean.

Only the standard library is used, so every stage of the toolkit can read these without torch.
"""

from __future__ import annotations

import dataclasses
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args

from lifeiqa.errors import ConfigError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Variant = Literal["paper", "official"]
Mixer = Literal["gcn", "attention", "none"]
Head = Literal["moe", "ffn", "none"]
Direction = Literal["higher", "lower"]
Resample = Literal["bilinear", "bicubic"]
Device = Literal["cuda", "cpu"]
"""Where a runtime computes, in order of preference."""
Precision = Literal["fp32", "fp16", "int8"]
"""Arithmetic of an ONNX graph: a property of the graph itself, never a switch of a runtime."""

BACKBONES = {
    "swin_tiny": "swin_tiny_patch4_window7_224.ms_in22k_ft_in1k",
    "swin_small": "swin_small_patch4_window7_224.ms_in22k_ft_in1k",
    "swin_base": "swin_base_patch4_window7_224.ms_in22k_ft_in1k",
    "lite0": "tf_efficientnet_lite0",
    "lite2": "tf_efficientnet_lite2",
}
"""Short names of the backbones used most; any other timm name works as well."""


MAX_CROP_SIZE = 2048
"""Pixels: far larger than any training crop, and a batch of crops still fits in memory."""
_MAX_COUNT = 65_536
"""Upper limit of any count in a network: a file with more was not made by training."""
_MAX_LABEL = 1e6
"""Largest absolute end of a label range: scores are float32 and have 7 digits."""
_STD = (1e-3, 1e3)
"""Standard deviations for which a normalised sample and its scale fit in float16."""


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """One Life-IQA network: the paper's defaults, an ablation, or the published code's variant.

    Stages are numbered as in the paper, by depth: stage 1 has stride 4, stage 4 stride 32. A
    backbone that also returns its stem at stride 2 has a stage 0.

    Attributes:
        variant: ``"paper"``, or ``"official"`` for the published code, which differs in its graph
            convolution, in the grid it attends to and in the bypass of the expert head.
        backbone: a key of `BACKBONES` or any timm model name.
        crop_size: side S of the square crops that the network takes, in pixels.
        query_stage: the stage whose global average guides the queries (equation 1).
        memory_stage: the stage that the queries attend to; None removes cross-attention
            (Table VI, "w/o stage3").
        grid: the attended stage is averaged over ``grid x grid`` cells. None means the variant's
            own: ``queries`` in the paper, 7 in the published code.
        mixer: how queries exchange information: graph convolution, multi-head self-attention
            (Table IV) or not at all (Table VI, "w/o GCN").
        head: mixture of experts, one feed-forward network (Table IV) or nothing (Table VI).
        queries: number N of query tokens.
        dim: token width D.
        heads: attention heads; D must be divisible by it.
        depth: decoder layers.
        experts: number E of experts.
        top_k: experts K that each token uses.
        expert_hidden: hidden width of an expert; None means 4 D.
        ffn_hidden: hidden width of the feed-forward head.
        dropout: probability after an expert's activation and before the score, in training.

    Raises:
        ConfigError: a value that cannot work; the message gives the values.
    """

    variant: Variant = "paper"
    backbone: str = "swin_base"
    crop_size: int = 224
    query_stage: int = 4
    memory_stage: int | None = 3
    grid: int | None = None
    mixer: Mixer = "gcn"
    head: Head = "moe"
    queries: int = 6
    dim: int = 384
    heads: int = 6
    depth: int = 4
    experts: int = 4
    top_k: int = 2
    expert_hidden: int | None = None
    ffn_hidden: int = 2048
    dropout: float = 0.1

    def __post_init__(self) -> None:
        for name, kind in (("variant", Variant), ("mixer", Mixer), ("head", Head)):
            require_choice(name, getattr(self, name), get_args(kind))
        if not self.backbone:
            raise ConfigError("backbone is empty: give a timm model name, for example swin_base")
        if not re.fullmatch(r"[\w.-]+", self.backbone):  # hf-hub: fetches, local-dir: reads
            raise ConfigError(f"backbone is {self.backbone!r}: expected a timm model name")
        for name in ("crop_size", "queries", "dim", "heads", "experts", "top_k", "ffn_hidden"):
            _require_integer(name, getattr(self, name), at_least=1)
        for name in ("grid", "expert_hidden"):
            if getattr(self, name) is not None:
                _require_integer(name, getattr(self, name), at_least=1)
        for name in ("query_stage", "depth"):
            _require_integer(name, getattr(self, name), at_least=0)
        if self.memory_stage is not None:
            _require_integer("memory_stage", self.memory_stage, at_least=0)
        if self.crop_size > MAX_CROP_SIZE:
            raise ConfigError(f"crop_size is {self.crop_size}: expected at most {MAX_CROP_SIZE}")
        if not 0 <= self.dropout < 1:
            raise ConfigError(f"dropout is {self.dropout}: expected a probability in [0, 1)")
        if self.dim % self.heads:
            raise ConfigError(
                f"dim {self.dim} is not divisible by heads {self.heads}: "
                f"each head takes dim / heads channels"
            )
        if self.variant == "official" and self.mixer == "gcn" and self.dim % 4:
            raise ConfigError(
                f"dim {self.dim} is not divisible by 4: the published graph convolution "
                f"narrows to dim / 2 and dim / 4 channels"
            )
        if self.top_k > self.experts:
            raise ConfigError(
                f"top_k {self.top_k} exceeds experts {self.experts}: "
                f"a token cannot use more experts than there are"
            )
        if self.memory_stage is None and self.mixer == "none" and self.depth > 0:
            raise ConfigError(
                f"depth {self.depth} with mixer 'none' and memory_stage None: the decoder's "
                f"layers would be empty. Set depth to 0 for a linear probe of one stage"
            )

    @property
    def backbone_name(self) -> str:
        """The timm name that `backbone` stands for."""
        return BACKBONES.get(self.backbone, self.backbone)

    @property
    def memory_grid(self) -> int:
        """Cells along one side of the grid that the queries attend to."""
        if self.grid is not None:
            return self.grid
        return self.queries if self.variant == "paper" else 7

    @property
    def hidden(self) -> int:
        """Hidden width of one expert."""
        return 4 * self.dim if self.expert_hidden is None else self.expert_hidden

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ModelConfig:
        """The inverse of `to_dict`. Unknown names are refused, missing ones take defaults."""
        return settings_from_dict(cls, values)


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """How a decoded image becomes network input.

    Attributes:
        mean: per-channel mean of the RGB input, in units of 0..1.
        std: per-channel standard deviation, in units of 0..1.
        short_side: the working scale: an image whose shorter side exceeds it is reduced to it,
            in pixels. None keeps every image at its own size.
        crops: the crop plan, see `lifeiqa.preprocess.crops.CropPlan`.
        resample: kernel of the two one-axis resizing passes.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    short_side: int | None = None
    crops: str = "five"
    resample: Resample = "bicubic"

    def __post_init__(self) -> None:
        for name in ("mean", "std"):
            values = tuple(float(value) for value in getattr(self, name))
            if len(values) != 3 or not all(math.isfinite(value) for value in values):
                raise ConfigError(f"{name} is {values}: expected three finite numbers")
            object.__setattr__(self, name, values)
        if min(self.std) <= 0:
            raise ConfigError(f"std is {self.std}: every channel must be positive")
        if not all(0 <= value <= 1 for value in self.mean):
            raise ConfigError(f"mean is {self.mean}: expected values in 0..1, as samples are")
        smallest, largest = _STD
        if not all(smallest <= value <= largest for value in self.std):
            raise ConfigError(
                f"std is {self.std}: expected values from {smallest:g} to {largest:g}"
            )
        if self.short_side is not None:
            _require_integer("short_side", self.short_side, at_least=1)
        _require_text("crops", self.crops)
        require_choice("resample", self.resample, get_args(Resample))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Preprocessing:
        """The inverse of `dataclasses.asdict`; unknown names are refused."""
        return settings_from_dict(cls, values)


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What a score means.

    Attributes:
        dataset: the data set whose human scores were learned.
        low: smallest value of its scale.
        high: largest value of its scale.
        direction: ``"higher"`` when a higher score is a better image, as for MOS.
        normalised: whether the network itself gives 0..1 of the range, to be stretched to
            ``low..high``; otherwise it gives units of the range as they are.
    """

    dataset: str
    low: float
    high: float
    direction: Direction = "higher"
    normalised: bool = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise ConfigError(f"label range {self.low}..{self.high}: low must be below high")
        if max(abs(self.low), abs(self.high)) > _MAX_LABEL or self.span * _MAX_LABEL < 1:
            raise ConfigError(
                f"label range {self.low}..{self.high}: expected ends within +-{_MAX_LABEL:g}, "
                f"at least {1 / _MAX_LABEL:g} apart"
            )
        require_choice("direction", self.direction, get_args(Direction))
        _require_text("dataset", self.dataset)
        if not isinstance(self.normalised, bool):
            raise ConfigError(f"normalised is {self.normalised!r}: expected true or false")

    @property
    def span(self) -> float:
        """Width of the label range; drift is reported as a share of it."""
        return self.high - self.low

    @property
    def scale_and_offset(self) -> tuple[float, float]:
        """``(scale, offset)``: score in label units = network output * scale + offset."""
        return (self.span, self.low) if self.normalised else (1.0, 0.0)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Labels:
        """The inverse of `dataclasses.asdict`; unknown names are refused."""
        return settings_from_dict(cls, values)


_Settings = TypeVar("_Settings", bound="DataclassInstance")


def settings_from_dict(cls: type[_Settings], values: dict[str, Any]) -> _Settings:
    """A frozen dataclass from plain values; unknown names are refused, missing ones take defaults.

    Raises:
        ConfigError: a name is unknown, or a value is refused by the class itself.
    """
    known = {field.name for field in dataclasses.fields(cls)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise ConfigError(
            f"{cls.__name__} has no {', '.join(unknown)}; it has {', '.join(sorted(known))}. "
            f"If a newer lifeiqa wrote the file, read it with that version"
        )
    try:
        return cls(**values)
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(f"{cls.__name__} cannot be read: {error}") from None


def require_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuse a value that is not one of the choices; the message names the setting."""
    if value not in choices:
        raise ConfigError(f"{name} is {value!r}: choose one of {', '.join(choices)}")


def _require_integer(name: str, value: object, *, at_least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < at_least:
        raise ConfigError(f"{name} is {value!r}: expected an integer of at least {at_least}")
    if value > _MAX_COUNT:
        raise ConfigError(f"{name} is {value}: expected an integer of at most {_MAX_COUNT}")


def _require_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise ConfigError(f"{name} is {value!r}: expected text")
