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
    "n_evaluated": 12,
    "chance": {"mIoU": 0.1},
    "oracle": {"mIoU": 0.875},
}
DETAILS = {"n_expressions": 12, "n_no_candidate": 0, "n_no_target": 0, "n_without_truth": 0, "conventions": {}}
NOTHING = dict.fromkeys(METRICS) | {"n_evaluated": 0, "chance": {"mIoU": None}, "oracle": {"mIoU": None}}


def _print(results: dict, width: int = 140, benchmark: str | None = None) -> str:
    stream = io.StringIO()
    joined = {split: {name: {**DETAILS, **each} for name, each in rows.items()} for split, rows in results.items()}
    print_table(joined, dict.fromkeys(results, benchmark), Console(file=stream, width=width))
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


def test_no_figure_is_cut_in_a_narrow_terminal() -> None:
    assert "12.35" in _print({"demo_val": {"gs": METRICS}}, 20)


def test_a_reader_that_is_gone_is_no_end_of_richs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            if text:
                raise BrokenPipeError
            return 0

    monkeypatch.setattr("sys.stdout", Gone())
    with pytest.raises(BrokenPipeError):
        print_table({"demo_val": {"gs": {**DETAILS, **METRICS}}}, {})


@pytest.mark.parametrize(
    ("changes", "benchmark", "remark"),
    [
        ({}, None, None),
        ({}, "mine", None),
        ({"n_evaluated": 10834}, "RefCOCO val", None),
        ({}, "gRefCOCO val", None),  # how many sentences it has is not known
        (
            {},
            "RefCOCO vall",
            "no benchmark 'RefCOCO vall' is known, and nothing is compared; did you mean 'RefCOCO val'?",
        ),
        ({}, "RefCOCO val", "12 sentences count, RefCOCO val has 10,834: not comparable with figures published"),
        ({"n_evaluated": 8810}, "refcoco+ testa", "8,810 sentences count, RefCOCO+ testA has 5,726: not comparable"),
        ({"n_no_candidate": 12}, None, "gs: there was no candidate mask for any sentence"),
        ({"n_no_candidate": 11}, None, None),
        ({**NOTHING, "n_without_truth": 12}, "RefCOCO val", "no sentence has a true mask, so nothing is measured"),
        (
            {"n_no_target": 2, "N-acc": 0.5, "T-acc": None},
            None,
            "gs: N-acc 50.00 of 2 no-target sentences, T-acc - of 10 with a target",
        ),
    ],
)
def test_what_has_to_be_said_stands_below_the_table(
    changes: dict[str, object], benchmark: str | None, remark: str | None
) -> None:
    text = _print({"val": {"gs": {**METRICS, **changes}}}, benchmark=benchmark)
    below = " ".join(text.split(" gs ")[1].split()[9:])
    assert below == "" if remark is None else remark in below


def test_what_was_not_measured_is_a_dash() -> None:
    line = next(line for line in _print({"val": {"gs": NOTHING}}).splitlines() if " gs " in line)
    assert line.split() == ["gs", *"-" * 9]


def test_results_are_read_by_split_and_method(tmp_path: Path) -> None:
    for split, method in (("val", "gs"), ("val", "ds"), ("test", "gs"), ("test", "ds")):
        path = SplitLayout(split, tmp_path).metrics(method)
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(METRICS), encoding="utf-8")
        details = {**DETAILS, "method": method, "split": split}
        path.with_name("details.json").write_text(json.dumps(details), encoding="utf-8")
    results = read_results(["val", "test"], ["gs", "ds"], tmp_path)
    assert [(s, m, v["method"]) for s, rows in results.items() for m, v in rows.items()] == [
        ("val", "gs", "gs"),
        ("val", "ds", "ds"),
        ("test", "gs", "gs"),
        ("test", "ds", "ds"),
    ]
    with pytest.raises(ArtifactMissingError, match="run `dvc repro`"):
        read_results(["val"], ["mine"], tmp_path)
