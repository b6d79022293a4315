"""Reports: their file, their tables and their page."""

from html.parser import HTMLParser

import pytest

from helpers import reports
from lifeiqa.errors import ArtifactError
from lifeiqa_benchmarks import page, table
from lifeiqa_benchmarks.report import Report
from lifeiqa_benchmarks.turns import Ratio, Timing

LOST = reports.result("lost", timings=(), accuracy=None, stages=None, failed="no <compiler>")


def test_a_report_survives_its_file(tmp_path):
    whole = reports.report(reports.result(), LOST)
    path = tmp_path / "report.json"
    path.write_text(whole.to_json())

    assert Report.from_json(path) == whole


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 2}', '{"format": 1}'])
def test_what_is_no_report_is_refused(tmp_path, text):
    path = tmp_path / "report.json"
    path.write_text(text)

    with pytest.raises(ArtifactError, match=r"report\.json: not a report of lifeiqa-bench"):
        Report.from_json(path)


def test_a_missing_report_is_refused(tmp_path):
    with pytest.raises(ArtifactError, match="not a report"):
        Report.from_json(tmp_path / "none.json")


def test_throughput_is_crops_by_time():
    assert Timing((10.0, 30.0), 8).throughput == pytest.approx(1000 * 16 / 40)


def test_the_ratio_is_the_median_of_the_pairs_with_an_interval():
    found = Ratio.of([1.0, 2.0, 3.0, 2.0, 2.1])

    assert found.median == 2.0
    assert 1.0 <= found.low <= 2.0 <= found.high <= 3.0
    assert Ratio.of([1.5] * 8) == Ratio(1.5, 1.5, 1.5, (1.5,) * 8)


def test_the_share_of_the_peak_is_the_rate_of_operations_by_it():
    whole = reports.report()
    timing = whole.results[1].timing(8)

    # 8 crops of 2 GFLOP in 80 ms are 200 GFLOP/s, half of 400.
    assert whole.share_of_peak(timing) == pytest.approx(0.5)


def test_the_table_has_a_row_a_batch_size_and_the_interval_of_the_ratio():
    rows = table.summary(reports.report()).splitlines()

    assert len(rows) == 2 + 4
    assert len({len(row) for row in rows}) == 1
    cells = [cell.strip() for cell in rows[-1].strip("|").split("|")]
    assert cells == [
        *("fast", "8", "80.0", "80.0", "100.0"),
        *("2.00 (1.98 to 2.02)", "1.0e-07", "1.00000"),
    ]


def test_what_was_not_measured_is_in_the_table_and_below_it_with_the_reason():
    text = table.document(reports.report(LOST))

    assert ["lost", "", "not measured"] in [
        [cell.strip() for cell in line.split("|")[1:4]] for line in text.splitlines()
    ]
    assert "- lost: not measured: no <compiler>" in text


def test_without_a_count_of_operations_there_is_no_roofline():
    assert "not counted" in table.roofline(reports.report(flops_per_crop=None))


class Page(HTMLParser):
    """What a browser would meet: tags, and addresses outside the file."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.outside, self.words, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        names = ("src", "href", "xlink:href")
        self.outside += [v for k, v in attributes if k in names and not v.startswith("#")]

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_stands_alone_with_every_plot_and_table():
    found = Page(page.page(reports.report(reports.result(), LOST)))

    assert found.tags.count("svg") == 3
    assert found.tags.count("table") == 4
    assert found.outside == []
    assert "script" not in found.tags
    assert "- lost: not measured: no <compiler>" in found.words


def test_the_command_makes_the_page_of_a_report(tmp_path):
    from click.testing import CliRunner

    from lifeiqa_benchmarks.cli import main

    whole = reports.report()
    path = tmp_path / "report.json"
    path.write_text(whole.to_json())

    done = CliRunner().invoke(main, ["page", str(path)])

    assert done.exit_code == 0, done.output
    assert path.with_suffix(".html").read_text() == page.page(whole)


def test_the_same_report_gives_the_same_page():
    whole = reports.report()

    assert page.page(whole) == page.page(whole)


def test_cold_starts_are_in_the_document_where_they_were_measured():
    measured = reports.report(starts={"import lifeiqa": 0.0612})

    assert "| import lifeiqa | 0.061 |" in table.document(measured)
    assert "Cold starts" in page.page(measured)
    assert "Cold starts" not in table.document(reports.report())


def test_the_performance_page_gets_the_tables_of_every_report(tmp_path):
    from lifeiqa_benchmarks import performance

    files = [tmp_path / "one.json", tmp_path / "two.json"]
    for file, name in zip(files, ("swift", "sure"), strict=True):
        file.write_text(reports.report(reports.result(name)).to_json())
    target = tmp_path / "performance.md"
    target.write_text("before\n<!-- speed -->\nold\n<!-- /speed -->\nafter\n")

    performance.main(str(target), *map(str, files))

    text = target.read_text()
    assert text.startswith("before\n<!-- speed -->\n\n### ")
    assert text.endswith("\n<!-- /speed -->\nafter\n")
    assert ", swift\n\n| candidate" in text
    assert "| swift " in text
    assert "| sure " in text
    assert "old" not in text


def test_cold_processes_are_timed(tmp_path):
    from helpers import tiny
    from lifeiqa_benchmarks import starts

    found = starts.starts(tiny.write_image(tmp_path / "grey.png"))

    assert next(iter(found)) == "python, nothing else"
    assert min(found.values()) > 0
    assert "first score of the bundled model" in found
