"""The C++ library as `make test-cpp` built it. Without it these tests are skipped."""

import os
from pathlib import Path

import pytest

from helpers.c_interface import CLibrary

SOURCES = Path(__file__).parents[2] / "engines" / "cpp"


@pytest.fixture(scope="session")
def build():
    """The output folder of engines/cpp/build.sh."""
    folder = os.environ.get("LIFEIQA_CPP")
    if folder is None:
        pytest.skip("the C++ library is not built: run make test-cpp, which sets LIFEIQA_CPP")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def library(build):
    return CLibrary(build / "install" / "lib" / "liblifeiqa.so")


@pytest.fixture(scope="session")
def example(build):
    """The program of examples/cpp, built against the installed library."""
    return build / "example" / "lifeiqa-csv"
