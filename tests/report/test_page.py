from dataclasses import replace

import pytest

from refdiff.report.content import Report, SplitContent
from refdiff.report.page import render_page
from tests.report.html_reader import PageReader
from tests.report.small_project import HOSTILE, METHODS


@pytest.fixture(scope="module")
def page(report: Report) -> str:
    return render_page(report)


@pytest.fixture(scope="module")
def reader(page: str) -> PageReader:
    return PageReader(page)


def _with_split(report: Report, **changes: object) -> Report:
    return replace(report, splits=(replace(report.splits[0], **changes),))


def test_the_page_is_well_formed(reader: PageReader) -> None:
    assert reader.faults == []
    assert reader.open_tags == []
    assert len(set(reader.ids)) == len(reader.ids)
    links = {str(link["href"]) for link in reader.of("a")}
    assert links == {"#split-0", "#parameters"}
    assert {link[1:] for link in links} <= set(reader.ids)


def test_nothing_is_loaded_from_anywhere(page: str, reader: PageReader) -> None:
    assert reader.of("script") == []
    images = reader.of("img")
    assert images
    assert all(str(image["src"]).startswith("data:image/webp;base64,") for image in images)
    assert [link["href"] for link in reader.of("link")] == ["data:,"]
    assert "url(" not in page
    assert "@import" not in page
    assert "http://" not in page
    assert "https://" not in page
    policies = [tag["content"] for tag in reader.of("meta") if tag.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_text_of_a_dataset_is_text(page: str, reader: PageReader) -> None:
    for sentence in HOSTILE:
        assert sentence in reader.text, "whole, though its head word is marked"
    assert "<script>" not in page
    assert "<img src=x" not in page
    assert page.count("</style>") == 1
    assert "{{ 7 * 7 }}" in reader.text
    assert "photo9.png: <b>missing</b>; expected a photo" in reader.text
    assert not any("onerror" in attributes for _, attributes in reader.tags)


def test_sentences_keep_their_direction_to_themselves(reader: PageReader) -> None:
    assert len([tag for tag in reader.of("bdi") if tag.get("dir") == "auto"]) >= len(HOSTILE)


def test_the_head_word_is_marked(page: str) -> None:
    assert page.count("<mark>") == len(HOSTILE) + 1, "one a sentence, and one in the key"


def test_pictures_have_words_and_sizes(reader: PageReader) -> None:
    for image in reader.of("img"):
        assert image["alt"]
        assert int(str(image["width"])) > 0
        assert int(str(image["height"])) > 0
        assert image["loading"] == "lazy"


def test_every_case_shows_photo_heat_and_all_methods(report: Report, reader: PageReader) -> None:
    assert len(reader.of("article")) == 6
    assert len(reader.of("img")) == 6 * (1 + 1 + len(METHODS))
    assert all([panel.method for panel in case.choices] == list(METHODS) for case in report.splits[0].gallery.cases)
    for kind in ("Best", "Worst", "At random"):
        assert kind in reader.text


def test_the_table_has_every_method_and_the_best_in_bold(report: Report, reader: PageReader) -> None:
    metrics = report.splits[0].metrics
    best = max(each["mIoU"] for each in metrics.values())
    rows = [tag for tag in reader.of("th") if tag.get("scope") == "row"]
    assert len(rows) == len(METHODS)
    assert f"{100 * best:.2f}" in reader.text
    shown = ("oIoU", "mIoU", *(f"Pr@{x}" for x in (0.5, 0.6, 0.7, 0.8, 0.9)))
    with_best = [name for name in shown if max(each[name] or 0.0 for each in metrics.values()) > 0]
    assert 0 < len(with_best) <= len([tag for tag in reader.of("td") if "best" in str(tag.get("class"))])


def test_selection_rules_conventions_and_parameters_are_there(reader: PageReader) -> None:
    assert "argmax of the score with contrast times (a (1 - a)) ** 0.5" in reader.text
    assert "whose IoU is >= X" in reader.text
    assert "sum of intersections over sum of unions" in reader.text
    assert "splits: <script>x</script>" in reader.text
    assert "1 fault of the dataset dropped. 2 sentences are left out with it." in reader.text


def test_published_figures_stand_beside_the_same_split_only(report: Report, reader: PageReader) -> None:
    assert "Published for" not in reader.text
    row = {**report.splits[0].row, "benchmark": "RefCOCO val"}
    text = PageReader(render_page(_with_split(report, row=row))).text
    assert "Published for RefCOCO val" in text
    assert "35.16" in text
    assert "Proposals are SAM's unless a row says otherwise" in text
    other = {**row, "benchmark": "Mine <b>val</b>"}
    text = PageReader(render_page(_with_split(report, row=other))).text
    assert "No published figures are known here for Mine <b>val</b>" in text


def test_a_split_without_truth_and_without_pictures(report: Report) -> None:
    split: SplitContent = report.splits[0]
    none = {"oIoU": None, "mIoU": None}
    metrics = {
        name: {**each, **none, "chance": none, "oracle": none, "n_evaluated": 0, "n_without_truth": 6}
        for name, each in split.metrics.items()
    }
    unknown = [None] * 101
    curves = {
        name: {**each, "precision": {"method": unknown, "chance": unknown, "oracle": unknown}}
        for name, each in split.curves.items()
    }
    gallery = replace(split.gallery, ranked_by=None, cases=())
    reader = PageReader(render_page(_with_split(report, metrics=metrics, curves=curves, gallery=gallery)))
    assert reader.faults == []
    assert "No sentence of this split has a target with a true mask." in reader.text
    assert "6 without truth (not counted)" in reader.text
    assert reader.of("img") == []


def test_several_splits_have_sections_of_their_own(report: Report) -> None:
    second = replace(report.splits[0], name="testA <i>")
    reader = PageReader(render_page(replace(report, splits=(*report.splits, second))))
    assert reader.faults == []
    assert len(set(reader.ids)) == len(reader.ids)
    assert {"split-0", "split-1"} <= set(reader.ids)
    assert "testA <i>" in reader.text


def test_the_page_is_the_same_each_time(report: Report, page: str) -> None:
    assert render_page(report) == page
