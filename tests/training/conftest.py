"""The images, recipe and weights of the tests of whole runs."""

import pytest
import torch

from helpers import runs


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    return runs.write_inputs(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="session")
def unbroken(folder, tmp_path_factory):
    """The folder of an experiment that nothing interrupted."""
    out, threads = tmp_path_factory.mktemp("unbroken"), torch.get_num_threads()
    torch.set_num_threads(1)  # as in every process that it is compared with
    runs.run(runs.experiment(folder), out, report=runs.silent)
    torch.set_num_threads(threads)
    return out
