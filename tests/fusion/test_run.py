from collections.abc import Iterable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from refdiff.errors import ArtifactMissingError, ParameterError, StoreMismatchError
from refdiff.fusion.inputs import open_inputs
from refdiff.fusion.photo import choose_mask
from refdiff.fusion.predictions import PredictionTable, read_predictions, write_predictions
from refdiff.fusion.run import fuse_split
from refdiff.fusion.scores import ClipViews
from refdiff.fusion.settings import FuseScoresSettings
from refdiff.geometry import square_frame
from refdiff.heat.heat_map import heat_map
from refdiff.heat.readout import ReadoutSettings
from refdiff.masks.rle import decode_mask
from refdiff.parquet import read_provenance
from refdiff.proposals.candidates import of_masks
from refdiff.text.tables import read_text, write_text
from tests.fusion.rows import ARGMAX, PAPER, make_method
from tests.fusion.small_split import DIRECTIONS, IMAGE_OF, SIZES, TARGET_OF, TOKENS, SmallSplit, make_split
from tests.heat.test_heat_map import PAPER as PAPER_READOUT
from tests.heat.test_heat_map import RELEASED

SHARDS = 2
THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.9)
RELEASED_READOUT = RELEASED.model_copy(update={"capture": "paper"})
SUMMED = (RELEASED_READOUT, RELEASED_READOUT.model_copy(update={"round_to_8_bit": False}))


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> SmallSplit:
    return make_split(tmp_path_factory.mktemp("split"), PAPER_READOUT, THRESHOLDS, SUMMED)


def _hand_through(steps: Iterable, total: int) -> Iterable:
    assert total in (SHARDS, len(SIZES))  # shards of the heat, photos of CLIP
    return steps


def _fuse(
    split: SmallSplit, readout: ReadoutSettings | None = PAPER_READOUT, pool: bool = True, **changes: Any
) -> PredictionTable:
    method = make_method(PAPER, **changes)
    settings = FuseScoresSettings(pool_masks=pool)
    inputs = open_inputs(split.layout, method, readout, settings)
    return fuse_split(inputs, method, readout, _hand_through)


@pytest.mark.parametrize("readout", [PAPER_READOUT, RELEASED_READOUT])
def test_every_choice_is_that_of_the_photo_in_memory(split: SmallSplit, readout: ReadoutSettings) -> None:
    method = make_method(PAPER, keep_largest=3)
    table = _fuse(split, readout, keep_largest=3)
    assert table.expression_id == [f"e{index}" for index in range(6)]
    first = {0: 0, 1: 5, 2: 9}
    position = 1 if readout.token_rule == "root_or_subject" else None
    for index, image in enumerate(IMAGE_OF):
        frame = square_frame(*SIZES[image], "letterbox")
        heat = heat_map(split.maps[index], [position or TOKENS[index]], readout, frame)
        direction = DIRECTIONS[index]
        variant = "none" if direction == "none" else f"paper_{direction}"
        views = ClipViews(
            split.local[image]["none"],
            split.global_view[image][variant],
            split.sentences[index],
            split.heads[index],
        )
        choice = choose_mask(method, of_masks(split.masks[image]), heat, views)
        expected = choice.index + first[image] if choice.index >= 0 else -1
        assert table.proposal_index[index] == expected
        assert table.n_proposals[index] == choice.kept.sum()
        if choice.index >= 0:
            assert table.score[index] == pytest.approx(choice.scores.total[choice.index], abs=1e-5)
            assert table.score_generative[index] == pytest.approx(choice.scores.generative[choice.index], abs=1e-5)
            assert table.score_local[index] == pytest.approx(choice.scores.local[choice.index], abs=1e-5)


def test_pooled_and_full_size_masks_choose_the_same(split: SmallSplit) -> None:
    pooled, full = _fuse(split, pool=True), _fuse(split, pool=False)
    assert (pooled.proposal_index == full.proposal_index).all()
    np.testing.assert_allclose(pooled.score, full.score, atol=1e-5)


@pytest.mark.parametrize("readout", SUMMED, ids=["8-bit", "not-rounded"])
def test_stored_sums_choose_bit_for_bit_what_the_photo_does(split: SmallSplit, readout: ReadoutSettings) -> None:
    weak = {"proposals": "weak", "generative_weight": 1.0, "discriminative_weight": 0.0}
    for each in ({}, {"keep_largest": 2}, weak, {**weak, "select": {**ARGMAX, "rule": "otsu"}}):
        summed, full = (_fuse(split, readout, pool, **each) for pool in (True, False))
        for field in fields(PredictionTable):
            np.testing.assert_array_equal(getattr(summed, field.name), getattr(full, field.name))


def test_the_table_holds_the_chosen_mask_and_its_overlap(split: SmallSplit) -> None:
    table = _fuse(split)
    for index, image in enumerate(IMAGE_OF):
        height, width = SIZES[image]
        assert (table.height[index], table.width[index]) == (height, width)
        mask = decode_mask(table.counts[index], height, width)
        row = table.proposal_index[index]
        if row < 0:
            assert not mask.any()
        else:
            assert (mask == split.masks[image][row - (0, 5, 9)[image]]).all()
        if TARGET_OF[index] < 0:
            assert (table.intersection[index], table.union[index]) == (-1, -1)
        else:
            truth = split.truths[TARGET_OF[index]]
            assert table.intersection[index] == (mask & truth).sum()
            assert table.union[index] == (mask | truth).sum()


def test_an_expression_without_proposals_is_an_empty_prediction(split: SmallSplit) -> None:
    table = _fuse(split)
    assert table.proposal_index[5] == -1
    assert table.n_proposals[5] == 0
    assert np.isnan(table.score[5])
    assert (table.intersection[5], table.union[5]) == (0, split.truths[4].sum())


def test_parts_that_are_not_in_the_method_are_nan(split: SmallSplit) -> None:
    only_heat = _fuse(split, discriminative_weight=0.0)
    assert np.isnan(only_heat.score_local).all()
    assert not np.isnan(only_heat.score_generative[:5]).any()
    only_clip = _fuse(split, None, generative_weight=0.0)
    assert np.isnan(only_clip.score_generative).all()
    assert not np.isnan(only_clip.score_global[:5]).any()


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        (ARGMAX, None),
        ({**ARGMAX, "rule": "fixed", "threshold": 0.55}, 0.5),
        ({**ARGMAX, "rule": "otsu"}, None),
        ({**ARGMAX, "rule": "area", "area_power": 0.5}, None),
    ],
    ids=["argmax", "fixed", "otsu", "area"],
)
def test_masks_cut_from_heat(split: SmallSplit, select: dict, expected: float | None) -> None:
    table = _fuse(split, proposals="weak", generative_weight=1.0, discriminative_weight=0.0, select=select)
    assert (table.proposal_index >= 0).all()
    for index, image in enumerate(IMAGE_OF):
        heat = heat_map(split.maps[index], [TOKENS[index]], PAPER_READOUT, square_frame(*SIZES[image], "letterbox"))
        mask = decode_mask(table.counts[index], *SIZES[image])
        assert (mask == (heat >= table.threshold[index] - 1e-6)).mean() > 0.999
        assert table.score_generative[index] == pytest.approx(heat[mask].mean() - heat[~mask].mean(), abs=1e-4)
        if expected is not None:
            assert table.threshold[index] == pytest.approx(expected)


def test_rules_of_thresholds_refuse_masks_of_photos(split: SmallSplit) -> None:
    with pytest.raises(ParameterError, match="need proposals that were cut from a heat map"):
        _fuse(split, select={**ARGMAX, "rule": "fixed", "threshold": 0.5})


def test_a_readout_of_layers_that_are_not_stored_is_refused(split: SmallSplit) -> None:
    with pytest.raises(ParameterError, match="not in capture"):
        _fuse(split, PAPER_READOUT.model_copy(update={"layers": ("up.9",)}))


def test_what_is_not_there_is_named(split: SmallSplit) -> None:
    with pytest.raises(ArtifactMissingError, match=r"sam.parquet: not there; run `dvc repro`"):
        _fuse(split, proposals="sam", discriminative_weight=0.0)


def test_text_of_another_split_is_refused(tmp_path: Path) -> None:
    other = make_split(tmp_path, PAPER_READOUT, THRESHOLDS)
    assert len(read_text(other.layout.text)) == 6
    write_text(other.layout.text, [], {})
    with pytest.raises(StoreMismatchError, match="expected a row for each of 6 expressions, got 0"):
        _fuse(other)


@pytest.mark.parametrize(("target", "intersection", "union"), [(-1, 9, 5), (-1, -1, 5), (0, 9, 5), (0, -1, -1)])
def test_an_overlap_that_cannot_be_is_refused(
    split: SmallSplit, tmp_path: Path, target: int, intersection: int, union: int
) -> None:
    table = _fuse(split)
    bent: dict[str, Any] = {}
    for name, value in (("target_index", target), ("intersection", intersection), ("union", union)):
        bent[name] = getattr(table, name).copy()
        bent[name][2] = value
    write_predictions(tmp_path / "predictions.parquet", replace(table, **bent), {})
    with pytest.raises(StoreMismatchError, match=r"row 2: expected an intersection from 0 to the union, or -1"):
        read_predictions(tmp_path / "predictions.parquet")


def test_the_table_is_written_and_read(split: SmallSplit, tmp_path: Path) -> None:
    table = _fuse(split)
    path = tmp_path / "val" / "predictions.parquet"
    write_predictions(path, table, {"stage": "fuse_scores"})
    again = read_predictions(path)
    assert again.counts == table.counts
    assert again.sentence == table.sentence
    np.testing.assert_array_equal(again.score, table.score)
    np.testing.assert_array_equal(again.union, table.union)
    assert read_provenance(path) == {"stage": "fuse_scores"}
