"""What works where: bulk scoring needs Linux, and `Scorer` needs nothing of one system.

Other systems are simulated: `sys.platform` names them, and modules that they lack are hidden.
"""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lifeiqa
from helpers import tiny
from helpers.scoring import score

LINUX_ALONE = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
ELSEWHERE = f"""
import sys
class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name in {LINUX_ALONE - {"posix", "pwd"}}:  # the standard library itself asks for these
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Hidden())
sys.platform = "darwin"
"""


def imported_first(module):
    """Top-level packages that a module imports when it is itself imported."""
    waiting = list(ast.parse(module.read_text("utf-8")).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += ast.iter_child_nodes(node)


def test_no_module_but_trainings_needs_one_system_to_be_imported():
    package = Path(lifeiqa.__file__).parent
    modules = [path for path in package.rglob("*.py") if "training" not in path.parts]

    assert len(modules) > 100
    for module in modules:
        assert not set(imported_first(module)) & LINUX_ALONE, module


def test_an_import_at_the_top_is_found(tmp_path):
    module = tmp_path / "module.py"
    module.write_text(
        "def f():\n    import fcntl\nclass A:\n    if True:\n        import resource.x\n"
    )

    assert set(imported_first(module)) == {"resource"}


def test_a_scorer_works_elsewhere(tmp_path):
    model = tiny.write_model(tmp_path / "tiny.onnx")
    image = tiny.write_image(tmp_path / "grey.png", 77)
    code = f"""{ELSEWHERE}
import lifeiqa
with lifeiqa.Scorer({str(model)!r}, runtime="onnxruntime", threads=1) as scorer:
    print(scorer.score({str(image)!r}).value)
    print([score.value for score in scorer.score_many([{str(image)!r}] * 3)])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("77.0\n[77.0, 77.0, 77.0]\n", "")


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_bulk_scoring_elsewhere_says_in_one_sentence_that_it_needs_linux(
    tmp_path, monkeypatch, system
):
    model = tiny.write_model(tmp_path / "tiny.onnx")
    image = tiny.write_image(tmp_path / "grey.png", 77)
    monkeypatch.setattr("lifeiqa.preprocess.process_pool.sys.platform", system)

    done = score(model, image, "--out", tmp_path / "out")

    assert done.exit_code == 2
    assert done.stderr == (
        f"ConfigError: this system is {system}, and decoding in separate processes, as `lifeiqa "
        f"score` does, needs Linux: use lifeiqa.Scorer, or lifeiqa.score_many with workers=0\n"
    )
    assert not (tmp_path / "out").exists()
