"""What the parser of TensorRT-RTX says to graphs that it does not take, and what we say of it."""

import sys

import onnx
import pytest
import tensorrt_rtx
from click.testing import CliRunner

from helpers import strangers, tiny
from helpers.graphs import (
    DAMAGED,
    DATA_DEPENDENT,
    FLOAT,
    HALF,
    NON_ZERO,
    NOTHING,
    OTHER,
    REFUSED,
    SEVERAL,
    UINT8,
    graph,
    node,
    value,
)
from lifeiqa.artifacts.engine_info import Tensor
from lifeiqa.errors import ArtifactError, ConfigError, EngineBuildError, MissingDependencyError
from lifeiqa_engines.cli import main
from lifeiqa_engines.network import Network, Refusal, Support, check_onnx

PARSER = f"TensorRT-RTX {tensorrt_rtx.__version__}"


@pytest.fixture
def file(tmp_path):
    """Writes bytes under the name of a model."""

    def write(content):
        path = tmp_path / "model.onnx"
        path.write_bytes(content)
        return path

    return write


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_names_the_node_the_cause_and_a_way_out(name, file):
    content, where, cause, hint = REFUSED[name]
    support = check_onnx(file(content), runtime="tensorrt-rtx")

    assert not support
    assert len(support.refusals) == 1
    headline, line = str(support).splitlines()
    assert headline == f"{PARSER} refuses the graph"
    assert line.startswith(where)
    assert line.endswith(f". Hint: {hint}")
    description = line.removeprefix(where).removesuffix(f". Hint: {hint}")
    assert cause in description
    assert not description.endswith(".")
    assert "catchCudaError" not in line


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_is_refused_in_the_same_words_when_it_is_built(name, file):
    path = file(REFUSED[name][0])
    refusal = check_onnx(path, runtime="tensorrt-rtx").refusals[0]

    with pytest.raises(EngineBuildError) as caught:
        Network(tensorrt_rtx, path)

    assert str(caught.value) == f"{path}: TensorRT refuses the graph: {refusal}"


def test_several_refusals_come_together(file):
    path = file(SEVERAL)
    support = check_onnx(path, runtime="tensorrt-rtx")

    assert [(refusal.node, refusal.operator) for refusal in support.refusals] == [
        ("'first'", "Resize"),
        ("'second'", "Resize"),
        ("'own'", "Sharpness"),
    ]
    assert len(str(support).splitlines()) == 4
    with pytest.raises(EngineBuildError) as caught:
        Network(tensorrt_rtx, path)
    assert str(caught.value) == (
        f"{path}: TensorRT refuses the graph: " + "; ".join(map(str, support.refusals))
    )


@pytest.mark.parametrize(
    "content",
    [b"", tiny.model().SerializeToString()[:2], b"garbage", NON_ZERO[: len(NON_ZERO) // 2]],
    ids=["no bytes", "two bytes", "garbage", "half a file"],
)
def test_a_damaged_file_never_comes_to_tensorrt(content, file):
    path = file(content)

    with pytest.raises(ArtifactError, match="not an ONNX model that can be used: "):
        check_onnx(path, runtime="tensorrt-rtx")
    with pytest.raises(ArtifactError, match="not an ONNX model that can be used: "):
        Network(tensorrt_rtx, path)


def test_weights_in_another_file_never_come_to_tensorrt(file, monkeypatch):
    """It would look for them in the working directory, and for /data/x in data/x there."""
    proto = strangers.outside(tiny.model(), "weights.bin")
    path = file(proto.SerializeToString())
    path.with_name("weights.bin").write_bytes(strangers.GAIN)

    with pytest.raises(ArtifactError, match=r"uses external data: weights\.bin\. TensorRT"):
        check_onnx(path, runtime="tensorrt-rtx")


def test_a_graph_without_nodes_is_refused_although_tensorrt_takes_it(file):
    path = file(NOTHING)

    assert str(check_onnx(path, runtime="tensorrt-rtx")) == (
        f"{PARSER} refuses the graph\nthere is no graph in it. Hint: {DAMAGED}"
    )
    with pytest.raises(ArtifactError) as caught:
        Network(tensorrt_rtx, path)
    assert str(caught.value) == (
        f"{path}: its graph has no tensors, not crops and score: export it with lifeiqa-export"
    )


def test_a_graph_of_another_kind_is_taken_by_the_parser_and_builds_nothing(file):
    path = file(OTHER)

    assert str(check_onnx(path, runtime="tensorrt-rtx")) == f"{PARSER} takes the graph"
    with pytest.raises(ArtifactError) as caught:
        Network(tensorrt_rtx, path)
    assert str(caught.value) == (
        f"{path}: its graph has ['x', 'y'], not crops and score: export it with lifeiqa-export"
    )


def test_a_graph_with_one_output_more_is_refused(file):
    model = tiny.model()
    model.graph.output.append(value("mean", FLOAT, "batch"))
    path = file(model.SerializeToString())

    with pytest.raises(ArtifactError, match=r"its graph has \['crops', 'score', 'mean'\], not"):
        Network(tensorrt_rtx, path)


def test_a_network_has_the_types_of_its_graph(file):
    network = Network(tensorrt_rtx, file(tiny.model(batch=4).SerializeToString()))

    assert network.tensors == (
        Tensor(name="crops", type="uint8", shape=(4, tiny.SIZE, tiny.SIZE, 3)),
        Tensor(name="score", type="float32", shape=(4,)),
    )
    assert set(network.arithmetic) == {"float32"}


def test_a_network_of_an_open_batch_says_so(file):
    network = Network(tensorrt_rtx, file(tiny.model().SerializeToString()))

    assert [tensor.shape for tensor in network.tensors] == [(-1, tiny.SIZE, tiny.SIZE, 3), (-1,)]


def test_the_most_frequent_type_of_a_network_comes_first(file):
    nodes = [
        node("Cast", "crops", "a", to=HALF),
        *(node("Relu", before, after) for before, after in zip("abc", "bcd", strict=True)),
        node("Cast", "d", "score", to=FLOAT),
    ]
    built = graph(nodes, [value("crops", UINT8, 4)], [value("score", FLOAT, 4)])

    assert list(Network(tensorrt_rtx, file(built)).arithmetic.items()) == [
        ("float16", 4),
        ("float32", 1),
    ]


def test_a_refusal_is_one_line():
    refusal = Refusal("'a'", "NonZero", "It is unsupported.")
    whole = Refusal("", "", "TensorRT gave no reason")

    assert str(refusal) == f"node 'a' (NonZero): It is unsupported. Hint: {DATA_DEPENDENT}"
    assert str(whole) == "TensorRT gave no reason"
    assert str(Refusal("3", "Relu", "It is unsupported.")) == "node 3 (Relu): It is unsupported"
    assert str(Support("TensorRT 11", (refusal, whole))) == (
        f"TensorRT 11 refuses the graph\n{refusal}\nTensorRT gave no reason"
    )


@pytest.mark.parametrize("operator", ["NonZero", "Loop", "If", "Scan", "ScatterND"])
def test_operators_of_sparse_routing_share_a_hint(operator):
    assert Refusal("0", operator, "no").hint == DATA_DEPENDENT
    assert Refusal("0", f"My{operator}", "no").hint is None


def test_what_nobody_can_explain_has_no_hint():
    assert Refusal("0", "Relu", "anything").hint is None
    assert Refusal("0", "Transpose", "its permutation is wrong").hint is None
    assert Refusal("0", "Resize", "its mode is unknown").hint is None


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    path = tmp_path / "none.onnx"

    with pytest.raises(ArtifactError) as caught:
        check_onnx(path, runtime="tensorrt-rtx")
    assert str(caught.value) == f"{path}: no such ONNX file"
    with pytest.raises(ArtifactError, match="no such ONNX file"):
        check_onnx(tmp_path, runtime="tensorrt-rtx")
    with pytest.raises(ArtifactError, match="no such ONNX file"):
        Network(tensorrt_rtx, path)


def test_a_parser_that_is_not_there_is_not_asked(file, monkeypatch):
    path = file(OTHER)
    with pytest.raises(ConfigError, match="runtime is 'openvino'"):
        check_onnx(path, runtime="openvino")
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'lifeiqa\[tensorrt-rtx\]'"):
        check_onnx(path, runtime="tensorrt-rtx")


@pytest.mark.parametrize(
    ("content", "status", "first"),
    [
        (tiny.model().SerializeToString(), 0, f"{PARSER} takes the graph"),
        (OTHER, 0, f"{PARSER} takes the graph"),
        (NON_ZERO, 1, f"{PARSER} refuses the graph"),
    ],
    ids=["crops to score", "another kind", "NonZero"],
)
def test_the_command_prints_the_answer_and_exits_with_it(content, status, first, file):
    path = file(content)
    run = CliRunner().invoke(main, ["check", str(path), "--runtime", "tensorrt-rtx"])

    assert run.exit_code == status
    assert run.stdout == f"{check_onnx(path, runtime='tensorrt-rtx')}\n"
    assert run.stdout.splitlines()[0] == first
    assert run.stderr == ""


def test_the_command_checks_a_file_without_a_manifest(file):
    path = file(tiny.model().SerializeToString())
    onnx.checker.check_model(onnx.load(path))

    assert [each.name for each in path.parent.iterdir()] == ["model.onnx"]
    run = CliRunner().invoke(main, ["check", str(path), "--runtime", "tensorrt-rtx"])
    assert run.exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.onnx", "--runtime", "tensorrt-rtx"], "ArtifactError: none.onnx: no such ONNX file"),
        (["none.onnx", "--runtime", "openvino"], "'openvino' is not one of"),
        ([".", "--runtime", "tensorrt-rtx"], "is a directory"),
        ([], "Missing argument 'MODEL.onnx'"),
    ],
)
def test_what_cannot_be_checked_exits_with_two(arguments, words):
    run = CliRunner().invoke(main, ["check", *arguments])

    assert run.exit_code == 2
    assert words in run.stderr
    assert run.stdout == ""
