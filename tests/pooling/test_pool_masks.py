"""What pool_masks writes is what pooling and summing in memory give."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from refdiff.dataset.tables import read_dataset
from refdiff.errors import ArtifactMissingError, ShardCorruptError, StoreMismatchError
from refdiff.geometry import square_frame
from refdiff.heat.heat_map import heat_map
from refdiff.heat.readout import ReadoutSettings
from refdiff.masks.rle import decode_masks
from refdiff.masks.runs import decode_runs
from refdiff.pooling.mask_pooling import pool_masks
from refdiff.pooling.masks import Grid, grids_in_use, write_grids
from refdiff.pooling.split import pool_split
from refdiff.pooling.store import PooledStore, StoredSums, heat_inputs, heat_name
from refdiff.pooling.writer import FILE_BYTES, seal_store
from refdiff.proposals.tables import read_proposals
from refdiff.text.tables import read_text, write_text
from tests.fusion.small_split import IMAGE_OF, SIZES, SmallSplit, make_split, parsed
from tests.heat.test_heat_map import PAPER, RELEASED
from tests.store.dimensions import read_dimensions

GRIDS = [Grid("letterbox", (8, 8)), Grid("resize", (4, 4)), Grid("letterbox", (4, 8))]
BENT = RELEASED.model_copy(update={"capture": "paper"})
SMOOTH = BENT.model_copy(update={"round_to_8_bit": False})


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> SmallSplit:
    return make_split(tmp_path_factory.mktemp("split"), PAPER, (0.2, 0.5, 0.8), (BENT, SMOOTH, BENT))


def hand_through(steps, total):
    return steps


def read_sums(split: SmallSplit, source: str, readout: ReadoutSettings) -> StoredSums:
    proposals = read_proposals(split.layout.proposals(source))
    pairs = len(proposals) if proposals.per_expression else 3 * 5 + 2 * 4
    store = PooledStore.open(split.layout.pooled(source))
    return store.read_sums(readout, heat_inputs(split.layout, source, readout), len(IMAGE_OF), pairs)


def test_grids_are_those_of_readouts_that_are_linear(split: SmallSplit) -> None:
    coarse = PAPER.model_copy(update={"layers": ("layer4.0",)})
    assert grids_in_use(split.layout, [PAPER, coarse, PAPER, BENT]) == [
        Grid("letterbox", (4, 4)),
        Grid("letterbox", (8, 8)),
    ]
    assert grids_in_use(split.layout, [BENT]) == []


@pytest.mark.parametrize("source", ["regions", "weak"])
@pytest.mark.parametrize("file_bytes", [FILE_BYTES, 1000], ids=["one-file", "many-files"])
def test_every_row_is_the_mask_pooled(
    split: SmallSplit, source: str, file_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refdiff.pooling.writer.FILE_BYTES", file_bytes)
    dataset, proposals = read_dataset(split.layout.dataset), read_proposals(split.layout.proposals(source))
    write_grids(tmp_path / "pooled", dataset, proposals, GRIDS, hand_through)
    seal_store(tmp_path / "pooled", {"inputs": {}})
    store = PooledStore.open(tmp_path / "pooled")
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


@pytest.mark.parametrize("readout", [BENT, SMOOTH], ids=["8-bit", "not-rounded"])
@pytest.mark.parametrize("source", ["regions", "weak"])
@pytest.mark.parametrize("file_bytes", [FILE_BYTES, 24], ids=["one-file", "many-files"])
def test_sums_say_how_far_a_mask_is_above_its_photo(
    split: SmallSplit,
    readout: ReadoutSettings,
    source: str,
    file_bytes: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if file_bytes != FILE_BYTES:
        monkeypatch.setattr("refdiff.pooling.writer.FILE_BYTES", file_bytes)
        monkeypatch.setattr(type(split.layout), "pooled", lambda _, name: tmp_path / name)
        pool_split(split.layout, [source], [PAPER, readout], hand_through)
    sums = read_sums(split, source, readout)
    proposals, pair = read_proposals(split.layout.proposals(source)), 0
    for expression, image in enumerate(IMAGE_OF):
        heat = heat_map(split.maps[expression], [1], readout, square_frame(*SIZES[image], "letterbox"))
        rows = proposals.rows_for(expression, image)
        for mask in decode_masks(proposals.counts[rows.start : rows.stop], *SIZES[image]):
            above = sums.inside[pair] / mask.sum() - sums.total[expression] / mask.size
            assert sums.factor[expression] * above == pytest.approx(heat[mask].mean() - heat.mean(), abs=1e-6)
            pair += 1
    assert pair == len(sums.inside)


def test_the_store_says_what_it_was_made_from(split: SmallSplit) -> None:
    provenance = PooledStore.open(split.layout.pooled("weak")).attributes["provenance"]
    assert set(provenance["inputs"]) == {"images", "expressions", "text", "proposals", "attention/paper"}
    assert provenance["parameters"] == {
        "grids": ["letterbox_8x8"],
        "heat": {heat_name(readout): readout.model_dump(mode="json") for readout in (BENT, SMOOTH)},
    }


def test_dimensions_have_names(split: SmallSplit) -> None:
    found = read_dimensions(split.layout.pooled("regions"))
    grids = {name: names for name, names in found.items() if "/" not in name}
    assert grids == {"letterbox_8x8": ("proposal", "height_8", "width_8")}
    assert {names for name, names in found.items() if "/" in name} == {("expression_mask",), ("expression",)}


def test_without_a_readout_that_is_bent_no_text_is_read(
    split: SmallSplit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(split.layout), "pooled", lambda _, name: tmp_path / name)
    monkeypatch.setattr(type(split.layout), "text", tmp_path / "none.parquet")
    assert pool_split(split.layout, ["regions"], [PAPER], hand_through).summed == []
    with pytest.raises(ArtifactMissingError, match=r"none.parquet: not there"):
        pool_split(split.layout, ["weak"], [PAPER, BENT], hand_through)


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
    with pytest.raises(StoreMismatchError, match=r"heat of this readout is not summed \(heat_.*\); run `dvc repro`"):
        read_sums(split, "regions", BENT.model_copy(update={"piece": "first"}))
    inputs = heat_inputs(split.layout, "regions", BENT)
    with pytest.raises(StoreMismatchError, match=r"inside has shape \[23\], expected \[24\]"):
        store.read_sums(BENT, inputs, len(IMAGE_OF), 24)


def test_sums_of_another_input_are_refused(tmp_path: Path) -> None:
    split = make_split(tmp_path, PAPER, (0.5,), (BENT,))
    read_sums(split, "regions", BENT)
    rows = [parsed(index) for index in range(len(IMAGE_OF))]
    write_text(split.layout.text, rows, {"made": "again"})
    assert len(read_text(split.layout.text)) == len(IMAGE_OF)
    with pytest.raises(StoreMismatchError, match=r"was not made from .*text.parquet as it is now; run `dvc repro`"):
        read_sums(split, "regions", BENT)


def test_damage_is_found(tmp_path: Path) -> None:
    split = make_split(tmp_path, PAPER, (0.5,), (BENT,))
    path = split.layout.pooled("regions")
    name = f"{heat_name(BENT)}/inside/c/0"
    for each in ("letterbox_8x8/c/0/0/0", name):
        content = bytearray((path / each).read_bytes())
        content[len(content) // 2] ^= 1
        (path / each).write_bytes(content)
    with pytest.raises(ShardCorruptError, match="letterbox_8x8/c/0/0/0: shard is damaged"):
        PooledStore.open(path).read("letterbox", (8, 8), range(1))
    with pytest.raises(ShardCorruptError, match="inside/c/0: shard is damaged"):
        read_sums(split, "regions", BENT)
    (path / name).unlink()
    with pytest.raises(ShardCorruptError, match="missing or not"):
        PooledStore.open(path)


def test_scoring_imports_neither_zarr_nor_a_model_library() -> None:
    dear = "{'zarr', 'numcodecs', 'torch', 'spacy', 'dask', 'pandas'}"
    for module in ("stages.fuse_scores", "stages.evaluate_masks", "refdiff.sweep.run", "refdiff.sweep.command"):
        script = f"import sys, {module}; found = {dear} & set(sys.modules); assert not found, found"
        subprocess.run([sys.executable, "-c", script], check=True)
