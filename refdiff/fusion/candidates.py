"""The candidates of a method among a split's proposals: the same for choosing and for chance and oracle."""

import numpy as np
from numpy.typing import NDArray

from refdiff.dataset.tables import Dataset
from refdiff.fusion.choice import find_candidates
from refdiff.fusion.settings import MethodSettings
from refdiff.proposals.tables import ProposalTable


def table_candidates(proposals: ProposalTable, dataset: Dataset, method: MethodSettings) -> NDArray[np.bool_]:
    """Which rows of the proposals table take part in the method's choice, bool `[n]` (see `find_candidates`)."""
    pixels = dataset.images.height.astype(np.int64) * dataset.images.width
    return find_candidates(
        proposals.area,
        pixels[proposals.image_index],
        method.keep_largest,
        method.min_area_px,
        proposals.expression_index if proposals.per_expression else proposals.image_index,
    )
