"""Parameters of the stage evaluate_masks."""

from typing import Annotated, Literal

from pydantic import Field

from refdiff.params import Section

Share = Annotated[float, Field(ge=0.0, le=1.0)]


class EvaluateMasksSettings(Section):
    """params.yaml's `evaluate_masks`.

    Attributes:
        unit: What counts once. `expression`: every sentence. `object`: every referred object; its sentences share its
            weight equally. Published code differs.
        comparison: Whether an IoU of exactly X is a hit at Pr@X.
        precision_at: The X of Pr@X.
        histogram_bins: Equal bins of the IoU histogram over [0, 1].
    """

    unit: Literal["expression", "object"]
    comparison: Literal[">=", ">"]
    precision_at: Annotated[tuple[Share, ...], Field(min_length=1)]
    histogram_bins: Annotated[int, Field(ge=1, le=1000)]
