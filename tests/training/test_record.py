"""The folder of a run: whole files, one run each, and what a resumed run needs."""

import importlib.util
import json
import math
import re

import pytest
import torch

from lifeiqa.errors import TrainingError
from lifeiqa.training.record import RunFolder, is_main

DATA = {"train": {"name": "train", "images": 3, "sha256": "0"}}
SETTINGS = "[training]\nseed = 0\nbatch_size = 4\n"


def row(epoch, loss=0.5, **figures):
    return {"phase": "joint", "epoch": epoch, "loss": loss, **figures}


def read(folder):
    text = (folder.folder / "metrics.jsonl").read_text()
    assert text.endswith("\n")
    return [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]


def files(path):
    return sorted(found.name for found in path.iterdir())


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder that is yet to be made, and no TensorBoard."""
    monkeypatch.setattr(RunFolder, "_tensorboard", lambda self: None)
    return RunFolder(tmp_path / "runs" / "first", writes=True)


def test_a_run_begins_with_its_settings(folder):
    folder.begin(SETTINGS, DATA)

    assert (folder.folder / "recipe.toml").read_text() == SETTINGS
    assert files(folder.folder) == ["data.json", "recipe.toml"]


@pytest.mark.parametrize("held", ["last.pt", "metrics.jsonl"])
def test_a_second_run_is_refused(folder, held):
    folder.begin(SETTINGS, DATA)
    (folder.folder / held).touch()

    with pytest.raises(TrainingError, match=r"first holds a run already: add --resume"):
        folder.begin("[training]\nseed = 1\n", DATA)

    assert (folder.folder / "recipe.toml").read_text() == SETTINGS


def test_a_run_that_never_finished_an_epoch_may_begin_again(folder):
    folder.begin(SETTINGS, DATA)
    folder.environment()

    folder.begin("[training]\nseed = 1\n", DATA)

    assert (folder.folder / "recipe.toml").read_text() == "[training]\nseed = 1\n"


def test_nothing_is_resumed_from_nothing(folder):
    folder.begin(SETTINGS, DATA)

    with pytest.raises(TrainingError, match=r"last\.pt: there is no run to resume"):
        folder.resume(SETTINGS, DATA)


def test_other_settings_are_named_when_a_run_is_resumed(folder):
    folder.begin(SETTINGS, DATA)
    folder.save({})

    with pytest.raises(TrainingError) as caught:
        folder.resume(SETTINGS.replace("seed = 0", "seed = 1"), DATA)

    recipe = folder.folder / "recipe.toml"
    assert str(caught.value) == (
        f"{recipe}: the run was begun with other settings (seed = 0; seed = 1). "
        f"Resume it with its own: --recipe {recipe}"
    )


def test_other_data_are_refused_when_a_run_is_resumed(folder):
    folder.begin(SETTINGS, DATA)
    folder.save({"done": {}})
    other = {"train": DATA["train"] | {"sha256": "1"}}
    with pytest.raises(TrainingError, match=r"data\.json: the run was begun on other images"):
        folder.resume(SETTINGS, other)
    assert folder.resume(SETTINGS, DATA) == {"done": {}}


def test_what_a_kill_left_half_written_is_removed(folder):
    folder.begin(SETTINGS, DATA)
    folder.save({"done": {}})
    half = folder.folder / ".last.pt.abc.part"
    half.write_bytes(b"half")
    folder.resume(SETTINGS, DATA)
    assert not half.exists()


def test_a_state_that_is_damaged_is_refused(folder):
    folder.begin(SETTINGS, DATA)
    folder.last.write_bytes(b"no state")
    with pytest.raises(TrainingError, match=r"last\.pt is damaged"):
        folder.resume(SETTINGS, DATA)


def test_a_run_whose_settings_are_lost_is_not_resumed(folder):
    folder.begin(SETTINGS, DATA)
    folder.save({})
    (folder.folder / "recipe.toml").unlink()

    with pytest.raises(TrainingError, match="other settings"):
        folder.resume(SETTINGS, DATA)


def test_the_state_reads_back_as_it_was(folder):
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 1), torch.nn.BatchNorm2d(4))
    network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    network(torch.randn(2, 3, 4, 4)).square().sum().backward()
    optimizer.step()
    state = {
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "best": row(1, val_srocc=math.nan),
        "done": {"frozen": 2, "joint": 1},
        "rows": [row(1), row(2, val_srocc=0.25)],
    }
    folder.begin(SETTINGS, DATA)

    folder.save(state)
    again = RunFolder(folder.folder, writes=True).resume(SETTINGS, DATA)

    assert set(again) == set(state)
    assert (again["done"], again["rows"]) == (state["done"], state["rows"])
    assert list(again["done"]) == ["frozen", "joint"]
    assert math.isnan(again["best"]["val_srocc"])
    for name, tensor in state["network"].items():
        assert torch.equal(again["network"][name], tensor)
    fresh = torch.optim.AdamW(network.parameters(), lr=1.0)
    fresh.load_state_dict(again["optimizer"])
    assert fresh.param_groups[0]["lr"] == 1e-3
    for parameter in network.parameters():
        for name, value in optimizer.state[parameter].items():
            assert torch.equal(fresh.state[parameter][name], value)


def test_the_last_state_replaces_the_one_before(folder):
    folder.begin(SETTINGS, DATA)

    for epoch in (1, 2):
        folder.save({"done": {"joint": epoch}})

    assert folder.resume(SETTINGS, DATA) == {"done": {"joint": 2}}
    assert files(folder.folder) == ["data.json", "last.pt", "recipe.toml"]


class KilledError(Exception):
    pass


def killed(*_, **__):
    raise KilledError


def test_a_state_that_is_not_written_to_its_end_leaves_the_one_before(folder, monkeypatch):
    folder.begin(SETTINGS, DATA)
    folder.save({"done": {"joint": 1}})

    def half(state, path):
        path.write_bytes(b"half of it")
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", half)
        with pytest.raises(KilledError):
            folder.save({"done": {"joint": 2}})

    assert folder.resume(SETTINGS, DATA) == {"done": {"joint": 1}}
    assert files(folder.folder) == ["data.json", "last.pt", "recipe.toml"]


def test_every_epoch_is_a_line_of_json(folder):
    rows = [row(1, val_srocc=0.25), row(2, loss=0.125, val_srocc=-0.5)]

    for count in (1, 2):
        folder.log(rows[:count])

    assert read(folder) == rows
    assert files(folder.folder) == ["metrics.jsonl"]


def test_metrics_that_are_not_written_to_their_end_leave_those_before(folder, monkeypatch):
    folder.log([row(1)])

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_text", killed)
        with pytest.raises(KilledError):
            folder.log([row(1), row(2)])

    assert read(folder) == [row(1)]
    assert files(folder.folder) == ["metrics.jsonl"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_json_cannot_say_is_null(folder, value):
    rows = [row(1, loss=value, val_srocc=value)]

    folder.log(rows)

    assert read(folder) == [row(1, loss=None, val_srocc=None)]
    assert not math.isfinite(rows[0]["loss"])  # the run goes on with its own numbers


def test_a_resumed_run_writes_the_epochs_it_resumes_from_again(folder):
    folder.log([row(1), row(2)])

    folder.log([row(1)])  # epoch 2 was logged, and its state was not saved

    assert read(folder) == [row(1)]


def test_the_environment_is_noted(folder):
    folder.environment(device="cpu", processes=2)

    noted = json.loads((folder.folder / "environment.json").read_text())
    assert (noted["device"], noted["processes"]) == ("cpu", 2)
    assert noted["packages"]["torch"] == torch.__version__.partition("+")[0]
    assert {"lifeiqa", "torch", "timm", "accelerate", "numpy"} <= set(noted["packages"])
    assert re.fullmatch(r"3\.\d+\.\d+\S*", noted["python"])
    assert noted["threads"] == torch.get_num_threads()
    assert noted["cores"] >= 1


@pytest.mark.parametrize(("rank", "main"), [(None, True), ("0", True), ("1", False), ("10", False)])
def test_the_first_of_several_processes_is_the_main_one(monkeypatch, rank, main):
    monkeypatch.delenv("RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)

    assert is_main() is main


def test_of_several_processes_the_main_one_alone_writes(tmp_path):
    other = RunFolder(tmp_path / "run", writes=False)

    other.begin(SETTINGS, DATA)
    other.environment(device="cpu")
    other.log([row(1)])
    other.save({"done": {}})
    other.close()

    assert not (tmp_path / "run").exists()


def test_another_process_reads_what_the_main_one_wrote(folder):
    folder.begin(SETTINGS, DATA)
    folder.save({"done": {"joint": 1}})

    other = RunFolder(folder.folder, writes=False)

    assert other.resume(SETTINGS, DATA) == {"done": {"joint": 1}}
    with pytest.raises(TrainingError, match="holds a run already"):
        other.begin(SETTINGS, DATA)


def test_without_tensorboard_there_are_no_files_of_it(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    folder = RunFolder(tmp_path, writes=True)

    folder.log([row(1)])
    folder.close()

    assert files(tmp_path) == ["metrics.jsonl"]


def test_where_tensorboard_is_installed_it_has_every_number_of_every_epoch(tmp_path):
    pytest.importorskip(
        "tensorboard", reason="TensorBoard is not installed: pip install tensorboard"
    )
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = RunFolder(tmp_path, writes=True)
    for count in (1, 2):
        folder.log([row(1, val_srocc=0.25), row(2, loss=0.125, val_srocc=-0.5)][:count])
    folder.close()

    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert sorted(events.Tags()["scalars"]) == ["loss", "val_srocc"]
    for name, values in (("loss", [0.5, 0.125]), ("val_srocc", [0.25, -0.5])):
        assert [(e.step, e.value) for e in events.Scalars(name)] == list(enumerate(values, 1))


def test_a_folder_that_wrote_nothing_closes(tmp_path):
    RunFolder(tmp_path, writes=True).close()

    assert files(tmp_path) == []
