"""metrics.json and curves.json, read back."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from refdiff.evaluation.metrics import precision_name
from refdiff.json_record import read_record

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
_READ = ConfigDict(strict=True, extra="allow", frozen=True)


class _Summary(BaseModel):
    """Figures of one way to choose; None where nothing has a truth."""

    model_config = _READ
    oIoU: Share | None  # noqa: N815 the field's own names
    mIoU: Share | None  # noqa: N815

    @model_validator(mode="after")
    def _check_precisions(self) -> "_Summary":
        for name, value in (self.model_extra or {}).items():
            if name.startswith(precision_name(0)[:3]):
                _check_share(name, value)
                if precision_name(float(name.partition("@")[2])) != name:
                    raise ValueError(f"{name!a}: expected a threshold after the @")
        return self


class _Metrics(_Summary):
    n_expressions: Count
    n_evaluated: Count
    n_no_candidate: Count
    n_no_target: Count
    n_without_truth: Count
    chance: _Summary
    oracle: _Summary
    conventions: dict[str, str]

    @model_validator(mode="after")
    def _check_accuracy(self) -> "_Metrics":
        _check_share("N-acc", (self.model_extra or {}).get("N-acc"))
        return self


class _Precisions(BaseModel):
    model_config = _READ
    method: list[Share | None]
    chance: list[Share | None]
    oracle: list[Share | None]


class _Curves(BaseModel):
    model_config = _READ
    thresholds: list[Share]
    precision: _Precisions

    @model_validator(mode="after")
    def _check_lengths(self) -> "_Curves":
        curves = (self.precision.method, self.precision.chance, self.precision.oracle)
        if any(len(curve) != len(self.thresholds) for curve in curves):
            raise ValueError(f"expected {len(self.thresholds)} values in each curve, one for each threshold")
        # Without truth no curve has a value; otherwise each has all.
        if any((value is None) != (self.precision.method[:1] == [None]) for curve in curves for value in curve):
            raise ValueError("expected curves of numbers, or of none at all")
        return self


def read_metrics(path: Path) -> dict[str, Any]:
    """One metrics.json.

    Raises:
        ArtifactMissingError: It is not there.
        StoreMismatchError: It is something else.
    """
    return read_record(path, _Metrics)


def read_curves(path: Path) -> dict[str, Any]:
    """One curves.json.

    Raises:
        ArtifactMissingError: It is not there.
        StoreMismatchError: It is something else.
    """
    return read_record(path, _Curves)


def _check_share(name: str, value: object) -> None:
    if value is not None and not (isinstance(value, int | float) and 0 <= value <= 1):
        raise ValueError(f"{name!a}: expected a share from 0 to 1 or null, got {value!a:.60}")
