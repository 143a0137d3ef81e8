"""NaN and infinity in a store, however they came there, are refused by name: never scored, never chosen."""

import copy
import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from refdiff.errors import ShardCorruptError, StoreMismatchError
from refdiff.evaluation.settings import EvaluateMasksSettings
from refdiff.fusion.inputs import open_inputs
from refdiff.fusion.photo import choose_mask
from refdiff.fusion.predictions import read_predictions, write_predictions
from refdiff.fusion.run import fuse_split
from refdiff.fusion.scores import ClipViews, check_scores
from refdiff.fusion.settings import FuseScoresSettings
from refdiff.layout import SplitLayout
from refdiff.proposals.candidates import of_masks
from refdiff.store import attention_writer
from refdiff.sweep.measure import measure_weightings
from tests.fusion.rows import PAPER, make_method
from tests.fusion.small_split import SIZES, SmallSplit, make_split, publish_attention
from tests.heat.test_heat_map import PAPER as READOUT

METHOD = make_method(PAPER)
EVALUATING = EvaluateMasksSettings(unit="expression", comparison=">=", precision_at=(0.5,), histogram_bins=4)


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> SmallSplit:
    return make_split(tmp_path_factory.mktemp("split"), READOUT, (0.5,))


@pytest.fixture
def copied(split: SmallSplit, tmp_path: Path) -> SplitLayout:
    shutil.copytree(split.layout.root, tmp_path / "copy")
    return SplitLayout("val", tmp_path / "copy")


def _poison(store: Path, array: str, value: float) -> None:
    """Write a value into every row of an array, and make the store whole again."""
    opened: Any = zarr.open_array(store / array, mode="r+")
    opened[..., -1] = value
    root = json.loads((store / "zarr.json").read_bytes())
    for name, entry in root["attributes"]["files"].items():
        if name.startswith(f"{array}/"):
            content = (store / name).read_bytes()
            found = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            root["attributes"]["files"][name] = found if isinstance(entry, dict) else len(content)
    (store / "zarr.json").write_text(json.dumps(root))


def _refuse(layout: SplitLayout, message: str, pool: bool = True) -> None:
    """Both that score a split refuse it."""

    def fuse() -> None:
        inputs = open_inputs(layout, METHOD, READOUT, FuseScoresSettings(pool_masks=pool))
        fuse_split(inputs, METHOD, READOUT, lambda steps, _: steps)

    def sweep() -> None:
        inputs = open_inputs(layout, METHOD, READOUT, FuseScoresSettings(pool_masks=pool))
        measure_weightings(inputs, [METHOD], READOUT, EVALUATING, lambda steps, _: steps)

    for score in (fuse, sweep):
        with pytest.raises(ShardCorruptError, match=f"{message}: holds NaN or infinity; expected finite numbers; "):
            score()


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(
    ("array", "message"),
    [
        ("text", "regions.zarr: text 0"),
        ("local", r"regions.zarr: local view \(none\) of photo 0, proposal 0"),
        ("global", r"regions.zarr: global view \(paper_left\) of photo 0, proposal 0"),
    ],
)
def test_embeddings_are_refused_where_they_are_read(
    copied: SplitLayout, array: str, message: str, value: float
) -> None:
    _poison(copied.clip("regions"), array, value)
    _refuse(copied, message)


def test_pooled_masks_are_refused_where_they_are_read(copied: SplitLayout) -> None:
    _poison(copied.pooled("regions"), "letterbox_8x8", np.nan)
    _refuse(copied, "regions.zarr: letterbox_8x8, mask 0")


def test_attention_is_refused_with_expression_and_photo(
    split: SmallSplit, copied: SplitLayout, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cast(values: NDArray[np.floating], where: str) -> NDArray[np.float16]:
        return values.astype(np.float16)

    monkeypatch.setattr(attention_writer, "_to_half", cast)  # the writer itself refuses it
    maps = copy.deepcopy(split.maps)
    maps[4].maps[4, 4][:] = np.nan
    shutil.rmtree(copied.attention("paper"))
    publish_attention(copied.attention("paper"), maps, len(SIZES))
    _refuse(copied, r"paper.zarr: expression e4 of photo photo1: attention of 4 x 4", pool=False)


def test_a_part_is_refused_with_its_expression_whoever_measured_it() -> None:
    parts = np.zeros((3, 2))
    parts[2, 1] = np.nan
    with pytest.raises(ShardCorruptError, match="row 2: a part of its score: holds NaN or infinity"):
        check_scores((None, np.zeros((3, 2)), parts), lambda row: f"row {row}")


@pytest.mark.parametrize("part", ["heat", "views"])
def test_nothing_is_chosen_in_memory(split: SmallSplit, part: str) -> None:
    heat, views = np.linspace(0, 1, 24 * 32).reshape(24, 32), np.ones((5, 3))
    (heat if part == "heat" else views)[0] = np.nan
    with pytest.raises(ShardCorruptError, match="a part of its score: holds NaN or infinity"):
        choose_mask(METHOD, of_masks(split.masks[0]), heat, ClipViews(views, np.ones((5, 3)), np.ones(3), np.ones(3)))


def test_a_table_of_predictions_has_no_choice_without_a_score(split: SmallSplit, tmp_path: Path) -> None:
    inputs = open_inputs(split.layout, METHOD, READOUT, FuseScoresSettings(pool_masks=True))
    table = fuse_split(inputs, METHOD, READOUT, lambda steps, _: steps)
    table.score[0] = np.nan
    write_predictions(tmp_path / "table.parquet", table, {})
    with pytest.raises(StoreMismatchError, match="a score that is a finite number where a proposal is chosen"):
        read_predictions(tmp_path / "table.parquet")
