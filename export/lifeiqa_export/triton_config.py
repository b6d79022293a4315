"""The text of a ``config.pbtxt``: what Triton Inference Server has to know of a model file.

The fields are those of the message ``ModelConfig`` in Triton's ``model_config.proto``; what may go
together is stated in its ``model_configuration.md`` and checked when it loads a model.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lifeiqa.artifacts.engine_info import BatchProfile, EngineInfo
from lifeiqa.artifacts.manifest import Manifest
from lifeiqa.errors import ConfigError
from lifeiqa.runtimes.base import INPUT, OUTPUT

LARGEST, PREFERRED = 32, (8, 32)
"""Batch sizes of a graph that takes any: as large as a `Scorer` makes them."""
PROFILES = tuple(BatchProfile.parse(text) for text in ("1", "2:8:8", "9:32:32"))
"""Optimization profiles of an engine for Triton: the same optima, and no size is left out."""
_QUEUE_DELAY = 1000  # microseconds
_HEAD = """\
# Written by lifeiqa-export, and yours to tune: it is not written again when a version is added."""
_FIXED = """\
# The network takes batches of {0} alone: a request holds {0} crops, and none are put together."""
_CUDA = """\
# TF32 would round the router's products, and that can change an expert.
optimization {
  execution_accelerators {
    gpu_execution_accelerator { name: "cuda" parameters { key: "use_tf32" value: "0" } }
  }
}
# Batches of every size come: a search among all algorithms for each new one would stall them.
parameters { key: "cudnn_conv_algo_search" value { string_value: "1" } }"""


@dataclass(frozen=True)
class _Batches:
    """What a model file takes: ``fixed`` crops alone, or any number up to ``largest``."""

    fixed: int | None
    largest: int = 0
    preferred: tuple[int, ...] = ()


def config_text(manifest: Manifest, name: str) -> str:
    """The configuration of a model in Triton.

    A graph or engine with an open batch takes crops of any request together: Triton puts the batch
    before ``dims``, so that ``crops`` is uint8 ``(n, S, S, 3)`` and ``score`` is float32
    ``(n, 1)``, of which the reshape makes the ``(n,)`` of the graph. One with a fixed batch of N
    takes requests of ``(N, S, S, 3)`` and gives ``(N,)``.

    Preprocessing and labels stand among the parameters as JSON, for a client that sees the server
    alone.

    Args:
        manifest: of an ONNX file or a TensorRT engine.
        name: of the model in Triton.

    Raises:
        ConfigError: the engine leaves batch sizes out that Triton would form.
    """
    batches = _batches_of(manifest)
    size = manifest.config.crop_size
    crop = (size, size, 3)
    parts = [_HEAD, _backend(manifest, name, batches)]
    if batches.fixed is None:
        parts.append(_tensors(crop, "dims: [ 1 ] reshape { shape: [ ] }"))
        if batches.largest > 1:
            parts.append(_batching(batches.preferred))
        sizes = sorted({1, *batches.preferred})
        parts += [_warmup(f"batch of {batch}", batch, crop) for batch in sizes]
    else:
        fixed = batches.fixed
        parts += [_FIXED.format(fixed), _tensors((fixed, *crop), f"dims: [ {fixed} ]")]
        parts.append(_warmup(f"batch of {fixed}", 1, (fixed, *crop)))
    if manifest.engine is None:
        parts += ["instance_group { kind: KIND_AUTO count: 1 }", _CUDA]
    else:
        parts.append(_instances(manifest.engine))
    parts.append(_parameter("lifeiqa_preprocessing", manifest.preprocessing))
    parts.append(_parameter("lifeiqa_labels", manifest.labels))
    return "\n".join(parts) + "\n"


def _batches_of(manifest: Manifest) -> _Batches:
    if manifest.engine is None:
        if manifest.batch is not None:
            return _Batches(manifest.batch)
        return _Batches(None, LARGEST, PREFERRED)
    size = manifest.engine.tensors[0].shape[0]
    if size != -1:
        return _Batches(size)
    profiles = manifest.engine.profiles
    _require_every_size(profiles)
    largest = max(profile.maximum for profile in profiles)
    optima = sorted({profile.optimum for profile in profiles} - {1})
    return _Batches(None, largest, tuple(optima))


def _require_every_size(profiles: Sequence[BatchProfile]) -> None:
    reached = 0
    for profile in sorted(profiles, key=lambda each: each.minimum):
        if profile.minimum > reached + 1:
            break
        reached = max(reached, profile.maximum)
    else:
        return
    raise ConfigError(
        f"the engine takes batches of {', '.join(map(str, profiles))}, and Triton forms every size "
        f"up to the largest: {reached + 1} is left out. Build it again with lifeiqa-engine build "
        f"--batch {','.join(map(str, PROFILES))}, or for one size alone with --static"
    )


def _backend(manifest: Manifest, name: str, batches: _Batches) -> str:
    backend = "onnxruntime" if manifest.engine is None else "tensorrt"
    return f"name: {_quoted(name)}\nbackend: {_quoted(backend)}\nmax_batch_size: {batches.largest}"


def _tensors(crops: tuple[int, ...], score: str) -> str:
    return (
        f'input {{ name: "{INPUT}" data_type: TYPE_UINT8 dims: {_list(crops)} }}\n'
        f'output {{ name: "{OUTPUT}" data_type: TYPE_FP32 {score} }}'
    )


def _batching(preferred: tuple[int, ...]) -> str:
    return (
        f"dynamic_batching {{\n"
        f"  preferred_batch_size: {_list(preferred)}\n"
        f"  max_queue_delay_microseconds: {_QUEUE_DELAY}\n"
        f"}}"
    )


def _warmup(sample: str, batch: int, dims: tuple[int, ...]) -> str:
    """What Triton runs before it says that it is ready; without batching its batch size is 1."""
    return (
        f"model_warmup {{\n"
        f"  name: {_quoted(sample)}\n"
        f"  batch_size: {batch}\n"
        f'  inputs {{ key: "{INPUT}" value '
        f"{{ data_type: TYPE_UINT8 dims: {_list(dims)} random_data: true }} }}\n"
        f"}}"
    )


def _instances(engine: EngineInfo) -> str:
    """One instance a GPU. Triton takes the first profile alone where none are named."""
    group = "kind: KIND_GPU count: 1"
    if len(engine.profiles) > 1:
        numbers = ", ".join(_quoted(str(number)) for number in range(len(engine.profiles)))
        group += f" profile: [ {numbers} ]"
    return f"instance_group {{ {group} }}"


def _parameter(key: str, settings: Any) -> str:
    value = json.dumps(dataclasses.asdict(settings), ensure_ascii=False)
    # In single quotes the quotes of JSON stay as they are, and people can read it.
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"parameters {{ key: {_quoted(key)} value {{ string_value: '{escaped}' }} }}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _list(numbers: Sequence[int]) -> str:
    return f"[ {', '.join(map(str, numbers))} ]"
