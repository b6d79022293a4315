"""Score the images of a Ray Dataset.

::

    dataset.map_batches(
        ScoreBatch,
        fn_constructor_kwargs={"column": "path"},
        batch_format="pyarrow",
        compute=ray.data.ActorPoolStrategy(size=8),  # each with its own session and CPU
        num_cpus=1,
    )

Leave one CPU of the cluster without an actor: Ray needs it to read and write, and else waits
forever. ``examples/ray_score.py`` is a complete program. This module does not import Ray.
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
"""A ``pyarrow.Table``, or a dict of numpy arrays, Ray's default."""

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
"""The columns that are added, with their Arrow types; see `lifeiqa.bulk.rows.Row`."""


class ScoreBatch:
    """For ``ray.data.Dataset.map_batches``: adds `COLUMNS` to a batch of images.

    Ray creates one in each actor, from arguments that it can pickle, and the session is opened
    there. Every machine needs the model file at the same path, or uses the bundled model.

    An image that cannot be scored, or a null, is a row whose ``error`` and ``message`` say why,
    and whose ``score``, ``std``, ``width``, ``height`` and ``crops`` are null. In all other rows
    ``error`` and ``message`` are null. Nulls are Arrow's, never NaN. A column has the same type in
    every batch, even if all its values are null.

    Crops are scored in batches of 32 across images. Beside the batch of Ray, memory holds these
    crops and one decoded image, whatever the number of images.

    Args:
        column: the column of images: paths, the bytes of files, or uint8 RGB ``(H, W, 3)``.
        model: a model file; None takes the bundled model.
        crops: a crop plan in place of the model's own, see `lifeiqa.preprocess.crops.CropPlan`.
        runtime: see `lifeiqa.open_session`. Name one if machines differ: runtimes round
            differently.
        device: see `lifeiqa.open_session`.
        threads: CPU threads of the session. Ray gives one CPU to an actor by default. Pass the
            value of ``num_cpus``; None leaves it to the runtime, which may use every core.
        max_pixels: the largest image that is decoded.
        prefix: of the name of each added column.
        drop: leave the column of images out of the result, so that bytes are not passed on.
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
            batch: best a ``pyarrow.Table`` (``batch_format="pyarrow"``): its other columns are
                unchanged, and images are copied one at a time. Or a dict of numpy arrays, in which
                Ray has turned integers with nulls into floats.

        Returns:
            The batch in the same form with more columns. In a dict these are Arrow arrays, which
            can have nulls. Rows keep their order.

        Raises:
            ConfigError: the batch lacks the column of images, or has one of `COLUMNS` already.
            LifeIQAError: the session failed. This says nothing about an image.
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
                f"no column {self._column!r} in a batch of {', '.join(names)}: "
                f"name the column of images"
            )
        taken = [self._prefix + name for name in COLUMNS if self._prefix + name in names]
        if taken:
            raise ConfigError(
                f"the batch has {', '.join(taken)} already: pass a prefix, for instance 'iqa_'"
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
        """The values of a row before the image is scored, and the crops ``(N, S, S, 3)``."""
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
    """The values of a row for an error, without the name of the image, which another column has."""
    return {"error": type(error).__name__, "message": str(error).removeprefix(f"{name}: ")}
