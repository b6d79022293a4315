"""The site builds without a warning, works offline, and shows the commands as they are."""

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    target = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", target]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return target


class Requests(HTMLParser):
    """Addresses that a browser would fetch to show a page."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag in ("script", "img", "iframe", "source"):
            self.found.append(values.get("src"))
        if tag == "link" and values.get("rel") in ("stylesheet", "preconnect", "icon"):
            self.found.append(values.get("href"))


def test_no_page_fetches_from_another_host(site):
    pages = list(site.rglob("*.html"))
    found = [
        (page, one) for page in pages for one in Requests(page.read_text("utf-8")).found if one
    ]

    assert len(pages) > 20
    assert len(found) > 100
    assert not [(page, one) for page, one in found if "//" in one]


def test_links_to_sources_lead_to_their_lines(site):
    paper = (site / "paper/index.html").read_text("utf-8")
    source = (site / "source/lifeiqa/model/gcn.py/index.html").read_text("utf-8")

    assert "../source/lifeiqa/model/gcn.py/#__codelineno-0-" in paper
    assert "class" in source
    assert 'id="__codelineno-0-10"' in source or 'name="__codelineno-0-10"' in source
