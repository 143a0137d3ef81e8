import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from demo.scenes import draw_scene
from refdiff.masks.rle import encode_masks, mask_areas, mask_intersections
from refdiff.proposals.region_tree import build_tree, leaf_ranges
from refdiff.proposals.regions import fill_holes, propose_regions
from refdiff.proposals.superpixels import cut_superpixels, to_lab
from tests.proposals.rows import regions

noise = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=24).map(lambda hw: (*hw, 3)))


def _best_iou(codes: tuple[bytes, ...], truths: list[NDArray[np.bool_]]) -> NDArray[np.float64]:
    height, width = truths[0].shape
    true_codes = encode_masks(np.stack(truths))
    shared = mask_intersections(codes, true_codes, height, width)
    areas = np.add.outer(mask_areas(codes, height, width), mask_areas(true_codes, height, width))
    return shared / (areas - shared)


def test_the_objects_of_demo_scenes_are_found_and_little_else() -> None:
    best: list[float] = []
    wrong = 0
    for seed in range(9_100_000, 9_100_008):
        scene = draw_scene(seed)
        found = propose_regions(scene.image, regions())
        iou = _best_iou(found.counts, [each.mask for each in scene.objects])
        best += iou.max(axis=0).tolist()
        wrong += int((iou.max(axis=1) < 0.5).sum())
        assert len(found) <= 60
        assert (np.diff(found.confidence) <= 0).all()
        assert (found.confidence > 0).all()
        assert (found.confidence <= 1).all()
    assert np.mean(best) >= 0.88
    assert wrong <= len(best) / 4


def test_the_same_photo_gives_the_same_regions() -> None:
    image = draw_scene(9_100_001).image
    assert propose_regions(image, regions()).counts == propose_regions(image.copy(), regions()).counts


def _ring() -> NDArray[np.uint8]:
    rows, columns = np.mgrid[:60, :60]
    radius = np.hypot(rows - 30, columns - 30)
    rgb = np.full((60, 60, 3), 130, np.uint8)
    rgb[(radius < 22) & (radius > 12)] = (30, 60, 210)
    return rgb


def test_ground_seen_through_a_ring_is_no_proposal_unless_wanted() -> None:
    ring = propose_regions(_ring(), regions())
    assert len(ring) == 1
    assert not ring.masks[0, 30, 30]
    assert ring.masks[0, 30, 13]
    with_hole = propose_regions(_ring(), regions(ground_distance=0.0, max_border_share=0.4)).masks
    assert any(mask[30, 30] and not mask[30, 13] for mask in with_hole)
    filled = propose_regions(_ring(), regions(fill_holes=True)).masks
    assert filled[0, 30, 30]


def test_the_ground_is_dropped_by_the_share_of_the_border() -> None:
    kept = propose_regions(_ring(), regions(max_border_share=1.0, max_area_share=1.0, ground_distance=0.0))
    assert any(mask[0, 0] for mask in kept.masks)
    assert not any(mask[0, 0] for mask in propose_regions(_ring(), regions()).masks)


def test_a_large_photo_is_scaled_down_and_the_masks_up() -> None:
    large = np.kron(_ring(), np.ones((5, 5, 1), np.uint8))
    found = propose_regions(large, regions(working_px=60))
    truth = np.kron(_ring()[..., 2] == 210, np.ones((5, 5), np.uint8)).astype(np.bool_)
    assert found.masks.shape == (1, 300, 300)
    assert _best_iou(found.counts, [truth]).max() > 0.8


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (2000, 10), (3, 2)])
def test_photos_of_odd_sizes_pass(size: tuple[int, int]) -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    found = propose_regions(rgb, regions(min_contrast=0.0, min_persistence=0.0))
    assert found.masks.shape[1:] == size


def test_a_photo_of_one_colour_has_no_regions() -> None:
    assert len(propose_regions(np.full((40, 50, 3), 77, np.uint8), regions())) == 0


@settings(max_examples=25)
@given(noise)
def test_the_hierarchy_is_one_of_connected_growing_regions(rgb: np.ndarray) -> None:
    cut = cut_superpixels(to_lab(rgb), 1.0, 0.5)
    n = int(cut.labels.max()) + 1
    tree = build_tree(cut, 0.5, 1.0, 20)
    assert sorted(set(cut.labels.ravel().tolist())) == list(range(n))
    assert tree.children.shape == (n - 1, 2)
    assert sorted(tree.children.ravel().tolist()) == list(range(2 * n - 2))
    assert tree.area[-1] == rgb.shape[0] * rgb.shape[1]
    for merge, (a, b) in enumerate(tree.children):
        node = n + merge
        assert tree.area[node] == tree.area[a] + tree.area[b]
        assert tree.birth[node] == tree.death[a] == tree.death[b]
        assert tree.birth[node] >= max(tree.birth[a], tree.birth[b])
    position, runs = leaf_ranges(tree.children, n)
    assert sorted(position.tolist()) == list(range(n))
    sizes = np.bincount(position[cut.labels].ravel())
    assert [sizes[first:last].sum() for first, last in runs] == tree.area.tolist()


@given(arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=10)))
def test_filling_only_adds_pixels_that_cannot_reach_the_border(mask: np.ndarray) -> None:
    filled = fill_holes(mask)
    assert (filled >= mask).all()
    edge = np.ones_like(mask)
    edge[1:-1, 1:-1] = False
    assert (filled[edge] == mask[edge]).all()
    assert (fill_holes(filled) == filled).all()


@settings(max_examples=15)
@given(noise, st.sampled_from([1, 3]))
def test_at_most_the_wanted_number_of_distinct_masks_comes_out(rgb: np.ndarray, most: int) -> None:
    loose = {"min_contrast": 0.0, "min_persistence": 0.0, "smoothing_px": [0.7, 1.5]}
    everything, few = (propose_regions(rgb, regions(max_regions=n, **loose)) for n in (1000, most))
    assert len(set(everything.counts)) == len(everything)
    assert (everything.areas > 0).all()
    assert few.counts == everything.counts[:most]
