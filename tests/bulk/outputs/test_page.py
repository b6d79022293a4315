"""What is in a page, whatever its images; seen in a browser where that matters."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers.pages import FAILURES, bins, grid, heading, row, written
from lifeiqa.bulk.outputs.gallery import Gallery
from lifeiqa.bulk.outputs.page import edges_between, write_page
from lifeiqa.config import Labels
from lifeiqa.errors import OutputError


def test_where_lower_is_better_the_highest_come_first(browser, tmp_path):
    rows = [row(f"{i}.png", float(i), std=None) for i in range(30)]
    labels = Labels(dataset="worse", low=0, high=100, direction="lower")
    browser.open(written(tmp_path / "page.html", rows, labels=labels))

    assert browser.texts("#worst .score") == [f"{i}.00" for i in range(29, 17, -1)]
    assert browser.texts("#best .score") == [f"{i}.00" for i in range(12)]
    tiles = grid(browser)
    assert tiles == [f"{i}.png" for i in range(29, -1, -1)][: len(tiles)]
    assert "lower is better" in browser.text("#facts")
    assert "The right is worse." in browser.text("figcaption")


def test_of_more_images_than_the_page_holds_it_shows_both_ends(browser, tmp_path):
    rows = [row(f"{i}.png", i / 100) for i in range(100)] + FAILURES
    browser.open(written(tmp_path / "page.html", rows, limit=20))

    assert browser.text("#count") == "20 of 20 images"
    tiles = grid(browser)
    assert tiles == [f"{i}.png" for i in (*range(10), *range(90, 100))][: len(tiles)]
    assert "Of 100 images, this page holds the worst 10 and the best 10." in browser.text(
        "#sampled"
    )
    assert browser.text("#summary") == "100 images, 31 failures."
    assert sum(number for *_, number in bins(browser)) == 100


@pytest.mark.parametrize("rows", [[], FAILURES], ids=["nothing", "only failures"])
def test_a_run_without_scores_has_a_page(browser, tmp_path, rows):
    browser.open(written(tmp_path / "page.html", rows))

    assert browser.text("#summary").startswith("0 images, ")
    assert not browser.driver.find_element("id", "images").is_displayed()
    assert browser.driver.find_element("id", "failures").is_displayed() == bool(rows)


def test_equal_scores_have_a_histogram(browser, tmp_path):
    browser.open(written(tmp_path / "page.html", [row(f"{i}.png", 0.5) for i in range(3)]))

    assert [number for *_, number in bins(browser) if number] == [3]
    assert browser.text("#count") == "3 of 3 images"


def test_the_policy_stops_scripts_and_addresses_of_others(browser, tmp_path):
    """Were a name to become HTML after all, it could neither run nor fetch."""
    text = written(tmp_path / "page.html", [row("a.png", 0.5)]).read_text()
    injected = "<script>window.owned = 1</script><img src=x onerror='window.owned = 1'>"
    path = tmp_path / "injected.html"
    path.write_text(text.replace("<main>", f"<main>{injected}"))
    browser.open(path)

    blocked = browser.driver.execute_async_script(
        "const done = arguments[0];"
        "document.addEventListener('securitypolicyviolation', (event) =>"
        "  done(event.effectiveDirective));"
        "fetch('http://127.0.0.1:9/').catch(() => {});"
    )
    assert blocked == "connect-src"
    assert browser.run("return window.owned") is None
    assert browser.text("#count") == "1 of 1 image"
    browser.forget()  # what was blocked, and what the policy said of it


def test_no_value_ends_its_block_of_data(large):
    text = large.read_text(encoding="ascii", errors="surrogateescape")
    data = text[text.index('<script type="application/json"') : text.rindex("<script>")]

    for line in data.splitlines():
        inside = line[line.index(">") + 1 : line.rindex("</script>")]
        assert "<" not in inside
        assert inside.isascii()


def test_memory_does_not_grow_with_the_page(tmp_path):
    with Gallery() as gallery:
        with gallery.batch(0) as add:
            for i in range(5000):
                add(row(f"{i}.png", i / 5000), bytes(4000))
        tracemalloc.start()
        write_page(tmp_path / "page.html", gallery, heading())
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert (tmp_path / "page.html").stat().st_size > 26e6
    assert peak < 8e6  # some blocks of 250


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path):
    path, store = tmp_path / "page.html", tmp_path / "gallery.sqlite"
    path.write_text("the old page")
    with Gallery(store) as gallery, gallery.batch(0) as add:
        for i in range(2000):
            add(row(f"{i}", float(i)), None)
    with store.open("r+b") as stream:
        stream.seek(3 * 4096)
        stream.write(b"\xff" * (store.stat().st_size - 3 * 4096))

    with Gallery(store) as gallery, pytest.raises(OutputError, match="damaged"):
        write_page(path, gallery, heading())
    assert path.read_text() == "the old page"
    assert {each.name for each in tmp_path.iterdir()} == {"page.html", "gallery.sqlite"}


finite = st.floats(-1e6, 1e6)


@given(finite, finite, st.sampled_from([1.0, 5.0, 100.0]))
def test_the_edges_of_a_histogram_hold_every_score(first, second, span):
    low, high = sorted((first, second))
    edges = edges_between(low, high, span)

    assert edges[0] <= low
    assert high < edges[-1]
    assert edges == sorted(set(edges))
    assert len(edges) <= 43


def test_the_edges_of_a_histogram_are_round_numbers():
    edges = edges_between(0.131, 0.842, 1.0)
    assert edges == [number / 50 for number in range(6, 44)]
    assert edges_between(0, 99.9, 100) == [2.5 * 2 * n for n in range(21)]
