"""COCO's `instances.json`: photos and annotated masks by id."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from refdiff.dataset.faults import FaultKind, FaultLog
from refdiff.dataset.fields import read_id, read_list, read_record, read_size, read_text, show
from refdiff.dataset.json_file import read_json
from refdiff.dataset.paths import LinkRule, join_inside
from refdiff.dataset.records import MaskRecord, PhotoRecord
from refdiff.errors import DatasetError


@dataclass(frozen=True, slots=True)
class Instances:
    """The annotation file, by id.

    Attributes:
        path: The file.
        images: Image records.
        annotations: Annotation records.
        ambiguous: Ids (`image 5`, `annotation 7`) that several records have; each is noted as a fault once.
    """

    path: Path
    images: Mapping[str, Mapping[str, Any]]
    annotations: Mapping[str, Mapping[str, Any]]
    ambiguous: frozenset[str]

    def photo(self, image_id: str, folder: Path, links: LinkRule) -> PhotoRecord:
        """The photo of an id that is in `images`.

        Raises:
            DatasetError: Its record is incomplete, or its file lies outside the folder.
        """
        where = f"{self.path}: image {image_id}"
        record = self.images[image_id]
        size = read_size(record, "height", where), read_size(record, "width", where)
        path = join_inside(folder, read_text(record, "file_name", where), links, where)
        return PhotoRecord(image_id, path, f"{path} (image {image_id})", size)

    def is_crowd(self, annotation_id: str) -> bool:
        """Whether an annotation is a crowd: its mask covers a group, and not one object.

        Raises:
            DatasetError: `iscrowd` is neither 0 nor 1.
        """
        flag = self.annotations[annotation_id].get("iscrowd", 0)
        if flag not in (0, 1):
            where = f"{self.path}: annotation {annotation_id}"
            raise DatasetError(f"{where}: iscrowd is {show(flag)}; expected 0 or 1; correct the annotation")
        return bool(flag)

    def mask(self, annotation_id: str, image_id: str) -> MaskRecord:
        """The mask of an id that is in `annotations`, crowd or not.

        Raises:
            DatasetError: Its record is incomplete, or it belongs to another photo.
        """
        where = f"{self.path}: annotation {annotation_id}"
        record = self.annotations[annotation_id]
        owner = read_id(record, "image_id", where)
        if owner != image_id:
            raise DatasetError(
                f"{where}: belongs to image {owner}; expected image {image_id}, as its ref says; correct one of them"
            )
        if "segmentation" not in record:
            raise DatasetError(f"{where}: has no 'segmentation'; expected polygons or a run-length code; add it")
        return MaskRecord(where, record["segmentation"], _read_box(record.get("bbox")))


def _read_box(box: object) -> tuple[float, float, float, float] | None:
    """A box that can be compared with a mask's; no mask is made from it, so that one without is in order."""
    if not isinstance(box, list) or not all(type(side) in (int, float) and abs(side) < 1e9 for side in box):
        return None
    return None if len(box) != 4 else (box[0], box[1], box[2], box[3])


def read_instances(path: Path, faults: FaultLog) -> Instances:
    """Read `instances.json`; records without id and duplicate ids are noted as faults.

    Raises:
        DatasetError: The file is missing, is no JSON, or holds no images and annotations.
    """
    content = read_record(read_json(path), str(path))
    images = read_list(content, "images", str(path))
    annotations = read_list(content, "annotations", str(path))
    images_by_id, shared_images = _index(path, "image", images, faults)
    annotations_by_id, shared_annotations = _index(path, "annotation", annotations, faults)
    return Instances(path, images_by_id, annotations_by_id, shared_images | shared_annotations)


def _index(
    path: Path, noun: Literal["image", "annotation"], records: Sequence[Any], faults: FaultLog
) -> tuple[dict[str, Mapping[str, Any]], frozenset[str]]:
    """Records by id, and the ids (`image 5`) that several records have."""
    kinds: dict[str, FaultKind] = {"image": "duplicate_image", "annotation": "duplicate_annotation"}
    by_id: dict[str, Mapping[str, Any]] = {}
    ambiguous: set[str] = set()
    for position, value in enumerate(records):
        where = f"{path}: {noun} record {position}"
        try:
            # JSON's mappings have text keys, and COCO has hundreds of thousands of them: no copy.
            record = value if isinstance(value, dict) else read_record(value, where)
            identity = read_id(record, "id", where)
        except DatasetError as error:
            faults.add("record", str(error))
            continue
        if identity not in by_id:
            by_id[identity] = record
        elif f"{noun} {identity}" not in ambiguous:
            ambiguous.add(f"{noun} {identity}")
            faults.add(
                kinds[noun],
                f"{path}: {noun} {identity}: two records have this id; expected one; remove or renumber one of them",
            )
    return by_id, frozenset(ambiguous)
