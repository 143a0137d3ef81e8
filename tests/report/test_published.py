import pytest

from refdiff.report.published import BENCHMARKS, find_published


def test_figures_of_the_papers() -> None:
    rows = {row.method: row for row in find_published("RefCOCO val")}
    assert (rows["Ref-Diff+"].overall, rows["Ref-Diff+"].mean) == (35.16, 37.21)
    assert (rows["Global-Local CLIP"].overall, rows["Global-Local CLIP"].mean) == (24.55, None)
    assert (rows["RefAM"].overall, rows["HybridGL"].overall, rows["TAS"].overall) == (46.91, 41.81, 29.53)
    assert rows["Ref-Diff (attention only)"].mean == 21.53
    assert rows["SAM 3, text prompt alone"].mean == 61.0


def test_only_figures_of_the_same_split() -> None:
    test_b = {row.method: row.overall for row in find_published("RefCOCO testB")}
    assert test_b == {
        "Global-Local CLIP": 21.03,
        "TAS": 28.24,
        "Ref-Diff+": 34.50,
        "HybridGL": 38.50,
        "RefAM": 43.88,
    }
    assert {row.method: row.overall for row in find_published("RefCOCO+ testA")}["TAS"] == 38.77
    assert {row.method: row.mean for row in find_published("RefCOCOg val(U)")}["Ref-Diff+"] == 44.02


@pytest.mark.parametrize("name", ["refcocog val", "RefCOCOg val(U)", "RefCOCOg val (umd)", "RefCOCOg-val"])
def test_names_of_the_umd_split(name: str) -> None:
    assert find_published(name) == find_published("RefCOCOg val(U)") != ()


@pytest.mark.parametrize("name", ["", "RefCOCO", "RefCOCOg val(google)", "demo", "RefCOCO valley"])
def test_another_split_has_none(name: str) -> None:
    assert find_published(name) == ()


def test_every_benchmark_has_figures() -> None:
    assert all(len(find_published(name)) >= 5 for name in BENCHMARKS)
