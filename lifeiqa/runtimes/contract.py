"""Whether a graph is what its manifest says: crops in, scores out.

A runtime runs any graph. So its inputs and outputs are compared with the manifest before the first
run, and the result of a run with the crops that were put in.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lifeiqa.artifacts.manifest import Manifest
from lifeiqa.errors import ArtifactError
from lifeiqa.runtimes.base import INPUT, OUTPUT, Array, Scores


class Value(NamedTuple):
    """An input or output of a graph.

    Attributes:
        name: of the value.
        type: as NumPy names it, ``"uint8"``.
        shape: its dimensions, None for a dynamic one.
    """

    name: str
    type: str
    shape: tuple[int | None, ...]

    def __str__(self) -> str:
        sides = ", ".join("N" if side is None else str(side) for side in self.shape)
        return f"{self.name} {self.type} ({sides})"


def require_graph(
    path: Path, manifest: Manifest, inputs: Sequence[Value], outputs: Sequence[Value]
) -> None:
    """Refuse a graph whose inputs and outputs are not those of its manifest.

    Raises:
        ArtifactError: with what it has and what is expected.
    """
    side = manifest.config.crop_size
    crops = Value(INPUT, "uint8", (manifest.batch, side, side, 3))
    score = Value(OUTPUT, "float32", (manifest.batch,))
    # How many scores there will be is computed, and may not be known before a run.
    fits = list(inputs) == [crops] and list(outputs) in ([score], [score._replace(shape=(None,))])
    if not fits:
        found = ", ".join(map(str, inputs)), ", ".join(map(str, outputs))
        raise ArtifactError(
            f"{path}: its graph takes {found[0] or 'nothing'} and returns "
            f"{found[1] or 'nothing'}; its manifest says that it takes {crops} and returns "
            f"{score}. Export it with lifeiqa-export"
        )


def one_line(error: Exception) -> str:
    """The message of a runtime's error on one line; a name in the graph may have several.

    Places in OpenVINO's sources are left out.
    """
    lines = [line.strip() for line in str(error).splitlines()]
    return " ".join(line for line in lines if line and not line.startswith("Exception from "))


def require_rows(path: Path, values: Sequence[Array], count: int) -> None:
    """Refuse results that do not have one row for each crop of a run.

    Raises:
        ArtifactError: with the shape of the first one that does not.
    """
    for value in values:
        if value.shape[:1] != (count,):
            raise ArtifactError(
                f"{path}: it returned {value.dtype} {value.shape} for {count} crops. "
                f"Export it with lifeiqa-export"
            )


def checked_scores(path: Path, scores: Array, count: int) -> Scores:
    """The scores of a run, one for each crop.

    Raises:
        ArtifactError: they are not float32 ``(count,)``.
    """
    if scores.dtype != np.float32 or scores.shape != (count,):
        raise ArtifactError(
            f"{path}: it returned {scores.dtype} {scores.shape} for {count} crops: float32 "
            f"({count},) is expected. Export it with lifeiqa-export"
        )
    return scores
