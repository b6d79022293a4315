"""A manifest as text for people."""

from __future__ import annotations

from typing import Any

from lifeiqa.artifacts.engine_info import EngineInfo
from lifeiqa.artifacts.manifest import Manifest


def describe(manifest: Manifest) -> str:
    """A manifest as lines of text; what a terminal could not print stands as its escape."""
    config, labels, feed = manifest.config, manifest.labels, manifest.preprocessing
    scale = "own size" if feed.short_side is None else f"short side at most {feed.short_side}"
    head = {
        "moe": f"{config.top_k} of {config.experts} experts",
        "ffn": "feed-forward head",
        "none": "linear head",
    }[config.head]
    unverified = "" if manifest.verified else ", not verified"
    lines = {
        "model": f"{manifest.name} ({manifest.kind}, {manifest.precision}){unverified}",
        "sha256": manifest.sha256 if len(manifest.files) < 2 else None,
        "network": f"{config.variant}, {config.backbone_name}, {config.queries} queries of "
        f"{config.dim}, depth {config.depth}, {head}",
        "input": f"uint8 ({manifest.batch or 'batch'}, {config.crop_size}, {config.crop_size}, 3)",
        "engine": manifest.engine and _describe_engine(manifest.engine),
        "images": f"{scale}, {feed.resample}, crops {feed.crops}",
        "score": f"{labels.low:g}..{labels.high:g}, {labels.direction} is better; {labels.dataset}",
        "int8": manifest.quantisation and _describe_quantisation(manifest.quantisation),
        "opset": manifest.opset,
        "tools": ", ".join(f"{name} {version}" for name, version in manifest.tools.items()),
    }
    text = [f"{name:9} {value}" for name, value in lines.items() if value]
    if len(manifest.files) > 1:
        text += [f"{'file':9} {name} {digest}" for name, digest in manifest.files.items()]
    text += [f"{'parent':9} {parent.file} {parent.sha256}" for parent in manifest.parents]
    for link in manifest.parity:
        name, drift, srocc = (link.get(key) for key in ("name", "max_drift", "srocc"))
        text.append(f"{'parity':9} {name}: drift {drift}, SROCC {srocc}")
    return "\n".join(map(_printable, text))


def _printable(line: str) -> str:
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in line
    )


def _describe_engine(engine: EngineInfo) -> str:
    batches = ", ".join(map(str, engine.profiles))
    types = ", ".join(f"{count} {name}" for name, count in engine.arithmetic.items())
    built = f"{engine.runtime} {engine.version}, {engine.target}, batch {batches}; tensors: {types}"
    return built + (f"; built on {engine.gpu}, driver {engine.driver}" if engine.gpu else "")


def _describe_quantisation(found: dict[str, Any]) -> str:
    kept, calibrated = found.get("kept", ()), found.get("calibration", {})
    if not isinstance(kept, list | tuple) or not isinstance(calibrated, dict):
        return "by a recipe that is not understood"
    return (
        f"{found.get('layers')} layers, {len(kept) or 'none'} kept in FP32; calibrated on "
        f"{calibrated.get('crops')} crops of {calibrated.get('images')} images"
    )
