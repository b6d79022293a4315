"""A model repository of Triton. It is held to Triton's rules by `fake_triton`, not by Triton.

Plans are bytes that no TensorRT built: a repository looks at their manifests alone.
"""

import dataclasses
import json
import re
import shutil
import sys

import pytest
from click.testing import CliRunner
from PIL import Image

import tiny
from fake_triton import Tensor, config_in, faults, graph_in
from fake_trt_builder import GPU, FakeTensorRT
from lifeiqa.config import Labels, Preprocessing
from lifeiqa.engine import BatchProfile
from lifeiqa.errors import ArtifactError, ConfigError
from lifeiqa.manifest import read_manifest, sidecar_of, write_with_sidecar
from lifeiqa_engines import build, network
from lifeiqa_export.cli import main, put_into
from lifeiqa_export.triton import triton_from_model
from lifeiqa_export.triton_config import PROFILES, config_text
from manifests import ENGINE
from tiny_network import random_crops

CLOSED = (Tensor("crops", "TYPE_UINT8", (4, 32, 32, 3)), Tensor("score", "TYPE_FP32", (4,)))


@pytest.fixture
def repository(tmp_path):
    return tmp_path / "models"


@pytest.fixture
def graph(tmp_path):
    return tiny.write_model(tmp_path / "tiny.fp32.onnx")


def plan(path, *profiles, batch=-1, **changes):
    """A file with the manifest of an engine."""
    size = ENGINE.config.crop_size
    tensors = (
        dataclasses.replace(ENGINE.engine.tensors[0], shape=(batch, size, size, 3)),
        dataclasses.replace(ENGINE.engine.tensors[1], shape=(batch,)),
    )
    sizes = tuple(map(BatchProfile.parse, profiles))
    info = dataclasses.replace(ENGINE.engine, profiles=sizes, tensors=tensors, **changes)
    manifest = dataclasses.replace(ENGINE, engine=info)
    write_with_sidecar(path, manifest, lambda temporary: temporary.write_bytes(b"a plan"))
    return path


def tensors_of(engine):
    types = {"uint8": "TYPE_UINT8", "float32": "TYPE_FP32"}
    return [Tensor(each.name, types[each.type], each.shape) for each in engine.tensors]


def tree(folder):
    """Every file below a folder, with its bytes."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def settings_in(config, key):
    return json.loads(config.parameters[key].string_value)


def command(*arguments):
    return CliRunner().invoke(main, list(map(str, arguments)))


def test_a_graph_lies_where_triton_looks_for_it(graph, repository):
    served = triton_from_model(graph, repository)
    folder = repository / "tiny_onnx"

    assert served.path == folder / "1"
    assert served.added
    assert sorted(tree(repository)) == [
        "tiny_onnx/1/model.onnx",
        "tiny_onnx/1/model.onnx.json",
        "tiny_onnx/config.pbtxt",
    ]
    assert (folder / "1" / "model.onnx").read_bytes() == graph.read_bytes()
    assert read_manifest(folder / "1" / "model.onnx") == read_manifest(graph)


def test_others_may_read_what_was_written(graph, repository):
    """A server runs as another user than the one who exports."""
    triton_from_model(graph, repository)

    for path in repository.rglob("*"):
        assert path.stat().st_mode & 0o044 == 0o044, path
        assert not path.is_dir() or path.stat().st_mode & 0o011 == 0o011, path


def test_the_configuration_is_that_of_the_graph(graph, repository):
    folder = triton_from_model(graph, repository).path.parent
    config = config_in(folder)

    assert faults(config, folder, graph_in(graph)) == []
    assert (config.backend, config.max_batch_size) == ("onnxruntime", 32)
    assert list(config.dynamic_batching.preferred_batch_size) == [8, 32]
    assert config.dynamic_batching.max_queue_delay_microseconds == 1000
    assert list(config.output[0].dims) == [1]
    assert [sample.batch_size for sample in config.model_warmup] == [1, 8, 32]
    assert [(group.kind, group.count) for group in config.instance_group] == [(0, 1)]
    (gpu,) = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert (gpu.name, dict(gpu.parameters)) == ("cuda", {"use_tf32": "0"})


def test_a_graph_of_one_batch_takes_whole_requests(tmp_path, repository):
    graph = tiny.write_model(tmp_path / "tiny.onnx", batch=4)
    folder = triton_from_model(graph, repository).path.parent
    config = config_in(folder)

    assert faults(config, folder, graph_in(graph)) == []
    assert config.max_batch_size == 0
    assert not config.HasField("dynamic_batching")
    assert (list(config.input[0].dims), list(config.output[0].dims)) == ([4, 32, 32, 3], [4])
    assert [sample.batch_size for sample in config.model_warmup] == [1]


@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [
        ("reshape { shape: [ ] }", "", "score: (-1, 1) for (-1,)"),
        ("size: [ 8, 32 ]", "size: [ 8, 33 ]", "a preferred batch is out of range"),
        ('"tiny_onnx"', '"other"', "the name is not the folder's"),
        ("TYPE_FP32", "TYPE_FP16", "another data type"),
        ("batch_size: 32\n  inputs", "batch_size: 33 inputs", "warmup of another batch"),
        ("KIND_AUTO", 'KIND_AUTO profile: "0"', "profiles of what is no engine"),
        ('"onnxruntime"', '"onnx"', "no file for the backend"),
    ],
)
def test_the_rules_find_what_is_wrong(graph, repository, right, wrong, fault):
    folder = triton_from_model(graph, repository).path.parent
    path = folder / "config.pbtxt"
    assert path.read_text().count(right) == 1
    path.write_text(path.read_text().replace(right, wrong))

    assert faults(config_in(folder), folder, graph_in(graph)) == [fault]


def test_the_rules_tell_an_open_batch_from_a_fixed_one(graph, repository):
    folder = triton_from_model(graph, repository).path.parent

    assert faults(config_in(folder), folder, CLOSED) == [
        "crops: (-1, 32, 32, 3) for (4, 32, 32, 3)",
        "score: (-1,) for (4,)",
    ]


def test_a_client_finds_preprocessing_and_labels(tmp_path, repository):
    """Whatever a data set is called: quotes of both kinds, backslashes, lines, other scripts."""
    labels = Labels(dataset="""O'Neil "IQA" \\n\n\té画""", low=1, high=5, direction="lower")
    feed = Preprocessing(mean=(0.1, 0.2, 0.3), std=(1, 1, 1), short_side=384, crops="grid:3")
    graph = tiny.write_model(tmp_path / "tiny.onnx", labels=labels, preprocessing=feed)
    config = config_in(triton_from_model(graph, repository).path.parent)

    assert Labels(**settings_in(config, "lifeiqa_labels")) == labels
    assert Preprocessing.from_dict(settings_in(config, "lifeiqa_preprocessing")) == feed


def test_an_embedded_manifest_becomes_a_sidecar(tmp_path, repository):
    graph = tiny.write_model(tmp_path / "tiny.onnx", embed=True)
    served = triton_from_model(graph, repository).path / "model.onnx"

    assert sidecar_of(served).is_file()
    assert read_manifest(served) == read_manifest(graph)


@pytest.mark.parametrize(
    ("profiles", "largest", "preferred", "used"),
    [
        (("1:8:32",), 32, [8], []),
        (("1", "2:8:8", "9:32:32"), 32, [8, 32], ["0", "1", "2"]),
        (("1:4:64", "1"), 64, [4], ["0", "1"]),
        (("1",), 1, [], []),
    ],
)
def test_the_configuration_is_that_of_the_engine(
    tmp_path, repository, profiles, largest, preferred, used
):
    engine = plan(tmp_path / "x.engine", *profiles)
    served = triton_from_model(engine, repository)
    config, info = config_in(served.path.parent), read_manifest(engine).engine

    assert served.path == repository / "tiny-é_tensorrt" / "1"
    assert faults(config, served.path.parent, tensors_of(info), len(profiles)) == []
    assert read_manifest(served.path / "model.plan") == read_manifest(engine)
    assert (config.backend, config.max_batch_size) == ("tensorrt", largest)
    assert list(config.dynamic_batching.preferred_batch_size) == preferred
    assert list(config.instance_group[0].profile) == used
    assert not config.HasField("optimization")


def test_an_engine_of_one_batch_takes_whole_requests(tmp_path, repository):
    engine = plan(tmp_path / "x.engine", "8", batch=8)
    folder = triton_from_model(engine, repository).path.parent
    config = config_in(folder)

    assert faults(config, folder, tensors_of(read_manifest(engine).engine)) == []
    assert config.max_batch_size == 0
    assert list(config.output[0].dims) == [8]


@pytest.mark.parametrize(
    ("profiles", "missing"),
    [(("1", "8", "32"), 2), (("8",), 1), (("2:8:32",), 1), (("1:4:8", "10:16:32"), 9)],
)
def test_an_engine_that_leaves_batches_out_is_refused(tmp_path, repository, profiles, missing):
    engine = plan(tmp_path / "x.engine", *profiles)

    with pytest.raises(ConfigError, match=rf"up to the largest: {missing} is left out\. Build it"):
        triton_from_model(engine, repository)
    assert not repository.exists()


def test_the_profiles_for_triton_leave_nothing_out():
    for batch in range(1, 33):
        assert sum(batch in profile for profile in PROFILES) == 1, batch


def test_the_same_model_is_not_added_twice(graph, repository):
    triton_from_model(graph, repository)
    before = tree(repository)

    again = triton_from_model(graph, repository)

    assert (again.path, again.added) == (repository / "tiny_onnx" / "1", False)
    assert tree(repository) == before


def test_another_model_of_that_name_becomes_a_version_and_tuning_stays(tmp_path, repository):
    first = tiny.write_model(tmp_path / "first.onnx")
    folder = triton_from_model(first, repository).path.parent
    with (folder / "config.pbtxt").open("a") as config:
        config.write("# tuned by hand\n")
    before = tree(folder)
    second = tiny.write_model(tmp_path / "second.onnx", gain=0.5, precision="fp16")

    served = triton_from_model(second, repository)

    assert (served.path, served.added) == (folder / "2", True)
    assert read_manifest(folder / "2" / "model.onnx") == read_manifest(second)
    assert {name: tree(folder)[name] for name in before} == before


def test_versions_are_numbers(tmp_path, repository):
    """Triton takes the largest number for the latest, and so do we: 10 comes after 9."""
    folder = triton_from_model(tiny.write_model(tmp_path / "1.onnx"), repository).path.parent
    (folder / "1").rename(folder / "9")
    for number in (10, 11):
        model = tiny.write_model(tmp_path / f"{number}.onnx", gain=number)
        assert triton_from_model(model, repository).path == folder / str(number)


def test_a_version_that_needs_another_configuration_is_refused(graph, tmp_path, repository):
    triton_from_model(graph, repository)
    before = tree(repository)
    other = tiny.write_model(
        tmp_path / "other.onnx", labels=Labels(dataset="greys", low=0, high=100, normalised=False)
    )

    with pytest.raises(ConfigError) as caught:
        triton_from_model(other, repository)

    first, *lines = str(caught.value).splitlines()
    assert first == (
        f"{repository / 'tiny_onnx'}: one config.pbtxt holds for all versions, and for this model "
        f"it would differ from that of version 1. Remove the folder, or name another one"
    )
    assert [re.search('"high": ([0-9]+)', line)[1] for line in lines] == ["255", "100"]
    assert tree(repository) == before


@pytest.mark.parametrize("there", ["file", "empty folder", "notes", "no version", "no config"])
def test_what_is_no_model_of_triton_is_left_alone(graph, repository, there):
    folder = repository / "tiny_onnx"
    repository.mkdir()
    if there == "file":
        folder.write_text("mine")
    else:
        folder.mkdir()
    if there == "notes":
        (folder / "notes.txt").write_text("mine")
    if there == "no version":
        (folder / "config.pbtxt").write_text("")
    if there == "no config":
        (folder / "1").mkdir()
    before = tree(repository)

    with pytest.raises(ConfigError, match="is there, and holds no model of Triton"):
        triton_from_model(graph, repository)
    assert tree(repository) == before


def test_a_version_without_a_manifest_is_named(graph, repository):
    """Of a model that someone else laid out."""
    folder = triton_from_model(graph, repository).path
    sidecar_of(folder / "model.onnx").unlink()

    with pytest.raises(ArtifactError, match=r"1/model\.onnx: it carries no lifeiqa manifest"):
        triton_from_model(graph, repository)


@pytest.mark.parametrize("versions", [0, 1])
def test_a_copy_that_fails_leaves_the_repository_as_it_was(
    graph, tmp_path, repository, monkeypatch, versions
):
    def full(source, target):
        target.write_bytes(b"half of it")
        raise OSError(28, "No space left on device", str(target))

    repository.mkdir()
    if versions:
        triton_from_model(tiny.write_model(tmp_path / "first.onnx", gain=2), repository)
    before = sorted(repository.rglob("*"))
    monkeypatch.setattr(shutil, "copyfile", full)

    with pytest.raises(OSError, match="No space left"):
        triton_from_model(graph, repository)
    assert sorted(repository.rglob("*")) == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"flavour": "tensorrt-rtx"}, "Triton runs engines of TensorRT, and none of TensorRT-RTX"),
        ({"stripped": True}, "the engine was built without its weights"),
    ],
)
def test_an_engine_that_triton_cannot_load_is_refused(tmp_path, repository, changes, words):
    engine = plan(tmp_path / "x.engine", "1:8:32", **changes)

    with pytest.raises(ConfigError, match=words):
        triton_from_model(engine, repository)
    assert not repository.exists()


def test_a_checkpoint_is_refused(tmp_path, repository):
    checkpoint = tiny.write_model(tmp_path / "tiny.onnx", kind="checkpoint")

    with pytest.raises(ArtifactError, match="tiny is a checkpoint, and Triton runs ONNX files"):
        triton_from_model(checkpoint, repository)
    assert not repository.exists()


@pytest.mark.parametrize("name", ["a b", ".hidden"])
def test_a_name_that_is_no_folder_is_refused(tmp_path, repository, name):
    graph = tiny.write_model(tmp_path / "tiny.onnx", name=name)

    with pytest.raises(ConfigError, match="the model is called"):
        triton_from_model(graph, repository)
    assert not repository.exists()


def test_a_model_that_was_changed_is_refused(graph, repository):
    graph.write_bytes(graph.read_bytes() + b"\0")

    with pytest.raises(ArtifactError, match="its sha256 is"):
        triton_from_model(graph, repository)
    assert not repository.exists()


def test_the_command_takes_a_model_that_is_exported_already(graph, repository):
    done = command(graph, "--triton", repository)
    again = command(graph, "--triton", repository)

    assert (done.exit_code, again.exit_code) == (0, 0)
    assert done.stdout == f"wrote {repository}/tiny_onnx/1\n"
    assert again.stdout == f"{repository}/tiny_onnx/1 holds it already\n"


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--precision", "fp32"], "--precision"),
        (["-o", "out"], "--out"),
        (["--engine", "tensorrt"], "--engine"),
        (["--keep-failed"], "--keep-failed"),
    ],
)
def test_the_command_refuses_options_that_would_do_nothing(graph, repository, option, said):
    refused = command(graph, "--triton", repository, *option)

    assert refused.exit_code == 2
    assert refused.stderr == (
        f"ConfigError: {said} is for exporting a checkpoint, and {graph} is exported already: "
        f"leave it out\n"
    )
    assert not repository.exists()


def test_the_command_needs_a_precision_for_a_checkpoint(repository):
    refused = command("--triton", repository)

    assert refused.exit_code == 2
    assert refused.stderr == (
        "ConfigError: exporting lite0-biq2021 needs --precision fp32, fp16 or int8\n"
    )


def test_the_command_puts_nothing_where_a_part_has_no_place(graph, tmp_path, repository):
    """An engine's place can be known only once it is built; the graph then waits for it."""
    engine = plan(tmp_path / "x.engine", "1:8:32")
    (repository / "tiny-é_tensorrt").mkdir(parents=True)

    with pytest.raises(ConfigError, match="holds no model of Triton"):
        put_into(repository, graph, engine)
    assert tree(repository) == {}


def export(checkpoint, tmp_path, *more):
    return command(checkpoint, "--precision", "fp32", "-o", tmp_path / "out", *more)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ([], "holds no model of Triton"),
        (["--engine", "tensorrt-rtx", "--target", "sm89"], "Triton runs engines of TensorRT, and"),
    ],
)
def test_what_triton_cannot_take_is_refused_before_the_work(
    checkpoint, tmp_path, repository, more, words
):
    (repository / "tiny_onnx").mkdir(parents=True)

    refused = export(checkpoint, tmp_path, "--triton", repository, *more)

    assert refused.exit_code == 2
    assert words in refused.stderr
    assert "exporting" not in refused.stderr
    assert not (tmp_path / "out").exists()


def test_one_command_gives_graph_engine_and_repository(
    checkpoint, tmp_path, repository, monkeypatch
):
    """The graph is real; the engine is of a fake TensorRT on a fake GPU, which cannot run it."""
    trt = FakeTensorRT()
    monkeypatch.setattr(tiny, "SIZE", 112)  # the fake parses every graph as tiny's
    monkeypatch.setitem(sys.modules, "tensorrt", trt)
    monkeypatch.setattr(build, "cuda_device", lambda: GPU)
    monkeypatch.setattr(network, "cuda_device", lambda: GPU)
    images = tmp_path / "images"
    images.mkdir()
    for number, crop in enumerate(random_crops(3, 150)):
        Image.fromarray(crop // (1 + number)).save(images / f"{number}.png")
    loose = ("--parity-images", images, "--tolerance", "srocc=-1")  # 3 pictures do not rank

    done = export(checkpoint, tmp_path, "--engine", "tensorrt", "--triton", repository, *loose)

    assert done.exit_code == 0, done.stderr
    assert "engine parity: not measured" in done.stdout
    graph, engine = repository / "tiny_onnx" / "1", repository / "tiny_tensorrt" / "1"
    assert f"wrote {graph}\nwrote {engine}\n" in done.stdout
    config = config_in(graph.parent)
    assert faults(config, graph.parent, graph_in(graph / "model.onnx")) == []
    assert trt.configurations[-1].profiles == [(1, 1, 1), (2, 8, 8), (9, 32, 32)]
    info = read_manifest(engine / "model.plan").engine
    assert faults(config_in(engine.parent), engine.parent, tensors_of(info), 3) == []
    text = (engine.parent / "config.pbtxt").read_text(encoding="utf-8")
    assert text == config_text(read_manifest(engine / "model.plan"), "tiny_tensorrt")
