"""What every dataset reader gives: photos and refs as the annotation says, before a photo is opened."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class PhotoRecord:
    """A photo that a ref names.

    Attributes:
        image_id: Its id.
        path: The file, openable from the project's folder.
        where: What messages call it.
        size_hw: Height and width in the annotation; None when it has none.
    """

    image_id: str
    path: Path
    where: str
    size_hw: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class MaskRecord:
    """One annotated mask, not yet drawn.

    Attributes:
        where: What messages call it.
        segmentation: Polygons, run-length code(s) as plain containers, or the path of a mask image.
        box_xywh: The annotation's own box in the annotated frame, left, top, width and height; None without one.
    """

    where: str
    segmentation: object
    box_xywh: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class RefRecord:
    """What some sentences mean: an object, several, or none.

    Attributes:
        ref_id: Its id.
        image_id: Its photo.
        where: What messages call it.
        sentences: Pairs of expression id and sentence.
        masks: The annotated masks whose union is meant; empty for gRefCOCO's no-target; None when no truth is given.
    """

    ref_id: str
    image_id: str
    where: str
    sentences: tuple[tuple[str, str], ...]
    masks: tuple[MaskRecord, ...] | None


@dataclass(frozen=True, slots=True)
class DatasetRecords:
    """A split as its annotation says.

    Attributes:
        photos: By image id; those that the refs name.
        refs: In the annotation's order, without those that have faults.
        expressions: Sentences that the split holds, those with faults included.
        refs_without_sentences: Refs that no sentence belongs to (gRefCOCO has them); they are no fault.
        files: The annotation files that were read.
    """

    photos: Mapping[str, PhotoRecord]
    refs: tuple[RefRecord, ...]
    expressions: int
    refs_without_sentences: int
    files: tuple[Path, ...]
