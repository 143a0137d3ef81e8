"""Scores from sums of heat that were stored are those of the photo, bit for bit, on any split."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refdiff.attention.maps import CrossMaps, MapKey
from refdiff.dataset.tables import Dataset, Expressions, Images, Targets, read_dataset, write_dataset
from refdiff.errors import StoreMismatchError
from refdiff.fusion.inputs import FusionInputs, open_inputs
from refdiff.fusion.parts import measure_parts
from refdiff.fusion.settings import FuseScoresSettings
from refdiff.heat.readout import ReadoutSettings
from refdiff.layout import SplitLayout
from refdiff.masks.overlap import join_tables, write_overlap
from refdiff.pooling.split import pool_split
from refdiff.proposals.candidates import of_masks
from refdiff.proposals.tables import read_proposals, write_proposals
from refdiff.text.tables import write_text
from tests.fusion.rows import RELEASED as ROW
from tests.fusion.rows import make_method
from tests.fusion.small_split import parsed, publish_attention
from tests.heat.test_heat_map import READOUTS

CELLS = (8, 4)
BENT = [readout.model_copy(update={"token_rule": "root_or_subject"}) for readout in READOUTS[1:]]


def hand_through(steps, total):
    return steps


def draw_split(root: Path, seed: int, per_expression: bool) -> SplitLayout:
    """Photos with any number of expressions and masks, none included; some masks are empty or cover the photo."""
    rng, layout = np.random.default_rng(seed), SplitLayout("val", root)
    sizes = rng.integers(3, 40, (int(rng.integers(1, 5)), 2))
    image_of = np.repeat(np.arange(len(sizes)), rng.integers(0, 5, len(sizes))).astype(np.int32)
    image_of = np.zeros(1, np.int32) if len(image_of) == 0 else image_of
    count, names = len(image_of), [f"photo{image}" for image in range(len(sizes))]
    ids = [f"e{index}" for index in range(count)]
    dataset = Dataset(
        Images(
            names,
            [f"{name}.png" for name in names],
            sizes[:, 0].astype(np.int32),
            sizes[:, 1].astype(np.int32),
            ["0" * 64] * len(names),
        ),
        Expressions(ids, ids, image_of, [names[image] for image in image_of], ids, np.full(count, -1, np.int32)),
        Targets([], np.zeros(0, np.int32), [], np.zeros(0, np.int64), np.zeros(0, np.int32)),
        {"split": "val", "dropped": [], "provenance": {}},
    )
    write_dataset(layout.dataset, dataset)
    rows = [parsed(int(index)) for index in rng.integers(0, 6, count)]
    write_text(layout.text, rows, {})
    keys = {(side, side): tuple(MapKey(0, at, f"layer{side}.{at}", side, side) for at in range(2)) for side in CELLS}
    maps = [
        CrossMaps(keys, {size: rng.random((row.unet_tokens, 2, *size)).astype(np.float32) for size in keys})
        for row in rows
    ]
    publish_attention(layout.attention("paper"), maps, len(sizes))
    owners = image_of if per_expression else np.arange(len(sizes))
    parts = [of_masks(_draw_masks(rng, *sizes[image])) for image in owners]
    write_proposals(layout.proposals("regions"), parts, owners.tolist(), range(count) if per_expression else None, {})
    write_overlap(layout.overlap("regions"), join_tables([]), {})
    return layout


def _draw_masks(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    shares = rng.choice([0.0, 0.2, 0.7, 1.0], (int(rng.integers(0, 5)), 1, 1))
    return rng.random((len(shares), height, width)) < shares


def open_released(layout: SplitLayout, readout: ReadoutSettings, pool: bool) -> FusionInputs:
    method = make_method(ROW, discriminative_weight=0.0, keep_largest=3)
    return open_inputs(layout, method, readout, FuseScoresSettings(pool_masks=pool))


@pytest.mark.parametrize("per_expression", [False, True])
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), readout=st.sampled_from(BENT), keep=st.sampled_from([None, 1, 3]))
def test_scores_are_the_same(per_expression: bool, seed: int, readout: ReadoutSettings, keep: int | None) -> None:
    method = make_method(ROW, discriminative_weight=0.0, keep_largest=keep)
    with TemporaryDirectory() as folder:
        layout = draw_split(Path(folder), seed, per_expression)
        pool_split(layout, ["regions"], [readout], hand_through)
        stored, full = (
            measure_parts(open_released(layout, readout, pool), method, readout, hand_through) for pool in (True, False)
        )
        assert stored.generative is not None
        assert full.generative is not None
        np.testing.assert_array_equal(stored.valid, full.valid)
        assert stored.generative.tobytes() == full.generative.tobytes()


def test_attention_is_not_opened_and_sums_of_other_proposals_are_refused(tmp_path: Path) -> None:
    layout = draw_split(tmp_path, 3, False)
    pool_split(layout, ["regions"], BENT[:1], hand_through)
    assert open_released(layout, BENT[0], True).attention is None
    with pytest.raises(StoreMismatchError, match=r"heat of this readout is not summed"):
        open_released(layout, BENT[1], True)
    write_proposals(layout.proposals("regions"), [], [], None, {})
    with pytest.raises(StoreMismatchError, match=r"not made from .*regions.parquet as it is now"):
        open_released(layout, BENT[0], True)


def test_masks_pooled_from_other_proposals_are_refused(tmp_path: Path) -> None:
    """As many as before, so that nothing else tells."""
    layout, readout = draw_split(tmp_path, 3, per_expression=False), READOUTS[0]
    pool_split(layout, ["regions"], [readout], hand_through)
    assert open_released(layout, readout, pool=True).pooled is not None
    sizes = read_dataset(layout.dataset).images
    rng, shapes = np.random.default_rng(9), list(zip(sizes.height, sizes.width, strict=True))
    count = np.bincount(read_proposals(layout.proposals("regions")).image_index, minlength=len(shapes))
    parts = [of_masks(rng.random((n, *shape)) < 0.5) for n, shape in zip(count, shapes, strict=True)]
    write_proposals(layout.proposals("regions"), parts, range(len(shapes)), None, {})
    with pytest.raises(StoreMismatchError, match=r"not made from .*regions.parquet as it is now; run `dvc repro`"):
        open_released(layout, readout, pool=True)
    assert open_released(layout, readout, pool=False).pooled is None
