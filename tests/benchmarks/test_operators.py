"""The profile of a graph, by operator."""

from helpers import tiny
from lifeiqa_benchmarks.operators import main, operator_times


def test_every_node_is_counted_once_and_the_slowest_operator_comes_first(tmp_path, capsys):
    model = tiny.write_model(tmp_path / "tiny.onnx")
    found = operator_times(model, batch=2, threads=1)

    assert sum(count for count, _ in found.values()) >= 2
    assert list(found.values()) == sorted(found.values(), key=lambda item: -item[1])
    assert [path.name for path in tmp_path.iterdir() if "profile" in path.name] == []

    main(str(model), "2", "1")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["|", "operator", "|", "nodes", "|", "ms", "|", "share", "|"]
    assert lines[-1].startswith("| all")
    assert len(lines) == len(found) + 3
