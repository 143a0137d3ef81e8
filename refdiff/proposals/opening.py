"""Sources by the kind that params.yaml names; a model library is imported only for the kind that runs a model."""

from refdiff.errors import ParameterError
from refdiff.proposals.candidates import Proposals
from refdiff.proposals.filters import filter_proposals
from refdiff.proposals.regions import RegionsSource
from refdiff.proposals.settings import (
    FilterSettings,
    PhotoSourceSettings,
    RegionsSettings,
    SamSettings,
)
from refdiff.proposals.source import Photo, PhotoSource


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


def propose(photo: Photo, source: PhotoSource, filters: FilterSettings) -> Proposals:
    """The filtered proposals of one photo."""
    return filter_proposals(source.propose(photo), filters)
