"""One matrix: every kind of network, along every link of the chain, at several batch sizes.

A later link (INT8, an engine) is one more entry of `LINKS`.
"""

import dataclasses
import itertools
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import onnx
import pytest
import torch

from helpers.exports import exported_graph
from helpers.runtimes import ONNX_ON_CPU, open_on_cpu
from helpers.tiny_network import ABLATIONS, liven, tiny_manifest, tiny_model
from lifeiqa.data.images import parity_crops
from lifeiqa.model.checkpoint import load_checkpoint
from lifeiqa.model.network import ScoringModel
from lifeiqa.parity.observe import Observation, observe
from lifeiqa.parity.report import TOLERANCES, link
from lifeiqa.runtimes.onnxruntime.session import OnnxRuntimeSession
from lifeiqa.runtimes.pytorch.session import PyTorchSession
from lifeiqa.weights import bundled
from lifeiqa_export.dense import densify
from lifeiqa_export.graph import set_metadata
from lifeiqa_export.half import to_half
from lifeiqa_export.photographs import photographs

BUNDLED = {"bundled": 5, "bundled-all-crops": 1}
"""The bundled network, on every fifth crop and on all: it takes much longer than a tiny one."""
BATCHES = (1, 3, 24)
# link -> parent, child, key of its tolerance
LINKS = {
    "sparse to dense": ("sparse", "dense", "dense"),
    "dense to PyTorch FP16": ("dense", "pytorch-fp16", "fp16"),
    "FP32 to FP16, rounded": ("onnxruntime-fp32", "rounded-fp16", "fp16"),
}
RUN = ["sparse", "dense"]
for name in ONNX_ON_CPU:
    LINKS[f"dense to {name} FP32"] = ("dense", f"{name}-fp32", "fp32")
    LINKS[f"{name} FP32 to FP16, as run"] = (f"{name}-fp32", f"{name}-fp16", "fp16")
    RUN += [f"{name}-fp32", f"{name}-fp16"]


class Forms:
    """Every form of one network, and what each gives for the parity crops.

    A form is opened when it is first asked for, run over everything that the tests look at, and
    closed: what runtimes keep for a large batch is gigabytes if all of them are open.
    """

    def __init__(self, model, manifest, crops, folder):
        self.crops = crops
        dense = densify(model)
        half, halved = to_half(dense), dataclasses.replace(manifest, precision="fp16")
        files = {
            "fp32": written(dense, manifest, folder / "fp32.onnx"),
            "fp16": written(half, halved, folder / "fp16.onnx"),
        }
        self.openers = {
            "sparse": partial(PyTorchSession, model, manifest),
            "dense": partial(PyTorchSession, dense, manifest),
            "pytorch-fp16": partial(PyTorchSession, half, halved),
            "rounded-fp16": partial(
                OnnxRuntimeSession, files["fp16"], device="cpu", threads=1, rounding=True
            ),
        }
        for name, (precision, path) in itertools.product(ONNX_ON_CPU, files.items()):
            opener = partial(open_on_cpu, path, name, threads=1, verify=False)
            self.openers[f"{name}-{precision}"] = opener
        self.found = {}

    def of(self, name):
        if name not in self.found:
            crops = self.crops[:4]
            others = np.concatenate([crops[:1], 255 - crops[1:]])
            with self.openers[name]() as session:
                observed = {batch: observe(session, self.crops, batch=batch) for batch in BATCHES}
                among = [session.run(each)[0] for each in (crops, others)]
            self.found[name] = Found(observed, among)
        return self.found[name]


class Found(NamedTuple):
    """What a form gives: for each batch size, and for one crop among two sets of neighbours."""

    observed: dict[int, Observation]
    among: list[float]


def written(model, manifest, path):
    proto = exported_graph(model)
    set_metadata(proto, dataclasses.replace(manifest, kind="onnx"))
    onnx.save(proto, path)
    return path


def parity_crops_of(manifest):
    return crops_of(manifest.preprocessing, manifest.config.crop_size)


@lru_cache(maxsize=1)
def crops_of(preprocessing, size):
    return parity_crops(photographs(), preprocessing, size, distort=True)


@pytest.fixture(
    scope="module",
    params=["bundled", pytest.param("bundled-all-crops", marks=pytest.mark.long), *ABLATIONS],
)
def forms(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    if request.param in BUNDLED:
        network, manifest = load_checkpoint(bundled(suffix=".safetensors"))
        model = ScoringModel(network, manifest.preprocessing, manifest.labels).eval()
    else:
        torch.manual_seed(1)
        model = tiny_model(**ABLATIONS[request.param])
        manifest = tiny_manifest(model)
        liven(model, parity_crops_of(manifest))
    crops = parity_crops_of(manifest)[:: BUNDLED.get(request.param, 1)]
    return Forms(model, manifest, crops, folder)


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("name", LINKS)
def test_link_is_within_its_tolerance(forms, name, batch):
    parent, child, tolerance = LINKS[name]
    before, after = (forms.of(form).observed[batch] for form in (parent, child))
    measured = link(name, before, after, TOLERANCES[tolerance])
    assert measured.failures == [], measured


@pytest.mark.parametrize("name", RUN)
def test_a_score_does_not_depend_on_its_batch(forms, name):
    alone, *together = (forms.of(name).observed[batch].scores for batch in BATCHES)
    # The kernels of another batch size add up in another order; nothing else may differ.
    bound = 1e-5 if "fp16" not in name else 1e-4
    for scores in together:
        assert np.abs(alone - scores).max() <= bound


@pytest.mark.parametrize("name", RUN)
def test_a_score_does_not_depend_on_its_neighbours(forms, name):
    score, other = forms.of(name).among
    assert score == pytest.approx(other, abs=1e-6)
