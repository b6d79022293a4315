"""Pages link to sources that exist, and name every equation and every error."""

import re
import sys
from pathlib import Path

import pytest

from lifeiqa import errors

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from docs_hooks import LINK, repository_path, symbols  # noqa: E402

PAGES = sorted((ROOT / "docs").rglob("*.md"))
# The lines of (11) and (21) use up four numbers that do not occur.
EQUATIONS = set(range(1, 29)) - {9, 10, 19, 20}


def sources(page):
    """Text of each link of a page to a file outside docs/, and that file."""
    name = page.relative_to(ROOT / "docs").as_posix()
    for link in LINK.finditer(page.read_text("utf-8")):
        path = repository_path(name, link["target"].partition("#")[0])
        if path is not None:
            yield link["text"], ROOT / path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_linked_sources_exist_and_hold_the_symbol_that_the_link_names(page):
    for text, path in sources(page):
        assert path.exists(), f"{page}: {text} leads to {path}, which does not exist"
        name = text.strip("`")
        symbol = text.startswith("`") and re.fullmatch(r"[A-Za-z_][\w.]*", name)
        if path.suffix == ".py" and symbol and name != path.name:
            assert name in symbols(path), f"{page}: {path} has no {name}"


def test_the_page_of_errors_names_every_class():
    text = (ROOT / "docs/reference/errors.md").read_text("utf-8")
    classes = [name for name, found in vars(errors).items() if isinstance(found, type)]
    own = [name for name in classes if issubclass(getattr(errors, name), errors.LifeIQAError)]

    assert len(own) > 10
    assert [name for name in own if f" {name} " not in text and f"\n{name}\n" not in text] == []


def test_the_paper_page_names_every_equation():
    text = (ROOT / "docs/paper.md").read_text("utf-8")
    rows = re.findall(r"^\| \((\d+)\)(?: to \((\d+)\))?(?:, \((\d+)\))?", text, re.MULTILINE)
    named = set()
    for first, last, other in rows:
        named |= set(range(int(first), int(last or first) + 1)) | ({int(other)} if other else set())

    assert named == EQUATIONS


def test_the_page_of_the_architecture_names_every_package_and_module():
    text = (ROOT / "docs/development/architecture.md").read_text("utf-8")
    entries = [path for path in (ROOT / "lifeiqa").iterdir() if not path.name.startswith("_")]
    packages = [f"lifeiqa/{path.name}/" for path in entries if path.is_dir()]
    modules = [path.name for path in entries if path.suffix == ".py"]

    assert len(packages) > 10
    assert [name for name in packages + modules if name not in text] == []
