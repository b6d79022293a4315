import itertools
import json
import pkgutil
import re
import subprocess
import sys

import pytest

import lifeiqa
import lifeiqa_engines
from helpers import tiny
from helpers.runtimes import ONNX_ON_CPU
from lifeiqa import errors
from lifeiqa.errors import LifeIQAError, MissingDependencyError, require

OPTIONAL = (
    *("torch", "timm", "safetensors", "onnx", "onnxruntime", "accelerate"),
    *("openvino", "openvino_telemetry"),
    *("scipy", "matplotlib", "openpyxl", "tomli_w", "tensorboard", "skimage"),
    *("av", "pyarrow", "pandas", "ray", "tritonclient", "grpc", "google", "selenium", "atheris"),
    *("tensorrt", "tensorrt_rtx", "cuda", "pycuda"),
)
COMMANDS = [
    "score",
    "inspect",
    "compare",
    "crossfit",
    "evaluate",
    "convert",
    "train",
    "study",
    "monotonicity",
    "explain",
    "datasets",
]
PYTORCH_ONLY = (
    "lifeiqa.model",
    "lifeiqa.runtimes.pytorch.session",
    "lifeiqa.training.best_checkpoint",
    "lifeiqa.training.sampling",
    "lifeiqa.training.crossfit",
    "lifeiqa.training.experiment",
    "lifeiqa.training.features",
    "lifeiqa.training.loop",
    "lifeiqa.training.objective",
    "lifeiqa.training.optimise",
    "lifeiqa.training.origin",
    "lifeiqa.training.part",
    "lifeiqa.training.record",
    "lifeiqa.training.stored",
    "lifeiqa.training.study",
    "lifeiqa.training.work",
)

BLOCK = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {OPTIONAL}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
"""


def python(code):
    """Run code in a fresh interpreter and give what it printed."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(code):
    """Top-level packages in memory after running code in a fresh interpreter."""
    report = (
        "\nimport sys, json; print(json.dumps(sorted({n.partition('.')[0] for n in sys.modules})))"
    )
    return set(json.loads(python(code + report).splitlines()[-1]))


def core_modules():
    """Modules of the core and of the engines that need no optional package to be imported."""
    packages = (lifeiqa, lifeiqa_engines)
    found = [pkgutil.walk_packages(each.__path__, f"{each.__name__}.") for each in packages]
    names = [info.name for info in itertools.chain(*found)]
    return [name for name in names if not name.startswith(PYTORCH_ONLY)]


def test_the_public_names_are_these():
    assert lifeiqa.__all__ == [
        "LifeIQAError",
        "Manifest",
        "Precision",
        "Score",
        "Scorer",
        "Session",
        "__version__",
        "open_session",
        "score_many",
    ]


@pytest.mark.parametrize("name", lifeiqa.__all__)
def test_every_public_name_is_there(name):
    assert getattr(lifeiqa, name) is not None
    assert name in dir(lifeiqa)


def test_any_other_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'lifeiqa' has no attribute 'Scroer'"):
        _ = lifeiqa.Scroer


def test_the_package_itself_loads_the_standard_library_alone():
    assert not loaded_by("import lifeiqa") & {*OPTIONAL, "numpy", "PIL", "click"}


def test_a_scorer_is_imported_without_any_runtime():
    assert not loaded_by("from lifeiqa import Scorer") & set(OPTIONAL)


@pytest.mark.parametrize("runtime", ONNX_ON_CPU)
def test_a_score_needs_one_runtime_and_no_torch(tmp_path, runtime):
    model = tiny.write_model(tmp_path / "tiny.onnx")
    image = tiny.write_image(tmp_path / "grey.png")

    scorer = f"lifeiqa.Scorer({str(model)!r}, runtime={runtime!r}, device='cpu')"
    code = f"import lifeiqa; {scorer}.score({str(image)!r})"

    assert loaded_by(code) & set(OPTIONAL) == {runtime}


def test_the_core_is_found():
    core = {
        "cli",
        "scorer.batches",
        "data.table",
        "evaluation.evaluate",
        "runtimes.tensorrt.session",
    }

    assert {f"lifeiqa.{name}" for name in core} <= set(core_modules())
    assert "lifeiqa_engines.build" in core_modules()


def test_the_core_imports_without_any_optional_package():
    imports = "\n".join(f"import {name}" for name in core_modules())

    assert not loaded_by(BLOCK + imports) & set(OPTIONAL)


def test_the_commands_are_these():
    from lifeiqa.cli import main

    shown = [name for name, command in main.commands.items() if not command.hidden]
    assert sorted(shown) == sorted(COMMANDS)


@pytest.mark.parametrize(
    ("module", "arguments"),
    [
        ("lifeiqa.cli", ["--help"]),
        *(("lifeiqa.cli", [command, "--help"]) for command in COMMANDS),
        ("lifeiqa_export.cli", ["--help"]),
        *(("lifeiqa_engines.cli", [*command, "--help"]) for command in ([], ["build"], ["check"])),
    ],
)
def test_help_comes_without_any_optional_package(module, arguments):
    code = f"""
from {module} import main
try:
    main({arguments})
except SystemExit as left:
    assert left.code == 0, left.code
else:
    raise AssertionError("it did not exit")
"""
    assert not loaded_by(code) & set(OPTIONAL)


def test_the_tree_of_errors_in_the_docstring_is_the_tree_of_classes():
    drawn, above = {}, [LifeIQAError.__name__]
    for indent, name in re.findall(r"^ {4}([│├└─ ]+)(\w+)  ", errors.__doc__, re.MULTILINE):
        depth = len(indent) // 4
        above[depth:] = [name]
        drawn[name] = above[depth - 1]

    assert drawn == {
        kind.__name__: kind.__bases__[0].__name__ for kind in descendants(LifeIQAError)
    }


def descendants(kind):
    for child in kind.__subclasses__():
        yield child
        yield from descendants(child)


def test_require_gives_a_module_that_is_installed():
    assert require("json.decoder", extra="x", purpose="x").JSONDecoder is json.JSONDecoder


@pytest.mark.parametrize("module", ["no_such_package", "no_such_package.part"])
def test_require_names_the_package_its_extra_and_its_purpose(module):
    with pytest.raises(MissingDependencyError) as caught:
        require(module, extra="gpu", purpose="running a model")

    assert str(caught.value) == (
        "running a model needs the package 'no_such_package', which is not installed. "
        "Install it: pip install 'lifeiqa[gpu]'"
    )
    assert isinstance(caught.value, ImportError)
    assert caught.value.name == "no_such_package"


def test_a_broken_package_is_not_called_missing(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("import no_such_dependency")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(ModuleNotFoundError) as caught:
        require("broken_package", extra="x", purpose="x")

    assert not isinstance(caught.value, LifeIQAError)
    assert caught.value.name == "no_such_dependency"
