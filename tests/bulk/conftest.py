import contextlib

import pytest

from helpers import tiny
from helpers.browser import Browser
from helpers.pages import FAILURES, FILM, IMAGES, scroll_to, settle, written
from lifeiqa.bulk.items import File, Item
from lifeiqa.bulk.outputs.ledger import Ledger
from lifeiqa.bulk.shards import Plan, score_items
from lifeiqa.scorer import Scorer
from lifeiqa.text import printable


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return tiny.write_model(tmp_path_factory.mktemp("model") / "tiny.onnx")


@pytest.fixture
def scorer(model):
    with Scorer(model, runtime="onnxruntime", device="cpu", threads=1) as scorer:
        yield scorer


@pytest.fixture
def folder(tmp_path):
    """Three images of the greys 10, 20 and 30."""
    for grey in (10, 20, 30):
        tiny.write_image(tmp_path / "images" / f"{grey}.png", grey)
    return tmp_path / "images"


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


@pytest.fixture(scope="session")
def browser():
    opened = Browser()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def large(tmp_path_factory):
    """A page of 10,000 images, a film and failures."""
    return written(tmp_path_factory.mktemp("page") / "large.html", [*IMAGES, FILM, *FAILURES])


@pytest.fixture
def page(browser, large):
    """The large page as it is when it was just opened."""
    if browser.driver.current_url != large.as_uri():
        browser.open(large)
    browser.run("document.querySelector('#detail').close(); document.querySelector('form').reset()")
    browser.run("document.querySelectorAll('details').forEach((part) => { part.open = false; })")
    settle(browser)
    scroll_to(browser, "body")
    return browser
