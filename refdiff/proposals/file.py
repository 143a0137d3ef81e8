"""Source `file`: masks that something else made, from JSON in the form of COCO results or of SA-1B."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, ClassVar

from refdiff.dataset.fields import read_field, read_id, read_record, show
from refdiff.dataset.json_file import read_json
from refdiff.dataset.segmentation import draw_segmentation
from refdiff.errors import DatasetError, MaskError, join_faults
from refdiff.masks.rle import encode_mask
from refdiff.paths import expand
from refdiff.proposals.candidates import Proposals, of_codes
from refdiff.proposals.settings import FileSettings
from refdiff.proposals.source import Photo
from refdiff.provenance import digest_input
from refdiff.store.fingerprint import digest_files

_ADVICE = "correct or remove them"


@dataclass(frozen=True, slots=True)
class FileMask:
    """One record of the file.

    Attributes:
        where: What messages call it.
        segmentation: Run-length code or polygons, not yet drawn.
        score: Its confidence; NaN without one.
    """

    where: str
    segmentation: object
    score: float


@dataclass(frozen=True, slots=True)
class FileSource:
    """Masks by image id.

    Attributes:
        name: The file or folder, as the parameters have it.
        digest: SHA-256 of the file, or of the folder's.
        masks: Records of each photo, in the order of the file; photos without masks need no entry.
    """

    name: str
    digest: str
    masks: Mapping[str, tuple[FileMask, ...]]
    of_pixels: ClassVar[bool] = False

    def load(self) -> None:
        """There is no model."""

    def propose(self, photo: Photo) -> Proposals:
        """The photo's masks, in the order of the file.

        Raises:
            DatasetError: A mask does not decode, or is not of the photo's size; every fault of the photo is named.
        """
        records = self.masks.get(photo.image_id, ())
        codes: list[bytes] = []
        faults: list[str] = []
        for record in records:
            try:
                mask = draw_segmentation(record.segmentation, photo.height, photo.width, "union")
                codes.append(encode_mask(mask))
            except MaskError as error:
                faults.append(f"{record.where}: {error}; correct or remove it")
        if faults:
            raise join_faults(self.name, faults, _ADVICE)
        scores = [record.score for record in records]
        return of_codes(codes, photo.height, photo.width, confidence=scores)

    def identity(self) -> dict[str, Any]:
        """The digest of the file or files."""
        return {"file": self.name, "sha256": self.digest}


def open_file(settings: FileSettings, split: str, image_ids: Collection[str]) -> FileSource:
    """Read a file of masks, or a folder of such files.

    Args:
        settings: Where it is.
        split: Stands for `{split}` in the path.
        image_ids: The photos that there are.

    Raises:
        DatasetError: The file is missing or is no list of masks, or names photos that are not in the split.
    """
    name = settings.of_split(split)
    path, known = expand(name), set(image_ids)
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise DatasetError(f"{name}: has no file *.json; expected one for each photo, as SAM's tools write them")
    masks: dict[str, list[FileMask]] = {}
    faults: list[str] = []
    for file in files:
        for number, value in enumerate(_read_records(file, known)):
            try:
                image_id, mask = _read_mask(value, f"mask {number}" if file == path else f"{file.name}: mask {number}")
                if image_id not in known:
                    raise DatasetError(
                        f"{mask.where}: unknown photo; expected one of the {len(known)} of split {split!r}, such as "
                        f"{show(min(known, default=''))}; correct the id or remove it"
                    )
            except DatasetError as error:
                faults.append(str(error))
            else:
                masks.setdefault(image_id, []).append(mask)
    if faults:
        raise join_faults(name, faults, _ADVICE)
    digest = digest_files(files, path) if path.is_dir() else digest_input(path)
    return FileSource(name, digest, {key: tuple(value) for key, value in masks.items()})


def _read_records(file: Path, known: Collection[str]) -> list[object]:
    """The records of a file; those of SA-1B's form get the id of its photo: its `image_id`, or else its `file_name`."""
    content = read_json(file)
    records = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(records, list):
        raise DatasetError(
            f"{file}: expected a list of {{image_id, segmentation, score}} as COCO results are, or a mapping with such "
            f"a list as `annotations`, got {show(content)}; write it in that form"
        )
    image = content.get("image") if isinstance(content, dict) else None
    if not isinstance(image, dict):
        return records
    ids = [image[key] for key in ("image_id", "file_name") if key in image]
    image_id = next((each for each in ids if str(each) in known), ids[0] if ids else None)
    return [{"image_id": image_id, **record} if isinstance(record, dict) else record for record in records]


def _read_mask(value: object, where: str) -> tuple[str, FileMask]:
    record = read_record(value, where)
    if "image_id" not in record and "segmentation" in record:
        raise DatasetError(
            f"{where}: has no 'image_id'; expected the photo's id in the dataset; add it to each mask, or write one "
            "file a photo as SA-1B has it: {image: {image_id}, annotations: [{segmentation, predicted_iou}]}"
        )
    image_id = read_id(record, "image_id", where)
    where = f"{where} (image {image_id})"
    segmentation = read_field(record, "segmentation", where)
    key = "score" if record.get("score") is not None else "predicted_iou"
    score = record.get(key)
    if score is None:
        return image_id, FileMask(where, segmentation, float("nan"))
    if isinstance(score, bool) or not isinstance(score, int | float) or not isfinite(score):
        raise DatasetError(f"{where}: {key} is {show(score)}; expected a finite number or none; correct it")
    return image_id, FileMask(where, segmentation, float(score))
