"""The row of an input."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Row:
    """The result for one input. The attributes are the columns, in this order.

    Attributes:
        path: name of the input.
        score: in label units; of a video the mean over its frames. None if there is an error.
        std: population standard deviation over the crops; of a video, over its frames.
        width: of the upright image, in pixels.
        height: of the upright image, in pixels.
        crops: number of crops that were scored.
        frame: of a frame: its number in the video, from 0.
        time: of a frame: seconds from the start of the video.
        p5: of a video: 5th-percentile frame score, counted from the worst frame.
        worst_second: of a video: the worst mean over the frames of one second.
        worst_time: of a video: start of that second, in seconds.
        model: name of the model; "NAME (not verified)" if no checksum covers the file.
        model_sha256: of the model file.
        error: class of the error; None if there is a score.
        message: what is wrong.
    """

    path: str
    score: float | None = None
    std: float | None = None
    width: int | None = None
    height: int | None = None
    crops: int | None = None
    frame: int | None = None
    time: float | None = None
    p5: float | None = None
    worst_second: float | None = None
    worst_time: float | None = None
    model: str
    model_sha256: str
    error: str | None = None
    message: str | None = None
