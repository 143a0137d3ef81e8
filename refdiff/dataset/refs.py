"""A list of refs beside `instances.json`: what REFER's pickles and gRefCOCO's JSON have in common."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from refdiff.dataset.faults import FaultLog, raise_all
from refdiff.dataset.fields import read_field, read_id, read_list, read_record, read_text, show
from refdiff.dataset.instances import Instances, read_instances
from refdiff.dataset.json_file import read_json
from refdiff.dataset.records import DatasetRecords, MaskRecord, PhotoRecord, RefRecord
from refdiff.dataset.sentences import check_sentence
from refdiff.dataset.settings import PrepareDatasetSettings, SplitRow
from refdiff.dataset.unpickle import load_plain
from refdiff.errors import DatasetError, PathOutsideError
from refdiff.paths import expand

INSTANCES = "instances.json"


@dataclass(frozen=True, slots=True)
class RefsForm:
    """What differs between REFER and gRefCOCO.

    Attributes:
        stem: First part of the file name, `refs` or `grefs`.
        annotation_ids: The annotations that a ref record names; none for a sentence that means nothing in the photo.
        may_be_empty: Whether a ref without sentences is in order.
        counts_crowds: Whether annotations of crowds belong to what a ref means.
    """

    stem: str
    annotation_ids: Callable[[Mapping[str, Any], str], tuple[str, ...]]
    may_be_empty: bool
    counts_crowds: bool


def read_refs(row: SplitRow, settings: PrepareDatasetSettings, form: RefsForm, faults: FaultLog) -> DatasetRecords:
    """Read the refs of one split and what they name of `instances.json`.

    Raises:
        DatasetError: A file cannot be read as a whole, or the split is unknown; the message names those that exist.
    """
    folder = expand(row.folder)
    path = _find_refs(folder, form.stem, str(row.split_by))
    errors: list[DatasetError] = []
    content: Any = None
    instances: Instances | None = None
    try:
        content = load_plain(path) if path.suffix == ".p" else read_json(path)
        if not isinstance(content, list | tuple):
            raise DatasetError(f"{path}: expected a list of refs, got {show(content)}; fetch it again")
    except DatasetError as error:
        errors.append(error)
    try:
        instances = read_instances(folder / INSTANCES, faults)
    except DatasetError as error:
        errors.append(error)
    raise_all(row.folder, errors)
    assert instances is not None
    reader = _SplitReader(path, row, settings, form, instances, faults)
    return reader.read(content)


@dataclass(slots=True)
class _SplitReader:
    """Walks over the refs of one split; what is faulty is noted and left out."""

    path: Path
    row: SplitRow
    settings: PrepareDatasetSettings
    form: RefsForm
    instances: Instances
    faults: FaultLog
    photos: dict[str, PhotoRecord | None] = field(default_factory=dict)
    ref_ids: set[str] = field(default_factory=set)
    sentence_ids: set[str] = field(default_factory=set)
    expressions: int = 0
    without_sentences: int = 0

    def read(self, content: Sequence[Any]) -> DatasetRecords:
        refs = [ref for ref in (self._read_ref(*found) for found in self._of_split(content)) if ref is not None]
        photos = {image_id: photo for image_id, photo in self.photos.items() if photo is not None}
        files = (self.path, self.instances.path)
        return DatasetRecords(photos, tuple(refs), self.expressions, self.without_sentences, files)

    def _of_split(self, content: Sequence[Any]) -> Iterator[tuple[dict[str, Any], str]]:
        """The records of the split, and what messages call each.

        Raises:
            DatasetError: There are none.
        """
        if not content:
            raise DatasetError(f"{self.path}: holds no refs; expected a list of them; fetch or write the file again")
        found: Counter[str] = Counter()
        for position, value in enumerate(content):
            where = f"{self.path}: ref record {position}"
            try:
                record = read_record(value, where)
                split = read_text(record, "split", where)
            except DatasetError as error:
                self.faults.add("record", str(error))
                continue
            found[split] += 1
            if split_holds(self.row.split, split):
                yield record, where
        if not found:
            self.faults.refuse_if_any(
                str(self.path),
                "no record tells its split; fetch the file again, as bytes (names that end with '\\r' went through a "
                "transfer of text)",
            )
        if not any(split_holds(self.row.split, split) for split in found):
            there = ", ".join(f"{split} ({count} refs)" for split, count in sorted(found.items())[:20]) or "none"
            lost = f"; {len(self.faults.faults)} records cannot be read" if self.faults.faults else ""
            raise DatasetError(
                f"{self.path}: no split {self.row.split!r}; expected one of: {there}; correct params.yaml{lost}"
            )

    def _read_ref(self, record: dict[str, Any], where: str) -> RefRecord | None:
        try:
            sentences = read_list(record, "sentences", where)
            self.expressions += len(sentences)
            ref_id = read_id(record, "ref_id", where)
            where = f"{self.path}: ref {ref_id}"
            image_id = read_id(record, "image_id", where)
            annotation_ids = self.form.annotation_ids(record, where)
        except DatasetError as error:
            self.faults.add("record", str(error))
            return None
        if ref_id in self.ref_ids:
            self.faults.add(
                "duplicate_ref",
                f"{where}: two refs have this id; expected one; remove or renumber one of them",
            )
            return None
        self.ref_ids.add(ref_id)
        kept = tuple(self._read_sentences(sentences, where))
        photo = self._photo(image_id, where)
        masks = self._masks(annotation_ids, image_id, where) if image_id in self.instances.images else None
        if not sentences:
            self._note_empty(where)
        if photo is None or masks is None or not kept:
            return None
        return RefRecord(ref_id, image_id, where, kept, masks)

    def _note_empty(self, where: str) -> None:
        self.without_sentences += 1
        if not self.form.may_be_empty:
            self.faults.add("no_sentence", f"{where}: has no sentences; expected one or more; remove the ref")

    def _read_sentences(self, sentences: Sequence[Any], where: str) -> Iterator[tuple[str, str]]:
        for position, value in enumerate(sentences):
            place = f"{where}: sentence record {position}"
            try:
                record = read_record(value, place)
                sentence_id = read_id(record, "sent_id", place)
                place = f"{where}: sentence {sentence_id}"
                text = read_field(record, self.settings.sentence, place)
            except DatasetError as error:
                self.faults.add("record", str(error))
                continue
            if sentence_id in self.sentence_ids:
                self.faults.add(
                    "duplicate_sentence",
                    f"{place}: two sentences have this id; expected one; remove or renumber one of them",
                )
                continue
            self.sentence_ids.add(sentence_id)
            problem = check_sentence(text)
            if problem:
                self.faults.add("sentence", f"{place}: {problem}; correct or remove it")
                continue
            yield sentence_id, text

    def _photo(self, image_id: str, where: str) -> PhotoRecord | None:
        if image_id in self.photos:
            return self.photos[image_id]
        photo: PhotoRecord | None = None
        if image_id not in self.instances.images:
            self.faults.add(
                "unknown_image",
                f"{where}: image {image_id} is unknown; expected an id among the {len(self.instances.images)} images "
                f"of {self.instances.path}; correct the ref or add the image",
            )
        elif f"image {image_id}" not in self.instances.ambiguous:
            try:
                photo = self.instances.photo(image_id, expand(self.row.images), self.settings.links_outside)
            except DatasetError as error:
                self.faults.add("path_outside" if isinstance(error, PathOutsideError) else "record", str(error))
        if image_id in self.instances.images:
            # Known and good, or its fault is noted: once is enough. An unknown id is a fault of each ref.
            self.photos[image_id] = photo
        return photo

    def _masks(self, annotation_ids: tuple[str, ...], image_id: str, where: str) -> tuple[MaskRecord, ...] | None:
        masks: list[MaskRecord] = []
        whole = True
        for annotation_id in annotation_ids:
            if annotation_id not in self.instances.annotations:
                whole = False
                self.faults.add(
                    "unknown_annotation",
                    f"{where}: annotation {annotation_id} is unknown; expected an id among the "
                    f"{len(self.instances.annotations)} annotations of {self.instances.path}; correct the ref",
                )
            elif f"annotation {annotation_id}" in self.instances.ambiguous:
                whole = False
            else:
                try:
                    if self.form.counts_crowds or not self.instances.is_crowd(annotation_id):
                        masks.append(self.instances.mask(annotation_id, image_id))
                    else:
                        self.faults.remark("crowd", f"{where}: annotation {annotation_id} is a crowd; it is left out")
                except DatasetError as error:
                    whole = False
                    self.faults.add("record", str(error))
        if whole and annotation_ids and not masks:
            whole = False
            self.faults.add(
                "mask",
                f"{where}: all its annotations are crowds, which are left out; expected an object; correct the ref",
            )
        return tuple(masks) if whole else None


def split_holds(wanted: str, split: str) -> bool:
    """Whether a ref of `split` belongs to the split `wanted`, by REFER's rule.

    RefCLEF has refs of several test parts at once: `testAB` belongs to testA and to testB. `test` is all of them.

    Source: lichengunc/refer, getRefIds.
    """
    if split == wanted:
        return True
    if not split.startswith("test"):
        return False
    return wanted == "test" or (wanted in ("testA", "testB", "testC") and wanted[-1] in split[len("test") :])


def _find_refs(folder: Path, stem: str, split_by: str) -> Path:
    """The refs file, pickle or JSON.

    Raises:
        DatasetError: There is none; the message names those that exist.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder}: is not a folder; expected the dataset's; correct `folder` in params.yaml")
    for suffix in (".p", ".json"):
        path = folder / f"{stem}({split_by}){suffix}"
        if path.is_file():
            return path
    there = ", ".join(sorted(path.name for path in folder.glob("*refs(*)*"))) or "none"
    raise DatasetError(
        f"{folder}: has no {stem}({split_by}).p or .json; expected one of: {there}; correct `split_by` or `format` in "
        "params.yaml, or fetch the file"
    )
