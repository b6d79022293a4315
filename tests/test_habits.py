"""The files around the code agree with the code and with each other."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import lifeiqa
import lifeiqa_benchmarks
import lifeiqa_engines
import lifeiqa_export

ROOT = Path(__file__).parents[1]
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")


def read_yaml(name):
    return yaml.safe_load((ROOT / name).read_text("utf-8"))


def recipe(target):
    """The lines of a target of the Makefile."""
    found = re.search(rf"^{target}:[^\n]*\n((?:\t[^\n]*\n)+)", MAKEFILE, re.MULTILINE)
    assert found, f"the Makefile has no {target}"
    return found[1]


@pytest.mark.parametrize(
    "package",
    [lifeiqa, lifeiqa_export, lifeiqa_engines, lifeiqa_benchmarks],
    ids=lambda p: p.__name__,
)
def test_every_package_says_that_it_is_typed(package):
    assert Path(package.__file__).with_name("py.typed").is_file()


def test_the_version_is_one():
    cmake = (ROOT / "engines/cpp/CMakeLists.txt").read_text("utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")

    assert read_yaml("CITATION.cff")["version"] == lifeiqa.__version__
    assert f"project(lifeiqa VERSION {lifeiqa.__version__} " in cmake
    assert re.findall(r"^## (\S+)", changelog, re.MULTILINE)[0] == lifeiqa.__version__


def test_the_workflow_runs_what_ci_runs():
    (job,) = read_yaml(".github/workflows/ci.yml")["jobs"].values()
    commands = [step["run"] for step in job["steps"] if "run" in step]
    targets = " ".join(job["strategy"]["matrix"]["target"])
    own = re.search(r"^exec make (.+)$", (ROOT / ".ci/run").read_text("utf-8"), re.MULTILINE)

    assert commands == ["make ${{ matrix.target }}"]
    assert targets == own[1]


def test_the_workflow_runs_the_oldest_python_that_is_supported():
    with (ROOT / "pyproject.toml").open("rb") as file:
        oldest = tomllib.load(file)["project"]["requires-python"].removeprefix(">=")
    (job,) = read_yaml(".github/workflows/ci.yml")["jobs"].values()

    assert job["strategy"]["matrix"]["python"][0] == oldest


def test_pre_commit_runs_the_commands_of_make_lint():
    (repository,) = read_yaml(".pre-commit-config.yaml")["repos"]
    lint = recipe("lint")

    for hook in repository["hooks"]:
        assert hook["entry"].replace(".venv/bin", "$(BIN)") in lint, hook["id"]


def test_every_make_target_that_a_document_names_exists():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    named = {
        target
        for page in pages
        for target in re.findall(
            r"(?:`|^)make ([a-z][a-z-]*)", page.read_text("utf-8"), re.MULTILINE
        )
    }

    assert {"test", "docs"} <= named
    assert [target for target in sorted(named) if f"\n{target}:" not in MAKEFILE] == []
