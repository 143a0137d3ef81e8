"""Parameters of the stage render_report."""

from typing import Annotated, Literal

from pydantic import Field

from refdiff.params import Section

Count = Annotated[int, Field(ge=0, le=200)]
"""Pictures of one kind in one split's gallery."""


class GallerySettings(Section):
    """How many expressions of each kind a split's gallery shows."""

    best: Count
    worst: Count
    random: Count


class RenderReportSettings(Section):
    """Section `render_report` of params.yaml.

    Attributes:
        gallery: Expressions shown per kind.
        ranked_by: The method whose IoU orders best and worst; None takes the split's method of highest mIoU.
        seed: Orders equal IoUs and draws the random cases.
        thumbnail_px: Longer side of a picture on the page.
        image_format: How pictures are stored in the page.
        image_quality: The format's own scale, 1 to 100.
    """

    gallery: GallerySettings
    ranked_by: str | None
    seed: Annotated[int, Field(ge=0)]
    thumbnail_px: Annotated[int, Field(ge=32, le=2048)]
    image_format: Literal["webp", "jpeg"]
    image_quality: Annotated[int, Field(ge=1, le=100)]
