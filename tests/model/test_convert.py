"""Checkpoints of the published code, against a plain forward pass written from its description."""

import pickle

import pytest
import timm
import torch
from click.testing import CliRunner
from torch import nn
from torch.nn import functional as F
from yacs.config import CfgNode

from lifeiqa.cli import main
from lifeiqa.config import Labels
from lifeiqa.errors import CheckpointError, ConfigError
from lifeiqa.model.checkpoint import load_checkpoint
from lifeiqa.model.convert import convert

DIM, QUERIES, DEPTH, HEADS, HIDDEN = 48, 6, 2, 6, 40
LABELS = Labels(dataset="KonIQ-10k", low=0.0, high=100.0, normalised=False)
SWIN = "swin_tiny_patch4_window7_224"


def published_tensors(experts):
    """Random tensors under the names that the published code gives them."""
    torch.manual_seed(0)
    swin = timm.create_model(SWIN)
    state = {f"pretrain_model.{name}": tensor for name, tensor in swin.state_dict().items()}
    for name, tensor in swin.state_dict().items():
        if name.startswith("patch_embed."):
            state[f"backbone_stages.0.0.{name.removeprefix('patch_embed.')}"] = tensor
        elif name.startswith("layers.0."):
            state[f"backbone_stages.0.1.{name.removeprefix('layers.0.')}"] = tensor
        elif name.startswith("layers."):
            state[f"backbone_stages.{name.removeprefix('layers.')}"] = tensor

    def put(name, *shape, scale=0.2):
        state[name] = torch.randn(*shape) * scale

    for name, shape in {
        "proj_layer3": (DIM, 384),
        "proj_layer4": (DIM, 768, 1, 1),
        "fc": (1, DIM),
    }.items():
        put(f"{name}.weight", *shape)
        put(f"{name}.bias", shape[0])
    put("bunch_embedding", 1, QUERIES, DIM)
    for layer in range(DEPTH):
        prefix = f"bunch_decoder.layers.{layer}."
        put(f"{prefix}multihead_attn.in_proj_weight", 3 * DIM, DIM)
        put(f"{prefix}multihead_attn.in_proj_bias", 3 * DIM)
        put(f"{prefix}multihead_attn.out_proj.weight", DIM, DIM)
        put(f"{prefix}multihead_attn.out_proj.bias", DIM)
        for index, (inputs, outputs) in enumerate([(48, 24), (24, 12), (12, 48)], start=1):
            put(f"{prefix}GCN.gcn{index}.weight", inputs, outputs)
            put(f"{prefix}GCN.gcn{index}.bias", outputs)
        put(f"{prefix}norm2.weight", DIM)
        put(f"{prefix}norm2.bias", DIM)
    if experts == 1:
        first, second = "MOE.net.0", "MOE.net.2"
        shapes = {first: (HIDDEN, DIM), second: (DIM, HIDDEN)}
    else:
        shapes = {"MOE.router.linear": (experts, DIM)}
        for index in range(experts):
            shapes[f"MOE.experts.{index}.net.0"] = (HIDDEN, DIM)
            shapes[f"MOE.experts.{index}.net.3"] = (DIM, HIDDEN)
    for name, shape in shapes.items():
        put(f"{name}.weight", *shape)
        put(f"{name}.bias", shape[0])
    put("norm3.weight", DIM)
    put("norm3.bias", DIM)
    state["gamma"] = torch.tensor(0.37)
    return state


def save(path, state):
    config = CfgNode({"MODEL": {"K": 2, "NAME": "swin"}, "SEED": 1})
    config.freeze()
    torch.save({"model": state, "epoch": 3, "max_plcc": 0.9, "config": config}, path)


def official_forward(state, images, top_k):
    """The published network in evaluation mode, from its description, one image at a time."""
    swin = timm.create_model(SWIN).eval()
    prefix = "pretrain_model."
    swin.load_state_dict(
        {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
    )
    x = swin.patch_embed(images)
    stages = []
    for layer in swin.layers:
        x = layer(x)
        stages.append(x)
    stage3, stage4 = (stage.permute(0, 3, 1, 2) for stage in stages[2:])
    pooled = F.avg_pool2d(stage3, 2).flatten(2).transpose(1, 2)
    memory = F.linear(pooled, state["proj_layer3.weight"], state["proj_layer3.bias"])
    guide = F.conv2d(stage4, state["proj_layer4.weight"], state["proj_layer4.bias"])
    x = guide.mean((2, 3))[:, None] + state["bunch_embedding"]
    adjacency = torch.ones(QUERIES, QUERIES) + torch.eye(QUERIES)
    degree = adjacency.sum(1).rsqrt().diag()
    adjacency = degree @ adjacency @ degree
    for layer in range(DEPTH):
        name = f"bunch_decoder.layers.{layer}."
        hidden = x
        for index in (1, 2, 3):
            weight, bias = (state[f"{name}GCN.gcn{index}.{part}"] for part in ("weight", "bias"))
            hidden = adjacency @ hidden @ weight + bias
            hidden = F.relu(hidden) if index < 3 else hidden
        x = x + hidden
        attention = nn.MultiheadAttention(DIM, HEADS, batch_first=True).eval()
        inner = f"{name}multihead_attn."
        attention.load_state_dict(
            {n.removeprefix(inner): t for n, t in state.items() if n.startswith(inner)}
        )
        query = F.layer_norm(x, (DIM,), state[f"{name}norm2.weight"], state[f"{name}norm2.bias"])
        x = x + attention(query, memory, memory, need_weights=False)[0]
    x = F.layer_norm(x, (DIM,), state["norm3.weight"], state["norm3.bias"])
    x = x + state["gamma"] * published_experts(state, x, top_k)
    return F.linear(x, state["fc.weight"], state["fc.bias"]).mean((1, 2))


def published_experts(state, x, top_k):
    def dense(tokens, name):
        return F.linear(tokens, state[f"{name}.weight"], state[f"{name}.bias"])

    if "MOE.net.0.weight" in state:
        return dense(F.gelu(dense(x, "MOE.net.0")), "MOE.net.2")
    mixed = torch.zeros_like(x)
    for image in range(x.shape[0]):
        for token in range(QUERIES):
            row = x[image, token]
            logits = dense(row, "MOE.router.linear")
            values, indices = logits.topk(top_k)
            for weight, index in zip(values.softmax(0), indices.tolist(), strict=True):
                name = f"MOE.experts.{index}.net"
                expert = dense(F.relu(dense(row, f"{name}.0")), f"{name}.3")
                mixed[image, token] += weight * expert
    return mixed


@pytest.mark.parametrize(("experts", "top_k"), [(3, 2), (8, 1), (1, 2)])
def test_a_converted_checkpoint_scores_as_the_published_network(tmp_path, experts, top_k):
    state = published_tensors(experts)
    save(tmp_path / "best.pth", state)
    convert(tmp_path / "best.pth", tmp_path / "ours.safetensors", LABELS, top_k=top_k, heads=HEADS)
    network, manifest = load_checkpoint(tmp_path / "ours.safetensors")
    assert manifest.config.backbone == "swin_tiny"
    assert manifest.config.head == ("moe" if experts > 1 else "ffn")
    assert manifest.parents[0].file == "best.pth"
    assert manifest.labels.scale_and_offset == (1.0, 0.0)
    images = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        expected = official_forward(state, images, top_k)
        torch.testing.assert_close(network(images).score, expected, rtol=1e-4, atol=1e-5)


def damaged(change):
    state = published_tensors(3)
    change(state)
    return state


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("norm3.bias"), ["missing: head.norm.bias"]),
        (lambda s: s.update(extra=torch.zeros(2)), ["unknown: extra (2,)"]),
        (lambda s: s.pop("MOE.experts.1.net.0.weight"), ["missing: head.body.up", "MOE.experts.0"]),
        (lambda s: s.pop("bunch_embedding"), ["missing: bunch_embedding"]),
        (lambda s: s.update({"fc.weight": torch.zeros(1, 7)}), ["shape of head.score.weight"]),
        (
            lambda s: s.update({"backbone_stages.0.0.proj.bias": torch.zeros(96)}),
            ["stored twice", "patch_embed.proj.bias"],
        ),
        (
            lambda s: s.update(
                {"pretrain_model.patch_embed.proj.weight": torch.zeros(192, 3, 4, 4)}
            ),
            ["width 192"],
        ),
    ],
)
def test_tensors_that_do_not_fit_are_listed_and_nothing_is_written(tmp_path, change, words):
    save(tmp_path / "bad.pth", damaged(change))
    with pytest.raises(CheckpointError) as caught:
        convert(tmp_path / "bad.pth", tmp_path / "o.safetensors", LABELS, top_k=2, heads=HEADS)
    assert all(word in str(caught.value) for word in words), caught.value
    assert not (tmp_path / "o.safetensors").exists()


class Harmful:
    def __reduce__(self):
        return print, ("this must never run",)


def test_a_pickle_that_runs_code_is_refused_unread(tmp_path, capsys):
    path = tmp_path / "harmful.pth"
    torch.save({"model": published_tensors(3), "config": Harmful()}, path)
    with pytest.raises(CheckpointError, match="weights_only"):
        convert(path, tmp_path / "o.safetensors", LABELS, top_k=2, heads=HEADS)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps({"model": 1})])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "other.pth"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"other\.pth"):
        convert(path, tmp_path / "o.safetensors", LABELS, top_k=2, heads=HEADS)


def test_more_experts_a_token_than_there_are_is_refused(tmp_path):
    save(tmp_path / "best.pth", published_tensors(3))
    with pytest.raises(ConfigError, match="3 experts"):
        convert(tmp_path / "best.pth", tmp_path / "o.safetensors", LABELS, top_k=4, heads=HEADS)


def test_the_command_writes_a_checkpoint(tmp_path):
    save(tmp_path / "best.pth", published_tensors(3))
    out = tmp_path / "koniq.safetensors"
    arguments = ["convert", str(tmp_path / "best.pth"), "-o", str(out), "--dataset", "KonIQ-10k"]
    run = CliRunner().invoke(
        main, [*arguments, "--label-range", "0", "100", "--direction", "higher"]
    )
    assert run.exit_code == 0, run.output
    assert load_checkpoint(out)[1].labels == LABELS
    assert CliRunner().invoke(main, arguments).exit_code == 2
