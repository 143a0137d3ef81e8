"""Sources for the photos of a split: those of `refdiff.proposals.opening`, and those that read a dataset or a file.

Their masks come from outside the pool of photos, so this module is no part of the code that a pool is known by.
"""

from refdiff.dataset.tables import Dataset
from refdiff.proposals.file import open_file
from refdiff.proposals.opening import open_source
from refdiff.proposals.settings import FileSettings, PhotoSourceSettings
from refdiff.proposals.source import PhotoSource
from refdiff.proposals.truth import TruthSource


def open_split_source(settings: PhotoSourceSettings, device: str, split: str, dataset: Dataset) -> PhotoSource:
    """Any source, for the photos of a split.

    Raises:
        ModelError: A model is not on this machine.
        DatasetError: A file of masks is missing or does not fit the split.
    """
    if isinstance(settings, FileSettings):
        return open_file(settings, split, dataset.images.image_id)
    if settings.kind == "truth":
        return TruthSource.of_dataset(dataset)
    return open_source(settings, device)
