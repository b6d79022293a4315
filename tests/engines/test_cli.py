"""The command lifeiqa-engine: what it says where, and how it ends."""

import re
import subprocess
import sys

import pytest
import tensorrt_rtx
from click.testing import CliRunner

from lifeiqa.artifacts.engine_info import BatchProfile
from lifeiqa.artifacts.manifest import read_manifest, sidecar_of
from lifeiqa_engines.cli import main

VERSION = tensorrt_rtx.__version__
pytestmark = pytest.mark.usefixtures("without_a_gpu")
RTX = ("--runtime", "tensorrt-rtx")


def run(*arguments):
    """The command in a terminal wide enough not to break its messages."""
    return CliRunner().invoke(main, list(map(str, arguments)), terminal_width=200)


def engines(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def one_line(text):
    return " ".join(re.sub(r"[│╭╮╰╯─]", " ", text).split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "Compile exported graphs to TensorRT engines, or ask whether that would work."),
        ([], "build Compile MODEL.onnx"),
        ([], "check Say whether TensorRT's parser takes MODEL.onnx"),
        (["build"], "Usage: main build [OPTIONS] MODEL.onnx"),
        (["build"], "The precision is that of the file: there is no switch for it."),
        (["build"], "--runtime [tensorrt|tensorrt-rtx]"),
        (["build"], "[default: tensorrt]"),
        (["build"], "--target TEXT Chips of TensorRT-RTX engines, one each: sm86,sm89."),
        (["build"], "one optimization profile each: 1,8,32; a range is 1:8:32."),
        (["build"], "--static INTEGER RANGE One batch size, fixed in the network."),
        (["build"], "version, chip and driver are added to the name."),
        (["build"], "--hardware-compatibility [none|ampere_plus|same_compute_capability]"),
        (["check"], "Usage: main check [OPTIONS] MODEL.onnx"),
        (["check"], "Exit status 1 when it refuses something."),
    ],
)
def test_help_says_what_there_is(arguments, words):
    shown = run(*arguments, "--help")

    assert shown.exit_code == 0
    assert words in one_line(shown.stdout)


def test_help_offers_no_precision():
    assert "--precision" not in run("build", "--help").stdout


def test_help_loads_no_tensorrt():
    """A command that only explains itself is quick, and works where nothing is installed."""
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from lifeiqa_engines.cli import main\n"
        "assert CliRunner().invoke(main, ['build', '--help']).exit_code == 0\n"
        "assert not {'tensorrt', 'tensorrt_rtx', 'torch', 'onnx'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("precision", ["fp16", "fp32", "int8"])
@pytest.mark.parametrize("before", [True, False])
def test_a_precision_is_refused_and_explained(grey, out, precision, before):
    wish = ("--precision", precision)
    arguments = (*wish, grey) if before else (grey, *wish)
    refused = run("build", *arguments, *RTX, "--target", "sm89", "-o", out)

    assert refused.exit_code == 2
    assert (
        f"'{precision}': an engine has the precision of its ONNX file, since TensorRT builds "
        f"strongly typed networks. Export that file with lifeiqa-export --precision {precision}"
    ) in one_line(refused.stderr)
    assert engines(out) == []


def test_one_engine_is_written_and_said(grey, out):
    done = run("build", grey, *RTX, "--target", "sm89", "-o", out)
    path = out / "tiny.fp32.tensorrt-rtx.sm89.engine"

    assert done.exit_code == 0
    assert engines(out) == [path.name, f"{path.name}.json"]
    assert done.stdout == f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB, fp32)\n"


def test_progress_goes_to_standard_error(grey, out):
    done = run("build", grey, *RTX, "--target", "sm89", "--batch", "1,2:4:8", "-o", out)

    assert done.stderr.splitlines() == [
        f"parsing tiny.fp32.onnx with TensorRT-RTX {VERSION}",
        "building for sm89, batch 1, 2:4:8",
    ]


@pytest.mark.parametrize("targets", ["sm89,sm120", " SM89 , sm120"])
def test_each_target_gets_its_own_file(grey, out, targets):
    done = run("build", grey, *RTX, "--target", targets, "-o", out)

    assert done.exit_code == 0
    assert engines(out) == [
        "tiny.fp32.tensorrt-rtx.sm120.engine",
        "tiny.fp32.tensorrt-rtx.sm120.engine.json",
        "tiny.fp32.tensorrt-rtx.sm89.engine",
        "tiny.fp32.tensorrt-rtx.sm89.engine.json",
    ]
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["wrote", "wrote"]
    for target in ("sm89", "sm120"):
        path = out / f"tiny.fp32.tensorrt-rtx.{target}.engine"
        assert read_manifest(path).engine.target == target


def test_a_target_that_cannot_be_built_leaves_the_others_unbuilt(grey, out):
    result = run("build", grey, *RTX, "--target", "sm89,sm90", "-o", out)

    assert result.exit_code == 2
    assert "target 'sm90'" in result.stderr
    assert engines(out) == []


@pytest.mark.parametrize("targets", ["sm89,sm89", "sm89,SM89", "sm89,", ",sm89", "", "sm89,,sm86"])
def test_a_target_that_is_named_twice_or_not_is_refused(grey, out, targets):
    refused = run("build", grey, *RTX, "--target", targets, "-o", out)

    assert refused.exit_code == 2
    assert refused.stderr == (
        f"ConfigError: --target {targets!r}: name each chip once, as in sm86,sm89\n"
    )
    assert engines(out) == []


@pytest.mark.parametrize(
    ("batches", "profiles"),
    [
        ("8", ["8"]),
        ("1,8,32", ["1", "8", "32"]),
        ("1:8:32", ["1:8:32"]),
        (" 1 , 2:4:8 ", ["1", "2:4:8"]),
    ],
)
def test_batches_become_profiles(grey, out, batches, profiles):
    done = run("build", grey, *RTX, "--target", "sm89", "--batch", batches, "-o", out)
    info = read_manifest(out / "tiny.fp32.tensorrt-rtx.sm89.engine").engine

    assert done.exit_code == 0
    assert info.profiles == tuple(map(BatchProfile.parse, profiles))


@pytest.mark.parametrize(
    ("batches", "complaint"),
    [
        ("", "batch '': write a size, 8, or a range, 1:8:32"),
        ("1,,8", "batch '': write a size, 8, or a range, 1:8:32"),
        ("many", "batch 'many': write a size, 8, or a range, 1:8:32"),
        ("1,8:32", "batch '8:32': write a size, 8, or a range, 1:8:32"),
        ("0", "batch 0: sizes are whole numbers of 1 to 2147483647"),
        ("32:8:1", "batch 32:8:1: write MINIMUM:OPTIMUM:MAXIMUM in rising order"),
    ],
)
def test_a_batch_that_cannot_be_read_is_refused(grey, out, batches, complaint):
    refused = run("build", grey, *RTX, "--target", "sm89", "--batch", batches, "-o", out)

    assert refused.exit_code == 2
    assert refused.stderr == f"ConfigError: {complaint}\n"
    assert engines(out) == []


def test_a_fixed_batch_goes_into_the_name(grey, out):
    done = run("build", grey, *RTX, "--target", "sm89", "--static", 8, "-o", out)

    assert done.exit_code == 0
    assert engines(out)[0] == "tiny.fp32.tensorrt-rtx.sm89.b8.engine"


@pytest.mark.parametrize("size", ["0", "-1", "eight", "1:8:32"])
def test_a_fixed_batch_is_one_size(grey, out, size):
    refused = run("build", grey, *RTX, "--target", "sm89", "--static", size, "-o", out)

    assert refused.exit_code == 2
    assert "--static" in refused.stderr
    assert engines(out) == []


@pytest.mark.parametrize(
    ("option", "name", "reason"),
    [
        (["--timing-cache", "times"], "timing_cache", "it times no kernels while building"),
        (
            ["--hardware-compatibility", "ampere_plus"],
            "hardware_compatibility",
            "an engine runs on",
        ),
        (["--version-compatible"], "version_compatible", "an engine is tied to the release"),
        (["--refit"], "refit", "that needs the GPU while building"),
        (["--strip-plan"], "strip_plan", "that needs the GPU while building"),
        (["--layers"], "layers", "an engine must be loaded on a GPU"),
    ],
)
def test_what_tensorrt_rtx_cannot_do_is_refused(grey, out, option, name, reason):
    refused = run("build", grey, *RTX, "--target", "sm89", *option, "-o", out)

    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"ConfigError: {name} is not for TensorRT-RTX: {reason}")
    assert engines(out) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--target", "sm90"], "ConfigError: target 'sm90': TensorRT-RTX"),
        ([], "ConfigError: there is no GPU here: name the chip to build for, sm75"),
        (["--target", "sm89", "--static", "8", "--batch", "8"], "exclude each other"),
        (["--runtime", "tensorrt"], "MissingDependencyError: building engines needs the package"),
        (["--runtime", "openvino"], "'openvino' is not one of"),
        (["--hardware-compatibility", "hopper"], "'hopper' is not one of"),
        (["--frobnicate"], "No such option"),
    ],
)
def test_what_cannot_be_built_exits_with_two(grey, out, monkeypatch, arguments, words):
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    refused = run("build", grey, *RTX, "-o", out, *arguments)

    assert refused.exit_code == 2
    assert words in one_line(refused.stderr)
    assert refused.stdout == ""
    assert engines(out) == []


def test_files_that_are_no_graphs_exit_with_two(grey, tmp_path, out):
    assert run("build", grey, *RTX, "--target", "sm89", "-o", tmp_path).exit_code == 0
    engine = tmp_path / "tiny.fp32.tensorrt-rtx.sm89.engine"
    for path, words in [
        (tmp_path / "none.onnx", "no such model file"),
        (engine, "its kind is engine; engines are built from ONNX files"),
    ]:
        refused = run("build", path, *RTX, "--target", "sm89", "-o", out)
        assert refused.exit_code == 2
        assert refused.stderr == f"ArtifactError: {path}: {words}\n"
    assert engines(out) == []


def test_the_result_goes_to_the_working_folder_by_default(grey, tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    done = run("build", grey, *RTX, "--target", "sm89")

    assert done.stdout.startswith("wrote tiny.fp32.tensorrt-rtx.sm89.engine (")
    assert sidecar_of(folder / "tiny.fp32.tensorrt-rtx.sm89.engine").is_file()


def test_a_folder_that_cannot_be_written_is_named(grey, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    refused = run("build", grey, *RTX, "--target", "sm89", "-o", blocked / "out")

    assert refused.exit_code == 2
    assert str(blocked) in refused.stderr
