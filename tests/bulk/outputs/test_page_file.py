"""`lifeiqa score --html`: where the page goes, and when it cannot."""

import pytest

from helpers.scoring import score


def shown(page):
    """How many thumbnails are in a page."""
    return page.read_text().count('"UklGR')


@pytest.mark.parametrize("out", [False, True])
def test_a_page_is_written_beside_the_rows(model, folder, tmp_path, out):
    (folder / "bad.png").write_text("dear diary")
    where = ["--out", tmp_path / "out"] if out else []

    for _ in range(2):  # the second time there is nothing left to do in the folder
        done = score(model, folder, "--html", tmp_path / "page.html", *where)

        assert done.exit_code == 1
        assert shown(tmp_path / "page.html") == 3
        assert "bad.png" in (tmp_path / "page.html").read_text()


def test_a_page_can_be_made_of_a_run_that_was_killed(model, folder, tmp_path):
    arguments = [folder, "--html", tmp_path / "page.html", "--out", tmp_path / "out", "--shard", 1]
    score(model, *arguments)
    whole = (tmp_path / "page.html").read_text()
    (tmp_path / "out" / "part-00001.csv").unlink()  # as if it had been killed before
    (tmp_path / "page.html").unlink()

    score(model, *arguments)

    again = (tmp_path / "page.html").read_text()
    assert len(again) == pytest.approx(len(whole), abs=100)  # but for the date


@pytest.mark.parametrize("lost", ["gone", "empty", "damaged"])
def test_a_gallery_that_is_lost_is_made_again(model, folder, tmp_path, lost):
    """Not a page of the shards alone that were made since."""
    arguments = [folder, "--html", tmp_path / "page.html", "--out", tmp_path / "out", "--shard", 1]
    score(model, *arguments)
    gallery = tmp_path / "out" / "_gallery.sqlite"
    if lost == "damaged":
        gallery.write_bytes(gallery.read_bytes()[:5000])
        told = score(model, *arguments).stderr
        assert "It is damaged: delete it and run the same command" in told
    gallery.unlink()
    if lost == "empty":
        gallery.touch()
    (tmp_path / "out" / "part-00002.csv").unlink()

    assert score(model, *arguments).exit_code == 0

    assert shown(tmp_path / "page.html") == 3


@pytest.mark.parametrize("place", ["file/page.html", "device", "/proc/page.html"])
def test_a_page_that_cannot_be_written_is_refused_before_anything_is_scored(
    model, folder, tmp_path, place
):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "device").symlink_to("/dev/null")

    done = score(model, folder, "--html", tmp_path / place)

    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"OutputError: {(tmp_path / place).resolve()}: ")
    assert done.stderr.endswith("name another path\n")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_page_behind_a_link_is_the_file_that_it_leads_to(model, folder, tmp_path):
    (tmp_path / "link.html").symlink_to("page.html")

    assert score(model, folder, "--html", tmp_path / "link.html").exit_code == 0

    assert (tmp_path / "link.html").is_symlink()
    assert shown(tmp_path / "page.html") == 3


def test_what_a_kill_left_of_a_page_is_removed(model, folder, tmp_path):
    """And nothing of another page, whatever its name would match as a pattern."""
    (tmp_path / ".page[12].html.x7_a.part").write_text("half a page")
    (tmp_path / ".page1.html.x7_a.part").write_text("half of another")
    (tmp_path / "link.html").symlink_to("page[12].html")

    score(model, folder, "--html", tmp_path / "link.html")

    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == [".page1.html.x7_a.part", "images", "link.html", "page[12].html"]
