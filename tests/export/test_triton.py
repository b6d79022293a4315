"""A model repository of Triton. It is held to Triton's rules by `fake_triton`, not by Triton.

Plans are bytes that no TensorRT built: a repository looks at their manifests alone.
"""

import dataclasses
import json
import re
import shutil

import pytest

from helpers import tiny
from helpers.fake_triton import Tensor, config_in, faults, graph_in, tensors_of
from helpers.manifests import write_plan
from lifeiqa.artifacts.manifest import read_manifest, sidecar_of
from lifeiqa.config import Labels, Preprocessing
from lifeiqa.errors import ArtifactError, ConfigError
from lifeiqa.files import sha256_of
from lifeiqa_export.triton import triton_from_model
from lifeiqa_export.triton_config import PROFILES

CLOSED = (Tensor("crops", "TYPE_UINT8", (4, 32, 32, 3)), Tensor("score", "TYPE_FP32", (4,)))


def as_copied(model, name):
    """The manifest of a model whose one file is copied under another name."""
    return dataclasses.replace(read_manifest(model), files={name: sha256_of(model)})


def tree(folder):
    """Every file below a folder, with its bytes."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def settings_in(config, key):
    return json.loads(config.parameters[key].string_value)


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
    assert read_manifest(folder / "1" / "model.onnx") == as_copied(graph, "model.onnx")


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
    assert read_manifest(served) == dataclasses.replace(
        as_copied(graph, served.name), verified=True
    )


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
    engine = write_plan(tmp_path / "x.engine", *profiles)
    served = triton_from_model(engine, repository)
    config, info = config_in(served.path.parent), read_manifest(engine).engine

    assert served.path == repository / "tiny-é_tensorrt" / "1"
    assert faults(config, served.path.parent, tensors_of(info), len(profiles)) == []
    assert read_manifest(served.path / "model.plan") == as_copied(engine, "model.plan")
    assert (config.backend, config.max_batch_size) == ("tensorrt", largest)
    assert list(config.dynamic_batching.preferred_batch_size) == preferred
    assert list(config.instance_group[0].profile) == used
    assert not config.HasField("optimization")


def test_an_engine_of_one_batch_takes_whole_requests(tmp_path, repository):
    engine = write_plan(tmp_path / "x.engine", "8", batch=8)
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
    engine = write_plan(tmp_path / "x.engine", *profiles)

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
    assert read_manifest(folder / "2" / "model.onnx") == as_copied(second, "model.onnx")
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
        ({"runtime": "tensorrt-rtx"}, "Triton runs engines of TensorRT, and none of TensorRT-RTX"),
        ({"stripped": True}, "the engine was built without its weights"),
    ],
)
def test_an_engine_that_triton_cannot_load_is_refused(tmp_path, repository, changes, words):
    engine = write_plan(tmp_path / "x.engine", "1:8:32", **changes)

    with pytest.raises(ConfigError, match=words):
        triton_from_model(engine, repository)
    assert not repository.exists()


def test_a_checkpoint_is_refused(checkpoint, repository):
    with pytest.raises(ArtifactError, match="tiny is a checkpoint, and Triton runs ONNX files"):
        triton_from_model(checkpoint, repository)
    assert not repository.exists()


def test_a_graph_that_is_not_what_its_manifest_says_is_refused(tmp_path, repository):
    graph = tmp_path / "tiny.onnx"
    graph.write_bytes(tiny.model().SerializeToString())
    tiny.write_sidecar(graph, batch=8)

    with pytest.raises(ArtifactError, match="its manifest says that it takes crops uint8"):
        triton_from_model(graph, repository)
    assert not repository.exists()


def test_a_model_is_prepared_outside_the_repository(graph, repository, monkeypatch):
    """Triton takes every folder in it for a model, whatever its name."""
    copyfile = shutil.copyfile

    def copied(source, target):
        assert list(repository.iterdir()) == []
        return copyfile(source, target)

    monkeypatch.setattr(shutil, "copyfile", copied)
    triton_from_model(graph, repository)

    assert [path.name for path in repository.iterdir()] == ["tiny_onnx"]
    assert [path.name for path in repository.parent.iterdir() if path.name[0] == "."] == []


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
