import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from refdiff.errors import ArtifactMissingError
from refdiff.evaluation.table import print_table, read_results
from refdiff.layout import SplitLayout

METRICS = {
    "oIoU": 0.12345,
    "mIoU": 0.5,
    "Pr@0.5": 0.25,
    "Pr@0.6": None,
    "Pr@0.9": 0.0,
    "n_expressions": 12,
    "n_evaluated": 12,
    "n_no_candidate": 0,
    "n_no_target": 0,
    "n_without_truth": 0,
    "chance": {"oIoU": 0.2, "mIoU": 0.1},
    "conventions": {},
    "oracle": {"oIoU": 0.75, "mIoU": 0.875},
}


def _print(results: dict, width: int = 140) -> str:
    stream = io.StringIO()
    print_table(results, Console(file=stream, width=width))
    return stream.getvalue()


def test_the_table_has_a_row_per_method() -> None:
    text = _print({"demo_val": {"gs": METRICS, "a [red]name[/red]": METRICS}})
    assert "demo_val: 12 expressions" in text
    for column in ("method", "oIoU", "mIoU", "Pr@.5", "Pr@.6", "Pr@.7", "Pr@.8", "Pr@.9", "chance", "oracle"):
        assert column in text
    line = next(line for line in text.splitlines() if " gs " in line)
    assert line.split() == ["gs", "12.35", "50.00", "25.00", "-", "-", "-", "0.00", "10.00", "87.50"]
    assert "a [red]name[/red]" in text


def test_no_figure_is_cut_in_a_terminal_of_80_characters() -> None:
    full = {name: 1.0 if isinstance(value, float) else value for name, value in METRICS.items()}
    text = _print({"demo_val": {"ref-diff-plus": full, "a-method-with-a-rather-long-name": full}}, 80)
    assert "…" not in text
    assert text.count("100.00") == 2 * 4
    assert max(map(len, text.splitlines())) <= 80


def test_results_are_read_by_split_and_method(tmp_path: Path) -> None:
    for split, method in (("val", "gs"), ("val", "ds"), ("test", "gs"), ("test", "ds")):
        path = SplitLayout(split, tmp_path).metrics(method)
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({**METRICS, "method": method, "split": split}), encoding="utf-8")
    results = read_results(["val", "test"], ["gs", "ds"], tmp_path)
    assert [(s, m, v["method"]) for s, rows in results.items() for m, v in rows.items()] == [
        ("val", "gs", "gs"),
        ("val", "ds", "ds"),
        ("test", "gs", "gs"),
        ("test", "ds", "ds"),
    ]
    with pytest.raises(ArtifactMissingError, match="run `dvc repro`"):
        read_results(["val"], ["mine"], tmp_path)
