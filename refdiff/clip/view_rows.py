"""Where each photo's embeddings lie in the flat arrays of a store: by photo, then variant, then proposal."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from refdiff.errors import StoreMismatchError

ABSENT = -1


@dataclass(frozen=True, slots=True)
class Segment:
    """Consecutive rows of one photo and variant.

    Attributes:
        row: The first row in the flat array.
        image_index: The photo.
        variant: The position variant.
        proposals: Which of the photo's proposals.
    """

    row: int
    image_index: int
    variant: str
    proposals: range


@dataclass(frozen=True)
class ViewRows:
    """Rows of one kind of view.

    Attributes:
        variants: Names of the columns of `start`.
        start: int64 `[images variants]`: first row, or -1 where the photo does not use the variant.
        counts: int64 `[images]`: proposals of each photo.
    """

    variants: tuple[str, ...]
    start: NDArray[np.int64]
    counts: NDArray[np.int64]

    @property
    def total(self) -> int:
        """Rows in all."""
        return int((self.counts[:, None] * (self.start != ABSENT)).sum())

    def fits(self, rows: int) -> bool:
        """Whether a flat array of so many rows has all that are pointed to."""
        if self.counts.ndim != 1 or self.start.shape != (len(self.counts), len(self.variants)):
            return False
        ends = np.where(self.start == ABSENT, 0, self.start + self.counts[:, None])
        return bool((self.counts >= 0).all() and (self.start >= ABSENT).all() and (ends <= rows).all())

    def of(self, image_index: int, variant: str) -> range:
        """Rows of a photo and variant.

        Raises:
            StoreMismatchError: The photo has no such variant, or there is no such photo.
        """
        if not 0 <= image_index < len(self.counts):
            raise StoreMismatchError(f"photo {image_index}: expected an index below {len(self.counts)}")
        there = [name for name, start in zip(self.variants, self.start[image_index], strict=True) if start != ABSENT]
        if variant not in there:
            raise StoreMismatchError(
                f"photo {image_index}: position variant {variant!r} is not stored; expected one of "
                f"{', '.join(there) or 'none at all'}; add its ramp to embed_clip and run `dvc repro`"
            )
        start = int(self.start[image_index, self.variants.index(variant)])
        return range(start, start + int(self.counts[image_index]))

    def used(self) -> Iterator[tuple[int, str]]:
        """Each photo that has proposals, with each variant that it uses, in the order of the rows."""
        for image_index, variant_index in np.argwhere(self.start != ABSENT):
            if self.counts[image_index]:
                yield int(image_index), self.variants[variant_index]

    def segments(self, first: int, last: int) -> Iterator[Segment]:
        """What lies in rows `first` to `last` (not included), in order; only what is near them is looked at."""
        places, starts, ends = self._by_row
        near = slice(np.searchsorted(ends, first, side="right"), np.searchsorted(starts, last))
        for image_index, variant_index in places[near]:
            start = int(self.start[image_index, variant_index])
            low, high = max(first, start), min(last, start + int(self.counts[image_index]))
            if low < high:
                variant = self.variants[variant_index]
                yield Segment(low, int(image_index), variant, range(low - start, high - start))

    @cached_property
    def _by_row(self) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.int64]]:
        """Photo and column of each used variant in the order of the rows, its first row, and the end of rows so far.

        The end is that of all up to it, so that it rises even where a damaged store has rows that overlap.
        """
        places = np.argwhere(self.start != ABSENT)
        places = places[np.argsort(self.start[places[:, 0], places[:, 1]], kind="stable")]
        starts = self.start[places[:, 0], places[:, 1]]
        return places, starts, np.maximum.accumulate(starts + self.counts[places[:, 0]])


def plan_rows(variants: Sequence[Sequence[str]], counts: Sequence[int]) -> ViewRows:
    """Rows for photos with these variants and numbers of proposals.

    Args:
        variants: The variants that each photo uses.
        counts: How many proposals it has.
    """
    names = tuple(sorted({name for used in variants for name in used}))
    start = np.full((len(counts), len(names)), ABSENT, dtype=np.int64)
    row = 0
    for image_index, (used, count) in enumerate(zip(variants, counts, strict=True)):
        for name in sorted(used):
            start[image_index, names.index(name)] = row
            row += count
    return ViewRows(names, start, np.asarray(counts, dtype=np.int64))
