"""Source `regions`: class-agnostic regions without weights, from hierarchies of merged superpixels.

A region that stays whole over a wide range of merge distances is likely a thing: its parts are alike (low birth) and
its surroundings are not (high death). Such regions are the proposals.
"""

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from skimage.transform import resize

from refdiff.masks.rle import encode_mask
from refdiff.proposals.candidates import Proposals, of_codes
from refdiff.proposals.connected import label_parts
from refdiff.proposals.region_tree import RegionTree, build_tree, leaf_ranges
from refdiff.proposals.settings import RegionsSettings
from refdiff.proposals.source import Photo
from refdiff.proposals.superpixels import cut_superpixels, to_lab

LAB_RANGE = 100.0
COLOURS = 3


@dataclass(frozen=True, slots=True)
class RegionsSource:
    """Regions of a photo; deterministic, the photo alone decides.

    Attributes:
        settings: How they are found.
    """

    settings: RegionsSettings
    of_pixels: ClassVar[bool] = True

    def load(self) -> None:
        """There is no model."""

    def propose(self, photo: Photo) -> Proposals:
        """Regions of the photo, most confident first."""
        return propose_regions(photo.pixels(), self.settings)

    def identity(self) -> dict[str, Any]:
        """The library whose filters decide the regions."""
        return {"scikit-image": version("scikit-image"), "numpy": version("numpy")}


def propose_regions(rgb: NDArray[np.uint8], settings: RegionsSettings) -> Proposals:
    """Regions of a photo.

    Args:
        rgb: RGB uint8 `[height width 3]`.
        settings: How they are found.

    Returns:
        Proposals at the photo's size, most confident first, without repeated masks. Confidence is in [0, 1]: the range
        of merge distances over which the region stays whole, by 100 Lab units, times its share of the photo to
        `area_power`.
    """
    height, width = rgb.shape[:2]
    lab = to_lab(_scaled_down(rgb, settings.working_px))
    found: dict[bytes, float] = {}
    for smoothing_px in settings.smoothing_px:
        cut = cut_superpixels(lab, smoothing_px, settings.gradient_step)
        tree = build_tree(cut, settings.boundary_weight, settings.texture_weight, settings.small_px)
        position, runs = leaf_ranges(tree.children, len(tree.children) + 1)
        places = position[cut.labels]
        border = _sums(_border_counts(places), runs)
        chosen = _choose_nodes(tree, border / border[-1], settings)
        places = _scaled_up(places, height, width)
        for node, confidence in chosen:
            first, last = runs[node]
            mask = (places >= first) & (places < last)
            if settings.fill_holes:
                mask = fill_holes(mask)
            code = encode_mask(mask)
            if mask.any():
                found[code] = max(confidence, found.get(code, 0.0))
    best = sorted(found.items(), key=lambda item: -item[1])[: settings.max_regions]
    return of_codes([code for code, _ in best], height, width, confidence=[value for _, value in best])


def fill_holes(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask with every hole filled: the outside is what reaches the photo's border, over edges."""
    outside = label_parts(np.pad(~mask, 1, constant_values=True), corners=False)
    return (outside != outside[0, 0])[1:-1, 1:-1]


def _choose_nodes(
    tree: RegionTree, border_share: NDArray[np.float64], settings: RegionsSettings
) -> list[tuple[int, float]]:
    """Nodes that are proposals, with their confidence.

    Args:
        tree: The hierarchy; its last node is the whole photo, and never a proposal.
        border_share: Share of the photo's border that each node covers, `[nodes]`.
        settings: What a proposal must be.
    """
    share = tree.area / tree.area[-1]
    death = np.where(np.isfinite(tree.death), tree.death, 0.0)
    gain = np.maximum(death - tree.birth, 0.0)
    is_ground = border_share > settings.max_border_share
    good = (
        (death >= settings.min_contrast)
        & (gain > 0)
        & (gain >= settings.min_persistence * death)
        & (share <= settings.max_area_share)
        & ~is_ground
    )
    if is_ground.any() and settings.ground_distance > 0:
        # Nodes are in the order of merging: the first is the ground before anything else was merged with it.
        ground = tree.mean[np.argmax(is_ground), :COLOURS]
        good &= np.linalg.norm(tree.mean[:, :COLOURS] - ground, axis=1) > settings.ground_distance
    confidence = np.minimum(gain / LAB_RANGE, 1.0) * share**settings.area_power
    return [(int(node), float(confidence[node])) for node in np.flatnonzero(good)]


def _border_counts(places: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of the photo's border pixels lie in each place."""
    edge = np.ones(places.shape, dtype=np.bool_)
    edge[1:-1, 1:-1] = False
    return np.bincount(places[edge], minlength=int(places.max()) + 1)


def _sums(counts: NDArray[np.int64], runs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sum of `counts` over each run of places."""
    total = np.concatenate([[0], np.cumsum(counts)])
    return total[runs[:, 1]] - total[runs[:, 0]]


def _scaled_down(rgb: NDArray[np.uint8], longest: int) -> NDArray[np.uint8]:
    height, width = rgb.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return rgb
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    scaled = np.asarray(resize(rgb, size, order=1, anti_aliasing=True, preserve_range=True))
    return np.rint(scaled).astype(np.uint8)


def _scaled_up(places: NDArray[np.int64], height: int, width: int) -> NDArray[np.int64]:
    """Nearest-neighbour enlargement to the photo's size."""
    rows = (np.arange(height) * 2 + 1) * places.shape[0] // (2 * height)
    columns = (np.arange(width) * 2 + 1) * places.shape[1] // (2 * width)
    return places[rows[:, None], columns[None, :]]
