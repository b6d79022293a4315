"""From an ONNX file to TensorRT's network, or to one error that says what it refuses and why."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lifeiqa.artifacts.engine_info import Tensor
from lifeiqa.artifacts.onnx_inspect import require_one_file
from lifeiqa.errors import ArtifactError, EngineBuildError
from lifeiqa.runtimes.base import INPUT, OUTPUT
from lifeiqa.runtimes.cuda.driver import cuda_device
from lifeiqa.runtimes.tensorrt.error_log import ErrorLog
from lifeiqa.runtimes.tensorrt.library import Library, library_named

_HINTS = (
    (
        r"^(NonZero|Loop|If|Scan|ScatterND|ScatterElements) ",
        "its shapes or its order depend on the data, as in sparse routing: lifeiqa-export writes "
        "dense routing instead",
    ),
    (r"^Transpose .*UInt8", "cast the crops to a float type first, then transpose"),
    (r"^Resize .*antialias", "images are resized before the graph, see lifeiqa.preprocess.crops"),
    (
        r"same input types|Half and Float|Float and Half",
        "float16 meets float32 in one operation: cast one of the two in the graph",
    ),
    (r"Plugin not found", "it is no operator of ONNX's own: export without custom operators"),
    (r"Failed to parse the ONNX model|there is no graph", "the file is damaged, or no ONNX file"),
)
"""What to do, by what matches ``OPERATOR description`` of a refusal."""
_TYPES = {"half": "float16", "float": "float32", "bf16": "bfloat16"}


@dataclass(frozen=True)
class Refusal:
    """One thing in a graph that TensorRT does not take.

    Attributes:
        node: its name, or its number in the graph.
        operator: of ONNX; empty where the whole file is refused.
        description: TensorRT's.
    """

    node: str
    operator: str
    description: str

    @property
    def hint(self) -> str | None:
        """What to do about it, where we know it."""
        text = f"{self.operator} {self.description}"
        return next((hint for pattern, hint in _HINTS if re.search(pattern, text)), None)

    def __str__(self) -> str:
        where = f"node {self.node} ({self.operator}): " if self.operator else ""
        return where + self.description.rstrip(".") + (f". Hint: {self.hint}" if self.hint else "")


@dataclass(frozen=True)
class Support:
    """Whether TensorRT's parser takes a graph; true when it does.

    Attributes:
        parser: which TensorRT was asked.
        refusals: what it does not take.
    """

    parser: str
    refusals: tuple[Refusal, ...]

    def __bool__(self) -> bool:
        return not self.refusals

    def __str__(self) -> str:
        if self:
            return f"{self.parser} takes the graph"
        return "\n".join([f"{self.parser} refuses the graph", *map(str, self.refusals)])


def check_onnx(path: Path, *, runtime: str) -> Support:
    """Ask the parser of a TensorRT whether it takes a graph, without building anything.

    Args:
        path: any ONNX file; it needs no manifest.
        runtime: ``"tensorrt"``, which needs a GPU, or ``"tensorrt-rtx"``.

    Raises:
        MissingDependencyError: that TensorRT is not installed.
        DeviceError: it needs a GPU, and there is none.
        ArtifactError: the file is missing or damaged, or weights of it lie in other files.
    """
    chosen = library_named(runtime)
    model = _read(path)
    trt = load_builder(chosen)
    errors = ErrorLog(trt)
    _, parser = _empty_network(trt, errors, errors.make(trt.Builder))
    supported = parser.supports_model_v2(model)
    refusals = _refusals(parser)
    if not supported and not refusals:
        refusals = (Refusal("", "", errors.take()),)
    elif supported and not parser.num_subgraphs:  # TensorRT takes an empty file
        refusals = (Refusal("", "", "there is no graph in it"),)
    return Support(f"{chosen.title} {trt.__version__}", refusals)


def load_builder(library: Library) -> Any:
    """The module of a TensorRT, whose builder may be used.

    Raises:
        MissingDependencyError: it is not installed.
        DeviceError: its builder needs a GPU, and there is none.
    """
    trt = library.load("building engines")
    if not library.ahead_of_time:
        cuda_device()
    return trt


class Network:
    """TensorRT's form of a graph, with the objects that it lives by.

    Args:
        trt: the module of a TensorRT.
        path: the ONNX file.

    Raises:
        EngineBuildError: the parser refuses the graph.
        ArtifactError: the file is missing or damaged, weights of it lie in other files, or its
            graph does not take crops and give scores.
    """

    def __init__(self, trt: Any, path: Path) -> None:
        self.errors = ErrorLog(trt)
        self.builder: Any = self.errors.make(trt.Builder)
        model = _read(path)
        self.definition, self._parser = _empty_network(trt, self.errors, self.builder)
        if not self._parser.parse(model):
            refusals = _refusals(self._parser) or (Refusal("", "", self.errors.take()),)
            raise EngineBuildError(
                f"{path}: TensorRT refuses the graph: " + "; ".join(map(str, refusals))
            )
        inputs = [self.definition.get_input(i) for i in range(self.definition.num_inputs)]
        outputs = [self.definition.get_output(i) for i in range(self.definition.num_outputs)]
        names = [tensor.name for tensor in (*inputs, *outputs)]
        if names != [INPUT, OUTPUT]:
            raise ArtifactError(
                f"{path}: its graph has {names or 'no tensors'}, not {INPUT} and {OUTPUT}: export "
                f"it with lifeiqa-export"
            )
        self.input, self.output = inputs[0], outputs[0]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """Input and output."""
        return tuple(
            Tensor(name=each.name, type=_type_name(each.dtype), shape=tuple(each.shape))
            for each in (self.input, self.output)
        )

    @property
    def arithmetic(self) -> dict[str, int]:
        """How many results of the network's layers have each type, the most frequent first."""
        layers = (self.definition.get_layer(i) for i in range(self.definition.num_layers))
        types = Counter(
            _type_name(layer.get_output(i).dtype)
            for layer in layers
            for i in range(layer.num_outputs)
        )
        return dict(types.most_common())


def _empty_network(trt: Any, errors: ErrorLog, builder: Any) -> tuple[Any, Any]:
    """A network and the parser that fills it.

    TensorRT 11 knows strongly typed networks alone and ignores the flag; TensorRT 10 needs it.
    """
    flag = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    network = builder.create_network(flag)
    return network, errors.make(trt.OnnxParser, network)


def _refusals(parser: Any) -> tuple[Refusal, ...]:
    found = []
    for number in range(parser.num_errors):
        error = parser.get_error(number)
        lines = [line for line in error.desc().splitlines() if "catchCudaError" not in line]
        name = error.node_name()
        node = repr(name) if name else str(error.node())
        found.append(Refusal(node, error.node_operator(), "; ".join(lines)))
    return tuple(found)


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise ArtifactError(f"{path}: no such ONNX file")
    require_one_file(path)
    return path.read_bytes()


def _type_name(dtype: Any) -> str:
    name = str(dtype).rpartition(".")[2].lower()
    return _TYPES.get(name, name)
