"""Source `truth`: the true masks of a photo's targets, an oracle for what a choice among perfect masks reaches."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from refdiff.dataset.tables import Dataset
from refdiff.proposals.candidates import Proposals, of_codes
from refdiff.proposals.source import Photo


@dataclass(frozen=True, slots=True)
class TruthSource:
    """True masks by image id; an empty mask (no target) is no proposal.

    Attributes:
        counts: Run-length codes of the targets of each photo; photos without truth need no entry.
    """

    counts: Mapping[str, tuple[bytes, ...]]
    of_pixels: ClassVar[bool] = False

    @classmethod
    def of_dataset(cls, dataset: Dataset) -> "TruthSource":
        """The targets of a split."""
        counts: dict[str, tuple[bytes, ...]] = {}
        for image_index, image_id in enumerate(dataset.images.image_id):
            rows = dataset.targets_of(image_index)
            counts[image_id] = tuple(dataset.targets.counts[row] for row in rows if dataset.targets.area[row] > 0)
        return cls(counts)

    def load(self) -> None:
        """There is no model."""

    def propose(self, photo: Photo) -> Proposals:
        """The photo's true masks, in the order of the targets; confidence 1."""
        counts = self.counts.get(photo.image_id, ())
        return of_codes(counts, photo.height, photo.width, confidence=[1.0] * len(counts))

    def identity(self) -> dict[str, Any]:
        """Nothing beside the dataset decides."""
        return {}
