"""The registry: the runtimes of lifeiqa, those of other distributions, and no second list."""

import ast
import itertools
import sys
import tomllib
import warnings
from pathlib import Path

import pytest

from helpers import tiny
from helpers.distributions import forget_runtimes, install
from lifeiqa.artifacts.manifest import read_manifest
from lifeiqa.errors import ConfigError, MissingDependencyError
from lifeiqa.runtimes import open_session, registry
from lifeiqa.runtimes.entry import DEVICES, Availability, Runtime
from lifeiqa.runtimes.registry import RUNTIMES, runtime_named, runtime_names, runtimes
from lifeiqa.runtimes.selection import choose, runs_with

ROOT = Path(__file__).parents[2]
SOURCES = ("lifeiqa", "export", "engines", "benchmarks", "examples")
# Sets of wheels by the name of their folder; it lists packages to carry, not what can run.
OTHER_LISTS = {"benchmarks/lifeiqa_benchmarks/gpu/bundle.py"}
ABACUS = """
from pathlib import Path
from lifeiqa.runtimes.registry import Availability, Runtime

class Session:
    runtime = "abacus"
    def __init__(self, manifest):
        self.manifest = manifest
    def run(self, crops):
        return crops.mean(axis=(1, 2, 3), dtype="float32")
    def close(self):
        pass
    def __enter__(self):
        return self
    def __exit__(self, *_):
        self.close()

RUNTIME = Runtime(
    name="abacus", title="Abacus", suffixes=(".onnx", ".beads"), devices=("cpu",),
    install="pip install abacus", available=lambda device: Availability("Abacus 1.0"),
    open=lambda path, manifest, *, device, threads: Session(manifest),
)
"""


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder of installed distributions; what the registry found there is forgotten after."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    forget_runtimes()
    yield folder
    forget_runtimes()
    for name in [name for name in sys.modules if name.startswith("abacus_")]:
        del sys.modules[name]


def register(
    site, name="abacus", target="abacus_runtime:RUNTIME", *, package="abacus", code=ABACUS
):
    module = target.partition(":")[0]
    install(
        site,
        package,
        entry_points=f"[lifeiqa.runtimes]\n{name} = {target}\n",
        files={f"{module}.py": code},
    )


def refusal(name):
    with pytest.raises(ConfigError) as caught:
        runtime_named(name)
    return str(caught.value)


def test_names_are_distinct_and_every_runtime_says_where_it_runs():
    names = [runtime.name for runtime in RUNTIMES]

    assert len(set(names)) == len(names)
    for runtime in RUNTIMES:
        assert runtime_named(runtime.name) is runtime
        assert runtime.title
        assert set(runtime.devices) <= set(DEVICES)


def test_the_command_that_installs_a_runtime_names_an_extra_that_there_is():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for runtime in RUNTIMES:
        extra = runtime.install.removeprefix("pip install 'lifeiqa[").removesuffix("]'")
        brought = " ".join(extras["optional-dependencies"][extra])
        assert any(package in brought for package in runtime.packages)


def test_an_unknown_name_is_refused_with_those_that_are_known():
    assert refusal("tpu") == f"runtime is 'tpu': choose one of {', '.join(runtime_names())}"


@pytest.mark.parametrize(
    "changes", [{"devices": ()}, {"devices": ("tpu",)}, {"suffixes": ()}, {"suffixes": ("onnx",)}]
)
def test_an_entry_without_a_device_or_a_suffix_is_refused(changes):
    fields = {"name": "x", "title": "X", "suffixes": (".onnx",), "devices": ("cpu",)}
    with pytest.raises(ConfigError, match="of x are"):
        Runtime(
            **{**fields, **changes}, install="", available=lambda _: Availability(""), open=None
        )


def test_what_a_check_raises_is_why_a_runtime_is_not_available():
    def missing():
        raise MissingDependencyError("no beads")

    assert Availability.of(lambda: "Abacus 1.0") == Availability("Abacus 1.0")
    found = Availability.of(missing)
    assert not found
    assert (found.words, type(found.error)) == ("no beads", MissingDependencyError)


def test_a_registered_runtime_is_known_by_its_name_before_it_is_loaded(site):
    register(site, code="raise AssertionError('it was loaded')")

    assert runtime_names() == (*(runtime.name for runtime in RUNTIMES), "abacus")


def test_a_registered_runtime_opens_a_model_when_it_is_named(site, tmp_path):
    register(site)
    path = tiny.write_model(tmp_path / "tiny.onnx")

    with open_session(path, runtime="abacus") as session:
        assert session.runtime == "abacus"
        assert session.run(tiny.crops(7)) == pytest.approx([7])
    assert "abacus on cpu: Abacus 1.0" in runs_with(path, read_manifest(path))


def test_installing_a_runtime_does_not_change_what_is_taken(site, tmp_path):
    path = tiny.write_model(tmp_path / "tiny.onnx")
    before = choose(path, read_manifest(path))
    register(site)
    forget_runtimes()

    assert choose(path, read_manifest(path)) == before


def test_a_registered_runtime_is_taken_where_no_other_is_available(site, tmp_path, monkeypatch):
    register(site)
    monkeypatch.setattr(
        registry,
        "RUNTIMES",
        tuple(
            Runtime(**{**vars(each), "available": lambda _: Availability("x", ConfigError("x"))})
            for each in RUNTIMES
        ),
    )
    monkeypatch.setattr("lifeiqa.runtimes.selection.RUNTIMES", registry.RUNTIMES)
    path = tiny.write_model(tmp_path / "tiny.onnx")

    assert choose(path, read_manifest(path))[0].name == "abacus"


def test_a_registered_runtime_may_bring_a_file_of_its_own(site, tmp_path):
    register(site)
    path = tmp_path / "tiny.beads"
    path.write_bytes(b"beads")
    tiny.write_sidecar(path, kind="beads", opset=None)

    with open_session(path) as session:
        assert session.manifest.kind == "beads"
        assert session.runtime == "abacus"


def test_a_runtime_that_two_distributions_register_names_both(site):
    register(site)
    register(site, package="abacus-two", target="abacus_two:RUNTIME")

    assert refusal("abacus") == (
        "the runtime 'abacus' is registered by abacus 1.0 and abacus-two 1.0: uninstall one of them"
    )
    with pytest.warns(RuntimeWarning, match=r"registered by abacus 1\.0 and abacus-two 1\.0"):
        assert runtimes() == RUNTIMES


@pytest.mark.parametrize("name", [each.name for each in RUNTIMES])
def test_a_name_of_lifeiqa_cannot_be_taken(site, name):
    register(site, name)

    with pytest.warns(RuntimeWarning, match=rf"'{name}' of abacus 1\.0 is ignored: lifeiqa has"):
        assert runtimes() == RUNTIMES


@pytest.mark.parametrize(
    ("target", "code", "cause"),
    [
        ("abacus_runtime:RUNTIME", "import no_beads", "ModuleNotFoundError: No module named 'no_b"),
        ("abacus_runtime:RUNTIME", "1 / 0", "ZeroDivisionError"),
        ("abacus_runtime:NONE", ABACUS, "AttributeError"),
        ("abacus_runtime:Session", ABACUS, "a lifeiqa Runtime of that name is expected"),
        (
            "abacus_runtime:RUNTIME",
            ABACUS.replace('name="abacus"', 'name="other"'),
            "a lifeiqa Runtime of that name is expected",
        ),
    ],
)
def test_a_broken_distribution_is_named_and_disturbs_no_other_runtime(
    site, tmp_path, target, code, cause
):
    register(site, target=target, code=code)
    path = tiny.write_model(tmp_path / "tiny.onnx")

    message = refusal("abacus")
    assert message.startswith("the runtime 'abacus' of abacus 1.0 ")
    assert cause in message
    assert message.endswith("Upgrade or uninstall that distribution")
    with pytest.warns(RuntimeWarning, match=r"'abacus' of abacus 1\.0 "):
        assert runtimes() == RUNTIMES
    with warnings.catch_warnings():  # a runtime of lifeiqa opens without looking at others
        warnings.simplefilter("error")
        open_session(path, device="cpu").close()


def collections(tree):
    """Strings that stand in one literal: a list, tuple, set, dict or a Literal of types."""
    for node in ast.walk(tree):
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            parts = node.elts
        elif isinstance(node, ast.Dict):
            parts = [*node.keys, *node.values]
        else:
            continue
        flat = itertools.chain.from_iterable(
            each.value.elts
            if isinstance(each, ast.Starred) and hasattr(each.value, "elts")
            else [each]
            for each in parts
        )
        yield node.lineno, {each.value for each in flat if isinstance(each, ast.Constant)}


def test_a_list_of_runtimes_is_found_where_there_is_one():
    names = {runtime.name for runtime in RUNTIMES}
    texts = ['x = ["cpu", "openvino", "onnxruntime"]', 'Literal["tensorrt", "tensorrt-rtx"]']
    for text in [*texts, 'f(*("openvino", "pytorch"))', '{"openvino": 1, "pytorch": 2}']:
        assert any(len(found & names) > 1 for _, found in collections(ast.parse(text)))


def test_no_list_of_runtimes_is_written_a_second_time():
    names = {runtime.name for runtime in RUNTIMES}
    found = [
        f"{path.relative_to(ROOT)}:{line}: {sorted(strings & names)}"
        for source in SOURCES
        for path in sorted((ROOT / source).rglob("*.py"))
        if path.relative_to(ROOT).as_posix() not in OTHER_LISTS
        for line, strings in collections(ast.parse(path.read_text()))
        if len(strings & names) > 1
    ]

    assert found == []
