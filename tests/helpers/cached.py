"""A frozen backbone and images for it, and what processes of their own do with its cache."""

import os
import signal

import torch
from PIL import Image
from safetensors.torch import save_file

from helpers.raster import pattern
from helpers.tiny_network import LABELS, liven, random_crops, tiny_config
from lifeiqa.config import Preprocessing
from lifeiqa.data.table import Table
from lifeiqa.model.network import LifeIQA, ScoringModel
from lifeiqa.training import features
from lifeiqa.training.sampling import Feed, crops_by_plan

SIZE = 64
IMAGES = 7


def scoring_model(**changes):
    """The same random weights at every call."""
    torch.manual_seed(0)
    network = LifeIQA(tiny_config(**{"crop_size": SIZE, "grid": 2, **changes}))
    model = ScoringModel(network, preprocessing_of(network), LABELS).eval()
    liven(model, random_crops(8, SIZE))
    return model


def preprocessing_of(network):
    """Five crops of an image, so that two images are a pass."""
    return Preprocessing(mean=network.backbone.mean, std=network.backbone.std, crops="five")


def write_images(folder):
    for number in range(IMAGES):
        Image.fromarray(pattern(70 + number, 80)).save(folder / f"{number}.png")


def feed_of(model, folder, rows=range(IMAGES)):
    """The images of these numbers, in this order."""
    paths = tuple(folder / f"{number}.png" for number in rows)
    table = Table(name="noise", paths=paths, scores=tuple(map(float, rows)))
    return Feed(table, preprocessing_of(model.network), SIZE)


def get(model, feed, folder, plan="plan", asked=None):
    """What the cache gives; the rows whose crops it asks for go to the list `asked`."""

    def crops(rows):
        if asked is not None:
            asked.extend(rows)
        return crops_by_plan(feed, rows)

    return features.Cache(model, folder).get(feed, crops, plan)


def die_after(images, folder, cache):
    """Extract so many images, and die by SIGKILL when another one is asked for."""
    _begin(stored_at_once=2)
    model = scoring_model()
    feed = feed_of(model, folder)

    def dying(rows):
        yield from crops_by_plan(feed, rows[:images])
        os.kill(os.getpid(), signal.SIGKILL)

    features.Cache(model, cache).get(feed, dying, "plan")


def get_at_once(barrier, rows, folder, cache, out):
    """Extract these images as soon as another process does, and store each alone."""
    _begin(stored_at_once=1)
    model = scoring_model()
    feed = feed_of(model, folder, rows)
    barrier.wait(60)
    save_file(get(model, feed, cache)._asdict(), out)


def _begin(stored_at_once):
    torch.set_num_threads(1)
    features._IMAGES = stored_at_once
