"""Scores the images of a Ray Dataset.

::

    dataset.map_batches(
        ScoreBatch,
        fn_constructor_kwargs={"column": "path"},
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=8),  # each with a session and a CPU of its own
        num_cpus=1,
    )

Actors must leave a CPU of the cluster free: without one Ray cannot read or write, and waits for
ever.
``examples/ray_score.py`` is a whole program. This module itself does not import Ray.
"""

from __future__ import annotations

import os
import reprlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from lifeiqa.errors import ConfigError, ImageError, LifeIQAError, require
from lifeiqa.preprocess.decode import MAX_PIXELS, Pixels, describe
from lifeiqa.runtimes.provider import without_provider
from lifeiqa.scorer import SCORER_BATCH, Scorer, not_a_number, score_in_batches

Batch: TypeAlias = Any
"""A ``pyarrow.Table``, or a dict of columns: numpy arrays as Ray has them by default."""

COLUMNS = {
    "score": "float64",
    "std": "float64",
    "width": "int32",
    "height": "int32",
    "crops": "int32",
    "model": "string",
    "model_sha256": "string",
    "error": "string",
    "message": "string",
}
"""The columns that are added, with their types in Arrow; see `lifeiqa.bulk.rows.Row`."""


class ScoreBatch:
    """For ``ray.data.Dataset.map_batches``: adds `COLUMNS` to a batch of images.

    Ray makes one in each actor, from arguments that it can pickle, and the session is opened there.
    Every machine needs the model file under the same path, or the bundled model.

    An image that cannot be scored, or a null, is a row whose ``error`` and ``message`` say why
    and whose ``score``, ``std``, ``width``, ``height`` and ``crops`` are null; for any other row
    ``error`` and ``message`` are null. Nulls are Arrow's, never NaN, and a column has the same type
    in every batch, also where all its values are null.

    Crops are joined across images and scored 32 at a time. Beside the batch itself, memory holds
    these and one decoded image with its crops, however many images a batch has.

    Args:
        column: the column of images: paths, the bytes of files, or uint8 RGB ``(H, W, 3)``.
        model: a model file; None takes the bundled model.
        crops: a crop plan in place of the model's own, see `lifeiqa.preprocess.crops.CropPlan`.
        runtime: see `lifeiqa.open_session`. Name one where machines differ: runtimes round in
            different ways.
        device: see `lifeiqa.open_session`.
        threads: CPU threads of the session, by default the one CPU that Ray gives to an actor. Give
            as many as ``num_cpus``; None leaves it to the runtime, which may take every core.
        max_pixels: the largest image that is decoded.
        prefix: stands before the name of each column that is added.
        drop: leave the column of images out of the result. Bytes then do not travel on.
        provider: deprecated; see ``runtime`` and ``device``.

    Raises:
        LifeIQAError: the model cannot be opened or the crop plan cannot be read.
    """

    def __init__(
        self,
        column: str,
        model: str | os.PathLike[str] | None = None,
        *,
        crops: str | None = None,
        runtime: str | None = None,
        device: str | None = None,
        threads: int | None = 1,
        max_pixels: int = MAX_PIXELS,
        prefix: str = "",
        drop: bool = False,
        provider: str | None = None,
    ) -> None:
        self._column = column
        suffix = Path(model or "model.onnx").suffix
        runtime, device = without_provider(provider, suffix, runtime, device, stacklevel=2)
        self._scorer = Scorer(
            model,
            crops=crops,
            runtime=runtime,
            device=device,
            threads=threads,
            max_pixels=max_pixels,
        )
        self._prefix = prefix
        self._drop = drop
        self._arrow: Any = require("pyarrow", extra="ray", purpose="scoring batches of Ray")

    def __call__(self, batch: Batch) -> Batch:
        """Score one batch.

        Args:
            batch: a ``pyarrow.Table`` (``batch_format="pyarrow"``), which is best: its other
                columns stay as they are, and images are copied one at a time. Or a dict of numpy
                arrays, in which Ray has turned integers with nulls into floats.

        Returns:
            The batch in the same form with further columns; in a dict they are Arrow arrays, which
            have nulls. Rows keep their order.

        Raises:
            ConfigError: there is no such column, or the batch has one of `COLUMNS` already.
            LifeIQAError: the session failed, which says nothing about an image.
        """
        table = isinstance(batch, self._arrow.Table)
        self._require_columns(batch.column_names if table else list(batch))
        images = batch[self._column]
        rows = self._rows((value.as_py() for value in images) if table else images)
        added = {
            self._prefix + name: self._arrow.array([row.get(name) for row in rows], type=kind)
            for name, kind in COLUMNS.items()
        }
        if table:
            for name, values in added.items():
                batch = batch.append_column(name, values)
            return batch.drop_columns([self._column]) if self._drop else batch
        kept = {n: values for n, values in batch.items() if not self._drop or n != self._column}
        return kept | added

    def _require_columns(self, names: list[str]) -> None:
        if self._column not in names:
            raise ConfigError(
                f"there is no column {self._column!r} in a batch of {', '.join(names)}: "
                f"name the one that holds the images"
            )
        taken = [self._prefix + name for name in COLUMNS if self._prefix + name in names]
        if taken:
            raise ConfigError(
                f"the batch has {', '.join(taken)} already: give a prefix, for instance 'iqa_'"
            )

    def _rows(self, images: Iterable[Any]) -> list[dict[str, Any]]:
        """A row for each image; a column that a row lacks is null."""
        manifest = self._scorer.manifest
        model = {"model": manifest.title, "model_sha256": manifest.sha256}
        cuts = self._cuts(images)
        scored = score_in_batches(cuts, self._scorer.session, batch=SCORER_BATCH)
        rows = []
        for row, score in scored:
            if score is not None:
                error = not_a_number(score.value)
                row = _failure(error) if error else {**row, "score": score.value, "std": score.std}
            rows.append(model | row)
        return rows

    def _cuts(self, images: Iterable[Any]) -> Iterator[tuple[dict[str, Any], Pixels | None]]:
        """What a row knows before the image is scored, and the crops ``(N, S, S, 3)``."""
        for image in images:
            if isinstance(image, str | bytes | np.ndarray):
                found = self._scorer.cutting.cut_or_error(image)
            else:
                found = ImageError(
                    f"{reprlib.repr(image)} is not an image: a path, the bytes of a file, or uint8 "
                    f"RGB of shape (H, W, 3) is expected"
                )
            if isinstance(found, LifeIQAError):
                yield _failure(found, describe(image)), None
            else:
                crops = found.crops
                size = {"width": found.width, "height": found.height, "crops": len(crops)}
                yield size, crops


def _failure(error: LifeIQAError, name: str = "") -> dict[str, Any]:
    """The row of an error; it names the image already, in the column of images."""
    return {"error": type(error).__name__, "message": str(error).removeprefix(f"{name}: ")}
