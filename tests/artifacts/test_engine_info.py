"""What an engine was built for, and where it is refused for that."""

import dataclasses
import json

import pytest

from lifeiqa.artifacts.engine_info import BatchProfile, EngineInfo, Tensor, target_of
from lifeiqa.errors import ConfigError, EngineMismatchError

REBUILD = "lifeiqa-engine build tiny.fp16.onnx"
TITLE = "TensorRT"


def info(**changes):
    values = {
        "runtime": "tensorrt",
        "version": "11.2.0.5",
        "compute_capability": "8.9",
        "gpu": "NVIDIA L4",
        "driver": "580.65.06",
        "profiles": (BatchProfile.fixed(1), BatchProfile(minimum=1, optimum=8, maximum=32)),
        "tensors": (
            Tensor(name="crops", type="uint8", shape=(-1, 224, 224, 3)),
            Tensor(name="score", type="float32", shape=(-1,)),
        ),
        "arithmetic": {"float16": 9, "float32": 2},
    }
    return EngineInfo(**{**values, **changes})


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("1", (1, 1, 1)),
        ("8", (8, 8, 8)),
        (" 8 ", (8, 8, 8)),
        ("1:8:32", (1, 8, 32)),
        ("1:1:2", (1, 1, 2)),
        ("4:4:4", (4, 4, 4)),
        ("2147483647", (2147483647,) * 3),
    ],
)
def test_a_batch_is_one_size_or_a_range(text, sizes):
    profile = BatchProfile.parse(text)

    assert (profile.minimum, profile.optimum, profile.maximum) == sizes


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "batch '': write a size, 8, or a range, 1:8:32"),
        ("eight", "batch 'eight': write a size, 8, or a range, 1:8:32"),
        ("1:8", "batch '1:8': write a size, 8, or a range, 1:8:32"),
        ("1:8:32:64", "batch '1:8:32:64': write a size, 8, or a range, 1:8:32"),
        ("1::32", "batch '1::32': write a size, 8, or a range, 1:8:32"),
        ("1.5", "batch '1.5': write a size, 8, or a range, 1:8:32"),
        ("0", "batch 0: sizes are whole numbers of 1 to 2147483647"),
        ("-1", "batch -1: sizes are whole numbers of 1 to 2147483647"),
        ("0:8:32", "batch 0:8:32: sizes are whole numbers of 1 to 2147483647"),
        ("2147483648", "batch 2147483648: sizes are whole numbers of 1 to 2147483647"),
        ("8:4:32", "batch 8:4:32: write MINIMUM:OPTIMUM:MAXIMUM in rising order"),
        ("1:32:8", "batch 1:32:8: write MINIMUM:OPTIMUM:MAXIMUM in rising order"),
        ("8:4:8", "batch 8:4:8: write MINIMUM:OPTIMUM:MAXIMUM in rising order"),
    ],
)
def test_a_batch_that_cannot_be_is_refused_as_it_was_written(text, complaint):
    with pytest.raises(ConfigError) as caught:
        BatchProfile.parse(text)

    assert str(caught.value) == complaint


@pytest.mark.parametrize("size", [True, 8.0, "8", None])
def test_a_size_that_is_no_whole_number_is_refused(size):
    with pytest.raises(ConfigError, match="sizes are whole numbers"):
        BatchProfile.fixed(size)


def test_a_profile_holds_its_range_and_nothing_else():
    profile = BatchProfile.parse("2:8:32")

    assert [batch for batch in range(40) if batch in profile] == list(range(2, 33))
    assert not profile.is_fixed
    assert BatchProfile.fixed(8).is_fixed
    assert [batch for batch in range(40) if batch in BatchProfile.fixed(8)] == [8]


@pytest.mark.parametrize("text", ["1", "8", "1:8:32", "1:1:2"])
def test_a_profile_is_printed_as_it_is_written(text):
    assert str(BatchProfile.parse(text)) == text


def test_an_engine_survives_its_dictionary():
    built = info(
        hardware_compatibility="ampere_plus",
        version_compatible=True,
        refittable=True,
        stripped=True,
    )
    values = json.loads(json.dumps(dataclasses.asdict(built)))

    assert EngineInfo.from_dict(values) == built


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"runtime": "../x"}, "runtime is '../x': it becomes part of a file name"),
        (
            {"hardware_compatibility": "hopper"},
            "hardware_compatibility is 'hopper': choose one of none, ampere_plus, "
            "same_compute_capability",
        ),
        ({"version": "eleven"}, "version is 'eleven': numbers with dots are expected"),
        ({"version": ""}, "version is '': numbers with dots are expected"),
        ({"version": "11..2"}, "version is '11..2': numbers with dots are expected"),
        ({"version": None}, "version is None: numbers with dots are expected"),
        ({"compute_capability": "sm89"}, "compute_capability is 'sm89': numbers with dots"),
        ({"compute_capability": 8.9}, "compute_capability is 8.9: numbers with dots"),
        ({"profiles": ()}, "profiles: an engine has at least one batch size"),
    ],
)
def test_an_engine_that_cannot_be_is_refused(changes, complaint):
    with pytest.raises(ConfigError) as caught:
        info(**changes)

    assert str(caught.value).startswith(complaint)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"colour": "green"}, "EngineInfo has no colour"),
        ({"profiles": [{"minimum": 1, "optimum": 8}]}, "BatchProfile cannot be read"),
        ({"profiles": [{"minimum": 1, "optimum": 8, "most": 9}]}, "BatchProfile has no most"),
        ({"profiles": [{"minimum": 9, "optimum": 8, "maximum": 9}]}, "rising order"),
    ],
)
def test_a_dictionary_that_is_no_engine_is_refused(changes, complaint):
    with pytest.raises(ConfigError, match=complaint):
        EngineInfo.from_dict({**dataclasses.asdict(info()), **changes})


@pytest.mark.parametrize(
    ("compute_capability", "target"),
    [("7.5", "sm75"), ("8.9", "sm89"), ("9.0", "sm90"), ("12.0", "sm120"), ("12.1", "sm121")],
)
def test_a_target_is_the_compute_capability_without_its_dot(compute_capability, target):
    assert target_of(compute_capability) == target
    assert info(compute_capability=compute_capability).target == target


@pytest.mark.parametrize("version_compatible", [False, True])
def test_the_release_that_built_an_engine_runs_it(version_compatible):
    info(version_compatible=version_compatible).require_version("11.2.0.5", TITLE, REBUILD)


@pytest.mark.parametrize(
    ("version", "version_compatible"),
    [
        ("11.2.0.6", False),
        ("11.2.0.50", False),
        ("11.2.0", False),
        ("12.0.0.1", False),
        ("10.14.1.48", False),
        ("10.14.1.48", True),  # the reverse never holds
        ("11.2.0.4", True),
        ("11.1.9.9", True),
    ],
)
def test_another_release_is_refused_in_full_words(version, version_compatible):
    with pytest.raises(EngineMismatchError) as caught:
        info(version_compatible=version_compatible).require_version(version, TITLE, REBUILD)

    assert str(caught.value) == (
        f"built by TensorRT 11.2.0.5, this is {version}. "
        f"Rebuild: lifeiqa-engine build tiny.fp16.onnx"
    )


@pytest.mark.parametrize("version", ["11.2.0.6", "11.2.0.10", "11.10.0.1", "12.0.0.1"])
def test_later_releases_run_a_version_compatible_engine(version):
    info(version_compatible=True).require_version(version, TITLE, REBUILD)


def test_what_follows_the_digits_of_a_version_counts_for_nothing():
    """Release 5 of a candidate 1 is release 5, not release 51."""
    info(version="11.2.0.5rc1").require_version("11.2.0.5", TITLE, REBUILD)
    with pytest.raises(EngineMismatchError, match=r"11\.2\.0\.5rc1, this is 11\.2\.0\.51"):
        info(version="11.2.0.5rc1").require_version("11.2.0.51", TITLE, REBUILD)


@pytest.mark.parametrize(
    ("level", "compute_capability"),
    [
        ("none", "8.9"),
        ("same_compute_capability", "8.9"),
        ("ampere_plus", "8.9"),
        ("ampere_plus", "8.0"),
        ("ampere_plus", "9.0"),
        ("ampere_plus", "12.0"),
    ],
)
def test_a_chip_that_an_engine_was_built_for_runs_it(level, compute_capability):
    info(hardware_compatibility=level).require_chip(compute_capability, "a GPU", REBUILD)


@pytest.mark.parametrize(
    ("level", "compute_capability", "chip"),
    [
        ("none", "8.6", "SM86"),
        ("none", "9.0", "SM90"),
        ("none", "12.0", "SM120"),
        ("same_compute_capability", "8.6", "SM86"),
        ("same_compute_capability", "9.0", "SM90"),
        ("ampere_plus", "7.5", "SM75"),
    ],
)
def test_another_chip_is_refused_in_full_words(level, compute_capability, chip):
    with pytest.raises(EngineMismatchError) as caught:
        info(hardware_compatibility=level).require_chip(compute_capability, "NVIDIA X", REBUILD)

    assert str(caught.value) == (
        f"built for SM89, this is {chip} (NVIDIA X). Rebuild: lifeiqa-engine build tiny.fp16.onnx"
    )
