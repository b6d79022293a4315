import dataclasses

import pytest

from helpers.manifests import ENGINE, FULL
from lifeiqa.artifacts.summary import describe
from lifeiqa.config import Labels, ModelConfig


@pytest.mark.parametrize(
    "fact",
    [
        "tiny (onnx, fp16)",
        "cd" * 32,
        "official, tf_efficientnet_lite0",
        "3 of 8 experts",
        "uint8 (4, 224, 224, 3)",
        "short side at most 384",
        "crops grid:3",
        "1..5, lower is better; KADID-10k",
        "onnx 1.21.0",
        f"tiny.safetensors {'ab' * 32}",
        "ONNX FP32 -> FP16: drift 0.0012, SROCC 0.99991",
    ],
)
def test_a_description_says_what_a_user_needs(fact):
    assert fact in describe(FULL)


@pytest.mark.parametrize(
    "fact",
    [
        "tiny-é (engine, fp16)",
        "uint8 (batch, 224, 224, 3)",
        "tensorrt 11.2.0.5, sm89, batch 1, 1:8:32; tensors: 9 float16, 2 float32; "
        "built on NVIDIA L4, driver 580.65.06",
        f"tiny.fp16.onnx {'ef' * 32}",
        f"tiny.safetensors {'ab' * 32}",
    ],
)
def test_a_description_says_what_an_engine_was_built_for(fact):
    assert fact in describe(ENGINE)


def test_a_description_names_no_gpu_where_an_engine_was_built_without_one():
    engine = dataclasses.replace(ENGINE.engine, gpu=None, driver=None)

    assert "built on" not in describe(dataclasses.replace(ENGINE, engine=engine))


def test_a_description_leaves_out_what_is_not_known():
    text = describe(dataclasses.replace(FULL, batch=None, opset=None, files={}, tools={}))

    assert "uint8 (batch, 224, 224, 3)" in text
    assert "None" not in text
    assert not any(line.startswith(("opset", "sha256", "tools")) for line in text.splitlines())


@pytest.mark.parametrize(("head", "words"), [("ffn", "feed-forward head"), ("none", "linear head")])
def test_a_description_names_a_head_without_experts(head, words):
    text = describe(dataclasses.replace(FULL, config=ModelConfig(head=head)))

    assert words in text
    assert "experts" not in text


def test_a_description_says_that_a_file_was_not_verified():
    assert "not verified" not in describe(FULL)
    assert "tiny (onnx, fp16), not verified" in describe(dataclasses.replace(FULL, verified=False))


def test_no_text_of_a_manifest_reaches_the_terminal_as_a_command():
    labels = Labels(dataset="a\x1b[2Jb\nc\u202e\ud800", low=0, high=1)

    text = describe(dataclasses.replace(FULL, labels=labels))

    assert r"a\x1b[2Jb\nc\u202e\ud800" in text
    assert text.encode().decode() == text


@pytest.mark.parametrize("found", [{"kept": 3}, {"calibration": ["x"]}, {"layers": 3}])
def test_a_recipe_of_another_form_is_described_all_the_same(found):
    assert "\nint8 " in describe(dataclasses.replace(FULL, quantisation=found))


def test_a_parity_record_of_another_form_is_described_all_the_same():
    assert "parity    None: drift 1" in describe(
        dataclasses.replace(FULL, parity=({"max_drift": 1},))
    )
