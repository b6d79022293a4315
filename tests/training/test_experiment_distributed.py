"""Training under torchrun: two processes learn what one learns, and one of them speaks."""

import os
import subprocess
import sys
import textwrap

import pytest
import torch
from accelerate import Accelerator
from click.testing import CliRunner

from helpers import runs
from lifeiqa.cli import main
from lifeiqa.errors import ConfigError

WATCHED = textwrap.dedent("""
    import os
    from pathlib import Path

    from lifeiqa.cli import main

    replace = Path.replace

    def noted(path, target):
        with Path(os.environ["WRITES"]).open("a") as stream:
            stream.write(f"{os.environ['RANK']} {Path(target).name}\\n")
        return replace(path, target)

    Path.replace = noted
    main()
""")
"""The command `lifeiqa`, noting which process puts which file in its place."""

# Left out is what differs between two halves of a batch and the whole of it: losses that are no
# means over crops, and what dropout draws.
MEANS = ["dropout=0", "balance=0", "rank=0", "correlation=0", "frozen.twins=2"]


def test_two_processes_learn_what_one_learns_and_one_of_them_speaks(folder, tmp_path):
    # With one expert a token, many an expert has none in one half of a batch.
    changes = [part for change in [*MEANS, "top_k=1"] for part in ("--set", change)]
    alone, together = tmp_path / "alone", tmp_path / "together"
    single = CliRunner().invoke(main, runs.arguments(folder, alone, *changes))
    script, writes = tmp_path / "watched.py", tmp_path / "writes"
    script.write_text(WATCHED)
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", script, *runs.arguments(folder, together, *changes)),
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1", "WRITES": str(writes)},
        capture_output=True,
        text=True,
    )

    assert single.exit_code == 0, single.stderr
    assert ended.returncode == 0, ended.stderr
    assert (together / "environment.json").read_text().count('"processes": 2') == 1
    ours, theirs = (
        torch.load(out / "last.pt", weights_only=True)["network"] for out in (alone, together)
    )
    started = runs.tensors(folder / "backbone.safetensors")
    assert not torch.equal(
        ours["backbone.features.blocks.2.0.conv_exp.weight"],
        started["blocks.2.0.conv_exp.weight"],
    )
    for name, tensor in ours.items():
        if name.endswith("attention.key.bias"):
            continue  # a softmax does not see it: its gradient is rounding, which Adam normalises
        torch.testing.assert_close(
            theirs[name], tensor, atol=1e-5, rtol=0, msg=lambda text, name=name: f"{name}: {text}"
        )
    for one, other in zip(runs.epochs(alone), runs.epochs(together), strict=True):
        assert other == pytest.approx(one, abs=1e-5)

    assert ended.stdout == single.stdout
    assert ended.stderr.count("settled") == 1
    noted = writes.read_text().splitlines()
    assert {line.partition(" ")[0] for line in noted} == {"0"}
    assert noted.count("0 report.json") == noted.count("0 tiny.safetensors") == 1
    assert noted.count("0 last.pt") == len(runs.epochs(alone))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [("batch_size=5", "batch_size 5 cannot"), ("joint.twins=1", r"joint\.twins 1 cannot")],
)
def test_a_batch_that_the_processes_cannot_share_is_refused(
    folder, tmp_path, monkeypatch, change, complaint
):
    monkeypatch.setattr(Accelerator, "num_processes", 2)

    with pytest.raises(ConfigError, match=f"{complaint} be shared by 2 processes: take a multiple"):
        runs.run(runs.experiment(folder, "frozen.twins=0", change), tmp_path)

    assert list(tmp_path.iterdir()) == []
