"""INT8: what is quantised and how, that the router is not, and what it costs the bundled model."""

import csv
import dataclasses
import os
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from onnx import numpy_helper
from PIL import Image

from helpers.exports import exported_graph
from helpers.tiny_network import liven, random_crops, tiny_manifest, tiny_model, tiny_preprocessing
from lifeiqa.artifacts.manifest import METADATA_KEY, Manifest, read_manifest
from lifeiqa.artifacts.summary import describe
from lifeiqa.data.table import read_table
from lifeiqa.errors import ConfigError, DatasetError, ExportError, ParityError
from lifeiqa.metrics import srocc
from lifeiqa.model.checkpoint import load_checkpoint, save_checkpoint
from lifeiqa.model.network import ScoringModel
from lifeiqa.parity.report import TOLERANCES, Tolerance
from lifeiqa.runtimes import open_session
from lifeiqa.runtimes.onnxruntime.session import ROUTER_LOGITS, ROUTER_WEIGHT
from lifeiqa.runtimes.openvino.library import openvino_core
from lifeiqa.scorer import Scorer
from lifeiqa.weights import bundled
from lifeiqa_export.calibration import MAX_CROPS, MAX_IMAGES, calibration_from_folder, even_steps
from lifeiqa_export.cli import main
from lifeiqa_export.dense import densify
from lifeiqa_export.export import export_checkpoint
from lifeiqa_export.quantise import layers_of, quantised, ranges_of, scores_of
from lifeiqa_export.sensitivity import quantise

ROOT = Path(__file__).parents[2]
DATA = Path(os.environ.get("LIFEIQA_DATA", ROOT.parent / "shared" / "data")) / "biq2021"
# Crops of noise do not rank, and every score of theirs is as near to the next as INT8 moves it.
LOOSE = TOLERANCES | {"int8": Tolerance(1.0, srocc=-3.0, changed=1.0)}


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    model = tiny_model()
    liven(model, shaded(16, 112))
    return model


@pytest.fixture(scope="module")
def graph(model):
    return exported_graph(densify(model))


@pytest.fixture(scope="module")
def checkpoint(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    save_checkpoint(path, model.network, tiny_manifest(model))
    return path


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    for index, crop in enumerate(shaded(18, 150)):
        Image.fromarray(crop).save(folder / f"{index:02}.png")
    return folder


@pytest.fixture(scope="module")
def ranges(graph):
    return ranges_of(graph, shaded(16, 112))


@pytest.fixture(scope="module")
def whole(graph, ranges):
    return quantised(graph, ranges, layers_of(graph))


@pytest.fixture(scope="module")
def exported(checkpoint, images, tmp_path_factory):
    return export_int8(checkpoint, tmp_path_factory.mktemp("out"), images)


def shaded(count, size):
    """Crops of noise of different strength and brightness, so that scores differ."""
    noise = random_crops(count, size)
    return np.stack([crop // (1 + i % 5) + 8 * (i % 7) for i, crop in enumerate(noise)])


def export_int8(checkpoint, out, images, **changes):
    settings = {"images": images, "tolerances": LOOSE, **changes}
    return export_checkpoint(checkpoint, out, precision="int8", calibration=images, **settings)


def weights_of(proto):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}


def producers_of(proto):
    return {output: node for node in proto.graph.node for output in node.output}


def test_products_with_constant_matrices_are_quantised_and_nothing_else(graph):
    nodes = {node.name: node for node in graph.graph.node}
    weights = weights_of(graph)
    chosen = layers_of(graph)
    assert {nodes[name].op_type for name in chosen} == {"Conv", "MatMul", "Gemm"}
    assert all(nodes[name].input[1] in weights for name in chosen)
    left = {
        node.input[1]
        for node in graph.graph.node
        if node.op_type in ("Conv", "MatMul", "Gemm")
        and node.name not in chosen
        and node.input[1] in weights
    }
    assert any(name.endswith(ROUTER_WEIGHT) for name in left)
    assert any(name.endswith("body.up") for name in left)
    assert any(weights[name].shape[-1] == 1 for name in left)  # the last product


def test_each_weight_has_a_scale_for_each_output_channel(graph, whole):
    before, after = weights_of(graph), weights_of(whole)
    producers = producers_of(whole)
    nodes = {node.name: node for node in whole.graph.node}
    original = {node.name: node for node in graph.graph.node}
    for name in layers_of(graph):
        node = nodes[name]
        activation, weight = producers[node.input[0]], producers[node.input[1]]
        assert activation.op_type == weight.op_type == "DequantizeLinear"
        values, scale, zero = (after[value] for value in weight.input)
        assert values.dtype == np.int8
        assert not zero.any()
        assert after[activation.input[2]].dtype == np.uint8
        (axis,) = (a.i for a in weight.attribute if a.name == "axis")
        transposed = any(a.name == "transB" and a.i for a in node.attribute)
        assert axis == (0 if node.op_type == "Conv" or transposed else 1)
        assert scale.shape == (values.shape[axis],)
        exact = before[original[name].input[1]]
        broadcast = scale.reshape([-1 if d == axis else 1 for d in range(values.ndim)])
        assert np.abs(values * broadcast - exact).max() <= 0.5001 * scale.max()


def test_the_router_is_bit_for_bit_what_it_was(graph, whole):
    (name,) = (name for name in weights_of(graph) if name.endswith(ROUTER_WEIGHT))
    assert weights_of(whole)[name].tobytes() == weights_of(graph)[name].tobytes()
    producers = producers_of(whole)
    (product,) = (node for node in whole.graph.node if name in node.input)
    around = [producers[product.input[0]]]
    behind = {ROUTER_LOGITS, *product.output}
    around += [node for node in whole.graph.node if behind & set(node.input)]
    assert not [node for node in around if "Quantize" in node.op_type or "quantize" in node.name]


def test_a_quantiser_that_touches_the_router_is_refused(graph, ranges):
    (router,) = (
        node.name
        for node in graph.graph.node
        if any(value.endswith(ROUTER_WEIGHT) for value in node.input)
    )
    with pytest.raises(ExportError, match="reached the router"):
        quantised(graph, ranges, [*layers_of(graph), router])


def test_layers_that_are_not_named_stay_as_they_were(graph, ranges):
    first, *rest = layers_of(graph)
    result = quantised(graph, ranges, [first])
    after = weights_of(result)
    original = {node.name: node for node in graph.graph.node}
    assert original[first].input[1] not in after
    for name in rest:
        weight = original[name].input[1]
        assert after[weight].tobytes() == weights_of(graph)[weight].tobytes()


def test_the_same_crops_give_the_same_bytes(graph, whole):
    again = quantised(graph, ranges_of(graph, shaded(16, 112)), layers_of(graph))
    assert again.SerializeToString() == whole.SerializeToString()


def test_the_graph_that_came_in_is_left_alone(graph, ranges):
    before = graph.SerializeToString()
    quantised(graph, ranges, layers_of(graph))
    assert graph.SerializeToString() == before


def test_scores_stay_close_for_any_batch(graph, whole):
    crops = shaded(16, 112)
    exact, scores = scores_of(graph, crops), scores_of(whole, crops)
    assert 0 < np.abs(scores - exact).max() < np.ptp(exact)
    np.testing.assert_allclose(scores_of(whole, crops[:3]), scores[:3], atol=1e-5)


def test_openvino_computes_the_same_from_it(whole, tmp_path):
    core = openvino_core(pytest.importorskip("openvino"))
    crops = shaded(16, 112)
    onnx.save(whole, tmp_path / "whole.onnx")
    network = core.read_model(str(tmp_path / "whole.onnx"))
    network.reshape([16, 112, 112, 3])  # its plugin fails on an open batch, in FP32 as well
    compiled = core.compile_model(network, "CPU")
    scores = scores_of(whole, crops)
    # Both round where the graph says, in sums of another order.
    assert np.abs(compiled({"crops": crops})["score"] - scores).max() < 0.2 * np.ptp(scores)


def test_a_static_batch_is_calibrated_in_whole_batches(model):
    static = exported_graph(densify(model), batch=3)
    crops = shaded(4, 112)
    result = quantised(static, ranges_of(static, crops), layers_of(static))
    assert scores_of(result, crops).shape == (4,)


def test_the_worst_group_goes_back_to_float32(graph, images, model):
    calibration = calibration_from_folder(images, tiny_preprocessing(model.network), 112)
    every = quantise(graph, calibration, span=1.0, tolerance=LOOSE["int8"])
    assert every.kept == ()
    assert every.layers == len(layers_of(graph))
    tight = Tolerance(1.9 * every.max_drift, srocc=-3.0)
    some = quantise(graph, calibration, span=1.0, tolerance=tight)
    worst = max(every.groups, key=lambda group: group.mean_drift)
    assert set(worst.layers) <= set(some.kept)
    assert some.layers + len(some.kept) == every.layers
    assert some.max_drift <= tight.drift / 2
    assert f"{len(some.kept)} kept in FP32" in str(some)
    record = some.to_dict()
    assert record["kept"] == list(some.kept)
    assert record["calibration"]["images"] == 18
    with pytest.raises(ExportError, match=r"costs this network too much.*Export fp16"):
        quantise(graph, calibration, span=1.0, tolerance=Tolerance(1e-9, srocc=-3.0))


def test_the_manifest_says_what_was_done(exported):
    assert exported.path.name == "tiny.int8.onnx"
    manifest = read_manifest(exported.path)
    assert manifest == exported.manifest
    assert manifest.precision == "int8"
    assert [link["name"] for link in manifest.parity][-1] == "ONNX FP32 -> INT8"
    assert manifest.parity[-1]["tokens"] is not None
    found = manifest.quantisation
    assert found["layers"] == len([n for g in found["groups"] for n in g["layers"]])
    assert found["calibration"]["crops"] == 18 * 5  # the model's own plan
    assert "calibrated on 90 crops of 18 images" in describe(manifest)
    metadata = {p.key: p.value for p in onnx.load(exported.path).metadata_props}
    inside = Manifest.from_json(metadata[METADATA_KEY], origin="metadata")
    assert dataclasses.replace(inside, files=manifest.files) == manifest


def test_an_export_twice_is_the_same_file(exported, checkpoint, images, tmp_path):
    again = export_int8(checkpoint, tmp_path, images)
    assert again.path.read_bytes() == exported.path.read_bytes()


def test_the_file_is_a_model_like_any_other(exported):
    with open_session(exported.path) as session:
        assert session.run(shaded(3, 112)).shape == (3,)
        assert session.run_traced(shaded(3, 112))[1] is not None


def test_a_link_out_of_tolerance_writes_nothing(checkpoint, images, tmp_path):
    strict = LOOSE | {"fp32": Tolerance(1e-15)}
    with pytest.raises(ParityError, match=r"exceeds 1\.00e-15"):
        export_int8(checkpoint, tmp_path / "out", images, tolerances=strict)
    assert not (tmp_path / "out").exists()


def test_images_are_chosen_without_chance(tmp_path, images, model):
    preprocessing = tiny_preprocessing(model.network)
    few = tmp_path / "few"
    few.mkdir()
    with pytest.raises(DatasetError, match="no image"):
        calibration_from_folder(few, preprocessing, 112)
    for path in sorted(images.iterdir())[:15]:
        shutil.copy(path, few)
    with pytest.raises(DatasetError, match="15 images to calibrate on, at least 16"):
        calibration_from_folder(few, preprocessing, 112)
    once, again = (calibration_from_folder(images, preprocessing, 112) for _ in range(2))
    assert once.to_dict() == again.to_dict()
    assert once.names == tuple(sorted(once.names))
    dense = dataclasses.replace(preprocessing, crops="grid:5")
    assert len(calibration_from_folder(images, dense, 112).crops) == MAX_CROPS // 18 * 18
    assert even_steps(3, 5) == [0, 1, 2]
    assert even_steps(1000, MAX_IMAGES)[-1] == 992


def test_int8_and_calibration_come_together(checkpoint, images, tmp_path):
    with pytest.raises(ConfigError, match=r"int8 needs .* --calibration"):
        export_checkpoint(checkpoint, tmp_path, precision="int8")
    with pytest.raises(ConfigError, match=r"is for int8: fp32 has no ranges"):
        export_checkpoint(checkpoint, tmp_path, precision="fp32", calibration=images)
    run = CliRunner().invoke(main, [str(checkpoint), "--precision", "int8", "-o", str(tmp_path)])
    assert run.exit_code == 2
    assert "name a folder" in run.stderr
    command = [str(checkpoint), "--precision", "int8", "--calibration", str(images)]
    run = CliRunner().invoke(main, [*command, "--engine", "tensorrt-rtx", "--target", "sm89"])
    assert run.exit_code == 2
    assert "TensorRT" in run.stderr


@pytest.mark.long
def test_the_bundled_model_keeps_its_agreement_with_people(tmp_path):
    if not (DATA / "val.csv").is_file():
        pytest.skip(f"BIQ2021 is not in {DATA.parent}; name its folder in LIFEIQA_DATA")
    with (DATA / "train.csv").open() as table:
        names = [row["image_name"] for row in csv.DictReader(table)]
    for index in even_steps(len(names), MAX_IMAGES):
        (tmp_path / names[index]).symlink_to(DATA / "images" / names[index])
    network, manifest = load_checkpoint(bundled(suffix=".safetensors"))
    # Not the bundled graph: its weights are stored as float16, behind casts.
    graph = exported_graph(densify(ScoringModel(network, manifest.preprocessing, manifest.labels)))
    with Scorer() as scorer:
        size = scorer.manifest.config.crop_size
        calibration = calibration_from_folder(tmp_path, scorer.preprocessing, size)
        found = quantise(graph, calibration, span=1.0, tolerance=TOLERANCES["int8"])
        table = read_table(DATA / "val.csv", DATA / "images")
        exact, scores = [], []
        for path in table.paths:
            crops = scorer.crops(path)
            exact.append(scorer.score_crops(crops).mean())
            scores.append(scores_of(found.proto, crops).mean())
    assert srocc(np.array(exact), np.array(scores)) >= 0.995
    human = np.array(table.scores)
    assert abs(srocc(np.array(scores), human) - srocc(np.array(exact), human)) <= 0.003
