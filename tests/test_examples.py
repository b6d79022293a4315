"""Every program in examples/ is run by a test."""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
RUN_BY = {
    "cpp": "cpp/test_example.py",
    "pycuda_pipeline.py": "runtimes/tensorrt/test_pycuda_example.py",
    "ray_score.py": "integrations/test_ray_cluster.py",
    "triton_client.py": "export/test_triton_client.py",
}


def test_every_example_has_a_test():
    names = {path.name for path in (TESTS.parent / "examples").iterdir()}
    assert names - {"__pycache__"} == set(RUN_BY)


@pytest.mark.parametrize("name", RUN_BY)
def test_the_test_is_about_the_example(name):
    text = (TESTS / RUN_BY[name]).read_text(encoding="utf-8")
    assert name in text
    assert "subprocess" in text or "runpy" in text
