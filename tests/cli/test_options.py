"""--runtime and --device of every command, and --provider, which they replace."""

import click
import pytest
from click.testing import CliRunner

from helpers import tiny
from lifeiqa.cli import main, options
from lifeiqa.runtimes.registry import RUNTIMES, runtime_names
from lifeiqa_benchmarks.cli import main as bench
from lifeiqa_engines.cli import main as engine
from lifeiqa_export.cli import main as export


@pytest.fixture
def model(tmp_path):
    return tiny.write_model(tmp_path / "tiny.onnx")


def chosen(*arguments, model="model.onnx"):
    """What a command with the options is given, or its result where it fails."""
    given = {}

    @click.command()
    @click.argument("model")
    @options.runtime()
    def command(**values):
        given.update(values)

    result = CliRunner().invoke(command, [str(model), *arguments])
    del given["model"]
    return given, result.stderr


@pytest.mark.parametrize("runtime", [each.name for each in RUNTIMES])
def test_every_runtime_is_a_choice(runtime):
    assert chosen("--runtime", runtime) == ({"runtime": runtime, "device": None}, "")


def test_without_the_options_the_choice_is_left_to_the_session():
    assert chosen() == ({"runtime": None, "device": None}, "")


@pytest.mark.parametrize(
    ("provider", "model", "runtime", "device", "words"),
    [
        ("cpu", "x.onnx", "onnxruntime", "cpu", "--runtime onnxruntime --device cpu"),
        ("cuda", "x.onnx", "onnxruntime", "cuda", "--runtime onnxruntime --device cuda"),
        ("openvino", "x.onnx", "openvino", None, "--runtime openvino"),
        ("cpu", "x.safetensors", None, "cpu", "--device cpu"),
        ("cuda", "x.engine", None, "cuda", "--device cuda"),
        ("cpu", "fast", "onnxruntime", "cpu", "--runtime onnxruntime --device cpu"),
        ("cpu", "a.name.with.dots", "onnxruntime", "cpu", "--runtime onnxruntime --device cpu"),
    ],
)
def test_a_provider_is_taken_for_what_it_meant_and_one_line_says_so(
    tmp_path, monkeypatch, provider, model, runtime, device, words
):
    monkeypatch.chdir(tmp_path)
    if model.startswith("x"):
        (tmp_path / model).touch()

    given, told = chosen("--provider", provider, model=model)

    assert given == {"runtime": runtime, "device": device}
    assert told == f"--provider is deprecated and goes with lifeiqa 0.3: use {words}\n"


@pytest.mark.parametrize("also", [["--runtime", "openvino"], ["--device", "cpu"]])
def test_a_provider_excludes_what_replaced_it(model, also):
    images = str(model.parent)
    result = CliRunner().invoke(
        main, ["score", images, "--model", str(model), "--provider", "cpu", *also]
    )

    assert result.exit_code == 2
    assert result.stderr == (
        "ConfigError: --provider is mutually exclusive with --runtime and --device: drop it\n"
    )


def test_compare_has_the_options_for_each_of_its_models(model, tmp_path):
    tiny.write_image(tmp_path / "images" / "a.png", 90)
    tiny.write_image(tmp_path / "images" / "b.png", 120)
    arguments = ["compare", str(model), str(model), "--images", str(tmp_path / "images")]

    old = CliRunner().invoke(main, [*arguments, "--provider-a", "openvino", "--provider-b", "cpu"])
    new = CliRunner().invoke(
        main, [*arguments, "--runtime-a", "openvino", "--runtime-b", "onnxruntime"]
    )

    assert old.exit_code == new.exit_code == 0
    assert old.stdout == new.stdout
    assert "from OpenVINO" in old.stdout
    assert old.stderr.splitlines() == [
        "--provider-a is deprecated and goes with lifeiqa 0.3: use --runtime-a openvino",
        "--provider-b is deprecated and goes with lifeiqa 0.3: use --runtime-b onnxruntime "
        "--device-b cpu",
    ]


def options_of(command, *path):
    for name in path:
        command = command.commands[name]
    return {name: option for option in command.params for name in option.opts}


@pytest.mark.parametrize(
    ("command", "path", "suffix"),
    [
        (main, ["score"], ""),
        (main, ["evaluate"], ""),
        (main, ["compare"], "-a"),
        (main, ["compare"], "-b"),
    ],
)
def test_provider_is_hidden_and_the_others_are_shown(command, path, suffix):
    found = options_of(command, *path)

    assert found[f"--provider{suffix}"].hidden
    assert not found[f"--runtime{suffix}"].hidden
    shown = CliRunner().invoke(command, [*path, "--help"], terminal_width=200).stdout
    assert "--provider" not in shown
    assert f"--runtime{suffix} [{'|'.join(runtime_names())}]" in shown


def leaves(name, command):
    if isinstance(command, click.Group):
        for sub, found in command.commands.items():
            yield from leaves(f"{name} {sub}", found)
    elif not command.hidden:
        yield name, command


@pytest.mark.parametrize(
    ("name", "command"),
    [
        *leaves("lifeiqa", main),
        *leaves("lifeiqa-engine", engine),
        *leaves("lifeiqa-bench", bench),
        ("lifeiqa-export", export),
    ],
)
def test_help_begins_with_a_sentence_and_ends_with_an_example(name, command):
    """The example's options are those of the command."""
    first, *_ = command.help.split("\n\n")
    assert first.strip().endswith(".")
    assert f"{command.epilog} ".startswith(f"Example: {name} ")
    words = command.epilog.removeprefix(f"Example: {name}").split()
    command.make_context(name, words).close()
    helped = CliRunner().invoke(command, ["--help"], terminal_width=100).stdout
    assert helped.rstrip().endswith(command.epilog)


def test_no_command_has_a_flavour_or_a_visible_provider():
    for command in (main, engine, bench):
        for name in command.commands:
            found = options_of(command, name)
            assert "--flavour" not in found
            assert all(option.hidden for key, option in found.items() if "--provider" in key)


def test_the_benchmark_measures_every_runtime():
    found = options_of(bench, "run")

    for name in ("--runtime", "--baseline"):
        for choice in (*runtime_names(), "torch.compile"):
            assert found[name].type.convert(choice, None, None) == choice
