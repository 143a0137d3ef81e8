"""A store of embeddings whose files are whole but do not belong together is refused when it is opened."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from refdiff.clip.store import ClipStore
from refdiff.clip.store_writer import list_files
from refdiff.errors import ShardCorruptError, StoreMismatchError
from refdiff.store.fingerprint import digest_file
from tests.store.toy_embeddings import make_embeddings


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return make_embeddings(tmp_path)


def put(store: Path, array: str, values: NDArray[Any]) -> None:
    """Replace an array by another, with honest records of its files."""
    shutil.rmtree(store / array)
    zarr.create_array(store / array, data=values, config={"write_empty_chunks": True})
    root = json.loads((store / "zarr.json").read_bytes())
    files = {name: entry for name, entry in root["attributes"]["files"].items() if not name.startswith(f"{array}/")}
    for name in list_files(store, array):
        files[name] = {"bytes": (store / name).stat().st_size, "sha256": digest_file(store / name)}
    root["attributes"]["files"] = files
    (store / "zarr.json").write_text(json.dumps(root))


def test_the_whole_one_opens(store: Path):
    put(store, "sentence_row", np.array([4, 4, 4, 0], dtype=np.int32))
    assert ClipStore.open(store).expressions == 4


@pytest.mark.parametrize(
    ("array", "values"),
    [
        ("sentence_row", np.array([0, 1, 2, 5], dtype=np.int32)),
        ("root_row", np.array([0, -1, 2, 3], dtype=np.int32)),
        ("subject_row", np.array([0, 1], dtype=np.int32)),
        ("text", np.zeros(5, dtype=np.float32)),
        ("text", np.zeros((5, 3), dtype=np.float32)),
        ("local_start", np.array([[-1, 0], [2, 90], [-1, 8]])),
        ("global_start", np.array([[-1, 0], [-2, 5], [-1, 8]])),
        ("global_start", np.array([[0], [2], [8]])),
        ("proposals", np.array([2, -3, 0])),
        ("proposals", np.array([2, 3, 0, 0])),
    ],
)
def test_arrays_that_do_not_fit_each_other(array: str, values: NDArray[Any], store: Path):
    put(store, array, values)
    with pytest.raises(StoreMismatchError, match="its arrays do not fit each other; run `refdiff store repair`"):
        ClipStore.open(store)


def test_an_array_described_otherwise_than_recorded(store: Path):
    file = store / "local/zarr.json"
    content = file.read_bytes()
    file.write_bytes(content.replace(b'"float32"', b'"float16"').replace(b"[", b"[  ", 1))
    with pytest.raises(ShardCorruptError, match=r"local/zarr.json: missing or not"):
        ClipStore.open(store)
    file.write_bytes(content.replace(b'"float32"', b'"float16"'))
    with pytest.raises(ShardCorruptError, match=r"local/zarr.json: is not what was recorded of it"):
        ClipStore.open(store)
