"""Dense routing equals sparse routing, shares its weights and leaves it alone."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from helpers.tiny_network import ABLATIONS, random_crops, tiny_config, tiny_model
from lifeiqa.model.moe import MixtureOfExperts, top_k_mask
from lifeiqa_export.dense import DenseMixtureOfExperts, dense_top_k_mask, densify


@given(
    rows=st.lists(
        st.lists(st.sampled_from([-1.0, 0.0, 0.5, 0.5, 2.0]), min_size=5, max_size=5),
        min_size=1,
        max_size=4,
    ),
    k=st.integers(1, 5),
)
def test_comparison_chooses_what_a_stable_sort_chooses(rows, k):
    logits = torch.tensor(rows)
    assert torch.equal(dense_top_k_mask(logits, k), top_k_mask(logits, k))


@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_dense_experts_equal_sparse_experts(top_k):
    torch.manual_seed(0)
    sparse = MixtureOfExperts(tiny_config(top_k=top_k)).eval()
    tokens = torch.randn(3, 6, 32)
    dense, dense_routing = DenseMixtureOfExperts(sparse)(tokens)
    mixed, routing = sparse(tokens)
    torch.testing.assert_close(dense, mixed, rtol=0, atol=1e-6)
    assert torch.equal(dense_routing.mask, routing.mask)
    assert torch.equal(dense_routing.logits, routing.logits)


@pytest.mark.parametrize("name", ABLATIONS)
def test_densify_shares_every_tensor_and_changes_no_score(name):
    torch.manual_seed(0)
    sparse = tiny_model(**ABLATIONS[name])
    body = type(sparse.network.head.body)
    dense = densify(sparse)
    ours, theirs = dict(sparse.named_parameters()), dict(dense.named_parameters())
    assert ours.keys() == theirs.keys()
    assert all(ours[key] is theirs[key] for key in ours)
    assert type(sparse.network.head.body) is body
    crops = torch.from_numpy(random_crops(3, 112))
    with torch.inference_mode():
        torch.testing.assert_close(dense(crops).score, sparse(crops).score, rtol=0, atol=1e-6)


def test_densify_switches_off_fused_attention_in_the_copy_alone():
    sparse = tiny_model(backbone="swin_tiny", crop_size=224)
    fused = [m.fused_attn for m in sparse.modules() if hasattr(m, "fused_attn")]
    dense = densify(sparse)
    assert [m.fused_attn for m in sparse.modules() if hasattr(m, "fused_attn")] == fused
    assert not any(m.fused_attn for m in dense.modules() if hasattr(m, "fused_attn"))
