"""Pages of scores as tests make them, and what they ask of one in a browser."""

import io
import random
from datetime import UTC, datetime

from PIL import Image

from lifeiqa.bulk.outputs.gallery import Gallery
from lifeiqa.bulk.outputs.page import Heading, write_page
from lifeiqa.bulk.rows import Row
from lifeiqa.config import Labels

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
NOTE = "<i>its crops leave gaps</i>"
SMALLEST = 32


def row(path, score=None, **values):
    values = {"std": 0.01, "width": 500, "height": 400, "crops": 5, **values}
    return Row(path=path, score=score, model="tiny", model_sha256="0" * 64, **values)


def failure(path, error, message):
    return Row(path=path, model="tiny", model_sha256="0" * 64, error=error, message=message)


def heading(**changes):
    values = {
        "title": "<Holiday> images",
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


def images_of_a_holiday():
    """10,000 images with scores of their own in no order, hostile names and a film among them."""
    draw = random.Random(0)
    scores = [i / 10_000 for i in range(10_000)]
    draw.shuffle(scores)
    names = HOSTILE + [f"holiday/{i % 7}/image {i}.jpg" for i in range(9985 - len(HOSTILE) + 12)]
    rows = [
        row(name, score, height=100 if draw.random() < 0.1 else 400)
        for name, score in zip(names, scores, strict=False)
    ]
    frames = [
        row("film.mp4", score, frame=15 * i, time=0.5 * i, message=NOTE if i == 1 else None)
        for i, score in enumerate(scores[len(rows) :])
    ]
    return rows + frames


IMAGES = images_of_a_holiday()
FILM = row("film.mp4", 0.5, p5=0.25, worst_second=0.125, worst_time=119.96)
FAILURES = [
    *(failure(f"broken {i}.png", "ImageError", f"ends at byte {i}") for i in range(30)),
    failure(HOSTILE[0], "VideoError", MESSAGE),
]


def written(path, rows, limit=10_000, **changes):
    with Gallery() as gallery:
        with gallery.batch(0) as add:
            for i, each in enumerate(rows):
                add(each, THUMBNAILS[i % 97] if each.p5 is each.error is None else None)
        write_page(path, gallery, heading(**changes), limit=limit)
    return path


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
    return f"{len(rows):,} of 10,000 images and frames"


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
