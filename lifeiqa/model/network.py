"""Life-IQA: backbone, layer interaction, experts, score."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from lifeiqa.config import Labels, ModelConfig, Preprocessing
from lifeiqa.model.backbone import Backbone
from lifeiqa.model.decoder import Decoder, PartitionPool
from lifeiqa.model.moe import Routing, ScoreHead


class Features(NamedTuple):
    """The decoder's input for a batch of crops; 12 KB a crop for EfficientNet-Lite0 in float16.

    Attributes:
        query: ``(B, C_q)`` global average of the query stage.
        memory: ``(B, grid * grid, C_m)`` cell averages of the attended stage, or None.
    """

    query: Tensor
    memory: Tensor | None


class Prediction(NamedTuple):
    """The network's output for a batch of crops.

    Attributes:
        score: ``(B,)`` the score, the mean of the token scores.
        token_scores: ``(B, N)`` one score for each query token.
        routing: the router's inputs and decisions; None for a head without experts.
    """

    score: Tensor
    token_scores: Tensor
    routing: Routing | None


class LifeIQA(nn.Module):
    """The network of one `ModelConfig`, with random weights.

    Takes normalised images ``(B, 3, S, S)`` and gives a `Prediction`.

    Raises:
        ConfigError: the backbone lacks a stage, or the grid exceeds the attended feature map.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.backbone = Backbone(config)
        shapes = self.backbone.shapes(config.crop_size)
        query_channels = shapes[0][0]
        memory_channels = None
        self.pool: PartitionPool | None = None
        if config.memory_stage is not None:
            memory_channels, height, width = shapes[1]
            self.pool = PartitionPool(config.memory_grid, height, width)
        self.decoder = Decoder(config, query_channels, memory_channels)
        self.head = ScoreHead(config)

    @property
    def dtype(self) -> torch.dtype:
        """The arithmetic of the network, apart from the router and the last product."""
        return self.decoder.queries.dtype

    def extract(self, images: Tensor) -> Features:
        """``(B, 3, S, S)`` normalised images -> pooled features. Frozen backbones cache these."""
        maps = self.backbone(images)
        query = maps[0].mean((2, 3))  # (B, C, H, W) -> (B, C)
        memory = self.pool(maps[1]) if self.pool is not None else None  # (B, M, C)
        return Features(query, memory)

    def decode(self, features: Features) -> Prediction:
        """Pooled features -> scores."""
        tokens = self.decoder(features.query, features.memory)  # (B, N, D)
        token_scores, routing = self.head(tokens)  # (B, N)
        return Prediction(token_scores.mean(1), token_scores, routing)

    def forward(self, images: Tensor) -> Prediction:
        return self.decode(self.extract(images))


class ScoringModel(nn.Module):
    """uint8 crops ``(B, S, S, 3)`` -> scores in label units: the module that is exported and run.

    Args:
        network: the reference network, or one derived from it.
        preprocessing: holds mean and standard deviation of the input.
        labels: holds the range that the score is in.
    """

    input_scale: Tensor
    input_bias: Tensor

    def __init__(self, network: LifeIQA, preprocessing: Preprocessing, labels: Labels) -> None:
        super().__init__()
        self.network = network
        mean, std = torch.tensor(preprocessing.mean), torch.tensor(preprocessing.std)
        self.register_buffer("input_scale", (1 / (255 * std)).view(3, 1, 1), persistent=False)
        self.register_buffer("input_bias", (-mean / std).view(3, 1, 1), persistent=False)
        self.scale, self.offset = labels.scale_and_offset

    def normalise(self, crops: Tensor) -> Tensor:
        """uint8 ``(B, S, S, 3)`` -> ``(B, 3, S, S)`` in the network's arithmetic."""
        # The cast comes first: TensorRT cannot transpose uint8.
        images = crops.float().permute(0, 3, 1, 2)
        return (images * self.input_scale + self.input_bias).to(self.network.dtype)

    def forward(self, crops: Tensor) -> Prediction:
        score, token_scores, routing = self.network(self.normalise(crops))
        return Prediction(
            score * self.scale + self.offset,  # float32 whatever the network's arithmetic
            token_scores * self.scale + self.offset,
            routing,
        )
