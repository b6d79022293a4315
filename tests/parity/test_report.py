import dataclasses
import json
import math

import numpy as np
import pytest

from helpers import tiny
from lifeiqa.errors import ConfigError
from lifeiqa.parity.observe import UNIT_ROUNDOFF, Observation, chosen_experts, observe
from lifeiqa.parity.report import ParityReport, Tolerance, link
from lifeiqa.runtimes.base import Trace

LOOSE = Tolerance(drift=1.0, srocc=-1.0)
SCORES = (10.0, 20.0, 30.0, 40.0)


def observation(scores=SCORES, *, trace=None, **changes):
    values = {"runtime": "abacus", "precision": "fp32", "span": 100.0, "top_k": 1}
    array = np.array(scores, dtype=np.float32)
    return Observation(**{**values, **changes}, scores=array, trace=trace)


def routed(*tokens, inputs=1.0, precision="fp32", top_k=1):
    """One crop whose tokens have these logits; each expert weighs the one input by its index."""
    logits = np.array([tokens], dtype=np.float32)  # (1, N, E)
    weight = np.arange(logits.shape[-1], dtype=np.float32)[np.newaxis]  # (1, E)
    trace = Trace(np.full((1, len(tokens), 1), inputs, dtype=np.float32), logits, weight)
    return observation(trace=trace, precision=precision, top_k=top_k)


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
    result = compared(routed((1, 0)), observation())

    assert (result.tokens, result.changed, result.near_ties) == (None, None, None)
    assert result.smallest_margin is None
    assert "not visible" in str(ParityReport("x", (result,)))


def test_unchanged_experts_are_no_failure():
    result = compared(routed((1, 0), (0.25, 0.75)), routed((0.9, 0.1), (0.3, 0.7)))

    assert (result.tokens, result.changed, result.near_ties) == (2, 0, 0)
    assert result.smallest_margin == pytest.approx(0.5)
    assert not result.failures


def test_an_expert_that_flips_against_a_clear_preference_fails():
    result = compared(routed((1, 0), (0, 1), (2, 0)), routed((0, 1), (0, 1), (2, 0)))

    assert (result.changed, result.near_ties) == (1, 0)
    assert result.failures == [
        "A -> B: 1 of 3 tokens changed expert where the router had a clear preference"
    ]


def test_a_tolerance_may_allow_a_share_of_the_tokens_to_change_expert():
    parent = routed((2, 1, 0), (2, 1, 0), (2, 1, 0))
    child = routed((1, 2, 0), (2, 1, 0), (2, 1, 0))
    assert compared(parent, child, dataclasses.replace(LOOSE, changed=0.34)).failures == []
    assert compared(parent, child, dataclasses.replace(LOOSE, changed=0.33)).failures


def test_an_order_within_the_chosen_experts_is_no_change():
    result = compared(routed((3, 2, 0), top_k=2), routed((2, 3, 0), top_k=2))

    assert (result.changed, result.near_ties) == (0, 0)
    assert result.smallest_margin == pytest.approx(2)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize(("share", "near"), [(0.5, 1), (2.0, 0)])
def test_a_flip_is_a_near_tie_below_the_resolution_of_the_arithmetic(precision, share, near):
    # The resolution is u |w_0 - w_1| |x|, here u * 1 * 3.
    margin = share * UNIT_ROUNDOFF[precision] * 3
    parent = routed((margin, 0), inputs=-3.0)

    result = compared(parent, routed((0, margin), precision=precision))

    assert (result.near_ties, result.changed) == (near, 1 - near)
    assert bool(result.failures) is not bool(near)


def test_a_small_margin_that_did_not_flip_is_no_near_tie():
    result = compared(routed((1e-5, 0)), routed((1e-5, 0), precision="fp16"))

    assert (result.near_ties, result.changed) == (0, 0)


def test_a_near_tie_is_shown_in_the_report():
    parent = routed((1e-5, 0), (1, 0))
    result = compared(parent, routed((0, 1e-5), (1, 0), precision="fp16"))

    assert "0 of 2 (+1 near-ties)" in str(ParityReport("x", (result,)))


def test_a_router_that_chooses_every_expert_has_no_margin():
    result = compared(routed((1, 0), top_k=2), routed((0, 1), top_k=2))

    assert result.smallest_margin is None
    assert (result.tokens, result.changed, result.near_ties) == (1, 0, 0)


def report():
    good = compared(observation(), observation())
    bad = link("B -> C", routed((1, 0)), routed((0, 1)), Tolerance(0.1, 0.9))
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
