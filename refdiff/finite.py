"""Nothing but numbers: NaN and infinity are refused before a value is kept or compared."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from refdiff.errors import RefdiffError, ShardCorruptError


def precision_advice(dtype: object) -> str:
    """What to do about numbers that are not finite in a precision: a name of params.yaml or a type of torch."""
    name = str(dtype).removeprefix("torch.")
    if name == "float16":
        return "the model overflows in float16, or its file is broken; use dtype bfloat16 or float32"
    return (
        f"in {name} the model itself is broken; fetch it again (`hf download` with --force-download) or choose another"
    )


def check_finite(
    values: NDArray[np.floating],
    name: Callable[[int], str],
    advice: str,
    kind: type[RefdiffError] = ShardCorruptError,
) -> None:
    """See that all values are finite numbers.

    Args:
        values: `[n ...]`.
        name: What row i holds, for the message.
        advice: What to do about it.
        kind: The error that is raised.

    Raises:
        RefdiffError: Some are not; the first row of them is named.
    """
    finite = np.isfinite(values)
    if not finite.all():
        row = int(np.flatnonzero(~finite.reshape(len(values), -1).all(axis=1))[0])
        raise kind(f"{name(row)}: holds NaN or infinity; expected finite numbers; {advice}")
