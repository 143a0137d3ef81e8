"""metrics.json, details.json and curves.json, read back."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, RootModel, model_validator

from refdiff.evaluation.metrics import precision_name
from refdiff.json_record import read_record

CURVE_FIELDS = {"method": "precision", "chance": "chance", "oracle": "oracle"}
"""What each curve is called in a record of curves.json; DVC names the axis of a picture by it."""

Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
_READ = ConfigDict(strict=True, extra="allow", frozen=True)


class _Bound(BaseModel):
    model_config = _READ
    mIoU: Share | None  # noqa: N815 the field's own names


class _Metrics(_Bound):
    """Figures; None where nothing has a truth."""

    oIoU: Share | None  # noqa: N815
    n_evaluated: Count
    chance: _Bound
    oracle: _Bound

    @model_validator(mode="after")
    def _check_shares(self) -> "_Metrics":
        others = self.model_extra or {}
        for name in ("N-acc", "T-acc"):
            _check_share(name, others.get(name))
        for name, value in others.items():
            if name.startswith(precision_name(0)[:3]):
                _check_share(name, value)
                if precision_name(float(name.partition("@")[2])) != name:
                    raise ValueError(f"{name!a}: expected a threshold after the @")
        return self


class _Details(BaseModel):
    model_config = _READ
    n_expressions: Count
    n_no_candidate: Count
    n_no_target: Count
    n_without_truth: Count
    conventions: dict[str, str]


class _Point(BaseModel):
    model_config = _READ
    threshold: Share
    precision: Share | None
    chance: Share | None
    oracle: Share | None


class _Curves(RootModel[list[_Point]]):
    @model_validator(mode="after")
    def _check_values(self) -> "_Curves":
        # Without a target no curve has a value; otherwise each has all.
        values = [value for point in self.root for value in (point.precision, point.chance, point.oracle)]
        if any((value is None) != (values[0] is None) for value in values):
            raise ValueError("expected curves of numbers, or of none at all")
        return self


def read_metrics(path: Path) -> dict[str, Any]:
    """One metrics.json.

    Raises:
        ArtifactMissingError: It is not there.
        StoreMismatchError: It is something else.
    """
    return read_record(path, _Metrics)


def read_details(path: Path) -> dict[str, Any]:
    """One details.json.

    Raises:
        ArtifactMissingError: It is not there.
        StoreMismatchError: It is something else.
    """
    return read_record(path, _Details)


def read_curves(path: Path) -> dict[str, Any]:
    """One curves.json as `thresholds`, and `precision` by `method`, `chance` and `oracle`.

    Raises:
        ArtifactMissingError: It is not there.
        StoreMismatchError: It is something else.
    """
    points = read_record(path, _Curves)
    return {
        "thresholds": [point["threshold"] for point in points],
        "precision": {name: [point[field] for point in points] for name, field in CURVE_FIELDS.items()},
    }


def _check_share(name: str, value: object) -> None:
    if value is not None and not (isinstance(value, int | float) and 0 <= value <= 1):
        raise ValueError(f"{name!a}: expected a share from 0 to 1 or null, got {value!a:.60}")
