"""``provider``, which runtime and device replaced, for one release."""

import warnings

import pytest

from helpers import tiny
from lifeiqa import Scorer, open_session
from lifeiqa.errors import ConfigError
from lifeiqa.integrations.ray import ScoreBatch
from lifeiqa.runtimes.provider import from_provider


@pytest.fixture
def model(tmp_path):
    return tiny.write_model(tmp_path / "tiny.onnx")


@pytest.mark.parametrize(
    ("provider", "suffix", "meant"),
    [
        ("cpu", ".onnx", ("onnxruntime", "cpu")),
        ("cuda", ".onnx", ("onnxruntime", "cuda")),
        ("openvino", ".onnx", ("openvino", None)),
        ("cpu", ".safetensors", (None, "cpu")),
        ("cuda", ".safetensors", (None, "cuda")),
        ("cuda", ".engine", (None, "cuda")),
    ],
)
def test_a_provider_meant_a_runtime_and_a_device(provider, suffix, meant):
    assert from_provider(provider, suffix) == meant


@pytest.mark.parametrize(("provider", "runtime"), [("cpu", "ONNX Runtime"), ("openvino", "OpenV")])
def test_it_is_taken_with_a_warning_that_points_at_the_caller(model, provider, runtime):
    for opened in (open_session, Scorer, lambda *a, **k: ScoreBatch("path", *a, **k)._scorer):
        with pytest.warns(DeprecationWarning, match="pass runtime and device") as caught:
            session = opened(model, provider=provider)
        assert len(caught) == 1
        assert getattr(session, "session", session).runtime.startswith(runtime)
        session.close()
        if opened in (open_session, Scorer):
            assert caught[0].filename == __file__


def test_nothing_is_warned_of_without_it(model):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_session(model).close()


@pytest.mark.parametrize("also", [{"runtime": "openvino"}, {"device": "cpu"}])
def test_it_excludes_what_replaced_it(model, also):
    with pytest.raises(ConfigError, match="provider and runtime or device are mutually exclusive"):
        open_session(model, provider="cpu", **also)


def test_an_unknown_one_is_refused(model):
    with (
        pytest.raises(ConfigError, match="provider is 'tpu': choose one of cpu, cuda, openvino"),
        pytest.warns(DeprecationWarning, match="pass runtime"),
    ):
        open_session(model, provider="tpu")


def test_it_comes_by_keyword_alone(model):
    with pytest.raises(TypeError):
        open_session(model, "cpu")
