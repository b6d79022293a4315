"""The page docs/development/adding-a-runtime.md, followed to the letter."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from helpers import tiny
from helpers.distributions import forget_runtimes, install
from lifeiqa import open_session
from lifeiqa.cli import main
from lifeiqa.errors import ArtifactError, ConfigError
from lifeiqa.runtimes.registry import runtime_names
from lifeiqa.scorer import Scorer
from lifeiqa_benchmarks.candidate import candidates_from, measured_names

PAGE = Path(__file__).parents[2] / "docs" / "development" / "adding-a-runtime.md"
FILES = dict(
    re.findall(r'^```\w+ title="([\w.]+)"\n(.*?)^```$', PAGE.read_text(), re.MULTILINE | re.DOTALL)
)
NAME = "onnx-reference"


@pytest.fixture
def site(tmp_path, monkeypatch):
    """The page's package, installed in a folder on ``sys.path``."""
    project = tomllib.loads(FILES["pyproject.toml"])["project"]
    lines = [
        f"[{group}]\n" + "\n".join(f"{name} = {target}" for name, target in entries.items())
        for group, entries in project["entry-points"].items()
    ]
    folder = tmp_path / "site"
    modules = {name: text for name, text in FILES.items() if name.endswith(".py")}
    install(
        folder,
        project["name"],
        version=project["version"],
        entry_points="\n".join(lines) + "\n",
        files=modules,
    )
    monkeypatch.syspath_prepend(folder)
    forget_runtimes()
    yield folder
    forget_runtimes()
    for name in modules:
        sys.modules.pop(name.removesuffix(".py"), None)


@pytest.fixture
def model(tmp_path):
    return tiny.write_model(tmp_path / "tiny.onnx")


@pytest.fixture
def images(tmp_path):
    for grey in (40, 90, 200):
        tiny.write_image(tmp_path / "photos" / f"{grey}.png", grey)
    return tmp_path / "photos"


def lifeiqa(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def test_the_page_is_short():
    assert set(FILES) == {
        "pyproject.toml",
        "lifeiqa_onnx_reference.py",
        "lifeiqa_onnx_reference_session.py",
    }
    assert sum(text.count("\n") for text in FILES.values()) < 120


def test_the_runtime_is_unknown_without_the_package(model):
    assert NAME not in runtime_names()
    with pytest.raises(ConfigError, match=f"runtime is '{NAME}': choose one of"):
        open_session(model, runtime=NAME)


def test_a_session_scores_as_the_others_do(site, model):
    crops = np.random.default_rng(0).integers(0, 256, (5, tiny.SIZE, tiny.SIZE, 3), dtype=np.uint8)
    with open_session(model, runtime=NAME) as session, open_session(model, device="cpu") as other:
        assert session.runtime.startswith("ONNX reference 1.")
        np.testing.assert_allclose(session.run(crops), other.run(crops), rtol=1e-6)


@pytest.mark.parametrize("count", [1, 4, 6])
def test_a_static_graph_takes_any_number_of_crops(site, tmp_path, count):
    path = tiny.write_model(tmp_path / "static.onnx", batch=4)
    greys = [10 * (index + 1) for index in range(count)]
    with open_session(path, runtime=NAME) as session:
        assert session.run(tiny.crops(*greys)) == pytest.approx(greys)


def test_what_cannot_be_run_is_an_error_of_ours(site, model, tmp_path):
    session = open_session(model, runtime=NAME)
    with pytest.raises(ConfigError, match="the batch is empty"):
        session.run(tiny.crops(1)[:0])
    session.close()
    with pytest.raises(ConfigError, match="the session is closed"):
        session.run(tiny.crops(1))
    broken = tmp_path / "broken.onnx"
    proto = tiny.model()
    proto.graph.node[0].op_type = "Uncast"
    broken.write_bytes(proto.SerializeToString())
    tiny.write_sidecar(broken)
    with pytest.raises(ArtifactError, match=r"broken\.onnx: cannot be loaded"):
        open_session(broken, runtime=NAME)
    with pytest.raises(ConfigError, match=f"runs in .*{NAME} on cpu|runs in {NAME} on cpu"):
        open_session(model, runtime=NAME, device="cuda")
    with pytest.raises(ConfigError, match="runs in pytorch"):
        open_session(tmp_path / "x.safetensors", runtime=NAME)


def test_a_file_that_was_changed_does_not_reach_it(site, model):
    model.write_bytes(model.read_bytes() + b"\0")

    with pytest.raises(ArtifactError, match="its sha256 is"):
        open_session(model, runtime=NAME)


def test_inspect_and_the_choices_of_the_commands_know_it(site, model):
    lines = lifeiqa("inspect", model).stdout.splitlines()
    (line,) = [line for line in lines if line.startswith(f"runtime   {NAME} on cpu: ONNX refere")]
    assert "(default)" not in line

    for command in ("score", "evaluate", "compare"):
        assert NAME in lifeiqa(command, "--help").stdout
    assert NAME in measured_names()
    assert NAME in [each.runtime for each in candidates_from([str(model)], "onnxruntime")]


def test_compare_and_score_run_it(site, model, images):
    result = lifeiqa("compare", model, model, "--runtime-b", NAME, "--images", images)
    assert result.exit_code == 0, result.output
    assert "ONNX reference 1." in result.stdout

    result = lifeiqa("score", images, "--model", model, "--runtime", NAME, "--format", "csv")
    assert result.exit_code == 0, result.output
    with Scorer(model, runtime=NAME) as scorer:
        expected = [scorer.score(path).value for path in sorted(images.iterdir())]
    rows = [line.split(",") for line in result.stdout.splitlines()]
    column = rows[0].index("score")
    assert [float(row[column]) for row in rows[1:]] == pytest.approx(expected)


def test_a_process_of_its_own_finds_it_and_does_not_load_it_for_help(site, model):
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}

    def run(code):
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    told = run(
        f"import lifeiqa; print(lifeiqa.open_session({str(model)!r}, runtime={NAME!r}).runtime)"
    )
    assert told.startswith("ONNX reference 1.")
    helped = run(
        "import sys\nfrom lifeiqa.cli import main\ntry: main(['score', '--help'])\n"
        "finally: print([name for name in sys.modules if 'onnx_reference' in name])"
    )
    assert NAME in helped
    assert helped.splitlines()[-1] == "[]"
