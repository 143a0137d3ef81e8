from typing import Any

from refdiff.report.results import leading_method, percent, result_columns, result_rows


def _metrics(overall: float | None, mean: float | None, **changes: Any) -> dict[str, Any]:
    return {
        "oIoU": overall,
        "mIoU": mean,
        "Pr@0.5": overall,
        "N-acc": None,
        "chance": {"mIoU": 0.1},
        "oracle": {"mIoU": 0.9},
        "n_evaluated": 600,
        "n_no_candidate": 0,
        "n_no_target": 0,
        "n_without_truth": 0,
        **changes,
    }


def test_the_best_of_each_column_is_marked() -> None:
    metrics = {"gs": _metrics(0.5, 0.61), "ds": _metrics(0.7, 0.4)}
    columns = result_columns(metrics)
    assert columns == ["oIoU", "mIoU", "Pr@0.5"]
    rows = result_rows(metrics, {"gs": "one", "ds": "two"}, columns)
    assert [[cell.text for cell in row.cells] for row in rows] == [
        ["50.00", "61.00", "50.00"],
        ["70.00", "40.00", "70.00"],
    ]
    assert [[cell.is_best for cell in row.cells] for row in rows] == [[False, True, False], [True, False, True]]


def test_figures_that_read_the_same_are_both_the_best() -> None:
    metrics = {"a": _metrics(0.50001, 0.5), "b": _metrics(0.50002, 0.5)}
    rows = result_rows(metrics, dict.fromkeys(metrics, ""), ["oIoU"])
    assert all(row.cells[0].is_best for row in rows)


def test_nothing_right_is_no_best() -> None:
    rows = result_rows(dict.fromkeys("ab", _metrics(0.0, 0.00001)), dict.fromkeys("ab", ""), ["oIoU", "mIoU"])
    assert not any(cell.is_best for row in rows for cell in row.cells)


def test_without_truth_there_are_dashes_and_no_best() -> None:
    metrics = {"a": _metrics(None, None, chance={"mIoU": None}, oracle={"mIoU": None}, n_without_truth=6)}
    row = result_rows(metrics, {"a": ""}, ["oIoU", "mIoU"])[0]
    assert [cell.text for cell in row.cells] == ["–", "–"]
    assert not any(cell.is_best for cell in row.cells)
    assert row.remarks == "6 without truth (not counted)"
    assert leading_method(metrics) is None


def test_precisions_come_by_rising_threshold_and_n_acc_where_it_is_measured() -> None:
    metrics = {"a": {"Pr@0.9": 0.0, "Pr@0.55": 0.0, "oIoU": 0.0, "N-acc": 0.5}}
    assert result_columns(metrics) == ["oIoU", "mIoU", "Pr@0.55", "Pr@0.9", "N-acc"]


def test_the_first_of_equal_methods_leads() -> None:
    assert leading_method({"a": _metrics(0.1, 0.5), "b": _metrics(0.9, 0.5)}) == "a"


def test_per_cent() -> None:
    assert percent(0.35164) == "35.16"
    assert percent(None) == "–"
