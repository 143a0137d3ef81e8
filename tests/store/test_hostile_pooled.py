"""Stores of pooled masks from strangers: refused in one line, or read as they are."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refdiff.dataset.tables import read_dataset
from refdiff.errors import RefdiffError
from refdiff.pool_masks import Grid, write_pooled
from refdiff.pooled_store import PooledStore
from refdiff.proposals.tables import read_proposals
from tests.fusion.small_split import make_split
from tests.fuzzing import count_examples
from tests.store.hostile import bent
from tests.test_heat import PAPER

EXAMPLES = count_examples()
SIZE = (8, 8)
NAME = "letterbox_8x8"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of pooled masks, in files of a few rows."""
    split = make_split(tmp_path_factory.mktemp("split"), PAPER, (0.2, 0.5, 0.8))
    path = tmp_path_factory.mktemp("pooled") / "regions.zarr"
    proposals = read_proposals(split.layout.proposals("regions"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("refdiff.pool_masks.FILE_BYTES", 600)
        write_pooled(path, read_dataset(split.layout.dataset), proposals, [Grid("letterbox", SIZE)], {})
    return path


def read_rows(path: Path) -> Any:
    """The first rows; None where they are refused."""
    message = ""
    try:
        return PooledStore.open(path).read("letterbox", SIZE, range(3))
    except RefdiffError as error:
        message = str(error)
    assert message.isprintable()
    return None


@settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(data=st.data(), name=st.sampled_from(["zarr.json", f"{NAME}/zarr.json"]))
def test_metadata(data: st.DataObject, name: str, pristine: Path, tmp_path: Path) -> None:
    path = tmp_path / "copy.zarr"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(pristine, path)
    (path / name).write_bytes(data.draw(bent((path / name).read_bytes())))
    found = read_rows(path)
    assert found is None or np.array_equal(found, read_rows(pristine))


@settings(
    max_examples=EXAMPLES,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
    deadline=None,
)
@given(place=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255), cut=st.booleans())
def test_bytes_of_rows(place: float, change: int, cut: bool, pristine: Path, tmp_path: Path) -> None:
    path = tmp_path / "copy.zarr"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(pristine, path)
    file = path / NAME / "c/0/0/0"
    content = bytearray(file.read_bytes())
    if cut:
        del content[int(place * len(content)) :]
    else:
        content[int(place * len(content))] ^= change
    file.write_bytes(content)
    found = read_rows(path)
    assert found is None or np.array_equal(found, read_rows(pristine))
