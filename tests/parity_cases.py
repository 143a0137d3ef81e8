"""The reference values of tests/fixtures/parity, computed with the released formulas on miniature random models."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

FOLDER = Path(__file__).parent / "fixtures" / "parity"
NAMES = tuple(f"case{index:02}" for index in range(6))


@dataclass(frozen=True, slots=True)
class ParityCase:
    """One photo and one expression.

    Attributes:
        values: Every array of the case by its name.
        masks: Proposals, bool `[n H W]`.
    """

    values: dict[str, NDArray]
    masks: NDArray[np.bool_]


def load_case(name: str) -> ParityCase:
    """The case `name` of `NAMES`."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        values = dict(file)
    height, width = values["attention"].shape
    count = int(values["n_masks"])
    bits = np.unpackbits(values["masks"], axis=1)[:, : height * width]
    return ParityCase(values, bits.reshape(count, height, width).astype(np.bool_))
