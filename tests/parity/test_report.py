import dataclasses
import json
import math

import numpy as np
import pytest

from helpers import tiny
from lifeiqa.errors import ConfigError
from lifeiqa.parity.observe import Observation, chosen_experts, observe
from lifeiqa.parity.report import ParityReport, Tolerance, link
from lifeiqa.runtimes.base import Trace

LOOSE = Tolerance(drift=1.0, srocc=-1.0)
SCORES = (10.0, 20.0, 30.0, 40.0)


def observation(scores=SCORES, *, trace=None, **changes):
    values = {"runtime": "abacus", "span": 100.0, "top_k": 1, "crops": 1}
    array = np.array(scores, dtype=np.float32)
    return Observation(**{**values, **changes}, scores=array, trace=trace)


def routed(*crops, errors=0.0, top_k=1, scores=None, **changes):
    """Crops whose tokens have these logits; expert e weighs the one input, 3, by its index e.

    The input of crop i is off by the relative error ``errors[i]``.
    """
    logits = np.array(crops, dtype=np.float32)  # (n, N, E)
    weight = np.arange(logits.shape[-1], dtype=np.float32)[np.newaxis]  # (1, E)
    inputs = np.full((*logits.shape[:2], 1), 3.0)
    inputs *= 1 + np.reshape(errors, (-1, 1, 1))
    trace = Trace(inputs.astype(np.float32), logits, weight)
    scores = [10.0 * crop for crop in range(len(crops))] if scores is None else scores
    return observation(scores, trace=trace, top_k=top_k, **changes)


def compared(parent, child, tolerance=LOOSE):
    return link("A -> B", parent, child, tolerance)


def test_drifts_are_shares_of_the_label_range():
    result = compared(observation(), observation((10, 21, 30, 38)))

    assert result.n == 4
    assert result.max_drift == pytest.approx(0.02)
    assert result.mean_drift == pytest.approx(0.0075)
    assert result.p99_drift == pytest.approx(0.01 + 0.97 * 0.01)


def test_the_99th_percentile_is_not_the_largest():
    child = [float(score) for score in range(1001)]
    child[500] += 50

    result = compared(observation(range(1001)), observation(child))

    assert result.max_drift == pytest.approx(0.5)
    assert result.p99_drift == 0


def test_a_swap_of_two_images_costs_rank():
    assert compared(observation(), observation()).srocc == pytest.approx(1)
    assert compared(observation(), observation((20, 10, 30, 40))).srocc == pytest.approx(0.8)


def test_a_link_reports_the_arithmetic_of_the_child():
    assert compared(observation(), observation(runtime="loom")).runtime == "loom"


def test_equal_scores_hold_the_tightest_tolerance():
    assert compared(observation(), observation(), Tolerance(0.0, 0.9995)).failures == []


def test_a_drift_beyond_the_tolerance_is_told_with_both_numbers():
    result = compared(observation(), observation((10, 20, 30, 43)), Tolerance(0.01, -1))

    assert result.failures == ["A -> B: drift 3.00e-02 of the label range exceeds 1.00e-02"]


def test_a_rank_below_the_tolerance_is_told_with_both_numbers():
    result = compared(observation(), observation((20, 10, 30, 40)), Tolerance(1, 0.9))

    assert result.failures == ["A -> B: SROCC 0.800000 is below 0.9"]


def test_a_score_that_is_no_number_fails_drift_and_rank():
    result = compared(observation(), observation((10, math.nan, 30, 40)))

    assert [failure.split()[3] for failure in result.failures] == ["drift", "SROCC"]
    assert not ParityReport("x", (result,))


def test_one_crop_proves_no_rank():
    result = compared(observation((1,)), observation((1,)))

    assert math.isnan(result.srocc)
    assert result.failures


@pytest.mark.parametrize("child", [observation((1, 2)), observation(span=4.0)])
def test_observations_of_different_crops_or_ranges_are_refused(child):
    with pytest.raises(ConfigError, match="A -> B: 4 scores over a range of 100") as caught:
        compared(observation(), child)

    assert f"{len(child.scores)} over {child.span}" in str(caught.value)


def test_a_tie_of_experts_goes_to_the_lower_index():
    logits = np.array([[1.0, 3.0, 3.0, 3.0], [0.0, 0.0, 0.0, 0.0]])

    chosen = chosen_experts(logits, 2)

    assert chosen.tolist() == [[False, True, True, False], [True, True, False, False]]


def test_as_many_experts_are_chosen_as_asked_for():
    logits = np.random.default_rng(0).normal(size=(3, 5, 7))

    for top_k in range(1, 8):
        assert (chosen_experts(logits, top_k).sum(-1) == top_k).all()


def test_an_unseen_router_is_reported_as_unseen():
    result = compared(routed([(1, 0)]), observation([0.0]))

    assert (result.tokens, result.changed, result.near_ties) == (None, None, None)
    assert result.smallest_margin is None
    assert "not visible" in str(ParityReport("x", (result,)))


def test_unchanged_experts_are_no_failure():
    result = compared(
        routed([(1, 0), (0.25, 0.75)], [(1, 0)] * 2), routed([(0.9, 0.1), (0.3, 0.7)], [(1, 0)] * 2)
    )

    assert (result.tokens, result.changed, result.near_ties) == (4, 0, 0)
    assert result.smallest_margin == pytest.approx(0.5)
    assert not result.failures


def test_an_expert_that_flips_against_a_clear_preference_fails():
    parent = routed([(1, 0), (0, 1)], [(2, 0), (2, 0)])
    result = compared(parent, routed([(0, 1), (0, 1)], [(2, 0), (2, 0)], errors=(0, 0.1)))

    assert (result.changed, result.near_ties, result.apart) == (1, 0, 0)
    assert result.failures == [
        "A -> B: 1 of 4 tokens changed expert where the router had a clear preference"
    ]


def test_a_tolerance_may_allow_a_share_of_the_tokens_to_change_expert():
    parent = routed([(2, 1, 0), (2, 1, 0), (2, 1, 0)], [(2, 1, 0)] * 3)
    child = routed([(1, 2, 0), (2, 1, 0), (2, 1, 0)], [(2, 1, 0)] * 3)
    assert compared(parent, child, dataclasses.replace(LOOSE, changed=0.17)).failures == []
    assert compared(parent, child, dataclasses.replace(LOOSE, changed=0.16)).failures


def test_an_order_within_the_chosen_experts_is_no_change():
    result = compared(routed([(3, 2, 0)], top_k=2), routed([(2, 3, 0)], top_k=2))

    assert (result.changed, result.near_ties) == (0, 0)
    assert result.smallest_margin == pytest.approx(2)


CLEAR = [[(9, 0)]] * 3


@pytest.mark.parametrize(("share", "near"), [(0.9, 1), (1.1, 0)])
@pytest.mark.parametrize("error", [1e-3, 2e-2])
def test_a_flip_is_a_near_tie_below_what_the_measured_error_can_move(error, share, near):
    """Crops without a flip tell the error, the largest of them; |x| |w_0 - w_1| is 3."""
    margin = share * error * 3
    parent = routed([(margin, 0)], *CLEAR)

    result = compared(parent, routed([(0, margin)], *CLEAR, errors=(0, error, 0, error / 2)))

    assert (result.near_ties, result.changed, result.apart) == (near, 1 - near, near)
    assert bool(result.failures) is not bool(near)


def test_a_crop_that_was_computed_wrongly_does_not_excuse_itself():
    result = compared(routed([(1, 0)], *CLEAR), routed([(0, 1)], *CLEAR, errors=(5, 0, 0, 0)))

    assert (result.near_ties, result.changed) == (0, 1)
    assert result.failures


def test_crops_with_a_near_tie_are_reported_apart():
    parent = routed([(1e-5, 0)], *CLEAR, crops=5)
    moved = routed([(0, 1e-5)], *CLEAR, errors=1e-3, scores=(30, 10.1, 20, 30), crops=5)
    result = compared(parent, moved)

    assert result.max_drift == pytest.approx(1e-3, rel=1e-4)
    assert result.srocc == pytest.approx(1)
    assert (result.apart, result.apart_drift) == (1, pytest.approx(0.3))
    assert result.apart_drift_image == pytest.approx(0.06)
    assert "1 in 1 crops: 3.0e-01 a crop, 6.0e-02 an image" in str(ParityReport("x", (result,)))


def test_a_crop_with_a_flip_that_nothing_explains_counts_in_the_drift():
    tie = [(1e-5, 0), (1, 0)]
    other = [(9, 0), (9, 0)]
    child = routed([(0, 1e-5), (0, 1)], other, errors=1e-3, scores=(50, 10))

    result = compared(routed(tie, other), child)

    assert (result.near_ties, result.changed, result.apart) == (1, 1, 0)
    assert result.max_drift == pytest.approx(0.5)


def test_too_many_crops_with_a_near_tie_fail():
    tie, undone = [(1e-5, 0)], [(0, 1e-5)]
    result = compared(
        routed(tie, tie, tie, [(9, 0)]), routed(undone, undone, undone, [(9, 0)], errors=1e-3)
    )

    assert result.apart == 3
    assert any("in 3 of 4 crops" in failure for failure in result.failures)


def test_a_small_margin_that_did_not_flip_is_no_near_tie():
    result = compared(routed([(1e-5, 0)]), routed([(1e-5, 0)], errors=0.1))

    assert (result.near_ties, result.changed) == (0, 0)


def test_a_router_that_chooses_every_expert_has_no_margin():
    result = compared(routed([(1, 0)], top_k=2), routed([(0, 1)], top_k=2))

    assert result.smallest_margin is None
    assert (result.tokens, result.changed, result.near_ties) == (1, 0, 0)


def report():
    good = compared(observation(), observation())
    bad = link("B -> C", routed([(1, 0)]), routed([(0, 1)]), Tolerance(0.1, 0.9))
    return ParityReport("parity on 4 crops", (good, bad))


def test_a_report_is_true_when_every_link_holds():
    good, bad = report().links

    assert ParityReport("x", (good, good))
    assert not ParityReport("x", (good, bad))
    assert report().failures == bad.failures


def test_a_report_prints_a_row_a_link_and_then_the_failures():
    subject, header, good, bad, *failures = str(report()).splitlines()

    assert subject == "parity on 4 crops; drift as a share of the label range"
    assert header.startswith("link")
    assert good.startswith("A -> B")
    assert " ok " in good
    assert "1.000000" in good
    assert bad.startswith("B -> C")
    assert " FAILED " in bad
    assert failures == [f"FAILED  {failure}" for failure in report().failures]


def test_records_of_a_report_are_json():
    nan = compared(observation((1, math.nan)), observation((1, 2)))
    records = json.loads(
        json.dumps(ParityReport("x", (*report().links, nan)).to_dicts(), allow_nan=False)
    )

    assert [record["name"] for record in records] == ["A -> B", "B -> C", "A -> B"]
    assert records[1]["tolerance"] == {"drift": 0.1, "srocc": 0.9, "changed": 0.0}
    assert records[2]["max_drift"] is None
    assert records[2]["srocc"] is None


class Untraced:
    """A session that shows no router and remembers how it was asked."""

    manifest = tiny.manifest()
    runtime = "abacus"

    def __init__(self):
        self.sizes = []

    def run(self, crops):
        self.sizes.append(len(crops))
        return crops.mean(axis=(1, 2, 3), dtype=np.float32)


class Traced(Untraced):
    def run_traced(self, crops):
        logits = crops[:, 0, :1].astype(np.float32)  # (n, 1, 3)
        return self.run(crops), Trace(logits, logits, np.eye(3, dtype=np.float32))


def test_an_observation_covers_every_crop_in_batches():
    session = Untraced()

    seen = observe(session, tiny.crops(*range(10)), batch=4)

    assert session.sizes == [4, 4, 2]
    assert seen.scores.tolist() == list(range(10))
    assert (seen.runtime, seen.span, seen.trace) == ("abacus", 255, None)


def test_an_observation_joins_the_traces_of_its_batches():
    seen = observe(Traced(), tiny.crops(1, 2, 3), batch=2)

    assert seen.scores.tolist() == [1, 2, 3]
    assert seen.trace is not None
    assert seen.trace.logits[:, 0, 0].tolist() == [1, 2, 3]
    assert seen.trace.weight.shape == (3, 3)
