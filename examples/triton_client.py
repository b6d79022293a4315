"""Score images on a Triton server. The client decodes and cuts them, the server runs the model.

    pip install 'lifeiqa[triton]'
    lifeiqa-export fast --precision fp16 --triton models
    tritonserver --model-repository=$PWD/models
    python triton_client.py fast_onnx image.jpg another.png --server localhost:8001

Prints for each image the mean score of its crops, their standard deviation, and its path. The
client needs no model file: the server knows the preprocessing, because lifeiqa-export wrote it into
the repository. Errors in images go to standard error, and the exit status is then 1. It is 2 if the
server cannot be reached or does not serve that model.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tritonclient.grpc import InferenceServerClient, InferInput
from tritonclient.utils import InferenceServerException

from lifeiqa.config import Labels, Preprocessing
from lifeiqa.errors import ImageError
from lifeiqa.preprocess.crops import crops_from_pixels
from lifeiqa.preprocess.decode import Pixels, decode
from lifeiqa.runtimes.base import Scores
from lifeiqa.runtimes.batching import filled

TIMEOUT = 60.0  # seconds per request
CONCURRENCY = 8  # requests in flight; the server batches them


class Model:
    """One model on a server."""

    def __init__(self, client: InferenceServerClient, name: str) -> None:
        config = client.get_model_config(name, client_timeout=TIMEOUT).config
        parameters = {key: value.string_value for key, value in config.parameters.items()}
        if not {"lifeiqa_preprocessing", "lifeiqa_labels"} <= parameters.keys():
            raise InferenceServerException(
                f"{name} has no lifeiqa parameters: add it to the repository with "
                f"lifeiqa-export --triton"
            )
        self.preprocessing = Preprocessing.from_dict(
            json.loads(parameters["lifeiqa_preprocessing"])
        )
        self.labels = Labels(**json.loads(parameters["lifeiqa_labels"]))
        *fixed, self.size, _, _ = config.input[0].dims  # (S, S, 3), or (N, S, S, 3)
        self.fixed = bool(fixed)
        self.batch = fixed[0] if fixed else config.max_batch_size
        self._client, self._name = client, name

    def score(self, image: str) -> Scores | ImageError:
        """The scores ``(N,)`` of an image's crops, or the error."""
        try:
            crops = crops_from_pixels(decode(image), self.preprocessing, self.size)
        except ImageError as error:
            return error
        starts = range(0, len(crops), self.batch)
        return np.concatenate([self._request(crops[at : at + self.batch]) for at in starts])

    def _request(self, crops: Pixels) -> Scores:
        batch = filled(crops, self.batch) if self.fixed else crops
        tensor = InferInput("crops", batch.shape, "UINT8")
        tensor.set_data_from_numpy(batch)
        scores = self._client.infer(self._name, [tensor], client_timeout=TIMEOUT).as_numpy("score")
        return scores.reshape(-1)[: len(crops)]  # (n, 1) or (N,) -> (n,)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a line for each image, in the order of the arguments."""
    parser = argparse.ArgumentParser(description="Score images on a Triton server.")
    parser.add_argument("model")
    parser.add_argument("images", nargs="+")
    parser.add_argument("--server", default="localhost:8001", help="Address of the gRPC service.")
    given = parser.parse_args(arguments)
    try:
        return score(given.model, given.images, given.server)
    except InferenceServerException as error:
        print(f"{given.server}: {error.message()}", file=sys.stderr)
        return 2


def score(name: str, images: Sequence[str], server: str) -> int:
    """Print a line for each image. Returns 1 if one has no score, else 0."""
    failed = False
    with InferenceServerClient(server) as client, ThreadPoolExecutor(CONCURRENCY) as pool:
        model = Model(client, name)
        labels = model.labels
        print(f"{labels.low:g}..{labels.high:g}, {labels.direction} is better", file=sys.stderr)
        results = pool.map(model.score, images)
        for image, scores in zip(images, results, strict=True):
            if isinstance(scores, ImageError):
                print(scores, file=sys.stderr)
                failed = True
                continue
            mean, deviation = scores.mean(dtype=np.float64), scores.std(dtype=np.float64)
            print(f"{mean:.6f} {deviation:.6f} {image}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
