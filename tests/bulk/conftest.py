import contextlib

import pytest

import tiny
from lifeiqa.bulk.items import File, Item
from lifeiqa.bulk.ledger import Ledger
from lifeiqa.bulk.run import Plan, score_items
from lifeiqa.commands import printable
from lifeiqa.scorer import Scorer


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return tiny.write_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture
def scorer(model):
    with Scorer(model, provider="cpu", threads=1) as scorer:
        yield scorer


@pytest.fixture
def rows_of(scorer):
    """Scores paths, or items, and gives their rows."""

    def score(inputs, *, scorer=scorer, ledger=None, **plan):
        items = [entry if isinstance(entry, Item) else item(entry) for entry in inputs]
        rows = []
        score_items(
            iter(items),
            scorer,
            Plan(**{"workers": 1, **plan}),
            open_shard=lambda number: contextlib.nullcontext(Collector(rows)),
            ledger=ledger or Ledger(),
        )
        return rows

    return score


class Collector:
    """A writer that keeps the rows."""

    def __init__(self, rows):
        self.write = rows.append


def item(path):
    return Item(printable(path), File(str(path)))
