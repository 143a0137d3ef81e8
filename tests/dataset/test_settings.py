from pathlib import Path

import pytest

from refdiff.dataset.settings import PrepareDatasetSettings, SplitRow
from refdiff.errors import ParameterError
from refdiff.params import find, read_params, read_section
from tests.dataset.folder import PARAMS, shipped_settings, split_row


def test_the_shipped_parameters_are_valid() -> None:
    read_section(PrepareDatasetSettings, "prepare_dataset", PARAMS)
    splits = find(read_params(PARAMS), "splits")
    assert isinstance(splits, dict)
    for name in splits:
        read_section(SplitRow, f"splits.{name}", PARAMS)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "coco"}, r"splits\.mini\.format: expected one of refer, grefcoco, jsonl, got 'coco'"),
        ({"split_by": None}, "split_by is needed for format refer"),
        ({"format": "jsonl"}, "split_by must be null for format jsonl"),
        ({"split_by": "../unc"}, "split_by: expected letters, digits, _"),
        ({"split": "a/b"}, "split: expected letters, digits, _"),
        ({"split": ""}, "split: expected letters, digits, _"),
        ({"folder": ""}, "folder: expected a path on this machine"),
        ({"splitby": "unc"}, r"splits\.mini\.splitby: unknown parameter"),
    ],
)
def test_a_wrong_row_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        split_row(Path("x"), **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"on_fault": "ignore"}, "on_fault: expected one of refuse, drop, got 'ignore'"),
        ({"max_pixels": 0}, "max_pixels: expected greater than or equal to 1, got 0"),
        ({"max_pixels": 10**9}, "max_pixels: expected less than or equal to"),
        ({"max_pixels": "many"}, "max_pixels: expected an integer"),
        ({"threads": 3}, r"prepare_dataset\.threads: unknown parameter"),
    ],
)
def test_a_wrong_value_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ParameterError, match=message):
        shipped_settings(**changes)
