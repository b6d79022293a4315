"""Why a network gave its score: attention, token scores and experts (Fig. 9)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from lifeiqa.config import Preprocessing
from lifeiqa.errors import ConfigError
from lifeiqa.model.checkpoint import load_checkpoint
from lifeiqa.model.decoder import Attention, DecoderLayer
from lifeiqa.model.network import ScoringModel
from lifeiqa.preprocess.crops import CropPlan, at_working_scale, crops_at, with_plan
from lifeiqa.preprocess.decode import ImageSource, Pixels, decode

Floats = npt.NDArray[np.float32]
_BATCH = 32


@dataclass(frozen=True, eq=False)
class Explanation:
    """What a network saw in an image, crop by crop and query token by query token.

    n crops of side S, N query tokens, E experts, G x G cells that the queries attend to.

    Attributes:
        image: uint8 ``(H, W, 3)`` at the working scale, where the crops were cut.
        windows: ``(top, left)`` of each crop in ``image``, pixels.
        crop_size: side S of a crop, pixels.
        scores: ``(n,)`` score of each crop, in label units.
        token_scores: ``(n, N)`` in label units; their mean over N is the score of the crop.
        attention: ``(n, layers, heads, N, G, G)`` cross-attention weights, which sum to 1 over
            the cells; None for a network without cross-attention.
        edges: G + 1 bounds of the cells along one side of a crop, pixels; empty without attention.
        probabilities: ``(n, N, E)`` softmax of the router over all experts, equation (13); None
            for a network without experts.
        mask: ``(n, N, E)`` bool, the experts that each token used, equation (8); likewise.
    """

    image: Pixels
    windows: tuple[tuple[int, int], ...]
    crop_size: int
    scores: Floats
    token_scores: Floats
    attention: Floats | None
    edges: tuple[float, ...]
    probabilities: Floats | None
    mask: npt.NDArray[np.bool_] | None

    @property
    def score(self) -> float:
        """The score of the image, as `lifeiqa.Scorer` gives it."""
        return float(self.scores.mean(dtype=np.float64))

    @property
    def weights(self) -> Floats | None:
        """``(n, N, E)`` weight of each expert in each token, equation (12); 0 if not chosen."""
        if self.probabilities is None or self.mask is None:
            return None
        chosen = self.probabilities * self.mask
        weights: Floats = chosen / chosen.sum(-1, keepdims=True)
        return weights

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; attention is the mean over the heads."""
        attention, weights = self.attention, self.weights
        return {
            "score": self.score,
            "size": self.image.shape[:2],
            "crop_size": self.crop_size,
            "cell_edges": self.edges,
            "crops": [
                {
                    "top": top,
                    "left": left,
                    "score": float(self.scores[crop]),
                    "token_scores": self.token_scores[crop].tolist(),
                    "expert_weights": None if weights is None else weights[crop].tolist(),
                    "attention": None if attention is None else attention[crop].mean(1).tolist(),
                }
                for crop, (top, left) in enumerate(self.windows)
            ],
        }


def explain_file(checkpoint: Path, image: ImageSource, *, crops: str | None = None) -> Explanation:
    """Explain an image by the network of a checkpoint, see `explain`.

    Args:
        checkpoint: a ``.safetensors`` file.
        image: a path, the bytes of a file, a Pillow image, or uint8 RGB ``(H, W, 3)``.
        crops: a crop plan in place of the model's own.

    Raises:
        ArtifactError: it cannot be read.
        ConfigError: it is an ONNX file, or the crop plan cannot be read.
        ImageError: the image cannot be decoded or cropped.
    """
    if checkpoint.suffix == ".onnx":
        raise ConfigError(
            f"{checkpoint}: an ONNX graph does not output its attention. "
            f"Give the .safetensors checkpoint it was exported from"
        )
    network, manifest = load_checkpoint(checkpoint)
    model = ScoringModel(network, manifest.preprocessing, manifest.labels)
    return explain(model, decode(image), with_plan(manifest.preprocessing, crops))


@torch.inference_mode()
def explain(model: ScoringModel, pixels: Pixels, preprocessing: Preprocessing) -> Explanation:
    """Score the crops of an image and record attention, token scores and routing.

    Args:
        model: sparse or dense, in evaluation mode; it is not changed.
        pixels: RGB uint8 ``(H, W, 3)``.
        preprocessing: working scale, kernel and crop plan.

    Raises:
        ConfigError: the network has neither cross-attention nor experts.
        ImageError: the image is too thin to be cropped.
    """
    network = model.network
    size = network.config.crop_size
    image = at_working_scale(pixels, preprocessing, size)
    height, width = image.shape[:2]
    windows = CropPlan.parse(preprocessing.crops).windows(height, width, size)
    crops = crops_at(windows, image, size)
    if not _attentions(model) and network.head.router is None:
        raise ConfigError(
            "the network has neither cross-attention nor experts, so there is nothing to explain: "
            "choose a model with a memory_stage or with head 'moe'"
        )
    batches = torch.split(torch.from_numpy(crops), _BATCH)
    observed = [_observe(model, batch) for batch in batches]
    scores, token_scores, attention, probabilities, mask = map(_joined, zip(*observed, strict=True))
    edges: tuple[float, ...] = ()
    if attention is not None and network.pool is not None:
        grid, cells = network.pool.rows.shape  # the attended map has as many columns as rows
        attention = attention.reshape(*attention.shape[:-1], grid, grid)
        edges = tuple(cell * cells // grid * size / cells for cell in range(grid + 1))
    return Explanation(
        image=image,
        windows=tuple(windows),
        crop_size=size,
        scores=scores,
        token_scores=token_scores,
        attention=attention,
        edges=edges,
        probabilities=probabilities,
        mask=mask,
    )


def _observe(model: ScoringModel, crops: Tensor) -> tuple[Tensor | None, ...]:
    """Scores, token scores, attention ``(B, layers, heads, N, M)``, probabilities and mask."""
    attentions = _attentions(model)
    with _inputs_of(attentions) as inputs:
        score, token_scores, routing = model(crops.to(model.input_scale.device))
    weights = [
        attention.weights(*given)  # (B, heads, N, M)
        for attention, given in zip(attentions, inputs, strict=True)
    ]
    return (
        score,
        token_scores,
        torch.stack(weights, 1) if weights else None,  # (B, layers, heads, N, M)
        None if routing is None else routing.logits.softmax(-1),
        None if routing is None else routing.mask,
    )


def _attentions(model: ScoringModel) -> list[Attention]:
    """The cross-attention of each decoder layer; self-attention does not count."""
    layers = model.network.decoder.layers
    found = (layer.attention for layer in layers if isinstance(layer, DecoderLayer))
    return [attention for attention in found if attention is not None]


@contextmanager
def _inputs_of(modules: Sequence[nn.Module]) -> Iterator[list[tuple[Tensor, ...]]]:
    """The inputs of each module in a forward pass within the block, in execution order."""
    inputs: list[tuple[Tensor, ...]] = []
    hooks = [
        module.register_forward_pre_hook(lambda _, given: inputs.append(given))
        for module in modules
    ]
    try:
        yield inputs
    finally:
        for hook in hooks:
            hook.remove()


def _joined(batches: Sequence[Tensor | None]) -> Any:
    """One array from the batches of a tensor, or None where the network has no such thing."""
    present = [batch for batch in batches if batch is not None]
    return torch.cat(present).cpu().numpy() if present else None
