"""All photos of a split through a source, in order, with any number of processes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from joblib import Parallel, delayed

from refdiff.dataset.tables import Dataset
from refdiff.proposals.candidates import Proposals
from refdiff.proposals.opening import propose
from refdiff.proposals.settings import FilterSettings
from refdiff.proposals.source import Photo, PhotoSource


def propose_split(dataset: Dataset, source: PhotoSource, filters: FilterSettings, workers: int) -> Iterator[Proposals]:
    """Filtered proposals of each photo, in the order of the photos; the same for any number of workers.

    Args:
        dataset: The split.
        source: Where masks come from.
        filters: Which are kept.
        workers: Processes, where the source may run in several.

    Raises:
        ImageError: A photo does not decode, or its size is another than the dataset's.
        DatasetError: A mask of a file does not fit its photo.
    """
    photos = [_photo(dataset, index) for index in range(len(dataset.images.image_id))]
    if workers == 1 or not source.in_parallel or len(photos) < 2:
        return (propose(photo, source, filters) for photo in photos)
    pool = Parallel(n_jobs=min(workers, len(photos)), return_as="generator")
    made: Any = pool(delayed(propose)(photo, source, filters) for photo in photos)
    return iter(made)


def _photo(dataset: Dataset, index: int) -> Photo:
    images = dataset.images
    # Absolute, since a worker that was started earlier may be in another folder.
    path = Path(images.path[index]).absolute()
    return Photo(images.image_id[index], int(images.height[index]), int(images.width[index]), path)
