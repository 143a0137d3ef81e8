"""The dataset's tables: photos, expressions and true masks, as every later stage reads them.

Rows are ordered by photo, so that the expressions of a photo are a range. All ids are text; sizes are pixels after
EXIF orientation.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from refdiff.errors import StoreMismatchError
from refdiff.json_record import read_record
from refdiff.parquet import check_rows, read_table, write_table
from refdiff.whole_file import replacing

IMAGES = pa.schema(
    [
        ("image_index", pa.int32()),
        ("image_id", pa.string()),
        ("path", pa.string()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("sha256", pa.string()),
    ]
)
EXPRESSIONS = pa.schema(
    [
        ("expression_index", pa.int32()),
        ("expression_id", pa.string()),
        ("ref_id", pa.string()),
        ("image_index", pa.int32()),
        ("image_id", pa.string()),
        ("sentence", pa.string()),
        ("target_index", pa.int32()),
    ]
)
TARGETS = pa.schema(
    [
        ("target_index", pa.int32()),
        ("ref_id", pa.string()),
        ("image_index", pa.int32()),
        ("counts", pa.binary()),
        ("area", pa.int64()),
        ("instances", pa.int32()),
    ]
)
_SHA256 = re.compile("[0-9a-f]{64}")
MAX_PIXELS = 1 << 30  # whatever prepare_dataset was told to accept
IMAGES_FILE = "images.parquet"
EXPRESSIONS_FILE = "expressions.parquet"
TARGETS_FILE = "targets.parquet"
META_FILE = "dataset.json"


class _DroppedCounts(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", frozen=True)
    expressions: Annotated[int, Field(ge=0)] = 0


class _Meta(BaseModel):
    """What is relied on of dataset.json."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)
    counts: dict[str, Annotated[int, Field(ge=0)]] = {}
    conventions: dict[str, str] = {}
    dropped: list[str] = []
    dropped_counts: _DroppedCounts = _DroppedCounts()


@dataclass(frozen=True, slots=True)
class Images:
    """Photos, by image_index.

    Attributes:
        image_id: Ids.
        path: Files, openable from the project's folder.
        height: int32 `[n]`, pixels.
        width: int32 `[n]`, pixels.
        sha256: Digest of each file's bytes, 64 hexadecimal digits: what a photo's results are named by, and what every
            later reader compares.
    """

    image_id: list[str]
    path: list[str]
    height: NDArray[np.int32]
    width: NDArray[np.int32]
    sha256: list[str]


@dataclass(frozen=True, slots=True)
class Expressions:
    """Sentences, by expression_index.

    Attributes:
        expression_id: Ids.
        ref_id: What each is about.
        image_index: int32 `[E]`, never falling.
        image_id: The photo's id.
        sentence: The text.
        target_index: int32 `[E]`; -1 where no truth is given.
    """

    expression_id: list[str]
    ref_id: list[str]
    image_index: NDArray[np.int32]
    image_id: list[str]
    sentence: list[str]
    target_index: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Targets:
    """True masks, by target_index.

    Attributes:
        ref_id: The ref that the mask belongs to.
        image_index: int32 `[T]`, never falling.
        counts: COCO run-length codes at the photo's size.
        area: int64 `[T]`, pixels.
        instances: int32 `[T]`, annotated objects in the mask; 0 for a no-target, whose mask is empty.
    """

    ref_id: list[str]
    image_index: NDArray[np.int32]
    counts: list[bytes]
    area: NDArray[np.int64]
    instances: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A split, ready for the later stages.

    Attributes:
        images: Photos.
        expressions: Sentences.
        targets: True masks.
        meta: The content of dataset.json: `split`, `format`, `counts`, `conventions`, `dropped` (fault lines),
            `dropped_counts`, `provenance`.
    """

    images: Images
    expressions: Expressions
    targets: Targets
    meta: dict[str, Any]

    def name_of(self, expression_index: int) -> str:
        """An expression in messages."""
        expressions, index = self.expressions, expression_index
        return f"expression {expressions.expression_id[index]} of photo {expressions.image_id[index]}"

    def expressions_of(self, image_index: int) -> range:
        """The expression indexes of a photo."""
        first, last = np.searchsorted(self.expressions.image_index, [image_index, image_index + 1])
        return range(int(first), int(last))

    def targets_of(self, image_index: int) -> range:
        """The target indexes of a photo."""
        first, last = np.searchsorted(self.targets.image_index, [image_index, image_index + 1])
        return range(int(first), int(last))


def write_dataset(folder: Path, dataset: Dataset) -> None:
    """Write the three tables and dataset.json, the last after the tables."""
    provenance: Mapping[str, Any] = dataset.meta["provenance"]
    images, expressions, targets = dataset.images, dataset.expressions, dataset.targets
    write_table(
        folder / IMAGES_FILE,
        IMAGES,
        {
            "image_index": range(len(images.image_id)),
            "image_id": images.image_id,
            "path": images.path,
            "height": images.height,
            "width": images.width,
            "sha256": images.sha256,
        },
        provenance,
    )
    write_table(
        folder / EXPRESSIONS_FILE,
        EXPRESSIONS,
        {
            "expression_index": range(len(expressions.expression_id)),
            "expression_id": expressions.expression_id,
            "ref_id": expressions.ref_id,
            "image_index": expressions.image_index,
            "image_id": expressions.image_id,
            "sentence": expressions.sentence,
            "target_index": expressions.target_index,
        },
        provenance,
    )
    write_table(
        folder / TARGETS_FILE,
        TARGETS,
        {
            "target_index": range(len(targets.ref_id)),
            "ref_id": targets.ref_id,
            "image_index": targets.image_index,
            "counts": targets.counts,
            "area": targets.area,
            "instances": targets.instances,
        },
        provenance,
    )
    with replacing(folder / META_FILE) as partial:
        partial.write_text(json.dumps(dataset.meta, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_dataset(folder: Path) -> Dataset:
    """Read what `write_dataset` wrote.

    Raises:
        ArtifactMissingError: A file is not there.
        StoreMismatchError: A file is damaged, or the tables do not belong together.
    """
    images = read_table(folder / IMAGES_FILE, IMAGES)
    expressions = read_table(folder / EXPRESSIONS_FILE, EXPRESSIONS)
    targets = read_table(folder / TARGETS_FILE, TARGETS)
    dataset = Dataset(
        Images(
            _list(images, "image_id"),
            _list(images, "path"),
            _array(images, "height"),
            _array(images, "width"),
            _list(images, "sha256"),
        ),
        Expressions(
            _list(expressions, "expression_id"),
            _list(expressions, "ref_id"),
            _array(expressions, "image_index"),
            _list(expressions, "image_id"),
            _list(expressions, "sentence"),
            _array(expressions, "target_index"),
        ),
        Targets(
            _list(targets, "ref_id"),
            _array(targets, "image_index"),
            _list(targets, "counts"),
            _array(targets, "area"),
            _array(targets, "instances"),
        ),
        read_record(folder / META_FILE, _Meta),
    )
    indexed = {IMAGES_FILE: (images, "image_index"), EXPRESSIONS_FILE: (expressions, "expression_index")}
    for file, (table, name) in {**indexed, TARGETS_FILE: (targets, "target_index")}.items():
        if not np.array_equal(_array(table, name), np.arange(table.num_rows)):
            raise StoreMismatchError(f"{folder / file}: rows are out of order; run `dvc repro`, which makes it")
    _check_links(folder, dataset)
    photos, targets_file = dataset.images, folder / TARGETS_FILE
    pixels = photos.height.astype(np.int64) * photos.width
    sized = (photos.height > 0) & (photos.width > 0) & (pixels <= MAX_PIXELS)
    check_rows(folder / IMAGES_FILE, sized, f"a photo of 1 to {MAX_PIXELS} pixels")
    digests = np.array([_SHA256.fullmatch(digest) is not None for digest in photos.sha256], np.bool_)
    check_rows(folder / IMAGES_FILE, digests, "a photo with a SHA-256 of 64 hexadecimal digits")
    check_rows(targets_file, (dataset.targets.area >= 0) & (dataset.targets.instances >= 0), "counts from 0 on")
    return dataset


def _check_links(folder: Path, dataset: Dataset) -> None:
    links: Sequence[tuple[str, NDArray[np.int32], int, int]] = [
        (EXPRESSIONS_FILE, dataset.expressions.image_index, 0, len(dataset.images.image_id)),
        (EXPRESSIONS_FILE, dataset.expressions.target_index, -1, len(dataset.targets.ref_id)),
        (TARGETS_FILE, dataset.targets.image_index, 0, len(dataset.images.image_id)),
    ]
    for file, index, lowest, end in links:
        if index.size and (index.min() < lowest or index.max() >= end):
            raise StoreMismatchError(f"{folder / file}: rows point beyond the other tables; run `dvc repro`")
    for file, index, _, _ in (links[0], links[2]):
        if (np.diff(index) < 0).any():
            raise StoreMismatchError(f"{folder / file}: rows are not ordered by photo; run `dvc repro`")


def _list(table: pa.Table, name: str) -> list[Any]:
    return table.column(name).to_pylist()


def _array(table: pa.Table, name: str) -> NDArray[Any]:
    return table.column(name).to_numpy()
