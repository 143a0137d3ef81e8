"""The referee sees one bit, and what is on one side only; NaN equals itself."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr

from benchmarks.equal import compare

PREDICTIONS = "artifacts/val/gs/predictions.parquet"
MAPS = "artifacts/val/attention/paper.zarr"
FIGURES = "reports/val/gs/metrics.json"


def write(project: Path, score: float = 0.5, heat: float = 0.25, figure: str = "0.5") -> Path:
    for name in (PREDICTIONS, FIGURES):
        (project / name).parent.mkdir(parents=True)
    pq.write_table(pa.table({"id": ["a", "b"], "score": np.array([np.nan, score], np.float32)}), project / PREDICTIONS)
    maps = zarr.create_group(project / MAPS).create_array("cross", shape=(40, 2), chunks=(1, 2), dtype="float16")
    maps[:] = 0
    maps[39, 1] = heat
    (project / FIGURES).write_text(f'{{"mIoU": {figure}, "note": "text", "of": {{"val": 1}}}}', encoding="utf-8")
    return project


def test_equal_results(tmp_path: Path) -> None:
    rows = compare(write(tmp_path / "a"), write(tmp_path / "b"))
    assert rows == [(MAPS, "equal (1)"), (PREDICTIONS, "equal (2)"), (FIGURES, "equal (2)")]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"score": float(np.nextafter(np.float32(0.5), np.float32(1)))}, (PREDICTIONS, "1 differ: score")),
        ({"heat": 0.2502}, (MAPS, "1 differ: cross")),
        ({"figure": "0.50000001"}, (FIGURES, "1 differ: mIoU")),
    ],
)
def test_a_bit_is_seen(tmp_path: Path, change: dict, expected: tuple[str, str]) -> None:
    assert expected in compare(write(tmp_path / "a"), write(tmp_path / "b", **change))


@pytest.mark.parametrize("remove", [lambda b: (b / PREDICTIONS).unlink(), lambda b: (b / FIGURES).unlink()])
def test_what_is_on_one_side_only(tmp_path: Path, remove: Callable[[Path], None]) -> None:
    first, second = write(tmp_path / "a"), write(tmp_path / "b")
    remove(second)
    assert "only in the first" in dict(compare(first, second)).values()
