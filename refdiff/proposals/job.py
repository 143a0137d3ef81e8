"""Masks of a split's photos as a job of the engine: what a worker needs to compute batches, wherever it runs."""

from collections.abc import Iterator, Mapping
from contextlib import chdir
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from refdiff import __version__
from refdiff.dataset.tables import Dataset, read_dataset
from refdiff.engine.photos import PhotoJob
from refdiff.layout import SplitLayout
from refdiff.proposals.opening import open_source
from refdiff.proposals.settings import PhotoSourceSettings
from refdiff.proposals.source import Photo, PhotoSource
from refdiff.source_code import NEUTRAL, StageCode
from refdiff.store.agreement import check_agreement
from refdiff.store.photo_batches import PhotoTask
from refdiff.store.pool_shards import Row
from refdiff.store.work import WorkFolder

STAGE = "propose_masks"

# From a photo to its unfiltered masks in the pool; filters are applied to what is read from it.
CODE = StageCode("proposals/job.py", NEUTRAL | {"proposals/filters.py"})
COLUMNS = pa.schema([("counts", pa.list_(pa.binary())), ("confidence", pa.list_(pa.float32()))])

# Their versions may move masks, so they are part of what a pool is; those of a model are in its source's identity.
LIBRARIES = ("numpy", "pillow", "pycocotools")

# The model is known by its digest. A smaller batch moves last bits at most, and is what a run that ended for want of
# memory goes on with.
LEFT_OUT = {"model", "revision", "points_per_batch"}


@dataclass(frozen=True, slots=True)
class ProposeJob(PhotoJob):
    """Unfiltered masks of a split's photos, by a source of pixels.

    Attributes:
        root: The project's folder, absolute.
        started_in: Where the run was started, absolute: folders of models in params.yaml are relative to it.
        split: The split's name.
        settings: The row of `sources`.
        device: Where a model runs.
    """

    root: Path
    started_in: Path
    split: str
    settings: PhotoSourceSettings
    device: str

    columns: ClassVar[pa.Schema] = COLUMNS

    def start(self) -> "ProposeRunner":
        """Open the source.

        Raises:
            RefdiffError: A part is missing here, or is another than the run's.
        """
        with chdir(self.started_in):
            return ProposeRunner(self)


class ProposeRunner:
    """The source, and the photos that it is shown."""

    def __init__(self, job: ProposeJob) -> None:
        """Open everything, and load the source's model."""
        self._source = open_source(job.settings, job.device)
        check_agreement(WorkFolder.of(job.folder), gather_facts(job.settings, self._source))
        self._source.load()
        self._photos = list_photos(read_dataset(SplitLayout(job.split, job.root).dataset), job.root)
        self._batches = job.batches

    def run(self, shards: Iterator[int]) -> Iterator[int]:
        """Compute batches; the next photo is read meanwhile."""
        return self._batches.run(shards, self._load, self._propose)

    def _load(self, task: PhotoTask) -> NDArray[np.uint8]:
        return self._photos[task.image_index].pixels()

    def _propose(self, task: PhotoTask, rgb: NDArray[np.uint8]) -> Mapping[str, Row]:
        made = self._source.propose(replace(self._photos[task.image_index], rgb=rgb))
        return {key: {"counts": made.counts, "confidence": made.confidence} for key in task.items}


def list_photos(dataset: Dataset, root: Path) -> list[Photo]:
    """The photos of a split, not yet read."""
    images = dataset.images
    return [
        # Absolute, since a worker that was started earlier may be in another folder.
        Photo(image_id, int(height), int(width), (root / path).absolute(), sha256=sha256)
        for image_id, path, height, width, sha256 in zip(
            images.image_id, images.path, images.height, images.width, images.sha256, strict=True
        )
    ]


def gather_facts(settings: PhotoSourceSettings, source: PhotoSource) -> dict[str, Any]:
    """Everything beside the photo that unfiltered masks depend on."""
    return {
        "stage": STAGE,
        "parameters": settings.model_dump(mode="json", exclude=LEFT_OUT),
        "made_by": source.identity(),
        "versions": {"refdiff": __version__, **{library: version(library) for library in LIBRARIES}},
        "code": CODE.digest(),
    }
