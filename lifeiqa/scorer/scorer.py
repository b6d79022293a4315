"""Score an image, or many."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Literal, TypeAlias, cast, overload

import numpy as np

from lifeiqa.artifacts.manifest import Manifest
from lifeiqa.config import require_choice
from lifeiqa.errors import ArtifactError, ConfigError, LifeIQAError
from lifeiqa.preprocess.crops import with_plan
from lifeiqa.preprocess.decode import MAX_PIXELS, ImageSource, Pixels
from lifeiqa.preprocess.pipeline import Cut, CutImage, cut_many
from lifeiqa.runtimes import open_session
from lifeiqa.runtimes.base import Closeable, Scores, Session
from lifeiqa.runtimes.provider import without_provider
from lifeiqa.scorer.batches import SCORER_BATCH, score_in_batches
from lifeiqa.scorer.score import Score
from lifeiqa.weights import DEFAULT, bundled, model_file

OnError: TypeAlias = Literal["raise", "return"]


class Scorer(Closeable):
    """Decodes an image, cuts it as the model wants it, and scores it.

    Args:
        model: a bundled model by its name (``"fast"``, ``"accurate"``), a model file, or an open
            session; None takes ``"fast"``.
        crops: a crop plan in place of the model's own, see `lifeiqa.preprocess.crops.CropPlan`.
        runtime: see `lifeiqa.open_session`.
        device: see `lifeiqa.open_session`.
        threads: see `lifeiqa.open_session`.
        verify: see `lifeiqa.open_session`; rows name the model by ``manifest.title``.
        max_pixels: the largest image that is decoded.
        provider: deprecated; see ``runtime`` and ``device``.

    Raises:
        LifeIQAError: the model cannot be opened or the crop plan cannot be read.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | Session | None = None,
        *,
        crops: str | None = None,
        runtime: str | None = None,
        device: str | None = None,
        threads: int | None = None,
        max_pixels: int = MAX_PIXELS,
        verify: bool = True,
        provider: str | None = None,
    ) -> None:
        if model is None or isinstance(model, str | os.PathLike):
            model = _file_of(model)
            runtime, device = without_provider(
                provider, model.suffix, runtime, device, stacklevel=2
            )
            model = open_session(
                model, runtime=runtime, device=device, threads=threads, verify=verify
            )
        self.session = model
        self.preprocessing = with_plan(model.manifest.preprocessing, crops)
        self.max_pixels = max_pixels
        self.cutting = CutImage(self.preprocessing, model.manifest.config.crop_size, max_pixels)

    @property
    def manifest(self) -> Manifest:
        """What the model is and what its scores mean."""
        return self.session.manifest

    def score(self, image: ImageSource) -> Score:
        """Score one image.

        Args:
            image: a path, the bytes of a file, a Pillow image, or uint8 RGB ``(H, W, 3)``.

        Raises:
            ImageError: it cannot be decoded or cropped; the message names it and the cause.
            ArtifactError: the model returned NaN or infinity.
        """
        score = Score.of(self.score_crops(self.crops(image))).or_error()
        if isinstance(score, ArtifactError):
            raise score
        return score

    @overload
    def score_many(
        self,
        images: Iterable[ImageSource],
        *,
        batch: int | None = ...,
        workers: int | None = ...,
        timeout: float = ...,
        on_error: Literal["raise"] = ...,
    ) -> Generator[Score]: ...

    @overload
    def score_many(
        self,
        images: Iterable[ImageSource],
        *,
        batch: int | None = ...,
        workers: int | None = ...,
        timeout: float = ...,
        on_error: OnError,
    ) -> Generator[Score | LifeIQAError]: ...

    def score_many(
        self,
        images: Iterable[ImageSource],
        *,
        batch: int | None = 8,
        workers: int | None = None,
        timeout: float = 5.0,
        on_error: OnError = "raise",
    ) -> Generator[Score | LifeIQAError]:
        """Score many images, in order, as they are asked for.

        Crops share a run of the model across images; which ones do follows from the order of the
        images alone, so the same images give the same bits again. Memory is bounded: only a few
        images are read ahead of the scores that were taken. Processes end with the generator, also
        when it is closed early.

        Args:
            images: any iterable of what `score` takes. Paths and bytes are decoded in worker
                processes; Pillow images and arrays are cropped in this process as they are drawn.
            batch: crops in one run. None runs the crops of each image by themselves, which gives
                the scores of `score` to the last bit.
            workers: processes that decode. 0 decodes in this process. None takes one for each core
                on Linux, and 0 on other systems, where there are no limits of time and memory.
            timeout: seconds of processor time that an image may take in a worker process.
            on_error: "raise" ends at the first image that has no score, after the scores before it.
                "return" yields its error in place of a score, and goes on.

        Yields:
            A `Score` for each image; with "return" also an `ImageError`, a `WorkerError` (its
            process died or took too long) or an `ArtifactError` (the model returned NaN).

        Raises:
            ConfigError: a setting that cannot work, or worker processes on another system.
            LifeIQAError: an image has no score, or the session failed.
        """
        from lifeiqa.preprocess.process_pool import default_workers, require_usable

        require_choice("on_error", on_error, ("raise", "return"))
        if batch is not None and batch < 1:
            raise ConfigError(f"batch is {batch}: at least 1 is expected, or None")
        workers = default_workers() if workers is None else workers
        require_usable(workers, timeout)
        cuts = cut_many(images, self.cutting, workers=workers, timeout=timeout, ahead=batch or 1)
        return self._score_cuts(cuts, batch, on_error)

    def _score_cuts(
        self, cuts: Generator[Cut | LifeIQAError], batch: int | None, on_error: OnError
    ) -> Generator[Score | LifeIQAError]:
        with contextlib.closing(cuts):  # ends the processes even if a traceback holds this frame
            scored = score_in_batches(
                map(_with_crops, cuts), self.session, batch=batch, most_waiting=4 * (batch or 1)
            )
            for error, score in scored:
                outcome = cast(LifeIQAError, error) if score is None else score.or_error()
                if isinstance(outcome, LifeIQAError) and on_error == "raise":
                    raise outcome
                yield outcome

    def crops(self, image: ImageSource) -> Pixels:
        """The crops that `score` looks at, uint8 ``(N, S, S, 3)``."""
        return self.cutting.cut(image).crops

    def score_crops(self, crops: Pixels) -> Scores:
        """Scores ``(N,)`` of crops that were cut already, at most 32 in one run."""
        pieces = [
            crops[start : start + SCORER_BATCH] for start in range(0, len(crops), SCORER_BATCH)
        ]
        return np.concatenate([self.session.run(piece) for piece in pieces or [crops]])

    def close(self) -> None:
        """Close the session."""
        self.session.close()


@overload
def score_many(
    images: Iterable[ImageSource],
    *,
    model: str | os.PathLike[str] | None = ...,
    batch: int | None = ...,
    workers: int | None = ...,
    timeout: float = ...,
    on_error: Literal["raise"] = ...,
    crops: str | None = ...,
    runtime: str | None = ...,
    device: str | None = ...,
    threads: int | None = ...,
    max_pixels: int = ...,
    verify: bool = ...,
) -> Generator[Score]: ...


@overload
def score_many(
    images: Iterable[ImageSource],
    *,
    model: str | os.PathLike[str] | None = ...,
    batch: int | None = ...,
    workers: int | None = ...,
    timeout: float = ...,
    on_error: OnError,
    crops: str | None = ...,
    runtime: str | None = ...,
    device: str | None = ...,
    threads: int | None = ...,
    max_pixels: int = ...,
    verify: bool = ...,
) -> Generator[Score | LifeIQAError]: ...


def score_many(
    images: Iterable[ImageSource],
    *,
    model: str | os.PathLike[str] | None = None,
    batch: int | None = 8,
    workers: int | None = None,
    timeout: float = 5.0,
    on_error: OnError = "raise",
    crops: str | None = None,
    runtime: str | None = None,
    device: str | None = None,
    threads: int | None = None,
    max_pixels: int = MAX_PIXELS,
    verify: bool = True,
) -> Generator[Score | LifeIQAError]:
    """`Scorer.score_many` with a model that is opened for the first score and closed at the end.

    ::

        for path, score in zip(paths, score_many(paths)):
            print(path, score.value)

    Args:
        images: see `Scorer.score_many`.
        model: see `Scorer`; not an open session.
        batch: see `Scorer.score_many`.
        workers: see `Scorer.score_many`.
        timeout: see `Scorer.score_many`.
        on_error: see `Scorer.score_many`.
        crops: see `Scorer`.
        runtime: see `lifeiqa.open_session`.
        device: see `lifeiqa.open_session`.
        threads: see `lifeiqa.open_session`.
        max_pixels: see `Scorer`.
        verify: see `lifeiqa.open_session`.

    Raises:
        LifeIQAError: see `Scorer` and `Scorer.score_many`.
    """
    with Scorer(
        model,
        crops=crops,
        runtime=runtime,
        device=device,
        threads=threads,
        max_pixels=max_pixels,
        verify=verify,
    ) as scorer:
        yield from scorer.score_many(
            images, batch=batch, workers=workers, timeout=timeout, on_error=on_error
        )


def _file_of(model: str | os.PathLike[str] | None) -> Path:
    """The file of a model that is named by its path or by its bundled name; None is the default."""
    if model is None and bundled() is None:
        raise ArtifactError(
            f"the bundled model {DEFAULT} is missing from this installation; "
            f"install lifeiqa again, or name a model file"
        )
    path = Path(DEFAULT if model is None else model)
    # A path that is not there is an error of the file, and not of a name.
    return path if path.suffix or path.is_file() else model_file(path)


def _with_crops(found: Cut | LifeIQAError) -> tuple[LifeIQAError | None, Pixels | None]:
    return (found, None) if isinstance(found, LifeIQAError) else (None, found.crops)
