"""What the scores of a video's frames say of the whole, against its words."""

import random

import numpy as np
import pytest

from lifeiqa.bulk.pooling import pooled
from lifeiqa.config import Labels
from lifeiqa.errors import ImageError

MOS = Labels(dataset="made up", low=0, high=100)
DMOS = Labels(dataset="made up", low=0, high=100, direction="lower")


@pytest.mark.parametrize("labels", [MOS, DMOS])
def test_pooling_is_what_its_words_say(labels):
    draw = random.Random(6)
    worst = min if labels.direction == "higher" else max
    for count in (1, 2, 19, 20, 21, 40, 41, 333):
        stamps = sorted(draw.uniform(0, 9) for _ in range(count))
        scores = [draw.uniform(0, 100) for _ in range(count)]
        found = pooled(stamps, scores, labels)
        assert found.mean == pytest.approx(np.mean(scores))
        # Frames are put aside, the worst first, until they are at least 5 %.
        left, aside = list(scores), []
        while len(aside) * 20 < count:
            aside.append(left.pop(left.index(worst(left))))
        assert found.p5 == aside[-1]
        means = {
            second: np.mean(
                [s for t, s in zip(stamps, scores, strict=True) if second <= t < second + 1]
            )
            for second in {int(stamp) for stamp in stamps}
        }
        assert found.worst_second == pytest.approx(worst(means.values()))
        assert means[found.worst_time] == worst(means.values())


def test_the_first_of_equally_bad_seconds_is_named():
    for labels in (MOS, DMOS):
        assert pooled([0.5, 1.5, 2.5], [7.0, 7.0, 7.0], labels) == (7.0, 7.0, 7.0, 0.0)


def test_no_frame_has_no_pooled_score():
    with pytest.raises(ImageError, match="no frame"):
        pooled([], [], MOS)
