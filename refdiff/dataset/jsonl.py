"""A dataset of one's own: `<folder>/<split>.jsonl`, one object a line.

Keys of a line:
    image: The photo, relative to the row's `images`.
    sentence: What is to be found.
    mask: Optional truth: polygons `[[x, y, ...], ...]` in pixels, a run-length code `{"size": [h, w], "counts": ...}`
        (compressed or plain), or the path of a PNG relative to the row's `folder`, whose values are read by
        `prepare_dataset.mask_values`.
    no_target: Optional; true when the sentence means nothing in the photo (instead of a mask).
    id: Optional id of the sentence; the line's number without it.
    ref_id: Optional id of what is meant; lines with the same one are sentences about the same thing, and one of them
        may give the mask for all. The sentence's id without it.
    image_id: Optional id of the photo; its path without it.
"""

import json
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from refdiff.dataset.faults import FaultLog
from refdiff.dataset.fields import read_field, read_id, read_record, read_text, show
from refdiff.dataset.json_file import parse_json, refuse_other_kinds
from refdiff.dataset.paths import join_inside
from refdiff.dataset.records import DatasetRecords, MaskRecord, PhotoRecord, RefRecord
from refdiff.dataset.sentences import check_sentence
from refdiff.dataset.settings import PrepareDatasetSettings, SplitRow
from refdiff.errors import DatasetError, PathOutsideError
from refdiff.paths import expand

KEYS = ("image", "sentence", "mask", "no_target", "id", "ref_id", "image_id")
_FORM = 'lines such as {"image": "a.jpg", "sentence": "the dog on the left"}'
# What other datasets call a key, for advice.
_KNOWN_AS = {
    "image": ("file_name", "filename", "image_path", "img", "path", "photo"),
    "sentence": (
        *("caption", "captions", "expression", "expressions", "phrase", "prompt", "query", "raw"),
        *("referring_expression", "sent", "sentences", "text"),
    ),
    "mask": ("mask_path", "masks", "polygon", "polygons", "rle", "segmentation"),
}


@dataclass(slots=True)
class _Ref:
    """A ref while its lines are gathered, or one line of it; `truth` is the mask's JSON, None while there is none."""

    image_id: str
    where: str
    sentences: list[tuple[str, str]] = field(default_factory=list)
    truth: str | None = None
    masks: tuple[MaskRecord, ...] | None = None


def read_jsonl(row: SplitRow, settings: PrepareDatasetSettings, faults: FaultLog) -> DatasetRecords:
    """Read a JSONL file; lines that have faults are noted and left out.

    Raises:
        DatasetError: The file is missing; the message names those that exist.
    """
    folder = expand(row.folder)
    path = folder / f"{row.split}.jsonl"
    try:
        data = path.read_bytes()
    except OSError as error:
        splits = ", ".join(sorted(file.stem for file in folder.glob("*.jsonl")))
        expected = f"a split among: {splits}; correct params.yaml" if splits else f"{_FORM}; write it"
        others = [file.name for file in sorted(folder.glob(f"{row.split}.*"))[:3] if file != path]
        hint = f", or write {' or '.join(others)} as {path.name}, one object a line" if others else ""
        raise DatasetError(f"{path}: cannot be read ({error.strerror}); expected {expected}{hint}") from error
    lines = data.split(b"\n")
    _refuse_other_forms(path, data, lines)
    reader = _Reader(path, row, settings, faults)
    expressions = 0
    for number, line in enumerate(lines, start=1):
        if line.strip():
            expressions += 1
            reader.read_line(number, line)
    return DatasetRecords(reader.photos, tuple(reader.finish()), expressions, 0, (path,))


def _refuse_other_forms(path: Path, data: bytes, lines: list[bytes]) -> None:
    """Refuse at once a file that is not lines of JSON, such as one JSON list, a CSV, or text in UTF-16.

    Raises:
        DatasetError: It is such a file.
    """
    refuse_other_kinds(data, str(path))
    filled = [line.strip() for line in lines if line.strip(b" \t\r\n\xef\xbb\xbf")]
    if not filled or any(
        line.removeprefix(b"\xef\xbb\xbf").startswith(b"{") and line.endswith(b"}") for line in filled
    ):
        return
    try:
        whole = parse_json(data, str(path))
    except DatasetError:
        whole = None
    if isinstance(whole, dict) or (isinstance(whole, list) and any(isinstance(item, dict) for item in whole)):
        kind = "mapping" if isinstance(whole, dict) else "list"
        raise DatasetError(
            f"{path}: is one JSON {kind}, {show(whole)}; expected one object a line, without commas between "
            "them; write each object on a line of its own"
        )
    if len(filled) > 1 and not any(line.startswith((b"{", b"[")) for line in filled):
        raise DatasetError(
            f"{path}: no line is a JSON object, the first is {show(filled[0].decode('utf-8', 'replace'))}; expected "
            '{"image": ..., "sentence": ...} on each line; write the file in that form'
        )


@dataclass(slots=True)
class _Reader:
    """Gathers lines into refs; what is faulty is noted and left out."""

    path: Path
    row: SplitRow
    settings: PrepareDatasetSettings
    faults: FaultLog
    photos: dict[str, PhotoRecord] = field(default_factory=dict)
    refs: dict[str, _Ref] = field(default_factory=dict)
    sentence_ids: set[str] = field(default_factory=set)

    def read_line(self, number: int, line: bytes) -> None:
        where = f"{self.path}: line {number}"
        try:
            record = read_record(parse_json(line, where), where)
            unknown = sorted(set(record) - set(KEYS))
            if unknown:
                meant = next((key for key, names in _KNOWN_AS.items() if unknown[0].lower() in names), None)
                advice = f"call it {meant!r}" if meant else "remove it"
                raise DatasetError(f"{where}: unknown key {show(unknown[0])}; expected {', '.join(KEYS)}; {advice}")
            sentence_id = read_id(record, "id", where) if "id" in record else str(number)
            ref_id = read_id(record, "ref_id", where) if "ref_id" in record else sentence_id
            name = read_text(record, "image", where)
            # One photo has one id, with or without ./ before its name.
            image_id = read_id(record, "image_id", where) if "image_id" in record else str(PurePosixPath(name))
            sentence = read_field(record, "sentence", where)
            photo = join_inside(expand(self.row.images), name, self.settings.links_outside, where)
            masks = self._read_truth(record, where)
        except DatasetError as error:
            self.faults.add("path_outside" if isinstance(error, PathOutsideError) else "record", str(error))
            return
        problem = check_sentence(sentence)
        if problem:
            self.faults.add("sentence", f"{where}: {problem}; correct or remove the line")
        elif sentence_id in self.sentence_ids:
            self.faults.add("duplicate_sentence", f"{where}: id {sentence_id} was there before; give it another id")
        elif self._join_photo(image_id, photo, where):
            self.sentence_ids.add(sentence_id)
            truth = json.dumps([record.get("mask"), record.get("no_target")]) if masks is not None else None
            one = _Ref(image_id, where, [(sentence_id, sentence)], truth, masks)
            self._join_ref(ref_id, one)

    def finish(self) -> list[RefRecord]:
        return [
            RefRecord(ref_id, ref.image_id, ref.where, tuple(ref.sentences), ref.masks)
            for ref_id, ref in self.refs.items()
        ]

    def _read_truth(self, record: dict[str, Any], where: str) -> tuple[MaskRecord, ...] | None:
        value = record.get("mask")
        nothing = record.get("no_target", False)
        if not isinstance(nothing, bool) or (nothing and value is not None):
            raise DatasetError(
                f"{where}: no_target is {show(nothing)} and mask is {show(value)}; expected a mask, or no_target: true "
                "without one; correct the line"
            )
        if nothing:
            return ()
        if value is None:
            return None
        if isinstance(value, str):
            value = join_inside(expand(self.row.folder), value, self.settings.links_outside, where)
        return (MaskRecord(where, value),)

    def _join_photo(self, image_id: str, path: Path, where: str) -> bool:
        known = self.photos.setdefault(image_id, PhotoRecord(image_id, path, f"{path} (image {image_id})", None))
        if known.path != path:
            self.faults.add(
                "duplicate_image",
                f"{where}: image_id {image_id} is {path}; expected {known.path}, as before; give it another id",
            )
        return known.path == path

    def _join_ref(self, ref_id: str, line: _Ref) -> None:
        """Add one line to its ref, when it is about the same photo and the same mask."""
        ref = self.refs.setdefault(ref_id, _Ref(line.image_id, f"{self.path}: ref {ref_id}"))
        if ref.image_id != line.image_id:
            self.faults.add(
                "duplicate_ref",
                f"{line.where}: ref_id {ref_id} is on image {line.image_id}; expected image {ref.image_id}, as before; "
                "give it another id",
            )
        elif line.truth is not None and ref.truth not in (None, line.truth):
            self.faults.add(
                "duplicate_ref",
                f"{line.where}: ref_id {ref_id} has another mask than before; expected one mask per ref_id; give it "
                "another id",
            )
        else:
            ref.sentences.extend(line.sentences)
            if ref.truth is None and line.truth is not None:
                ref.truth, ref.masks = line.truth, line.masks
