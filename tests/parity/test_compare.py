import dataclasses

import pytest

from helpers import tiny
from lifeiqa.errors import ConfigError
from lifeiqa.parity.compare import compare_files
from lifeiqa.parity.report import TOLERANCES, Tolerance, tolerances_with


def files_compared(tmp_path, *, tolerances=None, gain=1.0, **changes):
    files = [tiny.write_model(tmp_path / "a.onnx")]
    files.append(tiny.write_model(tmp_path / "b.onnx", gain=gain, **changes))
    options = {} if tolerances is None else {"tolerances": tolerances}
    return compare_files(*files, lambda *_: tiny.crops(10, 90, 200), **options)


def test_a_file_equals_a_copy_of_itself(tmp_path):
    result = files_compared(tmp_path)

    assert result
    assert result.links[0].name == "a.onnx -> b.onnx"
    assert result.links[0].max_drift == 0


def test_a_changed_file_fails_by_its_drift(tmp_path):
    result = files_compared(tmp_path, gain=0.9)

    assert not result
    assert result.links[0].max_drift == pytest.approx(20 / 255, rel=1e-5)


def test_the_tolerance_of_the_lower_precision_is_taken(tmp_path):
    table = {"fp32": Tolerance(1e-9), "fp16": Tolerance(0.5)}

    assert not files_compared(tmp_path, tolerances=table, gain=0.99)
    assert files_compared(tmp_path, tolerances=table, gain=0.99, precision="fp16")


@pytest.mark.parametrize("part", ["crop size", "preprocessing", "labels"])
def test_files_that_are_not_forms_of_one_model_are_refused(tmp_path, part):
    whole = tiny.manifest()
    changes = {
        "crop size": {"config": dataclasses.replace(whole.config, crop_size=64)},
        "preprocessing": {
            "preprocessing": dataclasses.replace(whole.preprocessing, crops="grid:2")
        },
        "labels": {"labels": dataclasses.replace(whole.labels, high=300)},
    }[part]

    with pytest.raises(ConfigError, match=rf"a\.onnx and b\.onnx differ in {part}: "):
        files_compared(tmp_path, **changes)


def test_tolerances_change_by_name():
    changed = tolerances_with(["fp16=0.01", "fp32=1e-3"])

    assert changed["fp16"].drift == 0.01
    assert changed["fp32"].drift == 1e-3
    assert changed["fp16"].srocc == TOLERANCES["fp16"].srocc
    assert changed["dense"] == TOLERANCES["dense"]
    assert tolerances_with([]) == TOLERANCES
    assert TOLERANCES["fp16"].drift != 0.01


def test_the_lowest_rank_correlation_is_changed_for_every_link():
    changed = tolerances_with(["srocc=0.9", "fp16=0.01"])

    assert {tolerance.srocc for tolerance in changed.values()} == {0.9}
    assert changed["fp16"].drift == 0.01


@pytest.mark.parametrize("change", ["int4=1", "fp16", "fp16=", "fp16=much", "=1", ""])
def test_a_tolerance_that_cannot_be_read_is_refused(change):
    with pytest.raises(ConfigError, match="write LINK=DRIFT with LINK one of dense, fp32, fp16"):
        tolerances_with([change])


def test_the_tolerance_of_an_engine_is_taken(tmp_path, monkeypatch):
    """Against a fake: the engine is an ONNX session that is called one."""
    from lifeiqa.parity import compare

    table = {"fp32": Tolerance(1e-9), "fp16": Tolerance(1e-9), "engine": Tolerance(0.5)}
    opened = compare._open

    def as_engine(path, *arguments):
        session = opened(path, *arguments)
        if path.name == "b.onnx":
            session.manifest = dataclasses.replace(session.manifest, kind="engine")
        return session

    monkeypatch.setattr(compare, "_open", as_engine)

    assert files_compared(tmp_path, tolerances=table, gain=0.99, precision="fp16")
    table["engine"] = Tolerance(1e-9)
    assert not files_compared(tmp_path, tolerances=table, gain=0.99, precision="fp16")


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_without_a_runtime_onnx_runtime_runs_both(tmp_path, precision):
    found = files_compared(tmp_path, precision=precision)

    assert "; from ONNX Runtime" in found.subject
    assert found.links[0].runtime.startswith("ONNX Runtime")


def test_one_file_in_two_runtimes(tmp_path):
    file = tiny.write_model(tmp_path / "a.onnx")

    found = compare_files(
        file, file, lambda *_: tiny.crops(10, 90, 200), runs=((None, "cpu"), ("openvino", None))
    )

    assert found
    assert "; from ONNX Runtime" in found.subject
    assert found.links[0].runtime.startswith("OpenVINO")


def test_a_file_with_a_runtime_runs_as_it_comes(tmp_path):
    file = tiny.write_model(tmp_path / "a.onnx", precision="fp16")

    found = compare_files(
        file, file, lambda *_: tiny.crops(10, 90, 200), runs=((None, None), ("openvino", None))
    )

    assert "FP16 tensors rounded" in found.subject
    assert "FP16 weights, FP32 between" in found.links[0].runtime
