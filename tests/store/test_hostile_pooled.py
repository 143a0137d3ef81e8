"""Stores of pooled masks and of sums of heat from strangers: refused in one line, or read as they are."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refdiff.errors import RefdiffError, ShardCorruptError, StoreMismatchError
from refdiff.pooling.store import PooledStore, StoredSums, heat_inputs, heat_name
from refdiff.pooling.writer import RowWriter, seal_store
from refdiff.proposals.tables import read_proposals
from tests.fusion.small_split import IMAGE_OF, SmallSplit, make_split
from tests.fuzzing import count_examples
from tests.heat.test_heat_map import PAPER, RELEASED
from tests.store.hostile import bent

EXAMPLES = count_examples()
SIZE = (8, 8)
GRID = "letterbox_8x8"
READOUT = RELEASED.model_copy(update={"capture": "paper"})
HEAT = heat_name(READOUT)
SOURCE = "weak"
Content = tuple[np.ndarray, ...]


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> SmallSplit:
    """A split whose store of pooled masks has files of a few rows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("refdiff.pooling.writer.FILE_BYTES", 600)
        return make_split(tmp_path_factory.mktemp("split"), PAPER, (0.1, 0.2, 0.4, 0.5, 0.8, 0.9), (READOUT,))


def read_grid(path: Path, split: SmallSplit) -> Content:
    return (PooledStore.open(path).read("letterbox", SIZE, range(3)),)


def read_sums(path: Path, split: SmallSplit) -> Content:
    pairs = len(read_proposals(split.layout.proposals(SOURCE)))
    inputs = heat_inputs(split.layout, SOURCE, READOUT)
    sums: StoredSums = PooledStore.open(path).read_sums(READOUT, inputs, len(IMAGE_OF), pairs)
    return sums.inside, sums.total, sums.factor


READERS = {"grid": read_grid, "sums": read_sums}
METADATA = [
    ("grid", "zarr.json"),
    ("grid", f"{GRID}/zarr.json"),
    ("sums", "zarr.json"),
    *(("sums", f"{HEAT}/{part}/zarr.json") for part in ("inside", "total", "factor")),
]


def check_copy(path: Path, kind: str, split: SmallSplit) -> None:
    """A store that was changed is refused in one line, or has what it had."""
    message = ""
    try:
        found = READERS[kind](path, split)
    except RefdiffError as error:
        found, message = None, str(error)
    assert message.isprintable()
    if found is not None:
        expected = READERS[kind](split.layout.pooled(SOURCE), split)
        assert [each.tobytes() for each in found] == [each.tobytes() for each in expected]


def replace_file(path: Path, name: str, content: bytes) -> None:
    """Another content for a file of a store, and its size in the root, so that it is not refused for that alone."""
    (path / name).write_bytes(content)
    root = path / "zarr.json"
    if name != root.name:
        metadata = json.loads(root.read_bytes())
        metadata["attributes"]["files"][name] = len(content)
        root.write_text(json.dumps(metadata))


def make_copy(split: SmallSplit, folder: Path) -> Path:
    path = folder / "copy.zarr"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(split.layout.pooled(SOURCE), path)
    return path


@settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(data=st.data(), which=st.sampled_from(METADATA))
def test_metadata(data: st.DataObject, which: tuple[str, str], split: SmallSplit, tmp_path: Path) -> None:
    kind, name = which
    path = make_copy(split, tmp_path)
    replace_file(path, name, data.draw(bent((path / name).read_bytes())))
    check_copy(path, kind, split)


@settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(
    which=st.sampled_from([("grid", f"{GRID}/c/0/0/0"), ("sums", f"{HEAT}/inside/c/0"), ("sums", f"{HEAT}/total/c/0")]),
    place=st.floats(0, 1, exclude_max=True),
    change=st.integers(1, 255),
    cut=st.booleans(),
)
def test_bytes_of_rows(
    which: tuple[str, str], place: float, change: int, cut: bool, split: SmallSplit, tmp_path: Path
) -> None:
    kind, name = which
    path = make_copy(split, tmp_path)
    file = path / name
    content = bytearray(file.read_bytes())
    if cut:
        del content[int(place * len(content)) :]
    else:
        content[int(place * len(content))] ^= change
    file.write_bytes(content)
    check_copy(path, kind, split)


@pytest.mark.parametrize(
    ("kind", "name", "there", "other"),
    [("grid", GRID, "float32", "int32"), ("sums", f"{HEAT}/total", "float64", "int64")],
)
def test_values_of_another_type_are_refused(
    kind: str, name: str, there: str, other: str, split: SmallSplit, tmp_path: Path
) -> None:
    path = make_copy(split, tmp_path)
    content = (path / name / "zarr.json").read_bytes()
    replace_file(path, f"{name}/zarr.json", content.replace(there.encode(), other.encode()))
    with pytest.raises(StoreMismatchError, match=rf"{name} holds {other} .*, expected {there}"):
        READERS[kind](path, split)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_sums_that_are_no_numbers_are_refused(value: float, split: SmallSplit, tmp_path: Path) -> None:
    path = make_copy(split, tmp_path)
    shutil.rmtree(path / HEAT / "total")
    (path / "zarr.json").unlink()
    writer = RowWriter(path / HEAT / "total", (len(IMAGE_OF),), "float64", ("expression",))
    writer.add(np.full(len(IMAGE_OF), value))
    writer.close()
    seal_store(path, PooledStore.open(split.layout.pooled(SOURCE)).attributes["provenance"])
    with pytest.raises(ShardCorruptError, match=r"total, number 0: holds NaN or infinity; .*make it again"):
        read_sums(path, split)
