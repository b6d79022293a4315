import sys
from importlib.metadata import version

import numpy as np
import onnxruntime
import pytest

from helpers import tiny
from helpers.runtimes import ONNX_ON_CPU, open_on_cpu
from lifeiqa.artifacts import manifest
from lifeiqa.artifacts.manifest import sidecar_of
from lifeiqa.config import ModelConfig
from lifeiqa.errors import ArtifactError, ConfigError, MissingDependencyError
from lifeiqa.files import sha256_of
from lifeiqa.parity.compare import compare_files
from lifeiqa.runtimes import open_session

SIZE = tiny.SIZE


@pytest.fixture
def model(tmp_path):
    return tiny.write_model(tmp_path / "tiny.onnx")


@pytest.fixture(params=ONNX_ON_CPU)
def opened(request):
    """Opens an ONNX model in each runtime that has a CPU."""
    return lambda path: open_on_cpu(path, request.param)


@pytest.fixture
def without_openvino(monkeypatch):
    """An installation without it, whatever there is."""
    monkeypatch.setitem(sys.modules, "openvino", None)


def noise(count):
    return np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), dtype=np.uint8)


def test_a_session_scores_crops(model, opened):
    with opened(model) as session:
        scores = session.run(tiny.crops(0, 100, 255))

    assert scores == pytest.approx([0, 100, 255])
    assert (scores.dtype, scores.shape) == (np.float32, (3,))


def test_a_session_says_what_it_runs(model, opened):
    with opened(model) as session:
        assert session.manifest.name == "tiny"
        assert session.runtime in (
            f"ONNX Runtime {onnxruntime.__version__} CPU",
            f"OpenVINO {version('openvino')} CPU",
        )


def test_half_precision_on_a_cpu_is_not_called_more_than_it_is(tmp_path, opened):
    path = tiny.write_model(tmp_path / "tiny.fp16.onnx", precision="fp16")

    with opened(path) as session:
        assert session.runtime.endswith("CPU, FP16 weights, FP32 between")


def test_a_score_does_not_depend_on_the_other_crops_of_its_batch(model, opened):
    crops = noise(5)

    with opened(model) as session:
        together = session.run(crops)
        alone = np.concatenate([session.run(crop[np.newaxis]) for crop in crops])

    np.testing.assert_array_equal(together, alone)


@pytest.mark.parametrize("count", [1, 4, 6])
def test_a_static_graph_takes_any_number_of_crops(tmp_path, count, opened):
    path = tiny.write_model(tmp_path / "tiny.onnx", batch=4)
    greys = [10 * (index + 1) for index in range(count)]

    with opened(path) as session:
        assert session.run(tiny.crops(*greys)) == pytest.approx(greys)


def test_results_belong_to_the_caller(model, opened):
    with opened(model) as session:
        first = session.run(tiny.crops(10, 20))
        session.run(tiny.crops(200, 210))
        np.testing.assert_array_equal(first, [10, 20])

        first[:] = 0
        np.testing.assert_array_equal(session.run(tiny.crops(10, 20)), [10, 20])


def test_results_outlive_their_session(model, opened):
    with opened(model) as session:
        scores = session.run(tiny.crops(10, 20))
    del session

    np.testing.assert_array_equal(scores, [10, 20])


def test_crops_may_be_a_strided_view(model, opened):
    wide = tiny.crops(10, 99, 20, 99)

    with opened(model) as session:
        assert session.run(wide[::2, :, ::-1]) == pytest.approx([10, 20])


@pytest.mark.parametrize(
    "crops",
    [
        tiny.crops(1).astype(np.float32),
        tiny.crops(1).astype(np.int8),
        tiny.crops(1)[0],
        tiny.crops(1)[:, :-1],
        tiny.crops(1)[:, :, :, :1],
        tiny.crops(1).transpose(0, 3, 1, 2),
        tiny.crops(1)[np.newaxis],
    ],
)
def test_crops_of_another_type_or_shape_are_refused_with_both(model, crops, opened):
    with opened(model) as session, pytest.raises(ConfigError) as caught:
        session.run(crops)

    assert f"{crops.dtype} {crops.shape}" in str(caught.value)
    assert f"uint8 (N, {SIZE}, {SIZE}, 3)" in str(caught.value)


def test_what_is_no_array_is_refused(model, opened):
    with opened(model) as session, pytest.raises(ConfigError, match="list None"):
        session.run(tiny.crops(1).tolist())


def test_an_empty_batch_is_refused(model, opened):
    with opened(model) as session, pytest.raises(ConfigError, match="the batch is empty"):
        session.run(tiny.crops(1)[:0])


@pytest.mark.parametrize("method", ["run", "run_traced"])
@pytest.mark.parametrize("head", ["none", "moe"])
def test_a_closed_session_is_refused(tmp_path, method, head, opened):
    config = ModelConfig(crop_size=SIZE, head=head)
    session = opened(tiny.write_model(tmp_path / "tiny.onnx", config=config))
    session.close()
    session.close()

    with pytest.raises(ConfigError, match="the session is closed"):
        getattr(session, method)(tiny.crops(1))


def test_a_model_without_experts_has_no_trace(model, opened):
    with opened(model) as session:
        assert session.run_traced(tiny.crops(1))[1] is None


def test_a_graph_that_does_not_show_its_router_is_refused(tmp_path, opened):
    config = ModelConfig(crop_size=SIZE, head="moe")
    path = tiny.write_model(tmp_path / "tiny.onnx", config=config)

    with opened(path) as session, pytest.raises(ArtifactError, match=r"tiny\.onnx: its graph"):
        session.run_traced(tiny.crops(1))


@pytest.mark.parametrize("name", ["tpu", "CPU", ""])
def test_an_unknown_runtime_or_device_is_refused(model, name):
    with pytest.raises(ConfigError, match=f"runtime is {name!r}: choose one of openvino, onnxru"):
        open_session(model, runtime=name)
    with pytest.raises(ConfigError, match=f"device is {name!r}: choose one of cuda, cpu"):
        open_session(model, device=name)


def test_a_device_that_is_not_installed_is_refused_with_those_that_are(model, monkeypatch):
    monkeypatch.setattr(
        onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider", "Other"]
    )

    with pytest.raises(ConfigError) as caught:
        open_session(model, device="cuda")

    assert "'cuda', and this onnxruntime has CPUExecutionProvider, Other" in str(caught.value)
    assert "lifeiqa[gpu]" in str(caught.value)


@pytest.mark.parametrize("threads", [0, -1])
def test_a_run_needs_a_thread(model, threads):
    with pytest.raises(ConfigError, match=f"threads is {threads}"):
        open_session(model, threads=threads)


def test_a_file_that_does_not_fit_its_manifest_is_refused(model):
    model.write_bytes(model.read_bytes() + b"\0")

    with pytest.raises(ArtifactError, match="its sha256 is"):
        open_session(model)


@pytest.mark.parametrize("content", [b"", b"garbage" * 9])
def test_garbage_is_refused_even_with_a_manifest_that_fits(tmp_path, content, opened, capfd):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(content)
    tiny.write_sidecar(path)

    with pytest.raises(ArtifactError, match=r"tiny\.onnx: not an ONNX model that can be used: "):
        opened(path)
    assert capfd.readouterr() == ("", "")


def test_a_missing_model_is_refused(tmp_path):
    for name in ("none.onnx", "none.safetensors", "none.engine"):
        with pytest.raises(ArtifactError, match=f"{name}: no such model file"):
            open_session(tmp_path / name)


@pytest.mark.parametrize("name", ["tiny.plan", "tiny.pth", "tiny"])
def test_another_ending_is_no_model_file(tmp_path, name):
    with pytest.raises(ArtifactError, match=r"\.onnx, \.safetensors and \.engine are read"):
        open_session(tmp_path / name)


@pytest.mark.parametrize("runtime", [None, "onnxruntime"])
def test_a_missing_runtime_names_the_extra(model, monkeypatch, without_openvino, runtime):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    with pytest.raises(MissingDependencyError, match=r"tiny\.onnx needs .*lifeiqa\[cpu\]"):
        open_session(model, runtime=runtime)


def test_openvino_that_is_missing_names_its_extra(model, without_openvino):
    with pytest.raises(MissingDependencyError, match=r"tiny\.onnx .* needs .*lifeiqa\[openvino\]"):
        open_session(model, runtime="openvino")


def test_a_model_without_a_sidecar_runs_by_the_manifest_inside(tmp_path, opened):
    path = tiny.write_model(tmp_path / "tiny.onnx", embed=True)
    assert not sidecar_of(path).exists()

    with opened(path) as session:
        assert session.run(tiny.crops(7)) == pytest.approx([7])


def test_a_file_is_hashed_once_to_be_opened(model, monkeypatch):
    hashed = []

    def counted(path):
        hashed.append(path.name)
        return sha256_of(path)

    monkeypatch.setattr(manifest, "sha256_of", counted)
    open_session(model).close()
    assert hashed == ["tiny.onnx"]
    compare_files(model, model, lambda *_: tiny.crops(10, 90), runs=((None, None),) * 2)
    assert hashed == ["tiny.onnx"] * 3
