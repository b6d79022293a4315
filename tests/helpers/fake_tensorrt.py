"""A fake of TensorRT's runtime, for engines whose score is the mean of a crop's samples.

It computes in the memory of `fake_cuda.FakeCuda`, and refuses as the real one does: a context that
has not taken a profile, a batch outside it, addresses that are not there.
"""

import ctypes
import enum
from importlib.machinery import ModuleSpec

import numpy as np

from helpers import tiny
from lifeiqa.artifacts.engine_info import BatchProfile, EngineInfo, Tensor
from lifeiqa.runtimes.cuda.driver import Device

VERSION = "11.4.0.106"
GPU = Device(index=0, name="Fake L4", compute_capability="8.9", driver="580.65.06")


def info(*batches, **changes):
    """An engine for `GPU`; a batch is ``8`` or ``"1:8:32"``."""
    shape = (-1, tiny.SIZE, tiny.SIZE, 3)
    values = {
        "runtime": "tensorrt",
        "version": VERSION,
        "compute_capability": GPU.compute_capability,
        "gpu": GPU.name,
        "driver": GPU.driver,
        "profiles": tuple(BatchProfile.parse(str(batch)) for batch in batches or (1, 8)),
        "tensors": (
            Tensor(name="crops", type="uint8", shape=shape),
            Tensor(name="score", type="float32", shape=(-1,)),
        ),
        "arithmetic": {"float16": 9, "float32": 1},
    }
    return EngineInfo(**{**values, **changes})


def write_engine(path, *batches, plan=b"a plan", **changes):
    """A file that the fake loads, with its sidecar."""
    path.write_bytes(plan)
    tiny.write_sidecar(path, kind="engine", engine=info(*batches, **changes))
    return path


class FakeTensorRT:
    """Looks like the module ``tensorrt``, or ``tensorrt_rtx``."""

    __version__ = VERSION
    __spec__ = ModuleSpec("tensorrt", None, origin="a fake")

    class ExecutionContextAllocationStrategy(enum.Enum):
        STATIC, ON_PROFILE_CHANGE = range(2)

    class CudaGraphStrategy(enum.Enum):
        DISABLED, WHOLE_GRAPH_CAPTURE = range(2)

    class ILogger:
        class Severity(enum.IntEnum):
            INTERNAL_ERROR, ERROR, WARNING = range(3)

    def __init__(self, cuda, profiles):
        self.cuda, self.profiles = cuda, profiles
        self.loads = 0
        self.contexts = []
        self.strategies = []
        self.refuse = None  # name of a call of a context that is to fail
        self.broken = False  # whether no plan can be loaded
        self.refitted_from = None

    def Runtime(self, logger):  # noqa: N802
        return _Runtime(self, logger)

    def context(self, logger):
        return Context(self, logger)

    def Refitter(self, engine, logger):  # noqa: N802
        return _Refitter(self)

    def OnnxParserRefitter(self, refitter, logger):  # noqa: N802
        return refitter


class _Refitter:
    def __init__(self, module):
        self.module = module

    def refit_from_file(self, path):
        self.module.refitted_from = path
        return True

    def refit_cuda_engine(self):
        return True


class _Runtime:
    engine_host_code_allowed = True

    def __init__(self, module, logger):
        self.module, self.logger = module, logger

    def deserialize_cuda_engine(self, plan):
        self.module.loads += 1
        self.module.host_code_allowed = self.engine_host_code_allowed
        if self.module.broken:
            self.logger.log(self.module.ILogger.Severity.ERROR, "the plan is malformed")
            return None
        return _Engine(self.module, self.logger)


class _RuntimeConfig:
    def set_execution_context_allocation_strategy(self, strategy):
        self.strategy = strategy


class _Engine:
    def __init__(self, module, logger):
        self.module, self.logger = module, logger

    def create_runtime_config(self):
        return _RuntimeConfig()

    def create_execution_context(self, how):
        self.module.strategies.append(how)
        self.module.contexts.append(self.module.context(self.logger))
        return self.module.contexts[-1]


class Context:
    def __init__(self, module, logger):
        self.module, self.logger = module, logger
        self.profile = self.shape = None
        self.addresses = {}
        self.executions = 0

    def set_optimization_profile_async(self, profile, stream):
        self.profile = self.module.profiles[profile]
        return self._allowed("set_optimization_profile_async", True)

    def set_input_shape(self, name, shape):
        self.shape = shape
        fits = name == "crops" and self.profile is not None and shape[0] in self.profile
        return self._allowed("set_input_shape", fits)

    def set_tensor_address(self, name, pointer):
        self.addresses[name] = pointer
        return self._allowed("set_tensor_address", name in ("crops", "score"))

    def execute_async_v3(self, stream):
        cuda, shape = self.module.cuda, self.shape
        crops, scores = self.addresses["crops"], self.addresses["score"]
        size = int(np.prod(shape))
        held = cuda.holds(crops, size) and cuda.holds(scores, 4 * shape[0])

        def compute():
            self.executions += 1
            assert cuda.holds(crops, size), "an execution over memory that was given back"
            assert cuda.holds(scores, 4 * shape[0]), "scores go to memory that was given back"
            samples = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(crops))
            means = samples.reshape(shape).mean((1, 2, 3), dtype=np.float32)
            ctypes.memmove(scores, means.ctypes.data, means.nbytes)

        done = held and cuda.enqueue(stream, compute) == 0
        return self._allowed("execute_async_v3", done)

    def _allowed(self, call, done):
        if self.module.refuse == call or not done:
            self.logger.log(self.module.ILogger.Severity.ERROR, f"{call} cannot be")
            return False
        return True
