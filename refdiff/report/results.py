"""The table of results: own rows with the best of each column marked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from refdiff.evaluation.metrics import precision_name

OVERALL, MEAN = "oIoU", "mIoU"


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure of the table.

    Attributes:
        text: Per cent with two decimals, or a dash.
        is_best: It is the column's highest, and not 0.
    """

    text: str
    is_best: bool


@dataclass(frozen=True, slots=True)
class ResultRow:
    """One method.

    Attributes:
        method: Its name.
        description: Proposals, readout, selection rule.
        cells: In the order of the columns.
        chance: mIoU of a random candidate, in [0, 1]; None without truth.
        own: mIoU of the method.
        oracle: mIoU of the best candidate.
        expressions: Sentences that count.
        remarks: Sentences that do not count, or had nothing to choose from, in words.
    """

    method: str
    description: str
    cells: tuple[Cell, ...]
    chance: float | None
    own: float | None
    oracle: float | None
    expressions: int
    remarks: str


def result_columns(metrics: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """oIoU, mIoU and every Pr@X that a method has, by rising X; N-acc and T-acc where they are measured."""
    names = {name for each in metrics.values() for name in each}
    precisions = sorted((name for name in names if name.startswith(precision_name(0)[:3])), key=_level)
    answered = [name for name in ("N-acc", "T-acc") if any(each.get(name) is not None for each in metrics.values())]
    return [OVERALL, MEAN, *precisions, *answered]


def result_rows(
    metrics: Mapping[str, Mapping[str, Any]], descriptions: Mapping[str, str], columns: Sequence[str]
) -> list[ResultRow]:
    """A row per method, in their order."""
    best = {name: max((each.get(name) for each in metrics.values()), key=_or_lowest) for name in columns}
    return [
        ResultRow(
            method,
            descriptions[method],
            tuple(Cell(percent(each.get(name)), _is_same(each.get(name), best[name])) for name in columns),
            each["chance"][MEAN],
            each[MEAN],
            each["oracle"][MEAN],
            each["n_evaluated"],
            _remarks(each),
        )
        for method, each in metrics.items()
    ]


def leading_method(metrics: Mapping[str, Mapping[str, Any]]) -> str | None:
    """The method of highest mIoU, the first where several are equal; None without truth."""
    known = [method for method, each in metrics.items() if each[MEAN] is not None]
    return max(known, key=lambda method: metrics[method][MEAN]) if known else None


def percent(value: float | None) -> str:
    """`35.16` for 0.3516; a dash for None."""
    return "–" if value is None else f"{100 * value:.2f}"


def _level(name: str) -> float:
    return float(name.partition("@")[2])


def _or_lowest(value: float | None) -> float:
    return -1.0 if value is None else value


def _is_same(value: float | None, best: float | None) -> bool:
    return value is not None and best is not None and percent(value) == percent(best) != percent(0.0)


def _remarks(each: Mapping[str, Any]) -> str:
    counted = {
        "n_no_candidate": "without a candidate (counted as empty)",
        "n_no_target": "without a target (counted, but not in Pr@X)",
        "n_without_truth": "without truth (not counted)",
    }
    return ", ".join(f"{each[name]} {words}" for name, words in counted.items() if each[name])
