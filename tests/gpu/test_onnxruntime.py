"""ONNX Runtime's CUDA provider on a real GPU."""

import numpy as np
import pytest

from lifeiqa.errors import ConfigError
from lifeiqa.parity.observe import observe
from lifeiqa.parity.report import TOLERANCES, link
from lifeiqa.runtimes import open_session

pytestmark = pytest.mark.gpu


@pytest.fixture(scope="module")
def session(gpu, onnx):
    try:
        opened = open_session(onnx, device="cuda")
    except ConfigError as error:
        pytest.skip(str(error))
    with opened:
        yield opened


def test_parity_with_pytorch(session, checkpoint, crops, note):
    with open_session(checkpoint, runtime="onnxruntime", device="cpu") as reference:
        parent = observe(reference, crops)
    result = link("PyTorch -> ONNX CUDA", parent, observe(session, crops), TOLERANCES["engine"])
    note(drift=result.max_drift, srocc=result.srocc, changed=result.changed)

    assert result.failures == []


@pytest.mark.parametrize("batch", [1, 3, 8, 32])
def test_a_score_does_not_depend_on_its_batch(session, crops, batch, note):
    whole = session.run(crops)
    cut = [session.run(crops[start : start + batch]) for start in range(0, len(crops), batch)]
    drift = float(np.abs(np.concatenate(cut) - whole).max()) / session.manifest.labels.span
    note(drift=drift)

    assert drift <= 1e-3


def test_it_runs_on_cuda(session):
    assert "CUDA, CUDA graphs" in session.runtime
