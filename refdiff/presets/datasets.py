"""The datasets that `refdiff init` knows: their rows of `splits`, and what the released code sets for them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from refdiff.dataset.benchmarks import BENCHMARKS, Benchmark
from refdiff.dataset.settings import Format
from refdiff.errors import ParameterError
from refdiff.parameter_words import expected_names
from refdiff.paths import expand_local

SplitRows = dict[str, dict[str, str | None]]
"""Rows of `splits`, by name."""


@dataclass(frozen=True, slots=True)
class KnownDataset:
    """A dataset as `--dataset` names it.

    Attributes:
        row: Begins the names of its rows; letters, digits and `_`, as DVC wants it.
        format: Of its annotations.
        folder: Where its annotations are by default.
        images: Where its photos are by default; None: with the annotations.
        benchmarks: Its published splits; none for a dataset of one's own.
        released_min_area_px: Pixels that a mask must exceed in the released code.
    """

    row: str
    format: Format
    folder: str
    images: str | None
    benchmarks: tuple[Benchmark, ...] = ()
    released_min_area_px: int = 0


def _published(row: str, format_: Format, dataset: str, split_by: str, min_area_px: int = 0) -> KnownDataset:
    splits = tuple(each for each in BENCHMARKS if (each.dataset, each.split_by) == (dataset, split_by))
    return KnownDataset(row, format_, f"data/{dataset}", "data/train2014", splits, min_area_px)


# Source: docs/method.md, "Score and choice": the released code drops masks of 10,000 pixels or fewer there.
DATASETS = {
    "refcoco": _published("refcoco", "refer", "refcoco", "unc", 10_000),
    "refcoco+": _published("refcocoplus", "refer", "refcoco+", "unc", 10_000),
    "refcocog": _published("refcocog", "refer", "refcocog", "umd"),
    "refcocog_google": _published("refcocog_google", "refer", "refcocog", "google"),
    "grefcoco": _published("grefcoco", "grefcoco", "grefcoco", "unc"),
    "jsonl": KnownDataset("", "jsonl", "data/own", None),
}


def split_rows(name: str, folder: str | None, images: str | None, splits: Sequence[str] | None) -> SplitRows:
    """The rows of `splits` for a dataset.

    Args:
        name: One of `DATASETS`.
        folder: Where its annotations are; None for the usual place.
        images: Where its photos are; None for the usual place.
        splits: Which splits; None for all published ones, and for `val` of a dataset of one's own.

    Raises:
        ParameterError: The dataset has no such split.
    """
    dataset = DATASETS[name]
    folder = dataset.folder if folder is None else str(expand_local(folder))  # DVC reads it too, and knows no ~
    images = str(expand_local(images)) if images is not None else dataset.images or folder
    if not dataset.benchmarks:
        own = {_name_row(folder, split): split for split in splits or ["val"]}
        if lost := {*(splits or ())} - {*own.values()}:
            raise ParameterError(
                f"--splits: {', '.join(sorted(lost))} would have the name of another row in params.yaml; "
                "rename its file, with letters, digits and _"
            )
        return {key: _row(dataset, folder, images, None, split, None) for key, split in own.items()}
    known = {each.split: each for each in dataset.benchmarks}
    for split in splits or ():
        if split not in known:
            raise ParameterError(
                f"--splits: {name} has no split {split!r}; {expected_names(split, known)}; correct the name"
            )
    wanted = [each for each in dataset.benchmarks if splits is None or each.split in splits]
    return {
        f"{dataset.row}_{each.split}": _row(dataset, folder, images, each.split_by, each.split, each.name)
        for each in wanted
    }


def _name_row(folder: str, split: str) -> str:
    """A name that DVC and YAML take as it is: a letter, then letters, digits and `_`."""
    name = re.sub(r"\W+", "_", f"{PurePath(folder).name}_{split}", flags=re.ASCII).strip("_")
    return name if name[:1].isalpha() else f"own_{name}"


def _row(
    dataset: KnownDataset, folder: str, images: str, split_by: str | None, split: str, benchmark: str | None
) -> dict[str, str | None]:
    return {
        "format": dataset.format,
        "folder": folder,
        "images": images,
        "split_by": split_by,
        "split": split,
        "benchmark": benchmark,
    }
