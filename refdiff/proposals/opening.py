"""Sources by the kind that params.yaml names; a model library is imported only for the kind that runs a model."""

from refdiff.dataset.tables import Dataset
from refdiff.errors import ParameterError
from refdiff.proposals.candidates import Proposals
from refdiff.proposals.file import open_file
from refdiff.proposals.filters import filter_proposals
from refdiff.proposals.regions import RegionsSource
from refdiff.proposals.settings import (
    FileSettings,
    FilterSettings,
    PhotoSourceSettings,
    RegionsSettings,
    SamSettings,
)
from refdiff.proposals.source import Photo, PhotoSource
from refdiff.proposals.truth import TruthSource


def open_source(settings: PhotoSourceSettings, device: str) -> PhotoSource:
    """A source that needs the photo alone: `sam` or `regions`.

    Args:
        settings: A row of `sources`.
        device: Where a model runs.

    Raises:
        ModelError: A model is not on this machine.
        ParameterError: The source reads a dataset or a file of one.
    """
    if isinstance(settings, RegionsSettings):
        return RegionsSource(settings)
    if isinstance(settings, SamSettings):
        from refdiff.proposals.sam import open_sam

        return open_sam(settings, device)
    raise ParameterError(
        f"source of kind {settings.kind}: belongs to the photos of a dataset; expected regions or sam for a photo alone"
    )


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


def propose(photo: Photo, source: PhotoSource, filters: FilterSettings) -> Proposals:
    """The filtered proposals of one photo."""
    return filter_proposals(source.propose(photo), filters)
