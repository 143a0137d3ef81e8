from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from refdiff.errors import ArtifactMissingError, OutputError, StoreMismatchError
from refdiff.parquet import read_provenance, read_table, write_table

SCHEMA = pa.schema([("index", pa.int32()), ("name", pa.string())])
COLUMNS = {"index": [0, 1], "name": ["a", "b"]}


def test_a_table_comes_back_with_its_provenance(tmp_path: Path) -> None:
    file = tmp_path / "folder" / "table.parquet"
    write_table(file, SCHEMA, COLUMNS, {"seed": 3})
    assert read_table(file, SCHEMA).to_pydict() == COLUMNS
    assert read_table(file, SCHEMA, ["name"]).column_names == ["name"]
    assert read_provenance(file) == {"seed": 3}
    assert [path.name for path in file.parent.iterdir()] == ["table.parquet"]


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_table(tmp_path / name, SCHEMA, COLUMNS, {"b": 1, "a": 2})
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_other_columns_are_refused_when_writing(tmp_path: Path) -> None:
    with pytest.raises(StoreMismatchError, match=r"expected columns \['index', 'name'\], got \['index'\]"):
        write_table(tmp_path / "t", SCHEMA, {"index": [0]}, {})


def test_a_table_of_another_schema_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "table.parquet"
    write_table(file, SCHEMA, COLUMNS, {})
    with pytest.raises(StoreMismatchError, match="made by another version"):
        read_table(file, pa.schema([("index", pa.int64()), ("name", pa.string())]))


def test_a_missing_table_says_what_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissingError, match=r"t\.parquet: not there; run `dvc repro`"):
        read_table(tmp_path / "t.parquet", SCHEMA)
    with pytest.raises(ArtifactMissingError, match="run `dvc repro`"):
        read_provenance(tmp_path / "t.parquet")


def test_a_file_that_is_no_table_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "table.parquet"
    file.write_bytes(b"PAR1 no table")
    with pytest.raises(StoreMismatchError, match="is not a readable Parquet file"):
        read_table(file, SCHEMA)


@pytest.mark.parametrize("provenance", [b"[]", b"{", b"null", b"\xff"])
def test_a_provenance_that_is_no_mapping_is_refused(tmp_path: Path, provenance: bytes) -> None:
    table = pa.table(COLUMNS, schema=SCHEMA).replace_schema_metadata({b"refdiff": provenance})
    pq.write_table(table, tmp_path / "table.parquet")
    with pytest.raises(StoreMismatchError, match="its provenance"):
        read_provenance(tmp_path / "table.parquet")


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("where a folder should be")
    with pytest.raises(OutputError, match=r"table.parquet: cannot be written \(.*\); make room or correct"):
        write_table(tmp_path / "file" / "table.parquet", SCHEMA, COLUMNS, {})
