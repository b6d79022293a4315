"""The engine's link of the parity report: against fakes of CUDA and TensorRT, which need no GPU."""

import dataclasses
import functools
import sys

import pytest

from helpers import tiny
from helpers.fake_cuda import FakeCuda
from helpers.fake_tensorrt import GPU, FakeTensorRT, info, write_engine
from lifeiqa.artifacts.manifest import read_manifest, sidecar_of
from lifeiqa.errors import DeviceError, ParityError
from lifeiqa.parity.report import Tolerance
from lifeiqa.runtimes.tensorrt import session as session_module
from lifeiqa_engines.build import EnginePath
from lifeiqa_engines.parity import prove_engine

GREYS = (10, 90, 200, 40)


def crops_for(preprocessing, size):
    assert size == tiny.SIZE
    return tiny.crops(*GREYS)


@pytest.fixture
def made(tmp_path, monkeypatch):
    """An ONNX file whose scores are ``gain`` times those of an engine, and that engine."""

    def make(*, gain=1.0):
        cuda = FakeCuda()
        monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", cuda)
        trt = FakeTensorRT(cuda, info(1, 8).profiles)
        monkeypatch.setitem(sys.modules, "tensorrt", trt)
        monkeypatch.setattr(session_module, "cuda_device", lambda index: GPU)
        onnx = tiny.write_model(tmp_path / "tiny.onnx", gain=gain)
        path = write_engine(tmp_path / "tiny.engine", 1, 8)
        return onnx, EnginePath(path, read_manifest(path))

    return make


def test_a_faithful_engine_gets_its_link_into_its_manifest(made):
    onnx, engine = made()
    report = prove_engine(engine, onnx, crops_for)

    assert report
    assert report.links[0].name == "tiny.onnx -> tiny.engine"
    assert report.links[0].runtime == "TensorRT 11.4.0.106 Fake L4 (sm89), CUDA graph"
    written = read_manifest(engine.path)
    assert [link["name"] for link in written.parity] == ["tiny.onnx -> tiny.engine"]
    assert dataclasses.replace(written, parity=()) == engine.manifest


def test_an_engine_that_drifts_is_removed_with_its_sidecar(made):
    onnx, engine = made(gain=0.98)

    with pytest.raises(ParityError, match=r"tiny\.engine was removed\.\n"):
        prove_engine(engine, onnx, crops_for)

    assert not engine.path.exists()
    assert not sidecar_of(engine.path).exists()


def test_an_engine_that_drifts_is_kept_on_request_and_says_so(made):
    onnx, engine = made(gain=0.98)

    with pytest.raises(ParityError, match=r"tiny\.engine was kept although it failed\.\n"):
        prove_engine(engine, onnx, crops_for, keep_failed=True)

    (link,) = read_manifest(engine.path).parity
    assert link["max_drift"] == pytest.approx(0.02 * 200 / 255, rel=1e-3)


def test_the_tolerance_can_be_changed(made):
    onnx, engine = made(gain=0.98)

    assert prove_engine(engine, onnx, crops_for, tolerances={"engine": Tolerance(0.1)})


def test_where_it_cannot_run_the_reason_is_given_and_the_engine_stays(made, monkeypatch):
    onnx, engine = made()

    def no_driver(index):
        raise DeviceError("no CUDA driver found")

    monkeypatch.setattr(session_module, "cuda_device", no_driver)
    before = sidecar_of(engine.path).read_bytes()

    result = prove_engine(engine, onnx, crops_for)

    assert str(result) == "engine parity: not measured (no CUDA driver found)"
    assert sidecar_of(engine.path).read_bytes() == before


def test_crops_are_asked_for_with_the_preprocessing_of_the_model(made):
    onnx, engine = made()
    seen = []

    def remembered(seen, preprocessing, size):
        seen.append((preprocessing, size))
        return tiny.crops(*GREYS)

    prove_engine(engine, onnx, functools.partial(remembered, seen))

    assert seen == [(engine.manifest.preprocessing, tiny.SIZE)]
