"""Decode and cut the files named on standard input; one line of JSON for each on standard output.

A process of its own, so that a crash is seen; the name of a file is written before it is read.
"""

import contextlib
import json
import os
import sys
import tempfile
import time
import warnings

from PIL import Image

from lifeiqa.config import Preprocessing
from lifeiqa.errors import ImageError
from lifeiqa.preprocess.decode import FORMATS
from lifeiqa.preprocess.pipeline import cut

SIZE = 64
FEED = Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3, short_side=SIZE, crops="five")


@contextlib.contextmanager
def printed():
    """What is written to the descriptors 1 and 2, which C libraries know alone."""
    with tempfile.TemporaryFile() as caught:
        kept = [os.dup(number) for number in (1, 2)]
        for number in (1, 2):
            os.dup2(caught.fileno(), number)
        texts = []
        try:
            yield texts
        finally:
            for number, copy in zip((1, 2), kept, strict=True):
                os.dup2(copy, number)
                os.close(copy)
            caught.seek(0)
            texts.append(caught.read().decode(errors="replace"))


def upright_size(path):
    with warnings.catch_warnings(action="ignore"), Image.open(path, formats=FORMATS) as image:
        turned = image.format != "TIFF" and image.getexif().get(0x0112, 1) >= 5
        return image.size[::-1] if turned else image.size


def outcome(path):
    row = {"error": None}
    start = time.process_time()
    with printed() as texts:
        try:
            found = cut(path, FEED, SIZE)
            assert found.crops.shape == (5, SIZE, SIZE, 3)
            row["size"] = [found.width, found.height]
        except ImageError as error:
            row |= {"error": "image", "message": str(error)}
        except Exception as error:
            row |= {"error": "other", "message": repr(error)}
    row |= {"seconds": time.process_time() - start, "printed": texts[0]}
    if row["error"] is None:
        row["in_header"] = upright_size(path)
    return row


for path in sys.stdin.read().split("\n"):
    print(json.dumps({"path": path}), flush=True)
    print(json.dumps({"path": path, **outcome(path)}), flush=True)
