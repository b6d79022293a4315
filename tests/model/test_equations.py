"""Each equation of the paper against a slow version written as plain loops over numbers."""

import itertools
import math

import pytest
import torch

from lifeiqa.config import ModelConfig
from lifeiqa.model.decoder import Attention, Decoder, PartitionPool
from lifeiqa.model.gcn import GraphConvolution
from lifeiqa.model.losses import load_balance_loss, router_z_loss, score_loss
from lifeiqa.model.moe import MixtureOfExperts, Routing, ScoreHead, top_k_mask

TOLERANCE = 1e-5


def matrix(rows, columns):
    return torch.randn(rows, columns)


def times(a, b):
    """A matrix product, number by number."""
    return [
        [sum(a[i][k] * b[k][j] for k in range(len(b))) for j in range(len(b[0]))]
        for i in range(len(a))
    ]


def linear(rows, weight, bias):
    """Each row times a weight stored as PyTorch stores it, (out, in)."""
    return [
        [
            sum(x * w for x, w in zip(row, line, strict=True)) + b
            for line, b in zip(weight, bias, strict=True)
        ]
        for row in rows
    ]


def softmax(values):
    largest = max(values)
    powers = [math.exp(value - largest) for value in values]
    return [power / sum(powers) for power in powers]


def close(ours, plain):
    torch.testing.assert_close(ours, torch.tensor(plain), rtol=TOLERANCE, atol=TOLERANCE)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_equation_1_queries_carry_the_global_average_of_a_projected_map():
    config = ModelConfig(dim=8, heads=2, queries=3, depth=0, head="none")
    decoder = Decoder(config, query_channels=5, memory_channels=4)
    stage4 = torch.randn(5, 2, 3)
    weight, bias = decoder.guide.weight.tolist(), decoder.guide.bias.tolist()
    pixels = stage4.flatten(1).T.tolist()
    projected = linear(pixels, weight, bias)  # the 1x1 convolution comes first in the paper
    average = [sum(column) / len(projected) for column in zip(*projected, strict=True)]
    plain = [
        [q + a for q, a in zip(query, average, strict=True)]
        for query in decoder.queries[0].tolist()
    ]
    close(decoder(stage4.mean((1, 2)).unsqueeze(0), None)[0], plain)


@pytest.mark.parametrize("learned", [True, False])
def test_equations_4_to_6_graph_convolution(learned):
    gcn = GraphConvolution(3, 8, learned=learned)
    tokens = matrix(3, 8)
    if learned:
        torch.nn.init.normal_(gcn.adjacency)
        adjacency = gcn.adjacency.tolist()
    else:
        for bias in gcn.biases:
            torch.nn.init.normal_(bias)
        adjacency = [[[(2 if i == j else 1) / 4 for j in range(3)] for i in range(3)]] * 3
    hidden = tokens.tolist()
    for layer, weight in enumerate(gcn.weights):
        hidden = times(times(adjacency[layer], hidden), weight.tolist())
        if not learned:
            shift = gcn.biases[layer].tolist()
            hidden = [[x + b for x, b in zip(row, shift, strict=True)] for row in hidden]
        if layer < 2:
            hidden = [[max(x, 0.0) for x in row] for row in hidden]
    close(gcn(tokens.unsqueeze(0))[0], hidden)


def test_equations_2_and_3_multi_head_attention():
    attention = Attention(dim=8, heads=2)
    tokens, memory = matrix(3, 8), matrix(5, 8)
    query, key, value = (
        linear(rows.tolist(), layer.weight.tolist(), layer.bias.tolist())
        for rows, layer in (
            (tokens, attention.query),
            (memory, attention.key),
            (memory, attention.value),
        )
    )
    merged = []
    for q in query:
        row = []
        for head in (slice(0, 4), slice(4, 8)):
            scores = [sum(a * b for a, b in zip(q[head], k[head], strict=True)) / 2 for k in key]
            weights = softmax(scores)
            row += [
                sum(w * v[head][channel] for w, v in zip(weights, value, strict=True))
                for channel in range(4)
            ]
        merged.append(row)
    plain = linear(merged, attention.out.weight.tolist(), attention.out.bias.tolist())
    close(attention(tokens.unsqueeze(0), memory.unsqueeze(0))[0], plain)


def test_partition_average_pooling_has_uneven_cells_without_overlap():
    pool = PartitionPool(6, 14, 14)
    features = torch.randn(1, 2, 14, 14)
    edges = [0, 2, 4, 7, 9, 11, 14]
    plain = [
        [features[0, channel, top:bottom, left:right].mean().item() for channel in range(2)]
        for top, bottom in itertools.pairwise(edges)
        for left, right in itertools.pairwise(edges)
    ]
    close(pool(features)[0], plain)


def test_partition_average_pooling_of_an_even_grid_is_plain_average_pooling():
    features = torch.randn(2, 3, 14, 14)
    expected = torch.nn.functional.avg_pool2d(features, 2).flatten(2).transpose(1, 2)
    torch.testing.assert_close(PartitionPool(7, 14, 14)(features), expected)


def experts_by_hand(moe, token):
    """Equations (7) to (12) for one token, in plain Python."""
    logits = [
        sum(x * w for x, w in zip(token, column, strict=True)) + b
        for column, b in zip(moe.router.weight.T.tolist(), moe.router.bias.tolist(), strict=True)
    ]
    ranked = sorted(range(len(logits)), key=lambda e: (-logits[e], e))[: moe.top_k]
    weights = dict(zip(ranked, softmax([logits[e] for e in ranked]), strict=True))
    result = [0.0] * len(token)
    for e, weight in weights.items():
        up = linear([token], moe.up[e].T.tolist(), moe.up_bias[e].tolist())[0]
        down = linear(
            [[max(x, 0.0) for x in up]], moe.down[e].T.tolist(), moe.down_bias[e].tolist()
        )
        result = [r + weight * y for r, y in zip(result, down[0], strict=True)]
    return logits, ranked, result


@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_equations_7_to_12_mixture_of_experts(top_k):
    moe = MixtureOfExperts(ModelConfig(dim=6, heads=2, experts=4, top_k=top_k, expert_hidden=5))
    for parameter in moe.parameters():
        torch.nn.init.normal_(parameter)
    tokens = torch.randn(2, 3, 6)
    mixed, routing = moe.eval()(tokens)
    for position, token in enumerate(tokens.flatten(0, 1).tolist()):
        logits, ranked, result = experts_by_hand(moe, token)
        close(routing.logits.flatten(0, 1)[position], logits)
        assert routing.mask.flatten(0, 1)[position].nonzero().flatten().tolist() == sorted(ranked)
        close(mixed.flatten(0, 1)[position], result)


def test_sharpening_keeps_the_experts_and_changes_their_weights():
    moe = MixtureOfExperts(ModelConfig(dim=6, heads=2, experts=4, top_k=2))
    tokens = torch.randn(2, 3, 6)
    before = moe.router(tokens)
    moe.router.sharpen(4.0)
    torch.testing.assert_close(moe.router(tokens), 4 * before)
    assert torch.equal(top_k_mask(moe.router(tokens), 2), top_k_mask(before, 2))


def test_ties_go_to_the_lower_expert():
    logits = torch.tensor([[1.0, 3.0, 3.0, 3.0], [2.0, 2.0, 2.0, 2.0], [0.0, 1.0, 0.0, 0.0]])
    chosen = top_k_mask(logits, 2).int().tolist()
    assert chosen == [[0, 1, 1, 0], [1, 1, 0, 0], [1, 1, 0, 0]]


@pytest.mark.parametrize("variant", ["paper", "official"])
def test_equation_16_bypass(variant):
    config = ModelConfig(variant=variant, dim=8, heads=2, experts=4, top_k=2)
    head = ScoreHead(config).eval()
    torch.nn.init.constant_(head.gamma, 0.3)
    tokens = torch.randn(2, 3, 8)
    normed = head.norm(tokens)
    mixed, _ = head.body(normed)
    fused = mixed + 0.3 * normed if variant == "paper" else normed + 0.3 * mixed
    scores, _ = head(tokens)
    torch.testing.assert_close(scores, head.score(fused).squeeze(-1))


def example_routing():
    logits = torch.randn(2, 3, 4)
    return Routing(torch.randn(2, 3, 8), logits, top_k_mask(logits, 2))


def test_equations_13_and_14_load_balance():
    routing = example_routing()
    logits, mask = (part.flatten(0, 1).tolist() for part in (routing.logits, routing.mask))
    share = [sum(softmax(g)[e] for g in logits) / 6 for e in range(4)]
    usage = [sum(m[e] for m in mask) / 6 for e in range(4)]
    plain = 4 * sum(t * p for t, p in zip(usage, share, strict=True))
    assert load_balance_loss(routing).item() == pytest.approx(plain, rel=TOLERANCE)


def test_a_balanced_router_has_a_load_balance_loss_of_k():
    logits = torch.zeros(1, 4, 4)
    mask = torch.eye(4, dtype=torch.bool) | torch.eye(4, dtype=torch.bool).roll(1, 1)
    routing = Routing(torch.zeros(1, 4, 8), logits, mask.unsqueeze(0))
    assert load_balance_loss(routing).item() == pytest.approx(2)


def test_equation_15_router_z_loss():
    routing = example_routing()
    plain = [
        math.log(sum(math.exp(g) for g in row)) ** 2
        for row in routing.logits.flatten(0, 1).tolist()
    ]
    assert router_z_loss(routing).item() == pytest.approx(sum(plain) / 6, rel=TOLERANCE)


def test_equation_27_score_loss():
    predicted, target = torch.randn(7), torch.randn(7)
    plain = [abs(p - t) for p, t in zip(predicted.tolist(), target.tolist(), strict=True)]
    assert score_loss(predicted, target).item() == pytest.approx(sum(plain) / 7, rel=TOLERANCE)
