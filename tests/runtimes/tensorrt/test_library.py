"""The two TensorRTs, and in what they differ."""

import dataclasses
import sys

import pytest

from lifeiqa.errors import ConfigError, MissingDependencyError
from lifeiqa.runtimes.tensorrt.library import LIBRARIES, library_named


def test_a_library_is_found_by_its_name():
    assert {name: library_named(name).title for name in LIBRARIES} == {
        "tensorrt": "TensorRT",
        "tensorrt-rtx": "TensorRT-RTX",
    }
    with pytest.raises(ConfigError) as caught:
        library_named("TensorRT")
    assert str(caught.value) == "runtime is 'TensorRT': choose one of tensorrt, tensorrt-rtx"


@pytest.mark.parametrize(
    ("name", "module"), [("tensorrt", "tensorrt"), ("tensorrt-rtx", "tensorrt_rtx")]
)
def test_a_library_that_is_not_installed_names_its_extra(name, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingDependencyError) as caught:
        library_named(name).load("building engines")

    assert str(caught.value) == (
        f"building engines needs the package '{module}', which is not installed. "
        f"Install it: pip install 'lifeiqa[{name}]'"
    )


def test_what_a_library_refuses_are_options_of_a_build():
    from lifeiqa_engines.configuration import BuildOptions

    options = {field.name for field in dataclasses.fields(BuildOptions)}
    for library in LIBRARIES.values():
        assert set(library.refused) <= options
        assert all(library.refused.values())
