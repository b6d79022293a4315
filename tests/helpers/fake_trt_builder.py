"""A fake of TensorRT's builder, for what only the full TensorRT does: its engines need a GPU.

It holds to the order in which the real one is called, refuses as it does, and writes down what it
was told. The networks that it makes are all the graph of `tiny.model`.
"""

import enum
import json
import types
from importlib.machinery import ModuleSpec

from helpers import tiny
from lifeiqa.runtimes.cuda.driver import Device

VERSION = "11.4.0.106"
GPU = Device(index=0, name="Fake L4", compute_capability="8.9", driver="580.65.06")
FLAGS = ("REFIT", "TF32", "STRIP_PLAN", "VERSION_COMPATIBLE")


class DataType(enum.Enum):
    FLOAT, HALF, UINT8 = range(3)


class _Tensor:
    def __init__(self, name, dtype, shape):
        self.name, self.dtype, self.shape = name, dtype, shape


class _Layer:
    num_outputs = 1

    def __init__(self, dtype):
        self._output = _Tensor("", dtype, ())

    def get_output(self, index):
        return self._output


class _Network:
    def __init__(self, flags):
        assert flags == 1 << int(FakeTensorRT.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        self.layers, self.inputs, self.outputs = [], [], []

    num_layers = property(lambda self: len(self.layers))
    num_inputs = property(lambda self: len(self.inputs))
    num_outputs = property(lambda self: len(self.outputs))

    def get_layer(self, index):
        return self.layers[index]

    def get_input(self, index):
        return self.inputs[index]

    def get_output(self, index):
        return self.outputs[index]


class _Parser:
    num_errors = 0
    num_subgraphs = 1

    def __init__(self, network, logger):
        self.network = network

    def parse(self, model):
        assert model
        self.network.inputs = [_Tensor("crops", DataType.UINT8, (-1, tiny.SIZE, tiny.SIZE, 3))]
        self.network.outputs = [_Tensor("score", DataType.FLOAT, (-1,))]
        self.network.layers = [_Layer(DataType.FLOAT)] * 3
        return True

    supports_model_v2 = parse


class _Profile:
    def set_shape(self, name, minimum, optimum, maximum):
        assert name == "crops"
        self.batches = (minimum[0], optimum[0], maximum[0])


class _TimingCache:
    def __init__(self, known):
        self.times = json.loads(known) if known else []

    def serialize(self):
        return memoryview(json.dumps(self.times).encode())


class _Configuration:
    def __init__(self, trt):
        self._trt = trt
        self.flags = {trt.BuilderFlag.TF32}  # the real one begins with it
        self.profiles = []
        self.hardware_compatibility_level = trt.HardwareCompatibilityLevel.NONE
        self.profiling_verbosity = trt.ProfilingVerbosity.LAYER_NAMES_ONLY
        self._cache = None

    def set_flag(self, flag):
        self.flags.add(flag)

    def clear_flag(self, flag):
        self.flags.discard(flag)

    def add_optimization_profile(self, profile):
        if self._trt.refuse == "profile":
            self._trt.logger.log(self._trt.ILogger.Severity.ERROR, "no such shape")
            return -1
        self.profiles.append(profile.batches)
        return len(self.profiles) - 1

    def create_timing_cache(self, known):
        if known.startswith(b"damaged"):
            self._trt.logger.log(self._trt.ILogger.Severity.ERROR, "the cache is damaged")
            return None
        return _TimingCache(known)

    def set_timing_cache(self, cache, ignore_mismatch):
        assert ignore_mismatch is False
        if self._trt.refuse == "timing cache":
            self._trt.logger.log(self._trt.ILogger.Severity.ERROR, "it is of another GPU")
            return False
        self._cache = cache
        return True

    def get_timing_cache(self):
        return self._cache


class _Builder:
    def __init__(self, trt, logger):
        self._trt = trt
        trt.logger = logger

    def create_network(self, flags):
        return _Network(flags)

    def create_builder_config(self):
        self._trt.configurations.append(_Configuration(self._trt))
        return self._trt.configurations[-1]

    def create_optimization_profile(self):
        return _Profile()

    def build_serialized_network(self, network, config):
        if self._trt.refuse == "build":
            self._trt.logger.log(self._trt.ILogger.Severity.ERROR, "no implementation for a node")
            return None
        assert (network.inputs[0].shape[0] == -1) == bool(config.profiles)
        if config._cache is not None:
            config._cache.times.append(len(config._cache.times))
        return memoryview(b"ftrt: a fake plan")


class _Runtime:
    engine_host_code_allowed = False

    def __init__(self, trt, logger):
        self._trt = trt

    def deserialize_cuda_engine(self, plan):
        holds_code = self._trt.BuilderFlag.VERSION_COMPATIBLE in self._trt.configurations[-1].flags
        if self._trt.refuse == "load" or (holds_code and not self.engine_host_code_allowed):
            self._trt.logger.log(self._trt.ILogger.Severity.ERROR, "the plan cannot be loaded")
            return None
        return types.SimpleNamespace(create_engine_inspector=lambda: _Inspector(self._trt))


class _Inspector:
    def __init__(self, trt):
        self._trt = trt

    def get_engine_information(self, layout):
        assert layout is self._trt.LayerInformationFormat.JSON
        verbosity = self._trt.configurations[-1].profiling_verbosity
        return json.dumps({"Layers": ["mean"], "verbosity": verbosity.name})


class FakeTensorRT:
    """Looks like the module ``tensorrt`` to whoever builds.

    Attributes:
        configurations: of all builds, as they were when the build began.
        refuse: ``"profile"``, ``"timing cache"``, ``"build"`` or ``"load"``: what is to fail.
    """

    __spec__ = ModuleSpec("tensorrt", None, origin="a fake")
    __version__ = VERSION
    DataType = DataType
    BuilderFlag = enum.Enum("BuilderFlag", FLAGS)
    LayerInformationFormat = enum.Enum("LayerInformationFormat", ["ONELINE", "JSON"])
    ProfilingVerbosity = enum.Enum("ProfilingVerbosity", ["LAYER_NAMES_ONLY", "NONE", "DETAILED"])
    HardwareCompatibilityLevel = enum.Enum(
        "HardwareCompatibilityLevel", ["NONE", "AMPERE_PLUS", "SAME_COMPUTE_CAPABILITY"]
    )
    OnnxParser = _Parser

    class NetworkDefinitionCreationFlag(enum.IntEnum):
        EXPLICIT_BATCH, STRONGLY_TYPED = range(2)

    class ILogger:
        class Severity(enum.IntEnum):
            INTERNAL_ERROR, ERROR, WARNING = range(3)

    def __init__(self):
        self.configurations = []
        self.refuse = None
        self.logger = None

    def Builder(self, logger):  # noqa: N802
        return _Builder(self, logger)

    def Runtime(self, logger):  # noqa: N802
        return _Runtime(self, logger)
