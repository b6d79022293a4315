"""What is measured on a GPU, measured on a CPU; what needs CUDA is a failure there."""

import pytest
import torch
from click.testing import CliRunner

from helpers.tiny_network import ABLATIONS, tiny_manifest, tiny_model
from lifeiqa.model.checkpoint import save_checkpoint
from lifeiqa_benchmarks.gpu import table
from lifeiqa_benchmarks.gpu.clock import device_series
from lifeiqa_benchmarks.gpu.eager import caller, on_device, random_crops
from lifeiqa_benchmarks.gpu.networks import (
    dense_model,
    flops_of,
    half_dense_model,
    sparse_model,
)
from lifeiqa_benchmarks.gpu.part import main
from lifeiqa_benchmarks.gpu.records import (
    Records,
    read_records,
    read_report,
    shortened,
    write_report,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with two small networks: ``mini``, and ``probe``, which costs less time."""
    folder = tmp_path_factory.mktemp("gpu")
    for name, changes in (("mini", {}), ("probe", ABLATIONS["linear-probe"])):
        torch.manual_seed(0)
        model = tiny_model(**changes)
        save_checkpoint(folder / f"{name}.safetensors", model.network, tiny_manifest(model))
    return folder


@pytest.fixture(scope="module")
def records(folder):
    """Those of every part but the compiler, which takes a minute on a CPU."""
    parts = ("export probe --precision fp32", "export probe --precision fp16")
    parts += ("eager probe --batches 2,1", "graphs probe --batches 2,1")
    for part in parts:
        options = ["--folder", str(folder), "--device", "cpu", "--seconds", "0.01"]
        done = CliRunner().invoke(main, [*part.split(), *options], catch_exceptions=False)
        assert done.exit_code == 0, done.output
    return read_records(folder / "records.jsonl")


def of(records, kind):
    return [each for each in records if each["kind"] == kind]


def test_every_candidate_is_timed_or_says_why_not(records):
    found = {(each["candidate"], each["batch"]) for each in of(records, "time")}
    failed = {(each.get("candidate"), each.get("batch")) for each in of(records, "error")}

    for batch in (1, 2):
        for name in ("FP32", "FP32, TF32", "FP16", "FP16, dense"):
            assert (f"PyTorch eager {name}", batch) in found
        assert ("ONNX Runtime FP16", batch) in found
        assert ("PyTorch FP16, CUDA graph", batch) in failed
    assert ("ONNX Runtime FP32", 2) in found


def test_a_time_has_two_series_and_lies_between_its_percentiles(records):
    for each in of(records, "time"):
        assert len(each["ms"]) == 2
        assert 0 < each["p10_ms"] <= max(each["ms"])
        assert min(each["ms"]) <= each["p90_ms"]


def test_parity_is_measured_for_every_form(records):
    found = {each["candidate"]: each for each in of(records, "parity")}

    assert set(found) == {"PyTorch FP32", "PyTorch FP16", "ONNX Runtime FP32", "ONNX Runtime FP16"}
    assert found["PyTorch FP32"]["max_drift"] == 0  # on a CPU it is the reference itself
    assert 0 < found["ONNX Runtime FP32"]["max_drift"] < 1e-5
    assert found["ONNX Runtime FP16"]["max_drift"] > found["ONNX Runtime FP32"]["max_drift"]


def test_the_tables_state_ratio_and_share_of_the_peak():
    machine = {"gpu": None, "cpu": "a CPU", "cores": 2, "packages": {}, "commit": "abc"}
    ceilings = {"float16": 1e12, "float32": 1e11, "tf32": 5e11}
    records = [
        {"kind": "machine", **machine, "settings": {"seconds": 1}},
        {"kind": "flops", "network": "n", "flops": 1e9},
        {"kind": "peak", "network": "n", "side": 8, "copy": 1e12, **ceilings},
        *(
            {"kind": "time", "network": "n", "candidate": name, "batch": 8, "ms": [ms, ms]}
            for name, ms in (("PyTorch eager FP16", 40.0), ("PyTorch eager FP32", 160.0))
        ),
        {"kind": "error", "network": "n", "candidate": "broken", "batch": 8, "error": "it\nbroke"},
    ]
    rows = [line.split("|") for line in table.speed(records, "n").splitlines()[2:]]
    cells = [[cell.strip() for cell in row[1:-1]] for row in rows]

    # 8 GFLOP in 40 ms are 200 GFLOP/s, a fifth of 1 TFLOP/s; in 160 ms half of 100 GFLOP/s.
    assert cells == [
        ["8", "PyTorch eager FP16", "40.000", "200", "1.00", "20.0%", "-"],
        ["8", "PyTorch eager FP32", "160.000", "50", "0.25", "50.0%", "-"],
    ]
    assert "- n, broken, 8: it broke" in table.document(records)


def test_a_part_that_fails_is_a_record_and_the_next_one_runs(tmp_path):
    records = Records(tmp_path / "records.jsonl", network="n")
    with records.attempt(candidate="broken"):
        raise RuntimeError("out of memory")
    records.add("time", candidate="whole")
    with (tmp_path / "records.jsonl").open("a") as file:
        file.write('{"kind": "cut o')

    error, other = read_records(tmp_path / "records.jsonl")
    assert error["error"] == "RuntimeError: out of memory"
    assert (error["network"], error["candidate"]) == ("n", "broken")
    assert other["candidate"] == "whole"


def test_a_report_holds_every_record_once(tmp_path):
    """A part that is measured again compares scores again, with the same result."""
    records = Records(tmp_path / "records.jsonl")
    for ms in (1.5, 1.5, 2.5):
        records.add("time", ms=ms)

    assert [each["ms"] for each in read_report(write_report(tmp_path))] == [1.5, 2.5]


def test_a_long_error_keeps_its_beginning_and_end():
    text = shortened("begin " + "x" * 10_000 + " end")

    assert len(text) < 2000
    assert text.startswith("begin")
    assert text.endswith("end")


def test_a_series_is_as_long_as_its_runs():
    slept = []
    found = device_series(lambda _: slept.append(torch.ones(64).sum().item()), "cpu", seconds=0.01)

    assert found["runs"] % 2 == 0
    assert len(slept) >= found["runs"]


def test_the_forms_of_a_network_give_the_same_scores(folder):
    sparse, _ = sparse_model("mini", folder)
    crops = random_crops(3, sparse, "cpu")
    expected = caller(sparse, crops)(1)

    torch.testing.assert_close(caller(dense_model(sparse), crops)(1), expected)
    half = caller(on_device(half_dense_model(sparse), "cpu"), crops)(1)
    torch.testing.assert_close(half, expected, rtol=0, atol=2e-3)


def test_operations_grow_with_the_network(folder):
    sparse, _ = sparse_model("mini", folder)
    size = sparse.network.config.crop_size
    convolution = 2 * 9 * 3 * 16 * (size // 2) ** 2  # the stem alone

    assert flops_of(sparse) > convolution
