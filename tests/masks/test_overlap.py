from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from refdiff.dataset.tables import Dataset, Expressions, Images, Targets
from refdiff.errors import ArtifactMissingError, StoreMismatchError
from refdiff.masks.overlap import OVERLAP, OverlapTable, join_tables, measure_overlap, read_overlap, write_overlap
from refdiff.masks.rle import encode_masks
from refdiff.parquet import write_table
from refdiff.proposals.candidates import of_masks
from refdiff.proposals.tables import ProposalTable, read_proposals, write_proposals

SIZES = ((7, 9), (12, 5))
TARGETS_OF = (2, 3)
EXPRESSION_TARGETS = (1, 0, -1, 1, 4, 2, 4)  # photo 0 has the first four


def _dataset(truths: list[np.ndarray]) -> Dataset:
    masks = [mask for stack in truths for mask in stack]
    image_of = [image for image, n in enumerate(TARGETS_OF) for _ in range(n)]
    expression_images = [0, 0, 0, 0, 1, 1, 1]
    names = [str(i) for i in range(len(EXPRESSION_TARGETS))]
    return Dataset(
        Images(
            ["a", "b"],
            ["a.png", "b.png"],
            *(np.array(side, np.int32) for side in zip(*SIZES, strict=True)),
            sha256=["0" * 64] * 2,
        ),
        Expressions(
            names,
            names,
            np.array(expression_images, np.int32),
            ["ab"[i] for i in expression_images],
            names,
            np.array(EXPRESSION_TARGETS, np.int32),
        ),
        Targets(
            names[: len(masks)],
            np.array(image_of, np.int32),
            [code for stack in truths for code in encode_masks(stack)],
            np.array([mask.sum() for mask in masks], np.int64),
            np.ones(len(masks), np.int32),
        ),
        {"provenance": {}},
    )


def _random(rng: np.random.Generator, n: int, size: tuple[int, int]) -> np.ndarray:
    return rng.random((n, *size)) < rng.random((n, 1, 1))


def _table(path: Path, stacks: list[np.ndarray], images: list[int], expressions: range | None) -> ProposalTable:
    write_proposals(path, [of_masks(stack) for stack in stacks], images, expressions, {})
    return read_proposals(path)


def _check(table: OverlapTable, truths: list[np.ndarray], masks: list[np.ndarray]) -> None:
    flat = [mask for stack in truths for mask in stack]
    for target, proposal, shared, joint in zip(
        table.target_index, table.proposal_index, table.intersection, table.union, strict=True
    ):
        truth, mask = flat[target], masks[proposal]
        assert shared == (truth & mask).sum()
        assert joint == (truth | mask).sum()


@pytest.mark.parametrize("seed", range(3))
def test_photos_masks_meet_every_true_mask_of_the_photo(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    truths = [_random(rng, n, size) for n, size in zip(TARGETS_OF, SIZES, strict=True)]
    truths[0][1] = False
    stacks = [_random(rng, 4, SIZES[0]), _random(rng, 3, SIZES[1])]
    table = join_tables(measure_overlap(_dataset(truths), _table(tmp_path / "x", stacks, [0, 1], None)))
    pairs = list(zip(table.target_index.tolist(), table.proposal_index.tolist(), strict=True))
    assert pairs == [(t, p) for t in range(2) for p in range(4)] + [(t, p) for t in range(2, 5) for p in range(4, 7)]
    _check(table, truths, [mask for stack in stacks for mask in stack])
    shared, joint = table.lookup(3, range(4, 7))
    expected = [((truths[1][1] & mask).sum(), (truths[1][1] | mask).sum()) for mask in stacks[1]]
    assert list(zip(shared.tolist(), joint.tolist(), strict=True)) == expected
    assert table.lookup(3, range(5, 6))[0].tolist() == [expected[1][0]]
    assert len(table.lookup(0, range(0, 0))[0]) == 0


def test_expressions_masks_meet_their_own_target(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    truths = [_random(rng, n, size) for n, size in zip(TARGETS_OF, SIZES, strict=True)]
    images = [0, 0, 0, 0, 1, 1, 1]
    stacks = [_random(rng, n, SIZES[image]) for n, image in zip((2, 1, 3, 2, 0, 1, 2), images, strict=True)]
    proposals = _table(tmp_path / "x", stacks, images, range(7))
    table = join_tables(measure_overlap(_dataset(truths), proposals))
    assert list(zip(table.target_index.tolist(), table.proposal_index.tolist(), strict=True)) == [
        (0, 2),
        (1, 0),
        (1, 1),
        (1, 6),
        (1, 7),
        (2, 8),
        (4, 9),
        (4, 10),
    ]
    _check(table, truths, [mask for stack in stacks for mask in stack])
    assert len(table.lookup(1, proposals.rows_of_expression(3))[0]) == 2
    with pytest.raises(StoreMismatchError, match="target 0 with proposal 3 was not measured"):
        table.lookup(0, range(3, 6))


@given(arrays(np.bool_, st.tuples(st.integers(2, 6), st.integers(1, 8), st.integers(1, 8))), st.data())
def test_iou_is_that_of_pycocotools(stack: np.ndarray, data: Any) -> None:
    size = stack.shape[1:]
    cut = data.draw(st.integers(1, len(stack) - 1))
    truth, masks = stack[:cut], stack[cut:]
    dataset = _dataset([truth, truth[:0]])
    dataset = Dataset(
        Images(["a"], ["a.png"], np.array([size[0]], np.int32), np.array([size[1]], np.int32), ["0" * 64]),
        dataset.expressions,
        Targets(
            ["r"] * cut,
            np.zeros(cut, np.int32),
            encode_masks(truth),
            truth.sum(axis=(1, 2)).astype(np.int64),
            np.ones(cut, np.int32),
        ),
        {},
    )
    proposals = of_masks(masks)
    n = len(masks)
    column = np.zeros(n, np.int32)
    table = ProposalTable(
        False,
        column,
        column - 1,
        np.arange(n, dtype=np.int32),
        list(proposals.counts),
        proposals.areas,
        proposals.confidence,
        proposals.thresholds,
    )
    measured = join_tables(measure_overlap(dataset, table))
    codes = [
        [{"size": list(size), "counts": code} for code in part] for part in (encode_masks(truth), proposals.counts)
    ]
    expected: Any = coco.iou(codes[0], codes[1], [0] * n)  # pyright: ignore[reportArgumentType]
    iou = measured.intersection / np.maximum(measured.union, 1)
    np.testing.assert_array_equal(iou.reshape(cut, n), expected)


def test_a_split_without_masks_has_no_pairs(tmp_path: Path) -> None:
    truths = [np.zeros((n, *size), np.bool_) for n, size in zip(TARGETS_OF, SIZES, strict=True)]
    for expressions in (None, range(2)):
        stacks = [np.zeros((0, *size), np.bool_) for size in SIZES]
        table = join_tables(measure_overlap(_dataset(truths), _table(tmp_path / "x", stacks, [0, 1], expressions)))
        path = tmp_path / "overlap.parquet"
        write_overlap(path, table, {})
        assert len(read_overlap(path)) == 0


def test_tables_come_back_and_those_out_of_order_do_not(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    columns = {"target_index": [0, 0, 1], "proposal_index": [0, 1, 0], "intersection": [1, 2, 3], "union": [4, 5, 6]}
    write_table(path, OVERLAP, columns, {})
    table = read_overlap(path)
    assert [values.tolist() for values in table.lookup(0, range(2))] == [[1, 2], [4, 5]]
    with pytest.raises(StoreMismatchError, match="target 2 with proposal 0 was not measured"):
        table.lookup(2, range(1))
    write_table(path, OVERLAP, {**columns, "target_index": [1, 0, 0]}, {})
    with pytest.raises(StoreMismatchError, match="rows are not in order"):
        read_overlap(path)
    with pytest.raises(ArtifactMissingError, match="run `dvc repro`"):
        read_overlap(tmp_path / "nosuch.parquet")
