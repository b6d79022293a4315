"""Feature stages of a timm backbone, numbered as in the paper."""

from __future__ import annotations

from typing import Any

import timm
import torch
from torch import Tensor, nn

from lifeiqa.config import ModelConfig
from lifeiqa.errors import ConfigError


class Backbone(nn.Module):
    """The stages of a timm network that the configuration asks for.

    Stages are numbered by depth: stage 1 is the first at stride 4, so that stage 4 has stride 32
    as in the paper; a stem that is returned at stride 2 is stage 0. A backbone whose features all
    share one stride (a plain ViT) counts them 1, 2, ... in order. Layers behind the deepest stage
    asked for are not built, except in timm's EfficientNet and MobileNet families.

    Args:
        config: names the backbone, the crop size and the two stages.

    Raises:
        ConfigError: timm has no such backbone, or the backbone has fewer than two feature stages,
            lacks one of the stages, or cannot take the crop size.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        names = _stage_positions(config.backbone_name)
        wanted = [config.query_stage]
        if config.memory_stage is not None:
            wanted.append(config.memory_stage)
        for stage in wanted:
            if stage not in names:
                raise ConfigError(
                    f"backbone {config.backbone_name} has no stage {stage}: "
                    f"it has stages {', '.join(map(str, names))}"
                )
        self.positions = sorted({names[stage] for stage in wanted})
        self.resized = _needs_resizing(config.backbone_name, config.crop_size)
        options = {"img_size": config.crop_size} if self.resized else {}
        self.features = _create(config.backbone_name, out_indices=self.positions, **options)
        self._picks = [self.positions.index(names[stage]) for stage in wanted]
        self._channels_last = str(getattr(self.features, "output_fmt", "NCHW")).endswith("NHWC")
        pretrained: dict[str, Any] = self.features.pretrained_cfg
        self.mean: tuple[float, float, float] = tuple(pretrained["mean"])
        self.std: tuple[float, float, float] = tuple(pretrained["std"])

    def forward(self, images: Tensor) -> list[Tensor]:
        """Normalised ``(B, 3, S, S)`` -> one ``(B, C, H, W)`` map per stage asked for."""
        maps = self.features(images)
        if self._channels_last:
            maps = [m.permute(0, 3, 1, 2) for m in maps]  # (B, H, W, C) -> (B, C, H, W)
        return [maps[pick] for pick in self._picks]

    def shapes(self, crop_size: int) -> list[tuple[int, int, int]]:
        """``(C, H, W)`` of each stage asked for, found by running one black crop."""
        training = self.training
        self.eval()  # a training pass would move the statistics of batch normalisation
        with torch.no_grad():
            maps = self(torch.zeros(1, 3, crop_size, crop_size))
        self.train(training)
        return [(m.shape[1], m.shape[2], m.shape[3]) for m in maps]


def stages_of(name: str) -> list[int]:
    """The stage numbers of a timm backbone.

    Raises:
        ConfigError: timm has no such backbone, or it has fewer than two stages.
    """
    return list(_stage_positions(name))


def _stage_positions(name: str) -> dict[int, int]:
    """Stage number -> index in timm's feature list."""
    with torch.device("meta"):
        reductions: list[int] = _create(name).feature_info.reduction()
    if len(reductions) < 2:
        raise ConfigError(f"backbone {name} has {len(reductions)} feature stage: two are needed")
    first = 0 if reductions[0] == 2 else 1
    return {first + index: index for index in range(len(reductions))}


def _needs_resizing(name: str, crop_size: int) -> bool:
    """Whether a backbone with a fixed input size must be built for another size."""
    native = timm.get_pretrained_cfg(name)
    if native is None or not native.fixed_input_size:
        return False
    return tuple(native.input_size[1:]) != (crop_size, crop_size)


def _create(name: str, **options: Any) -> Any:
    if not timm.is_model(name):
        raise ConfigError(f"backbone {name!r}: timm {timm.__version__} has no model of that name")
    try:
        return timm.create_model(name, pretrained=False, features_only=True, **options)
    except (RuntimeError, AttributeError, TypeError, AssertionError, ValueError) as error:
        raise ConfigError(f"backbone {name} cannot return feature stages: {error}") from error
