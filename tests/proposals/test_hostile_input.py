"""Files of strangers: whatever is in them, reading ends with a result or with one of the project's own errors."""

import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refdiff.errors import RefdiffError
from refdiff.proposals.candidates import of_masks
from refdiff.proposals.file import open_file
from refdiff.proposals.settings import FileSettings
from refdiff.proposals.source import Photo
from refdiff.proposals.tables import PROPOSALS, read_proposals, write_proposals
from tests.fuzzing import count_examples
from tests.proposals.rows import boxes

MANY = settings(
    max_examples=count_examples(100),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
SOME = settings(MANY, max_examples=count_examples(50))
IDS = ["7", "8"]
PHOTO = Photo("7", 6, 8)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from([7, "7", 6, 8, 48, "P0", "0`1", "`" * 40, "\ud800", -1, 1e308, 2**63])
)
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4)
)
CODES = st.fixed_dictionaries(
    {
        "size": st.sampled_from([[6, 8], [8, 6], [6, 8.0], "6x8", [10**9, 10**9]]) | ANYTHING,
        "counts": st.lists(st.integers(-3, 50), max_size=6) | st.text("0123456789PQ`abclmo\\^", max_size=12) | ANYTHING,
    }
)
POLYGONS = st.lists(st.lists(st.floats(-30, 30) | SCALARS, min_size=4, max_size=9), max_size=3)
RECORDS = st.fixed_dictionaries(
    {"image_id": st.sampled_from([7, "7", 8, 9, None]) | ANYTHING, "segmentation": CODES | POLYGONS | ANYTHING},
    optional={"score": ANYTHING, "category_id": ANYTHING},
)


def _read_file(path: Path) -> None:
    with suppress(RefdiffError):
        source = open_file(FileSettings(kind="file", path=str(path)), "toy", IDS)
        assert source.propose(PHOTO).masks.shape[1:] == (6, 8)


@MANY
@given(st.lists(RECORDS, max_size=3) | st.fixed_dictionaries({"annotations": st.lists(RECORDS, max_size=3)}) | ANYTHING)
def test_any_json_as_a_file_of_masks(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "masks.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    _read_file(path)


@MANY
@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_as_a_file_of_masks(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "masks.json"
    path.write_bytes(content)
    _read_file(path)


def _read_table(path: Path) -> None:
    """As later stages use a table: every row of a photo, and its masks."""
    with suppress(RefdiffError):
        table = read_proposals(path)
        rows = table.rows_of_expression(0) if table.per_expression else table.rows_of_image(0)
        found = table.proposals(rows, 6, 8)
        assert found.areas.shape == (len(rows),)
        assert found.masks.shape == (len(rows), 6, 8)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("table") / "good.parquet"
    masks = of_masks(boxes(6, 8, (1, 2, 5, 7), (0, 0, 3, 3)), confidence=[0.5, 0.25])
    write_proposals(path, [masks], [0], None, {"stage": "test"})
    return path.read_bytes()


@SOME
@given(st.data())
def test_a_table_with_bytes_exchanged_or_cut(tmp_path: Path, good: bytes, data: st.DataObject) -> None:
    content = bytearray(good)
    for place in data.draw(st.lists(st.integers(0, len(good) - 1), max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "table.parquet"
    path.write_bytes(bytes(content[: data.draw(st.sampled_from([len(good), len(good), len(good) // 2, 8, 0]))]))
    _read_table(path)


INTEGERS = {"proposal_index", "image_index", "expression_index", "rank", "area"}


@SOME
@given(st.data())
def test_a_table_of_the_right_form_with_any_values(tmp_path: Path, data: st.DataObject) -> None:
    length = data.draw(st.integers(0, 4))
    columns = {}
    for field in PROPOSALS:
        if field.name in INTEGERS:
            values: Any = st.sampled_from([0, 0, 1, 2, -1, 2**31 - 1, -(2**31)])
        elif field.name == "counts":
            values = st.sampled_from([b"", b"P1", b"`1", b"0`1", b"\xff\x00"]) | st.binary(max_size=6)
        else:
            values = st.floats(width=32)
        plain = data.draw(
            st.lists(values | st.none() if data.draw(st.booleans()) else values, min_size=length, max_size=length)
        )
        if field.name == "proposal_index" and data.draw(st.booleans()):
            plain = list(range(length))
        columns[field.name] = pa.array(plain, field.type)
    mapping = data.draw(st.sampled_from(["{}", '{"per_expression": true}', "[]", "{", "null", '{"per_expression": 3}']))
    table = pa.table(columns, schema=PROPOSALS).replace_schema_metadata({b"refdiff": mapping.encode()})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    path = tmp_path / "table.parquet"
    path.write_bytes(sink.getvalue())
    _read_table(path)


def test_the_good_table_is_read(tmp_path: Path, good: bytes) -> None:
    path = tmp_path / "table.parquet"
    path.write_bytes(good)
    table = read_proposals(path)
    np.testing.assert_array_equal(table.proposals(table.rows_of_image(0), 6, 8).areas, [20, 9])
