"""Hierarchy of regions: neighbours merged by likeness until one is left, with the level of each merge."""

import heapq
from dataclasses import dataclass
from math import dist, inf, sqrt

import numpy as np
from numpy.typing import NDArray

from refdiff.proposals.superpixels import Superpixels


@dataclass(frozen=True, slots=True)
class RegionTree:
    """Every region that merging passes through: first the superpixels, then one node per merge.

    Levels are distances in Lab units and never fall from child to parent.

    Attributes:
        children: int32 `[n - 1 2]`, the two nodes that merge i made node n + i of, n superpixels.
        birth: float64 `[2 n - 1]`, the largest distance inside a node; of a superpixel, its own spread of colour.
        death: float64 `[2 n - 1]`, the distance at which it is merged; infinite for the last.
        area: float64 `[2 n - 1]`, pixels.
        mean: float64 `[2 n - 1 4]`, mean colour (Lab) and weighted texture.
    """

    children: NDArray[np.int32]
    birth: NDArray[np.float64]
    death: NDArray[np.float64]
    area: NDArray[np.float64]
    mean: NDArray[np.float64]


@dataclass(slots=True)
class _Border:
    """Common border of two regions: its pixel pairs, and the sum of the edge height over them."""

    length: float
    step: float


def build_tree(cut: Superpixels, boundary_weight: float, texture_weight: float, small_px: int) -> RegionTree:
    """Merge the nearest two neighbours again and again.

    The distance of two regions is a mix of how their mean colours and textures differ and of the contrast along their
    common border; it is lowered for regions below `small_px`, which are mostly noise and edges.

    Args:
        cut: The first regions.
        boundary_weight: Share of the border's contrast in the mix.
        texture_weight: Weight of the texture (mean gradient) beside the three colours.
        small_px: Area from which on a region counts in full.
    """
    area, features, spread = _describe(cut, texture_weight)
    n = len(area)
    neighbours = _borders(cut, n)
    size = area.tolist() + [0.0] * (n - 1)
    mean: list[tuple[float, ...]] = [*map(tuple, features.tolist()), *([()] * (n - 1))]
    birth = spread.tolist() + [0.0] * (n - 1)
    death = [inf] * (2 * n - 1)
    children = np.zeros((n - 1, 2), dtype=np.int32)

    def distance(a: int, b: int, border: _Border) -> float:
        mixed = (1 - boundary_weight) * dist(mean[a], mean[b]) + boundary_weight * border.step / border.length
        return mixed * min(1.0, sqrt(min(size[a], size[b]) / small_px))

    heap = [
        (distance(a, b, border), a, b) for a, around in enumerate(neighbours) for b, border in around.items() if a < b
    ]
    heapq.heapify(heap)
    alive = [True] * n + [False] * (n - 1)
    made = n
    while heap:
        level, a, b = heapq.heappop(heap)
        if not (alive[a] and alive[b]):
            continue
        level = max(level, birth[a], birth[b])
        children[made - n] = (a, b)
        death[a] = death[b] = birth[made] = level
        alive[a] = alive[b] = False
        alive[made] = True
        size[made] = size[a] + size[b]
        mean[made] = tuple((x * size[a] + y * size[b]) / size[made] for x, y in zip(mean[a], mean[b], strict=True))
        neighbours.append(_join(neighbours, a, b, made))
        for other, border in neighbours[made].items():
            heapq.heappush(heap, (distance(other, made, border), other, made))
        made += 1
    return RegionTree(children, np.array(birth), np.array(death), np.array(size), np.array(mean))


def leaf_ranges(children: NDArray[np.int32], superpixels: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """An order of the superpixels in which every node of the tree is a contiguous run.

    Returns:
        position int64 `[superpixels]` of each superpixel, and runs int64 `[nodes 2]`: first position, and one after
        the last.
    """
    nodes = superpixels + len(children)
    leaves = np.ones(nodes, dtype=np.int64)
    for merge, (a, b) in enumerate(children):
        leaves[superpixels + merge] = leaves[a] + leaves[b]
    runs = np.zeros((nodes, 2), dtype=np.int64)
    runs[nodes - 1] = (0, leaves[nodes - 1])
    for node in range(nodes - 1, superpixels - 1, -1):
        a, b = children[node - superpixels]
        first, last = runs[node]
        runs[a] = (first, first + leaves[a])
        runs[b] = (first + leaves[a], last)
    return runs[:superpixels, 0].copy(), runs


def _describe(
    cut: Superpixels, texture_weight: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Area `[n]`, mean colour and weighted texture `[n 4]`, and spread of colour `[n]` of each superpixel."""
    labels = cut.labels.ravel()
    area = np.bincount(labels).astype(np.float64)
    planes = [*np.moveaxis(cut.lab, 2, 0), cut.gradient * texture_weight]
    features = np.stack([np.bincount(labels, plane.ravel()) / area for plane in planes], axis=1)
    squares = sum(np.bincount(labels, plane.ravel().astype(np.float64) ** 2) / area for plane in planes[:3])
    spread = np.sqrt(np.maximum(squares - (features[:, :3] ** 2).sum(axis=1), 0.0))
    return area, features, spread


def _borders(cut: Superpixels, n: int) -> list[dict[int, _Border]]:
    """For each superpixel, its neighbours (an edge in common) and the borders with them."""
    keys: list[NDArray[np.int64]] = []
    steps: list[NDArray[np.float32]] = []
    for axis in (0, 1):
        first = [slice(None), slice(None)]
        second = [slice(None), slice(None)]
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        a, b = cut.labels[tuple(first)].astype(np.int64), cut.labels[tuple(second)].astype(np.int64)
        apart = a != b
        keys.append(np.minimum(a, b)[apart] * n + np.maximum(a, b)[apart])
        steps.append(np.maximum(cut.step[tuple(first)], cut.step[tuple(second)])[apart])
    pairs, place = np.unique(np.concatenate(keys), return_inverse=True)
    lengths = np.bincount(place, minlength=len(pairs))
    heights = np.bincount(place, np.concatenate(steps), minlength=len(pairs))
    neighbours: list[dict[int, _Border]] = [{} for _ in range(n)]
    for pair, length, height in zip(pairs.tolist(), lengths.tolist(), heights.tolist(), strict=True):
        border = _Border(length, height)
        neighbours[pair // n][pair % n] = border
        neighbours[pair % n][pair // n] = border
    return neighbours


def _join(neighbours: list[dict[int, _Border]], a: int, b: int, made: int) -> dict[int, _Border]:
    """Borders of the region that `a` and `b` make; its neighbours point to `made` afterwards."""
    around: dict[int, _Border] = {}
    for part in (a, b):
        for other, border in neighbours[part].items():
            if other in (a, b):
                continue
            known = around.get(other)
            around[other] = border if known is None else _Border(known.length + border.length, known.step + border.step)
            del neighbours[other][part]
        neighbours[part] = {}
    for other, border in around.items():
        neighbours[other][made] = border
    return around
