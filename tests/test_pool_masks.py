"""Pooled masks on disk are those that pooling in memory gives, for every grid that a readout has its heat on."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from refdiff.dataset.tables import read_dataset
from refdiff.errors import ArtifactMissingError, ShardCorruptError, StoreMismatchError
from refdiff.geometry import square_frame
from refdiff.mask_pooling import pool_masks
from refdiff.mask_runs import decode_runs
from refdiff.pool_masks import FILE_BYTES, Grid, grids_in_use, write_pooled
from refdiff.pooled_store import PooledStore
from refdiff.proposals.tables import read_proposals
from tests.fusion.small_split import SIZES, SmallSplit, make_split
from tests.test_heat import PAPER, RELEASED

GRIDS = [Grid("letterbox", (8, 8)), Grid("resize", (4, 4)), Grid("letterbox", (4, 8))]


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> SmallSplit:
    return make_split(tmp_path_factory.mktemp("split"), PAPER, (0.2, 0.5, 0.8))


def test_grids_are_those_of_readouts_that_are_linear(split: SmallSplit) -> None:
    coarse = PAPER.model_copy(update={"layers": ("layer4.0",)})
    bent = RELEASED.model_copy(update={"capture": "paper"})
    assert grids_in_use(split.layout, [PAPER, coarse, PAPER, bent]) == [
        Grid("letterbox", (4, 4)),
        Grid("letterbox", (8, 8)),
    ]
    assert grids_in_use(split.layout, [bent]) == []


@pytest.mark.parametrize("source", ["regions", "weak"])
@pytest.mark.parametrize("file_bytes", [FILE_BYTES, 1000], ids=["one-file", "many-files"])
def test_every_row_is_the_mask_pooled(
    split: SmallSplit, source: str, file_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refdiff.pool_masks.FILE_BYTES", file_bytes)
    dataset, proposals = read_dataset(split.layout.dataset), read_proposals(split.layout.proposals(source))
    write_pooled(tmp_path / "pooled", dataset, proposals, GRIDS, {"stage": "pool_masks"})
    store = PooledStore.open(tmp_path / "pooled")
    assert store.attributes["provenance"] == {"stage": "pool_masks"}
    for row, image in enumerate(proposals.image_index):
        height, width = SIZES[image]
        runs = decode_runs([proposals.counts[row]], height, width)
        for grid in GRIDS:
            expected = pool_masks(
                runs, square_frame(height, width, grid.mode), grid.size[0], grid.size[1], "bilinear"
            ).inside
            np.testing.assert_allclose(store.read(grid.mode, grid.size, range(row, row + 1)), expected, atol=1e-3)
    everything = store.read("letterbox", (8, 8), range(len(proposals)))
    np.testing.assert_allclose(everything.sum(axis=(1, 2)), proposals.area, rtol=1e-5)


def test_what_does_not_fit_is_refused(split: SmallSplit, tmp_path: Path) -> None:
    store = PooledStore.open(split.layout.pooled("regions"))
    with pytest.raises(StoreMismatchError, match="masks are not pooled to resize_8x8; run `dvc repro`"):
        store.read("resize", (8, 8), range(1))
    with pytest.raises(StoreMismatchError, match="made for other proposals"):
        store.read("letterbox", (8, 8), range(1000))
    with pytest.raises(ArtifactMissingError, match="run `dvc repro`"):
        PooledStore.open(tmp_path / "none.zarr")
    with pytest.raises(StoreMismatchError, match=r"zarr\.json: attributes\.artifact: Field required"):
        PooledStore.open(split.layout.attention("paper"))


def test_damage_is_found(split: SmallSplit, tmp_path: Path) -> None:
    dataset, proposals = read_dataset(split.layout.dataset), read_proposals(split.layout.proposals("regions"))
    path = tmp_path / "pooled"
    write_pooled(path, dataset, proposals, GRIDS[:1], {})
    file = path / "letterbox_8x8/c/0/0/0"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(ShardCorruptError, match="letterbox_8x8/c/0/0/0: shard is damaged"):
        PooledStore.open(path).read("letterbox", (8, 8), range(1))
    file.unlink()
    with pytest.raises(ShardCorruptError, match="missing or not"):
        PooledStore.open(path)


def test_scoring_imports_neither_zarr_nor_a_model_library() -> None:
    dear = "{'zarr', 'numcodecs', 'torch', 'spacy', 'dask', 'pandas'}"
    for module in ("stages.fuse_scores", "stages.evaluate_masks", "refdiff.sweep.run", "refdiff.sweep.command"):
        script = f"import sys, {module}; found = {dear} & set(sys.modules); assert not found, found"
        subprocess.run([sys.executable, "-c", script], check=True)
