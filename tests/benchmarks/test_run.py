"""Real runs of lifeiqa-bench on models that take no time."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

from helpers import reports, tiny
from lifeiqa.errors import ArtifactError, ConfigError, WorkerError
from lifeiqa_benchmarks.candidate import candidates_from
from lifeiqa_benchmarks.cli import main
from lifeiqa_benchmarks.client import Client
from lifeiqa_benchmarks.report import Report


@pytest.fixture
def model(tmp_path):
    return tiny.write_model(tmp_path / "tiny.onnx")


def bench(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def named(found):
    return [(each.runtime, each.file.name) for each in found]


def test_a_bundled_name_stands_for_its_files_and_their_runtimes():
    assert named(candidates_from(["fast"], "pytorch")) == [
        ("pytorch", "fast.safetensors"),
        ("torch.compile", "fast.safetensors"),
        ("openvino", "fast.fp32.onnx"),
        ("onnxruntime", "fast.fp32.onnx"),
    ]


def test_runtimes_can_be_named():
    found = candidates_from(["fast"], "pytorch", only=["openvino"])

    assert [each.runtime for each in found] == ["pytorch", "openvino"]


def test_the_baseline_comes_first():
    first, *_ = candidates_from(["fast"], "onnxruntime")

    assert first.runtime == "onnxruntime"


def test_a_baseline_that_nothing_runs_in_is_refused(model):
    with pytest.raises(
        ConfigError, match="the baseline is pytorch, and no model runs in it: OpenVINO"
    ):
        candidates_from([str(model)], "pytorch")


@pytest.mark.parametrize("name", ["none", "none.onnx"])
def test_what_is_no_model_is_refused(name):
    with pytest.raises(ConfigError, match=f"{name}: neither a file nor the name of a bundled"):
        candidates_from([name], "pytorch")


def test_another_ending_is_refused(tmp_path):
    (tmp_path / "model.txt").write_text("")
    with pytest.raises(ArtifactError, match=r"model\.txt: '\.txt' is not the suffix of a model"):
        candidates_from([str(tmp_path / "model.txt")], "pytorch")


def test_a_worker_measures_and_scores(model, tmp_path):
    candidate = candidates_from([str(model)], "onnxruntime")[0]
    np.save(tmp_path / "crops.npy", tiny.crops(10, 20, 30))
    with Client(candidate, threads=1) as client:
        assert client.ask("about")["runtime"].startswith("ONNX Runtime ")
        assert 0 < client.load_s < client.first_score_s
        assert client.ask("warm_up", batch=2)["first_s"] > 0
        latencies = client.ask("measure", batch=2, seconds=0.05)["ms"]
        assert len(latencies) > 1
        client.ask("score", crops=str(tmp_path / "crops.npy"), scores=str(tmp_path / "s"), batch=2)
        np.testing.assert_array_equal(np.load(tmp_path / "s.npy"), [10, 20, 30])
        assert client.ask("memory")["peak_bytes"] > 10e6


def test_what_a_worker_cannot_do_is_an_error_with_its_words(model):
    candidate = candidates_from([str(model)], "onnxruntime")[0]
    with Client(candidate, threads=1) as client:
        with pytest.raises(WorkerError, match=r"FileNotFoundError: .*none\.npy"):
            client.ask("score", crops="none.npy", scores="s.npy", batch=2)
        assert client.ask("measure", batch=1, seconds=0)["ms"]


def test_a_worker_that_dies_says_how(model):
    candidate = candidates_from([str(model)], "onnxruntime")[0]
    with Client(candidate, threads=1) as client:
        client._process.kill()
        with pytest.raises(WorkerError, match="the process ended by itself: exit status -9"):
            client.ask("memory")


def test_a_run_writes_a_report_that_tells_right_from_wrong(model, tmp_path):
    wrong = tiny.write_model(tmp_path / "wrong.onnx", gain=0.9)
    damaged = tiny.write_model(tmp_path / "damaged.onnx")
    sidecar = damaged.with_name("damaged.onnx.json").read_bytes()
    images = tmp_path / "images"
    for number in range(3):
        tiny.write_image(images / f"{number}.png", 40 * number + 60)
    table = tmp_path / "human.csv"
    table.write_text("path,mos\n0.png,1\n1.png,2\n2.png,3\n")
    damaged.write_bytes(damaged.read_bytes().replace(b"ReduceMean", b"ReduceMeat"))
    tiny.write_sidecar(damaged)
    assert damaged.with_name("damaged.onnx.json").read_bytes() != sidecar

    result = bench(
        *("run", model, wrong, damaged, "--baseline", "onnxruntime", "--batch", "2,1"),
        *("--threads", 1, "--duration", 0.2, "--images", images),
        *("--dataset", table, "--images", images, "-o", tmp_path / "out"),
    )

    assert result.exit_code == 0, result.stderr
    report = Report.from_json(tmp_path / "out" / "report.json")
    found = {each.name: each for each in report.results if each.name.startswith("ONNX Runtime")}
    first, second, third = found.values()
    assert [timing.batch for timing in first.timings] == [1, 2]
    assert first.accuracy.max_drift == 0
    assert first.accuracy.human_srocc == second.accuracy.human_srocc == 1
    assert second.accuracy.max_drift > 0.01
    assert len(second.timings[0].ratio.pairs) == report.settings["turns"]
    assert second.stages.folder["inference"] > 0
    assert "cannot load it" in third.failed
    assert third.timings == ()
    assert report.peak_flops > 1e8
    assert (tmp_path / "out" / "report.html").read_text().startswith("<!doctype html>")
    assert "# lifeiqa-bench" in result.stdout
    assert json.loads((tmp_path / "out" / "report.json").read_text())["machine"]["cores"] > 0


def test_files_of_two_models_are_refused(model, tmp_path):
    other = tiny.write_model(
        tmp_path / "other.onnx",
        labels=tiny.manifest().labels.__class__(dataset="other", low=0, high=1),
    )

    result = bench("run", model, other, "--baseline", "onnxruntime", "-o", tmp_path / "out")

    assert result.exit_code == 2
    assert "they are not forms of one model. Measure them one by one" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("sizes", ["", "0", "1;8", "eight"])
def test_batch_sizes_that_are_none_are_refused(model, sizes):
    result = bench("run", model, "--baseline", "onnxruntime", "--batch", sizes)

    assert result.exit_code == 2
    assert "write sizes with commas, 1,8,32" in result.stderr


@pytest.mark.parametrize(("times", "status"), [(2.0, 0), (1.0, 1)])
def test_compare_exits_1_on_a_regression(tmp_path, times, status):
    paths = [tmp_path / "old.json", tmp_path / "new.json"]
    for path, speed in zip(paths, (2.0, times), strict=True):
        path.write_text(reports.report(reports.result(times=speed)).to_json())

    result = bench("compare", *paths)

    assert result.exit_code == status
    assert ("WORSE" in result.stdout) == bool(status)


def test_compare_refuses_what_is_no_report(model):
    assert bench("compare", model, model).exit_code == 2
