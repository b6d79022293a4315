"""The runtimes that tests go through, as the registry has them."""

from lifeiqa.runtimes import open_session
from lifeiqa.runtimes.registry import RUNTIMES

ONNX_ON_CPU = [each.name for each in RUNTIMES if ".onnx" in each.suffixes and "cpu" in each.devices]


def open_on_cpu(path, runtime, **options):
    return open_session(path, runtime=runtime, device="cpu", **{"threads": 1, **options})
