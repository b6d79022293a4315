"""The page in a browser: what it shows is what Python finds in the rows."""

import io
import random
import tracemalloc
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from browser import Browser
from lifeiqa.bulk.gallery import Gallery
from lifeiqa.bulk.page import Heading, edges_between, write_page
from lifeiqa.bulk.rows import Row
from lifeiqa.config import Labels
from lifeiqa.errors import OutputError

HOSTILE = [
    "</script><script>window.owned = 1</script>.png",
    '"><img src=x onerror="window.owned = 1">.png',
    "'\"&lt;&amp;.png",
    "<!--<script>.png",
    "{{data}}{{script}}.png",
    "${window.owned = 1}.png",
    "break\nand\rreturn.png",
    "\u2028\u2029.png",
    "gnp.\u202eexe",
    "\\udcff.png",
    "写真/עברית/ü.png",
    "long" * 1000,
]
SHOWN = {
    "break\nand\rreturn.png": "break\\u000aand\\u000dreturn.png",
    "\u2028\u2029.png": "\\u2028\\u2029.png",
    "gnp.\u202eexe": "gnp.\\u202eexe",
}
MESSAGE = "</script><b id=owned>\u2028"
SMALLEST = 32


def row(path, score=None, **values):
    values = {"std": 0.01, "width": 500, "height": 400, "crops": 5, **values}
    return Row(path=path, score=score, model="tiny", model_sha256="0" * 64, **values)


def failure(path, error, message):
    return Row(path=path, model="tiny", model_sha256="0" * 64, error=error, message=message)


def heading(**changes):
    values = {
        "title": "<Holiday> pictures",
        "model": "tiny",
        "model_sha256": "0123456789abcdef" * 4,
        "labels": Labels(dataset="greys", low=0, high=1),
        "crops": "grid:3",
        "crop_size": 384,
        "written": datetime(2024, 2, 29, 12, tzinfo=UTC),
    }
    return Heading(**{**values, **changes})


def thumbnail(width):
    """A WebP that its width tells from others."""
    stream = io.BytesIO()
    Image.effect_noise((width, 48), 60).convert("RGB").save(stream, "WEBP", quality=60)
    return stream.getvalue()


THUMBNAILS = [thumbnail(SMALLEST + i) for i in range(97)]


def pictures_of_a_holiday():
    """10,000 pictures with scores of their own in no order, hostile names and a film among them."""
    draw = random.Random(0)
    scores = [i / 10_000 for i in range(10_000)]
    draw.shuffle(scores)
    names = HOSTILE + [f"holiday/{i % 7}/picture {i}.jpg" for i in range(9985 - len(HOSTILE) + 12)]
    rows = [
        row(name, score, height=100 if draw.random() < 0.1 else 400)
        for name, score in zip(names, scores, strict=False)
    ]
    frames = [
        row("film.mp4", score, frame=15 * i, time=0.5 * i)
        for i, score in enumerate(scores[len(rows) :])
    ]
    return rows + frames


PICTURES = pictures_of_a_holiday()
FILM = row("film.mp4", 0.5, low5=0.25, worst_second=0.125, worst_time=119.96)
FAILURES = [
    *(failure(f"broken {i}.png", "ImageError", f"ends at byte {i}") for i in range(30)),
    failure(HOSTILE[0], "VideoError", MESSAGE),
]


def written(path, rows, limit=10_000, **changes):
    with Gallery() as gallery:
        with gallery.batch(0) as add:
            for i, each in enumerate(rows):
                add(each, THUMBNAILS[i % 97] if each.low5 is each.error is None else None)
        write_page(path, gallery, heading(**changes), limit=limit)
    return path


@pytest.fixture(scope="module")
def browser():
    opened = Browser()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def large(browser, tmp_path_factory):
    return written(tmp_path_factory.mktemp("page") / "large.html", [*PICTURES, FILM, *FAILURES])


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


def settle(browser):
    """Wait until the page has drawn what is due."""
    browser.driver.execute_async_script(
        "const done = arguments[0];"
        "setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)));"
    )


def scroll_to(browser, selector):
    browser.run("document.querySelector(arguments[0]).scrollIntoView()", selector)
    settle(browser)


def grid(browser):
    """Titles of the tiles in the document, in the order of the grid."""
    scroll_to(browser, "#grid")
    return browser.run(
        "return [...document.querySelectorAll('#grid button')].map((tile) => tile.title)"
    )


def titles(rows):
    return [SHOWN.get(each.path, each.path) for each in rows]


def count(rows):
    return f"{len(rows):,} of 10,000 pictures"


def by_score(rows):
    return sorted(rows, key=lambda each: each.score)


def bins(browser):
    """Edges and counts of the histogram, read from its tool tips."""
    found = []
    for text in browser.texts("#histogram title"):
        low, rest = text.split(" to ")
        high, number = rest.split(": ")
        found.append((float(low), float(high), int(number.split()[0].replace(",", ""))))
    return found


def press_histogram(browser, first, last):
    """Press the mouse on one bar and let it go on another."""
    from selenium.webdriver import ActionChains

    scroll_to(browser, "#distribution")
    svg = browser.driver.find_element("id", "histogram")
    box = svg.rect["width"] / len(bins(browser))
    offset = (first + 0.5) * box - svg.rect["width"] / 2
    actions = ActionChains(browser.driver, duration=20)
    actions.move_to_element_with_offset(svg, int(offset), 0).click_and_hold()
    actions.move_by_offset(int((last - first) * box), 0).release().perform()
    settle(browser)


def press(browser, *keys):
    from selenium.webdriver import ActionChains, Keys

    for key in keys:
        ActionChains(browser.driver).send_keys(getattr(Keys, key)).perform()
    settle(browser)


def test_the_head_says_what_was_scored_by_what(page):
    assert page.driver.title == page.text("h1") == "<Holiday> pictures"
    frames = sum(each.frame is not None for each in PICTURES)
    assert page.text("#summary") == f"{10_000 - frames:,} pictures, 1 video, 3 frames, 31 failures."
    facts = dict(zip(page.texts("#facts dt"), page.texts("#facts dd"), strict=True))
    assert facts.pop("lifeiqa")
    assert facts == {
        "Model": "tiny",
        "Score": "0 to 1, higher is better (greys)",
        "Crops": "grid:3",
        "Written": "2024-02-29 12:00:00+00:00",
        "sha256 of the model": "0123456789abcdef" * 4,
    }


def test_all_pictures_are_shown_and_only_those_in_sight_are_in_the_document(page):
    tiles = grid(page)

    assert page.text("#count") == count(PICTURES)
    assert 10 <= len(tiles) <= 100
    assert tiles == titles(by_score(PICTURES))[: len(tiles)]


def test_the_worst_and_the_best_stand_in_front(page):
    ordered = by_score(PICTURES)
    for strip, rows in {"#worst": ordered[:12], "#best": ordered[::-1][:12]}.items():
        assert page.texts(f"{strip} .score") == [
            f"{each.score:.4f}" + (f" at 0:0{each.time:.1f}" if each.frame is not None else "")
            for each in rows
        ]


def test_pictures_are_sorted_as_asked(page):
    page.set("#order", "best")
    tiles = grid(page)
    assert tiles == titles(by_score(PICTURES)[::-1])[: len(tiles)]

    page.set("#order", "name")
    page.set("#text", "holiday/3/")
    tiles = grid(page)
    rows = [each for each in PICTURES if "holiday/3/" in each.path]
    numbers = sorted(int(each.path.split()[1].removesuffix(".jpg")) for each in rows)
    assert tiles == [f"holiday/3/picture {number}.jpg" for number in numbers][: len(tiles)]


def test_each_tile_has_its_own_thumbnail(page):
    width = {each.path: SMALLEST + i % 97 for i, each in enumerate(PICTURES)}
    page.set("#text", "holiday")
    scroll_to(page, "#grid")
    page.run("scrollBy(0, 20000)")
    settle(page)

    found = page.driver.execute_async_script(
        "const done = arguments[0];"
        "const tiles = [...document.querySelectorAll('#grid button')];"
        "Promise.all(tiles.map(async (tile) => {"
        "  const image = tile.querySelector('img'); await image.decode();"
        "  return [tile.title, image.naturalWidth];"
        "})).then(done);"
    )
    assert len(found) > 10
    assert dict(found) == {title: width[title] for title, _ in found}


def test_the_end_of_the_grid_is_reached_by_scrolling(page):
    page.run("scrollTo(0, document.body.scrollHeight)")
    settle(page)

    last = page.run("return [...document.querySelectorAll('#grid button')].at(-1).title")
    assert last == titles(by_score(PICTURES))[-1]


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"#text": "PICTURE 12"}, lambda each: "picture 12" in each.path),
        ({"#low": "0.25"}, lambda each: each.score >= 0.25),
        ({"#high": "0.25"}, lambda each: each.score < 0.25),
        ({"#small": True}, lambda each: each.height < 384),
        (
            {"#text": "/3/", "#low": "0.1", "#high": "0.6", "#small": True},
            lambda each: "/3/" in each.path and 0.1 <= each.score < 0.6 and each.height < 384,
        ),
        ({"#text": "no such picture"}, lambda each: False),
    ],
)
def test_filters_keep_what_they_say(page, fields, kept):
    for selector, value in fields.items():
        page.set(selector, value)

    rows = [each for each in by_score(PICTURES) if kept(each)]
    tiles = grid(page)
    assert page.text("#count") == count(rows)
    assert tiles == titles(rows)[: len(tiles)]
    assert bool(tiles) == bool(rows)

    page.driver.find_element("css selector", "#filters button").click()
    settle(page)
    assert page.text("#count") == count(PICTURES)


def test_the_histogram_counts_every_score_once(page):
    found = bins(page)
    for low, high, number in found:
        assert number == sum(low <= each.score < high for each in PICTURES)
    assert sum(number for *_, number in found) == 10_000


def test_a_bar_that_is_clicked_shows_its_pictures_and_clicked_again_shows_all(page):
    low, high, number = bins(page)[3]
    press_histogram(page, 3, 3)
    assert page.text("#count") == f"{number:,} of 10,000 pictures"
    rows = by_score(each for each in PICTURES if low <= each.score < high)
    tiles = grid(page)
    assert tiles == titles(rows)[: len(tiles)]
    assert page.run("return document.querySelectorAll('.bar.chosen').length") == 1

    press_histogram(page, 3, 3)
    assert page.text("#count") == count(PICTURES)


@pytest.mark.parametrize(("first", "last"), [(4, 9), (9, 4)])
def test_bars_that_are_dragged_over_show_their_pictures(page, first, last):
    press_histogram(page, first, last)

    number = sum(number for *_, number in bins(page)[4:10])
    assert page.text("#count") == f"{number:,} of 10,000 pictures"
    assert page.run("return document.querySelectorAll('.bar.chosen').length") == 6


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_text_and_nothing_else(page, name):
    page.set("#text", SHOWN.get(name, name))
    scroll_to(page, "#grid")

    base = SHOWN.get(name, name).rpartition("/")[2]
    assert page.texts("#grid .name") == [base]
    page.run("document.querySelector('#grid button').click()")
    assert page.text("#detail-name") == base
    assert page.texts("#detail-facts dd")[-1] == SHOWN.get(name, name)
    assert page.run("return window.owned ?? document.getElementById('owned')") is None


def test_failures_are_listed_by_class_with_what_is_wrong(page):
    assert page.texts("#failures summary") == ["ImageError 30", "VideoError 1"]
    page.run("document.querySelectorAll('#failures details').forEach((e) => { e.open = true; })")
    settle(page)

    listed = [(each.path, each.message.replace("\u2028", "\\u2028")) for each in FAILURES]
    cells = page.texts("#failures td")
    assert list(zip(cells[::2], cells[1::2], strict=True)) == listed


def test_failures_alone_are_shown_where_asked(page):
    page.set("#only-failures", True)
    settle(page)
    assert page.text("#count") == "31 of 31 failures"
    assert len(page.texts("#failures td")) == 62
    assert not page.driver.find_element("id", "pictures").is_displayed()

    page.set("#text", "broken 2")
    assert page.text("#count") == "11 of 31 failures"
    assert len(page.texts("#failures td")) == 22


def test_a_video_is_a_line_that_leads_to_its_frames(page):
    page.run("document.querySelector('#videos details').open = true")
    settle(page)
    assert page.texts("#videos td")[1:] == [
        *("film.mp4", "0.5000", "0.2500", "0.1250", "2:00.0", "0.0100", "500 \u00d7 400"),
    ]

    page.run("document.querySelector('#videos td button').click()")
    settle(page)
    frames = by_score(each for each in PICTURES if each.frame is not None)
    assert page.texts("#grid .score") == [f"{f.score:.4f} at 0:0{f.time:.1f}" for f in frames]


def test_the_keys_move_over_the_grid_and_open_a_picture(page):
    ordered = titles(by_score(PICTURES))
    grid(page)
    page.run("document.querySelector('#grid button').focus()")

    def focused():
        return page.run("return document.activeElement.title")

    assert focused() == ordered[0]
    press(page, "RIGHT", "RIGHT", "LEFT")
    assert focused() == ordered[1]
    press(page, "DOWN")
    columns = ordered.index(focused()) - 1
    assert columns > 1
    press(page, "END")
    assert focused() == ordered[-1]
    press(page, "UP", "ENTER")
    assert page.texts("#detail-facts dd")[-1] == ordered[-1 - columns]
    press(page, "RIGHT")
    assert page.texts("#detail-facts dd")[-1] == ordered[-columns]
    press(page, "ESCAPE")
    assert not page.driver.find_element("id", "detail").is_displayed()
    assert focused() == ordered[-1 - columns]


def test_a_tile_that_has_the_focus_keeps_it_while_the_page_scrolls(page):
    title = grid(page)[2]
    page.run("document.querySelectorAll('#grid button')[2].focus()")
    page.run("scrollTo(0, document.body.scrollHeight)")
    settle(page)

    assert page.run("return document.activeElement.title") == title


def test_a_picture_is_described_when_it_is_opened(page):
    film = [each for each in PICTURES if each.frame == 15]
    page.set("#text", "film")
    tiles = by_score(each for each in PICTURES if each.frame is not None)
    page.run(
        "document.querySelectorAll('#grid button')[arguments[0]].click()", tiles.index(film[0])
    )

    facts = dict(zip(page.texts("#detail-facts dt"), page.texts("#detail-facts dd"), strict=True))
    assert facts == {
        "Score": f"{film[0].score:.4f}",
        "Deviation over its crops": "0.0100",
        "Crops": "5",
        "Size": "500 \u00d7 400 px",
        "Frame": "15, at 0:00.5",
        "Path": "film.mp4",
    }


def test_two_hundred_pictures_are_printed_and_the_page_says_so(page):
    page.run("dispatchEvent(new Event('beforeprint'))")
    tiles = grid(page)
    assert tiles == titles(by_score(PICTURES))[:200]
    assert page.text("#print-note") == "Printed: the first 200 of 10,000."

    page.run("dispatchEvent(new Event('afterprint'))")
    assert len(grid(page)) < 200


def test_a_narrow_window_has_nothing_outside(page):
    size = {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    settle(page)
    try:
        assert page.run("return document.documentElement.scrollWidth") == 360
        tiles = grid(page)
        assert tiles == titles(by_score(PICTURES))[: len(tiles)]
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        settle(page)


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


def test_of_more_pictures_than_the_page_holds_it_shows_both_ends(browser, tmp_path):
    rows = [row(f"{i}.png", i / 100) for i in range(100)] + FAILURES
    browser.open(written(tmp_path / "page.html", rows, limit=20))

    assert browser.text("#count") == "20 of 20 pictures"
    tiles = grid(browser)
    assert tiles == [f"{i}.png" for i in (*range(10), *range(90, 100))][: len(tiles)]
    assert "Of 100 pictures, this page holds the worst 10 and the best 10." in browser.text(
        "#sampled"
    )
    assert browser.text("#summary") == "100 pictures, 31 failures."
    assert sum(number for *_, number in bins(browser)) == 100


@pytest.mark.parametrize("rows", [[], FAILURES], ids=["nothing", "only failures"])
def test_a_run_without_scores_has_a_page(browser, tmp_path, rows):
    browser.open(written(tmp_path / "page.html", rows))

    assert browser.text("#summary").startswith("0 pictures, ")
    assert not browser.driver.find_element("id", "pictures").is_displayed()
    assert browser.driver.find_element("id", "failures").is_displayed() == bool(rows)


def test_equal_scores_have_a_histogram(browser, tmp_path):
    browser.open(written(tmp_path / "page.html", [row(f"{i}.png", 0.5) for i in range(3)]))

    assert [number for *_, number in bins(browser) if number] == [3]
    assert browser.text("#count") == "3 of 3 pictures"


def test_the_browser_fetches_nothing_and_has_nothing_to_complain_of(page, large):
    grid(page)
    page.read_logs()

    files = [url for url in page.requests if not url.startswith("data:")]
    assert large.as_uri() in files
    assert all(url.startswith("file:") and url.endswith(".html") for url in files)
    assert page.complaints == []


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
    assert browser.text("#count") == "1 of 1 picture"
    browser.driver.get_log("browser")  # what the policy said of it


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
