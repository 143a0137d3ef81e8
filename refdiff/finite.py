"""Nothing but numbers: NaN and infinity are refused where a model is loaded, and before a value is kept or compared."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from refdiff.errors import ModelError, RefdiffError, ShardCorruptError


class Network(Protocol):
    """A module of torch, which is not imported here: stages without a network read this file too."""

    def named_parameters(self) -> Iterable[tuple[str, Any]]: ...


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


def check_weights(network: Network, where: str) -> None:
    """See that all weights of a network are finite numbers in the precision that they have now.

    Args:
        network: Loaded, and brought to its precision.
        where: The model and its part, for the message.

    Raises:
        ModelError: Some are not; the first of them is named.
    """
    # Both ends of a tensor are NaN where it holds NaN, and are found fifteen times as fast as each value is looked at.
    bad = [
        (name, value)
        for name, value in network.named_parameters()
        if value.numel() and not all(end.isfinite() for end in value.aminmax())
    ]
    if bad:
        name, value = bad[0]
        more = f" and {len(bad) - 1} more" if len(bad) > 1 else ""
        kind = str(value.dtype).removeprefix("torch.")
        other = "use dtype bfloat16 or float32; if they are refused too, " if kind == "float16" else ""
        raise ModelError(
            f"{where}: its weights hold NaN or infinity in {kind} ({name}{more}); expected finite numbers; "
            f"{other}fetch the model again or choose another"
        )
