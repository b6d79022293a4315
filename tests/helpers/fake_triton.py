"""What Triton makes of a model repository, as far as a configuration or a client can tell.

Its ``config.pbtxt`` is read as Triton's own protocol buffers define it. `faults` holds it to what
Triton's core and its backends check when they load a model; `FakeTriton` serves it over the gRPC of
the KServe protocol, with ONNX Runtime behind it, and refuses the requests that Triton refuses.
Triton itself is not run.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grpc
import numpy as np
import onnxruntime
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc

TYPES = {"tensor(uint8)": "TYPE_UINT8", "tensor(float)": "TYPE_FP32"}
FILES = {"onnxruntime": "model.onnx", "tensorrt": "model.plan"}
KINDS = model_config_pb2.ModelInstanceGroup.Kind


@dataclass(frozen=True)
class Tensor:
    """Of a graph or an engine; a dimension of -1 is open."""

    name: str
    type: str
    shape: tuple


def tensors_of(engine):
    """The inputs and outputs that a manifest states of an engine."""
    types = {"uint8": "TYPE_UINT8", "float32": "TYPE_FP32"}
    return [Tensor(each.name, types[each.type], each.shape) for each in engine.tensors]


def config_in(folder):
    """The configuration of the model in a folder of a repository."""
    text = (folder / "config.pbtxt").read_text(encoding="utf-8")
    return text_format.Parse(text, model_config_pb2.ModelConfig())


def graph_in(path):
    """Input and output of an ONNX file, as ONNX Runtime sees them."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return [
        Tensor(
            each.name, TYPES[each.type], tuple(n if isinstance(n, int) else -1 for n in each.shape)
        )
        for each in (*session.get_inputs(), *session.get_outputs())
    ]


def faults(config, folder, tensors, profiles=1):
    """Why Triton would not load a model, or would not run it as it says."""
    found = []

    def need(holds, fault):
        if not holds:
            found.append(fault)

    largest, preferred = config.max_batch_size, config.dynamic_batching.preferred_batch_size
    need(config.name == folder.name, "the name is not the folder's")
    need((folder / "1" / FILES.get(config.backend, "?")).is_file(), "no file for the backend")
    need(largest >= 0, "max_batch_size is negative")
    need(all(0 < size <= largest for size in preferred), "a preferred batch is out of range")
    need(not config.HasField("dynamic_batching") or largest > 1, "there is nothing to batch")
    ends = [*config.input, *config.output]
    need([end.name for end in ends] == [tensor.name for tensor in tensors], "other tensors")
    for end, tensor in zip(ends, tensors, strict=False):
        need(end.dims and all(size >= 1 or size == -1 for size in end.dims), "bad dims")
        shape = end.dims
        if end.HasField("reshape"):
            shape = end.reshape.shape
            need(shape or largest > 0, "an empty reshape without batching")
            need(math.prod(shape) == math.prod(end.dims), "the reshape changes the size")
        expected = (-1, *shape) if largest > 0 else tuple(shape)
        need(expected == tensor.shape, f"{end.name}: {expected} for {tensor.shape}")
        need(model_config_pb2.DataType.Name(end.data_type) == tensor.type, "another data type")
    for group in config.instance_group:
        need(group.count >= 1, "no instance")
        if config.backend == "tensorrt":
            need(group.kind == KINDS.Value("KIND_GPU"), "an engine that is not on a GPU")
            used = [int(number) for number in group.profile] or [0]
            need(used == list(range(profiles)), "profiles that no one uses, or that there are not")
        else:
            need(not group.profile, "profiles of what is no engine")
    for sample in config.model_warmup:
        need(set(sample.inputs) == {end.name for end in config.input}, "warmup of other inputs")
        need(1 <= sample.batch_size <= max(largest, 1), "warmup of another batch")
        for end in config.input:
            given = sample.inputs[end.name]
            need(given.dims == end.dims and -1 not in given.dims, "warmup of another shape")
            need(given.data_type == end.data_type, "warmup of another type")
            need(given.WhichOneof("input_data_type") is not None, "warmup without data")
    names = [sample.name for sample in config.model_warmup]
    need(len(names) == len(set(names)), "two samples of one name")
    return found


class FakeTriton(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Serves the last versions of the ONNX models of a repository on a free port.

    Attributes:
        address: ``localhost:PORT``.
        received: the crops of each request, as they came.
    """

    def __init__(self, repository):
        self.configs, self.sessions, self.received = {}, {}, []
        for folder in repository.iterdir():
            last = max(int(each.name) for each in folder.iterdir() if each.name.isdecimal())
            model = folder / str(last) / "model.onnx"
            self.configs[folder.name] = config_in(folder)
            self.sessions[folder.name] = onnxruntime.InferenceSession(
                model, providers=["CPUExecutionProvider"]
            )
        self._server = grpc.server(ThreadPoolExecutor(4))
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.address = f"localhost:{self._server.add_insecure_port('localhost:0')}"

    def __enter__(self):
        self._server.start()
        return self

    def __exit__(self, *_):
        self._server.stop(None).wait()

    def ModelConfig(self, request, context):  # noqa: N802
        return service_pb2.ModelConfigResponse(config=self._config(request.name, context))

    def ModelInfer(self, request, context):  # noqa: N802
        config = self._config(request.model_name, context)
        (expected,), (output,) = config.input, config.output
        if [given.name for given in request.inputs] != [expected.name]:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "unexpected inference inputs")
        given, data = request.inputs[0], request.raw_input_contents[0]
        shape, batch = tuple(given.shape), tuple(given.shape)[:1]
        if config.max_batch_size > 0:
            fits = shape[1:] == tuple(expected.dims) and 1 <= shape[0] <= config.max_batch_size
        else:
            fits = shape == tuple(expected.dims)
        if not fits or given.datatype != "UINT8" or len(data) != math.prod(shape):
            reason = f"{given.datatype} {shape}, {len(data)} bytes"
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"unexpected shape or type: {reason}")
        crops = np.frombuffer(data, np.uint8).reshape(shape)
        self.received.append(crops)
        (scores,) = self.sessions[config.name].run([output.name], {expected.name: crops})
        returned = (*batch, *output.dims) if config.max_batch_size > 0 else tuple(output.dims)
        response = service_pb2.ModelInferResponse(model_name=config.name, model_version="1")
        response.outputs.add(name=output.name, datatype="FP32", shape=returned)
        response.raw_output_contents.append(scores.astype("<f4").tobytes())
        return response

    def _config(self, name, context):
        if name not in self.configs:
            context.abort(grpc.StatusCode.NOT_FOUND, f"unknown model {name!r}")
        return self.configs[name]
