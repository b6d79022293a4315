"""A page of 10,000 images as people use it: what it shows is what Python finds in the rows."""

import pytest

from helpers.pages import (
    FAILURES,
    HOSTILE,
    IMAGES,
    NOTE,
    SHOWN,
    SMALLEST,
    bins,
    by_score,
    count,
    grid,
    press,
    press_histogram,
    scroll_to,
    settle,
    titles,
)


def test_the_head_says_what_was_scored_by_what(page):
    assert page.driver.title == page.text("h1") == "<Holiday> images"
    frames = sum(each.frame is not None for each in IMAGES)
    assert page.text("#summary") == f"{10_000 - frames:,} images, 1 video, 3 frames, 31 failures."
    facts = dict(zip(page.texts("#facts dt"), page.texts("#facts dd"), strict=True))
    assert facts.pop("lifeiqa")
    assert facts == {
        "Model": "tiny",
        "Score": "0 to 1, higher is better (greys)",
        "Crops": "grid:3",
        "Written": "2024-02-29 12:00:00+00:00",
        "sha256 of the model": "0123456789abcdef" * 4,
    }


def test_all_images_are_shown_and_only_those_in_sight_are_in_the_document(page):
    tiles = grid(page)

    assert page.text("#count") == count(IMAGES)
    assert 10 <= len(tiles) <= 100
    assert tiles == titles(by_score(IMAGES))[: len(tiles)]


def test_the_worst_and_the_best_stand_in_front(page):
    ordered = by_score(IMAGES)
    for strip, rows in {"#worst": ordered[:12], "#best": ordered[::-1][:12]}.items():
        assert page.texts(f"{strip} .score") == [
            f"{each.score:.4f}" + (f" at 0:0{each.time:.1f}" if each.frame is not None else "")
            for each in rows
        ]


def test_images_are_sorted_as_asked(page):
    page.set("#order", "best")
    tiles = grid(page)
    assert tiles == titles(by_score(IMAGES)[::-1])[: len(tiles)]

    page.set("#order", "name")
    page.set("#text", "holiday/3/")
    tiles = grid(page)
    rows = [each for each in IMAGES if "holiday/3/" in each.path]
    numbers = sorted(int(each.path.split()[1].removesuffix(".jpg")) for each in rows)
    assert tiles == [f"holiday/3/image {number}.jpg" for number in numbers][: len(tiles)]


def test_each_tile_has_its_own_thumbnail(page):
    width = {each.path: SMALLEST + i % 97 for i, each in enumerate(IMAGES)}
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
    assert last == titles(by_score(IMAGES))[-1]


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"#text": "IMAGE 12"}, lambda each: "image 12" in each.path),
        ({"#low": "0.25"}, lambda each: each.score >= 0.25),
        ({"#high": "0.25"}, lambda each: each.score < 0.25),
        ({"#small": True}, lambda each: each.height < 384),
        (
            {"#text": "/3/", "#low": "0.1", "#high": "0.6", "#small": True},
            lambda each: "/3/" in each.path and 0.1 <= each.score < 0.6 and each.height < 384,
        ),
        ({"#text": "no such image"}, lambda each: False),
    ],
)
def test_filters_keep_what_they_say(page, fields, kept):
    for selector, value in fields.items():
        page.set(selector, value)

    rows = [each for each in by_score(IMAGES) if kept(each)]
    tiles = grid(page)
    assert page.text("#count") == count(rows)
    assert tiles == titles(rows)[: len(tiles)]
    assert bool(tiles) == bool(rows)

    page.driver.find_element("css selector", "#filters button").click()
    settle(page)
    assert page.text("#count") == count(IMAGES)


def test_the_histogram_counts_every_score_once(page):
    found = bins(page)
    for low, high, number in found:
        assert number == sum(low <= each.score < high for each in IMAGES)
    assert sum(number for *_, number in found) == 10_000


def test_a_bar_that_is_clicked_shows_its_images_and_clicked_again_shows_all(page):
    low, high, number = bins(page)[3]
    press_histogram(page, 3, 3)
    assert page.text("#count") == f"{number:,} of 10,000 images and frames"
    rows = by_score(each for each in IMAGES if low <= each.score < high)
    tiles = grid(page)
    assert tiles == titles(rows)[: len(tiles)]
    assert page.run("return document.querySelectorAll('.bar.chosen').length") == 1

    press_histogram(page, 3, 3)
    assert page.text("#count") == count(IMAGES)


@pytest.mark.parametrize(("first", "last"), [(4, 9), (9, 4)])
def test_bars_that_are_dragged_over_show_their_images(page, first, last):
    press_histogram(page, first, last)

    number = sum(number for *_, number in bins(page)[4:10])
    assert page.text("#count") == f"{number:,} of 10,000 images and frames"
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
    assert not page.driver.find_element("id", "images").is_displayed()

    page.set("#text", "broken 2")
    assert page.text("#count") == "11 of 31 failures"
    assert len(page.texts("#failures td")) == 22
    video_errors = page.driver.find_elements("css selector", "#failures details")[1]
    assert not video_errors.is_displayed()

    page.set("#only-failures", False)
    settle(page)
    assert page.run("return document.querySelectorAll('#failures details[open]').length") == 0


def test_filters_that_leave_nothing_say_so(page):
    nothing = page.driver.find_element("id", "nothing")
    assert not nothing.is_displayed()

    page.set("#text", "no such image")
    assert nothing.is_displayed()
    for lists in ("failures", "videos"):
        assert not page.driver.find_element("id", lists).is_displayed()


def test_a_video_is_a_line_that_leads_to_its_frames(page):
    page.run("document.querySelector('#videos details').open = true")
    settle(page)
    assert page.texts("#videos td")[1:] == [
        *("film.mp4", "0.5000", "0.2500", "0.1250", "2:00.0", "0.0100", "500 \u00d7 400"),
    ]

    page.run("document.querySelector('#videos td button').click()")
    settle(page)
    frames = by_score(each for each in IMAGES if each.frame is not None)
    assert page.texts("#grid .score") == [f"{f.score:.4f} at 0:0{f.time:.1f}" for f in frames]


def test_the_keys_move_over_the_grid_and_open_an_image(page):
    ordered = titles(by_score(IMAGES))
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


def test_the_keys_move_on_from_the_last_image(page):
    """Its button for the next one had the focus, and lost it as it was switched off."""
    page.set("#text", "film")
    page.run("document.querySelectorAll('#grid button')[1].click()")
    page.driver.find_element("id", "next").click()
    assert page.run("return document.activeElement.id") == "close"

    last = page.text("#detail-facts")
    press(page, "LEFT")
    assert page.text("#detail-facts") != last


def test_a_tile_that_has_the_focus_keeps_it_while_the_page_scrolls(page):
    title = grid(page)[2]
    page.run("document.querySelectorAll('#grid button')[2].focus()")
    page.run("scrollTo(0, document.body.scrollHeight)")
    settle(page)

    assert page.run("return document.activeElement.title") == title


def test_an_image_is_described_when_it_is_opened(page):
    film = [each for each in IMAGES if each.frame == 15]
    page.set("#text", "film")
    tiles = by_score(each for each in IMAGES if each.frame is not None)
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
        "Note": NOTE,
        "Path": "film.mp4",
    }
    other = 0 if tiles.index(film[0]) else 1
    page.run("document.querySelectorAll('#grid button')[arguments[0]].click()", other)
    assert "Note" not in page.texts("#detail-facts dt")


def test_two_hundred_images_are_printed_and_the_page_says_so(page):
    page.run("dispatchEvent(new Event('beforeprint'))")
    tiles = grid(page)
    assert tiles == titles(by_score(IMAGES))[:200]
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
        assert tiles == titles(by_score(IMAGES))[: len(tiles)]
    finally:
        page.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        settle(page)


def test_the_browser_fetches_nothing_and_has_nothing_to_complain_of(page, large):
    grid(page)
    page.read_logs()

    files = [url for url in page.requests if not url.startswith("data:")]
    assert large.as_uri() in files
    assert all(url.startswith("file:") and url.endswith(".html") for url in files)
    assert page.complaints == []
