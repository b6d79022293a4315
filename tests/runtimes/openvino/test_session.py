"""OpenVINO against ONNX Runtime and PyTorch, on the bundled model and real photographs."""

import dataclasses
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest

from helpers import tiny
from helpers.exports import exported_graph
from lifeiqa.artifacts.manifest import read_manifest
from lifeiqa.data.images import parity_crops
from lifeiqa.errors import ArtifactError, ConfigError
from lifeiqa.model.checkpoint import load_checkpoint
from lifeiqa.model.network import ScoringModel
from lifeiqa.parity.observe import observe
from lifeiqa.parity.report import TOLERANCES, link
from lifeiqa.runtimes import open_session
from lifeiqa.runtimes.onnxruntime.session import OnnxRuntimeSession
from lifeiqa.runtimes.openvino.session import OpenVINOSession
from lifeiqa.weights import bundled
from lifeiqa_export.dense import densify
from lifeiqa_export.graph import set_metadata
from lifeiqa_export.half import to_half
from lifeiqa_export.photographs import photographs


@pytest.fixture(scope="module")
def crops():
    manifest = read_manifest(bundled())
    size = manifest.config.crop_size
    return parity_crops(photographs(), manifest.preprocessing, size, distort=False)


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    """The bundled model as other graphs: in half precision, and with a batch of 4."""
    folder = tmp_path_factory.mktemp("graphs")
    network, manifest = load_checkpoint(bundled(suffix=".safetensors"))
    dense = densify(ScoringModel(network, manifest.preprocessing, manifest.labels).eval())
    forms = {
        "fp16": (to_half(dense), {"precision": "fp16"}),
        "static": (dense, {"batch": 4}),
    }
    for name, (model, changes) in forms.items():
        proto = exported_graph(model, batch=changes.get("batch"))
        set_metadata(proto, dataclasses.replace(manifest, kind="onnx", **changes))
        onnx.save(proto, folder / f"{name}.onnx")
    return {"fp32": bundled(), **{name: folder / f"{name}.onnx" for name in forms}}


def openvino(path):
    return OpenVINOSession(path, threads=1)


def onnx_runtime(path):
    return OnnxRuntimeSession(path, device="cpu", threads=1)


@pytest.mark.parametrize(
    ("runtime", "reference"), [("onnxruntime", ".fp32.onnx"), ("pytorch", ".safetensors")]
)
def test_the_bundled_model_scores_photographs_as_elsewhere(crops, runtime, reference):
    file = bundled(suffix=reference)
    with (
        openvino(bundled()) as ours,
        open_session(file, runtime=runtime, device="cpu", threads=1) as theirs,
    ):
        found = [observe(session, crops) for session in (theirs, ours)]

    cost = link(reference, *found, TOLERANCES["fp32"])
    assert cost.failures == []
    assert cost.tokens is not None


@pytest.mark.parametrize("form", ["fp32", "static"])
def test_a_score_does_not_depend_on_its_batch(graphs, crops, form):
    with openvino(graphs[form]) as session:
        together = session.run(crops)
        alone = np.concatenate([session.run(crop[np.newaxis]) for crop in crops])

    np.testing.assert_allclose(together, alone, rtol=0, atol=1e-5)


def test_a_static_graph_scores_as_the_dynamic_one(graphs, crops):
    with openvino(graphs["static"]) as static, openvino(graphs["fp32"]) as dynamic:
        np.testing.assert_allclose(static.run(crops), dynamic.run(crops), rtol=0, atol=1e-5)


def test_half_precision_rounds_the_weights_alone(graphs, crops):
    with openvino(graphs["fp16"]) as half, openvino(graphs["fp32"]) as full:
        found = [observe(session, crops) for session in (full, half)]
        assert half.runtime.endswith("CPU, FP16 weights, FP32 between")

    cost = link("FP32 -> FP16", *found, TOLERANCES["fp16"])
    assert cost.failures == []
    # Less than rounding any tensor on the way would cost.
    assert cost.max_drift < 2e-5


def test_it_computes_in_float32_whatever_the_processor_prefers(graphs):
    for path in (graphs["fp32"], graphs["fp16"]):
        with openvino(path) as session:
            model = session._request.get_compiled_model()
            assert model.get_property("INFERENCE_PRECISION_HINT").get_type_name() == "f32"
            assert model.get_property("NUM_STREAMS") == 1
            assert model.get_property("INFERENCE_NUM_THREADS") == 1
            assert model.get_property("ENABLE_CPU_PINNING") is False


@pytest.mark.parametrize("form", ["fp32", "static"])
def test_a_trace_is_that_of_onnx_runtime(graphs, crops, form):
    with openvino(graphs[form]) as ours, onnx_runtime(graphs[form]) as theirs:
        trace, expected = (each.run_traced(crops[:5])[1] for each in (ours, theirs))

    scale = np.abs(expected.logits).max()
    for name in ("inputs", "logits", "weight"):
        found, wanted = getattr(trace, name), getattr(expected, name)
        assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-5 * scale)
    np.testing.assert_array_equal(trace.weight, expected.weight)


def test_a_trace_leaves_the_scores_as_they_are(crops):
    with openvino(bundled()) as session:
        before = session.run(crops[:3])
        session.run_traced(crops[:3])
        np.testing.assert_array_equal(session.run(crops[:3]), before)


def test_a_trace_of_a_router_that_is_named(tmp_path):
    path = tiny.write_router(tmp_path / "tiny.onnx")

    with openvino(path) as session:
        _, trace = session.run_traced(tiny.crops(10, 20, 30))

    np.testing.assert_array_equal(trace.inputs, [10, 20, 30])
    np.testing.assert_array_equal(trace.logits, [20, 40, 60])
    assert trace.weight == 2


def test_threads_take_turns(tmp_path):
    seen = {}
    with openvino(tiny.write_model(tmp_path / "tiny.onnx")) as session:

        def work(grey):
            runs = [session.run(tiny.crops(*[grey] * 5)) for _ in range(30)]
            seen[grey] = set(np.concatenate(runs).tolist())

        threads = [threading.Thread(target=work, args=(grey,)) for grey in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert seen == {grey: {grey} for grey in range(6)}


def test_two_sessions_do_not_disturb_each_other(tmp_path):
    path = tiny.write_model(tmp_path / "tiny.onnx")
    one, other = openvino(path), openvino(path)

    assert one.run(tiny.crops(1, 2)) == pytest.approx([1, 2])
    one.close()
    assert other.run(tiny.crops(3, 4)) == pytest.approx([3, 4])


@pytest.mark.parametrize("kept", [0, 5000, -3000])
def test_a_file_that_is_cut_short_never_comes_to_openvino(tmp_path, kept, capfd):
    path = tmp_path / "cut.onnx"
    path.write_bytes(bundled().read_bytes()[:kept])
    tiny.write_sidecar(path)

    with pytest.raises(ArtifactError, match=r"cut\.onnx: not an ONNX model that can be used: "):
        openvino(path)

    assert capfd.readouterr() == ("", "")


def test_what_openvino_cannot_load_is_refused_in_one_line(tmp_path, capfd):
    proto = tiny.model()
    proto.graph.node[2].op_type = "Sharpness"
    onnx.save(proto, tmp_path / "tiny.onnx")
    tiny.write_sidecar(tmp_path / "tiny.onnx")

    with pytest.raises(ArtifactError, match=r"tiny\.onnx: OpenVINO cannot load it: ") as caught:
        openvino(tmp_path / "tiny.onnx")

    assert "\n" not in str(caught.value)
    assert "Exception from" not in str(caught.value)
    assert "Try --runtime onnxruntime" in str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_a_graph_of_another_contract_is_refused(tmp_path):
    proto = tiny.model()
    proto.graph.input[0].name = proto.graph.node[0].input[0] = "pixels"
    onnx.save(proto, tmp_path / "tiny.onnx")
    tiny.write_sidecar(tmp_path / "tiny.onnx")

    with pytest.raises(ArtifactError, match=r"tiny\.onnx: its graph takes pixels uint8 "):
        openvino(tmp_path / "tiny.onnx")


def test_a_manifest_inside_is_read_without_onnx_runtime(tmp_path, monkeypatch):
    path = tiny.write_model(tmp_path / "tiny.onnx", embed=True)
    bare = tmp_path / "bare.onnx"
    onnx.save(tiny.model(), bare)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with open_session(path) as session:
        assert session.manifest.name == "tiny"
        assert session.run(tiny.crops(7)) == pytest.approx([7])
    with pytest.raises(ArtifactError, match=r"bare\.onnx: it carries no lifeiqa manifest"):
        read_manifest(bare)
    bare.write_bytes(b"garbage" * 9)
    with pytest.raises(ArtifactError, match=r"bare\.onnx: not an ONNX model"):
        read_manifest(bare)


@pytest.mark.parametrize("name", ["tiny.safetensors", "tiny.engine"])
def test_files_of_other_runtimes_are_refused(tmp_path, name):
    with pytest.raises(ConfigError, match=f"runtime is 'openvino', and {name} runs "):
        open_session(tmp_path / name, runtime="openvino")


def test_nothing_is_sent_and_nothing_is_left_in_the_home_directory(tmp_path):
    """In a process of its own: OpenVINO reports its first import, unless it is held back."""
    model, home = tiny.write_model(tmp_path / "tiny.onnx"), tmp_path / "home"
    home.mkdir()
    code = f"""
import socket, sys
def refuse(*arguments, **options):
    raise AssertionError("a connection was asked for")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse
import lifeiqa
lifeiqa.open_session({str(model)!r}, runtime="openvino").close()
assert "openvino_telemetry" not in sys.modules
import openvino
openvino.convert_model  # what the host may want of the package is still there
"""
    environment = {k: v for k, v in os.environ.items() if k != "CI"} | {"HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, env=environment
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(Path(home).iterdir()) == []


def test_a_signal_finds_its_stack_after_two_sessions():
    """In a process of its own, which the signal killed when each session had a core."""
    code = """
import signal
from lifeiqa import open_session
from lifeiqa.weights import bundled
signal.signal(signal.SIGUSR1, lambda number, frame: print("seen"))
first, second = (open_session(bundled(), runtime="openvino") for _ in range(2))
first.close()
second.close()
signal.raise_signal(signal.SIGUSR1)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert (done.returncode, done.stdout, done.stderr) == (0, "seen\n", "")
