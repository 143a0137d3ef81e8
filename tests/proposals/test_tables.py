from pathlib import Path

import numpy as np
import pytest

from refdiff.errors import ArtifactMissingError, StoreMismatchError
from refdiff.parquet import read_provenance, write_table
from refdiff.proposals.candidates import of_codes, of_masks
from refdiff.proposals.tables import PROPOSALS, read_proposals, write_proposals
from tests.proposals.rows import boxes

FIRST = of_masks(boxes(6, 8, (0, 0, 2, 3), (1, 1, 5, 5)), confidence=[0.5, 0.25])
NONE = of_codes([], 5, 5)
LAST = of_masks(boxes(4, 4, (0, 0, 4, 1)), thresholds=[0.5])


def test_masks_of_photos_come_back(tmp_path: Path) -> None:
    path = tmp_path / "proposals" / "x.parquet"
    assert write_proposals(path, [FIRST, NONE, LAST], range(3), None, {"stage": "propose_masks"}) == 3
    table = read_proposals(path)
    assert not table.per_expression
    assert [table.rows_of_image(i) for i in range(4)] == [range(2), range(2, 2), range(2, 3), range(3, 3)]
    assert table.rows_for(99, 2) == range(2, 3)
    assert table.rank.tolist() == [0, 1, 0]
    assert table.area.tolist() == [6, 16, 4]
    assert table.expression_index.tolist() == [-1, -1, -1]
    assert np.isnan(table.confidence[2])
    assert np.isnan(table.threshold[:2]).all()
    assert (table.proposals(range(2), 6, 8).masks == FIRST.masks).all()
    assert read_provenance(path)["stage"] == "propose_masks"
    with pytest.raises(StoreMismatchError, match="masks belong to photos"):
        table.rows_of_expression(0)


def test_masks_of_expressions_come_back(tmp_path: Path) -> None:
    path = tmp_path / "weak.parquet"
    write_proposals(path, [FIRST, NONE, LAST], [0, 0, 1], range(3), {})
    table = read_proposals(path)
    assert table.per_expression
    assert [table.rows_for(e, 0) for e in range(3)] == [range(2), range(2, 2), range(2, 3)]
    assert table.image_index.tolist() == [0, 0, 1]
    with pytest.raises(StoreMismatchError, match="masks belong to expressions"):
        table.rows_of_image(0)


@pytest.mark.parametrize("expressions", [None, range(2)])
def test_a_table_without_masks_knows_whose_they_would_be(tmp_path: Path, expressions: range | None) -> None:
    path = tmp_path / "x.parquet"
    assert write_proposals(path, [NONE, NONE], range(2), expressions, {}) == 0
    table = read_proposals(path)
    assert table.per_expression == (expressions is not None)
    assert table.rows_for(1, 1) == range(0)


def test_parts_out_of_order_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StoreMismatchError, match="in rising order"):
        write_proposals(tmp_path / "x.parquet", [FIRST, LAST], [1, 0], None, {})
    with pytest.raises(StoreMismatchError, match="one part for each"):
        write_proposals(tmp_path / "x.parquet", [FIRST], [0, 1], None, {})


def test_tables_that_are_not_there_or_mixed_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissingError, match="run `dvc repro`"):
        read_proposals(tmp_path / "nosuch.parquet")
    path = tmp_path / "x.parquet"
    columns: dict = {name: [0, 1] for name in PROPOSALS.names}
    columns |= {"counts": [b"", b""], "confidence": [0.0, 0.0], "threshold": [0.0, 0.0]}
    write_table(path, PROPOSALS, {**columns, "expression_index": [0, -1]}, {})
    with pytest.raises(StoreMismatchError, match="some masks belong to photos, some to expressions"):
        read_proposals(path)
    write_table(path, PROPOSALS, {**columns, "expression_index": [-1, -1], "image_index": [1, 0]}, {})
    with pytest.raises(StoreMismatchError, match="rows are not in order"):
        read_proposals(path)
