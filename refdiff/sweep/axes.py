"""What a sweep varies: fields of a method's row that weigh what is measured, and their values."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from itertools import product
from typing import Any

import numpy as np

from refdiff.errors import ParameterError
from refdiff.fusion.settings import MethodSettings
from refdiff.params import parse_section

WEIGHTS = (
    "generative_weight",
    "discriminative_weight",
    "beta",
    "text_local.expression",
    "text_local.head",
    "text_global.expression",
    "text_global.head",
    "select.area_power",
    "select.threshold",
)
"""Fields whose change re-weighs what is measured already; all others change what is measured."""

DIGITS = 6  # of a drawn value, so that it can be copied into params.yaml as it is printed
MAX_VALUES = 100_000


@dataclass(frozen=True, slots=True)
class Axis:
    """One field and its values.

    Attributes:
        field: Dotted name in the method's row.
        values: Those of a grid; None for a range to draw from.
        low: Least value.
        high: Largest value.
    """

    field: str
    values: tuple[float, ...] | None
    low: float
    high: float


def parse_axis(text: str) -> Axis:
    """An axis as it is written: `beta=0:1:0.1` (both ends count), `beta=0.1,0.3`, or `beta=0:1`, a range to draw from.

    Raises:
        ParameterError: It is not written so, or the field does not only weigh.
    """
    field, _, written = text.partition("=")
    if field not in WEIGHTS:
        raise ParameterError(
            f"--set {field}: expected one of {', '.join(WEIGHTS)}; what else a row has changes what is measured, so "
            "make it a method of its own"
        )
    try:
        parts = [Decimal(part) for part in written.replace(":", ",").split(",")]
        if not all(part.is_finite() for part in parts):
            raise InvalidOperation
    except InvalidOperation:
        raise _unreadable(text) from None
    if ":" not in written:
        values = tuple(float(part) for part in parts)
        return Axis(field, values, min(values), max(values))
    if "," in written or len(parts) not in (2, 3) or parts[0] > parts[1]:
        raise _unreadable(text)
    low, high = parts[0], parts[1]
    if len(parts) == 2:
        return Axis(field, None, float(low), float(high))
    if parts[2] <= 0 or (high - low) / parts[2] >= MAX_VALUES:
        raise _unreadable(text)
    steps = int((high - low) / parts[2])
    return Axis(field, tuple(float(low + step * parts[2]) for step in range(steps + 1)), float(low), float(high))


def _unreadable(text: str) -> ParameterError:
    return ParameterError(
        f"--set {text}: expected FIELD=LOW:HIGH:STEP (rising, at most {MAX_VALUES} values), FIELD=A,B,C, or "
        "FIELD=LOW:HIGH with --random"
    )


def make_grid(axes: Sequence[Axis]) -> list[tuple[float, ...]]:
    """Every combination of the axes' values, the last axis fastest.

    Raises:
        ParameterError: An axis is a range without steps, or a field is given twice.
    """
    _check_names(axes)
    for axis in axes:
        if axis.values is None:
            raise ParameterError(
                f"--set {axis.field}: a range without a step is drawn from; add a step, or --random and a number"
            )
    if math.prod(len(axis.values or ()) for axis in axes) > MAX_VALUES:
        raise ParameterError(f"--set: expected at most {MAX_VALUES} combinations; take larger steps or --random")
    return list(product(*(axis.values or () for axis in axes)))


def draw_points(axes: Sequence[Axis], count: int, seed: int) -> list[tuple[float, ...]]:
    """Combinations drawn at random: of a range evenly, of listed values each equally often.

    Raises:
        ParameterError: A field is given twice, or there is nothing to draw.
    """
    _check_names(axes)
    if not 1 <= count <= MAX_VALUES:
        raise ParameterError(f"--random: expected 1 to {MAX_VALUES}, got {count}")
    rng = np.random.default_rng(seed)
    columns = [
        np.round(rng.uniform(axis.low, axis.high, count), DIGITS)
        if axis.values is None
        else rng.choice(axis.values, count)
        for axis in axes
    ]
    return [tuple(point) for point in np.stack(columns, axis=1).tolist()]


def _check_names(axes: Sequence[Axis]) -> None:
    names = [axis.field for axis in axes]
    if not names:
        raise ParameterError("--set: expected at least one field to vary, such as beta=0:1:0.1")
    for name in names:
        if names.count(name) > 1:
            raise ParameterError(f"--set {name}: is given twice; give each field once")


def weigh(row: dict[str, Any], axes: Sequence[Axis], point: Sequence[float], where: str) -> MethodSettings:
    """The method's row with the values of a point.

    Args:
        row: The row of params.yaml, plain.
        axes: Which fields.
        point: Their values.
        where: What messages call the row.

    Raises:
        ParameterError: The row with these values is refused.
    """
    changed = dict(row)
    for axis, value in zip(axes, point, strict=True):
        name, _, inner = axis.field.partition(".")
        changed[name] = {**changed[name], inner: value} if inner else value
    said = ", ".join(f"{axis.field} {value:g}" for axis, value in zip(axes, point, strict=True))
    return parse_section(MethodSettings, changed, f"{where} with {said}")
