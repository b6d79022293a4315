"""`lifeiqa evaluate`, with a model whose score is the grey of an image."""

import csv
import json

import pytest
from click.testing import CliRunner

from helpers import tiny, trees
from lifeiqa.cli import main
from lifeiqa.data.split_sampling import make_split
from lifeiqa.data.splits import write_split
from lifeiqa.data.table import read_table
from lifeiqa.metrics import agreement
from lifeiqa.scorer import Scorer

GREYS = (10, 90, 200, 30, 150, 240, 60, 120)
HUMAN = (12, 80, 150, 40, 160, 230, 65, 100)


@pytest.fixture
def model(tmp_path):
    return tiny.write_model(tmp_path / "tiny.onnx")


@pytest.fixture
def images(tmp_path):
    for grey in GREYS:
        tiny.write_image(tmp_path / "images" / f"{grey}.png", grey)
    return tmp_path / "images"


@pytest.fixture
def labels(tmp_path, images):
    """Human scores, the kind of distortion, and the part of an official split."""
    rows = [
        f"{grey}.png,{human},{'ab'[row % 2]},{'train' if row < 5 else 'test'}\n"
        for row, (grey, human) in enumerate(zip(GREYS, HUMAN, strict=True))
    ]
    path = tmp_path / "labels.csv"
    path.write_text("path,MOS,distortion,split\n" + "".join(rows))
    return path


def evaluate(*arguments):
    return CliRunner().invoke(main, ["evaluate", "--bootstrap", "20", *map(str, arguments)])


def test_the_agreement_with_human_scores_is_printed(model, images, labels):
    result = evaluate(
        model, labels, "--images", images, "--runtime", "onnxruntime", "--device", "cpu"
    )

    figures = agreement(GREYS, HUMAN)
    assert result.stdout.startswith("tiny on labels, n 8\n")
    for name, value in (("SROCC", figures.srocc), ("PLCC raw", figures.plcc)):
        assert any(
            line.startswith(name) and f" {value:.4f} " in line
            for line in result.stdout.splitlines()
        )
    assert "distortion" in result.stdout
    assert "scoring" not in result.stdout
    assert result.exit_code == 0


def test_the_report_for_machines_is_one_object(model, images, labels):
    result = evaluate(model, labels, "--images", images, "--json", "--crops", "center")

    report = json.loads(result.stdout)
    figures = agreement(GREYS, HUMAN)
    assert (report["model"], report["table"], report["n"]) == ("tiny", "labels", 8)
    assert report["crops"] == "center"
    assert report["srocc"] == pytest.approx(figures.srocc)
    assert report["rmse"] == pytest.approx(figures.rmse, rel=1e-3)
    assert set(report["per_distortion"]) == {"a", "b"}
    assert result.exit_code == 0


def test_files_are_written_where_asked(model, images, labels, tmp_path):
    out, scores, figures = tmp_path / "report.json", tmp_path / "scores.csv", tmp_path / "figures"
    files = ["--out", out, "--predictions", scores, "--figures", figures]

    result = evaluate(model, labels, "--images", images, "--json", *files)

    assert json.loads(out.read_text()) == json.loads(result.stdout)
    with scores.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [float(row["predicted"]) for row in rows] == pytest.approx(GREYS)
    assert {path.name for path in figures.iterdir()} == {"scatter.png", "distortions.png"}
    assert f"wrote {figures / 'scatter.png'}" in result.stderr


@pytest.mark.parametrize("resamples", [0, 30])
def test_the_number_of_resamples_is_chosen(model, images, labels, resamples):
    result = evaluate(model, labels, "--images", images, "--json", "--bootstrap", resamples)

    report = json.loads(result.stdout)
    assert report["resamples"] == resamples
    assert bool(report["intervals"]) == bool(resamples)


def test_the_columns_that_are_named_are_read(model, images, tmp_path):
    table = tmp_path / "odd.csv"
    table.write_text("file name,rating\n10.png,10\n90.png,90\n")
    columns = ["--path-column", "file name", "--score-column", "rating"]

    result = evaluate(model, table, "--images", images, *columns)

    assert "tiny on odd, n 2" in result.stdout
    assert result.exit_code == 0


def test_no_image_is_left_out(model, images, labels):
    (images / "90.png").write_text("dear diary")

    result = evaluate(model, labels, "--images", images)

    assert "90.png: not an image" in result.stderr
    assert result.stdout == ""
    assert result.exit_code == 2


def test_a_missing_image_is_named(model, images, labels):
    (images / "90.png").unlink()

    result = evaluate(model, labels, "--images", images)

    assert "1 of 8 images are missing" in result.stderr
    assert result.exit_code == 2


@pytest.mark.parametrize(("part", "n"), [("train", 5), ("test", 3), ("all", 8)])
def test_a_part_of_the_official_split_is_measured_alone(model, images, labels, part, n):
    result = evaluate(model, labels, "--images", images, "--part", part, "--json")

    report = json.loads(result.stdout)
    assert report["n"] == n
    assert ("the official split" in report["protocol"]) == (part != "all")


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_saved_split_says_what_is_measured_and_its_test_part_is_the_default(
    model, images, labels, tmp_path, part
):
    split = make_split(read_table(labels, images), method="random", seed=3, test=0.25)
    write_split(tmp_path / "split.json", split)
    chosen = [] if part == "test" else ["--part", part]
    scores = tmp_path / "scores.csv"

    result = evaluate(
        *(model, labels, "--images", images, "--predictions", scores),
        *("--split", tmp_path / "split.json", *chosen, "--json"),
    )

    names = getattr(split, part)
    assert json.loads(result.stdout)["n"] == len(names)
    assert f"the {part} part of the random split of seed 3" in result.stdout
    with scores.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert sorted(row["path"] for row in rows) == sorted(str(images / name) for name in names)


def test_a_split_of_another_table_is_bad_input(model, images, labels, tmp_path):
    split = make_split(read_table(labels, images), method="random")
    write_split(tmp_path / "split.json", split)
    (tmp_path / "fewer.csv").write_text("path,MOS\n10.png,1\n90.png,2\n200.png,3\n")

    result = evaluate(
        model, tmp_path / "fewer.csv", "--images", images, "--split", tmp_path / "split.json"
    )

    assert result.stderr.startswith("DatasetError: fewer: the split is of 8 images")
    assert result.exit_code == 2


def test_a_published_data_set_is_read_by_its_name(model, tmp_path):
    """CSIQ, whole: lower is better, by reference and by distortion, across data sets."""
    folder = tmp_path / "CSIQ"
    for row, name in enumerate(trees.csiq(folder, flat=True)):
        tiny.write_image(folder / name, 255 - row * 255 // 866)

    result = evaluate(model, "--dataset", "csiq", "--data", folder, "--json")

    report = json.loads(result.stdout)
    assert (report["table"], report["n"]) == ("CSIQ", 866)
    assert (report["direction"], report["model_direction"]) == ("lower", "higher")
    assert report["srocc"] > 0.99
    assert report["resampled"] == "references"
    assert report["per_distortion"]["contrast"]["n"] == 116
    assert "across data sets: the model was trained on greys" in report["protocol"]


def test_a_checkpoint_goes_through_the_same_scorer(images, labels, tmp_path):
    torch = pytest.importorskip("torch", reason="a checkpoint needs PyTorch")
    from helpers.tiny_network import tiny_config
    from lifeiqa.model.checkpoint import save_checkpoint
    from lifeiqa.model.network import LifeIQA

    torch.manual_seed(0)
    config = tiny_config()
    path = tmp_path / "tiny.safetensors"
    save_checkpoint(path, LifeIQA(config), tiny.manifest(kind="checkpoint", config=config))

    result = evaluate(path, labels, "--images", images, "--json", "--crops", "center")

    report = json.loads(result.stdout)
    with Scorer(path, crops="center") as scorer:
        scores = [scorer.score(images / f"{grey}.png").value for grey in GREYS]
    assert "PyTorch" in report["runtime"]
    assert report["plcc"] == pytest.approx(agreement(scores, HUMAN).plcc, abs=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Name the labelled images once"),
        (["labels.csv", "--dataset", "csiq", "--data", "x"], "Name the labelled images once"),
        (["--dataset", "csiq"], "--dataset NAME and --data DIR belong together"),
        (["labels.csv", "--data", "x"], "--dataset NAME and --data DIR belong together"),
        (["--dataset", "csiq", "--data", "x", "--images", "y"], "--images belongs to TABLE.csv"),
        (["--dataset", "nonesuch", "--data", "x"], "'nonesuch' is not a data set"),
    ],
)
def test_the_images_come_from_one_place(model, arguments, message):
    result = evaluate(model, *arguments)

    assert message in result.stderr
    assert result.stdout == ""
    assert result.exit_code == 2


def test_a_part_without_any_split_is_bad_input(model, images, tmp_path):
    (tmp_path / "plain.csv").write_text("path,MOS\n10.png,1\n90.png,2\n")

    result = evaluate(model, tmp_path / "plain.csv", "--images", images, "--part", "test")

    assert "plain: has no test part" in result.stderr
    assert result.exit_code == 2
