"""From the files of a dataset to its tables: read, check everything, then refuse or drop what is faulty."""

import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from refdiff.dataset.faults import FaultLog
from refdiff.dataset.folders import check_photo_folder
from refdiff.dataset.frames import is_stored_frame
from refdiff.dataset.grefcoco import read_grefcoco
from refdiff.dataset.jsonl import read_jsonl
from refdiff.dataset.photos import PhotoCheck, check_photos
from refdiff.dataset.records import DatasetRecords, PhotoRecord
from refdiff.dataset.refer import read_refer
from refdiff.dataset.settings import Format, PrepareDatasetSettings, SplitRow
from refdiff.dataset.tables import Dataset, Expressions, Images, Targets
from refdiff.dataset.truths import Truth, draw_truth
from refdiff.errors import DatasetError, ImageError
from refdiff.paths import expand
from refdiff.provenance import describe_run

READERS: Mapping[Format, Callable[[SplitRow, PrepareDatasetSettings, FaultLog], DatasetRecords]] = {
    "refer": read_refer,
    "grefcoco": read_grefcoco,
    "jsonl": read_jsonl,
}


def prepare_dataset(name: str, row: SplitRow, settings: PrepareDatasetSettings) -> Dataset:
    """Read a split and check all of it: records, sentences, photos, masks.

    Args:
        name: The split's name in params.yaml.
        row: Where its files are.
        settings: Conventions, and what to do about faults.

    Raises:
        DatasetFaultsError: The dataset has faults and `on_fault` is `refuse`; the message lists them.
        DatasetError: A file cannot be read at all, or nothing is left after dropping.
        HostilePickleError: The pickle holds more than plain content; nothing in it was run.
    """
    faults = FaultLog()
    records = READERS[row.format](row, settings, faults)
    used = {ref.image_id for ref in records.refs}
    photos = {image_id: photo for image_id, photo in records.photos.items() if image_id in used}
    check_photo_folder(expand(row.images), photos.values(), f"splits.{name}.images")
    checks = check_photos(photos.values(), settings.max_pixels, faults)
    stored = _choose_frames(photos, checks, settings, faults)
    drawn = (draw_truth(ref, photos, checks, stored, settings, faults) for ref in records.refs)
    truths = [truth for truth in drawn if truth is not None]
    if settings.on_fault == "refuse":
        advice = "correct the dataset, or set prepare_dataset.on_fault: drop to go on without what is faulty"
        faults.refuse_if_any(
            f"{name} ({row.folder})", advice if truths else "correct the dataset: nothing in it is without a fault"
        )
    if not truths:
        raise DatasetError(
            f"{name} ({row.folder}): no expression is left of {records.expressions}; expected one at least; "
            f"{faults.lines()[0] if faults.faults else 'the split is empty'}"
        )
    provenance = _provenance(row, settings, records, checks)
    meta = {"split": name, **_describe(row, settings, records, truths, faults), "provenance": provenance}
    return _build_tables(truths, photos, checks, meta)


def _choose_frames(
    photos: Mapping[str, PhotoRecord],
    checks: Mapping[str, PhotoCheck],
    settings: PrepareDatasetSettings,
    faults: FaultLog,
) -> dict[str, bool]:
    """For each good photo whose annotation tells its size: whether that is the stored frame."""
    stored: dict[str, bool] = {}
    for image_id, photo in photos.items():
        if image_id not in checks:
            continue
        frame = checks[image_id].frame
        try:
            stored[image_id] = is_stored_frame(frame, photo.size_hw, settings.annotation_frame, photo.where)
        except ImageError as error:
            faults.add("image_size", str(error))
    return stored


def _describe(
    row: SplitRow,
    settings: PrepareDatasetSettings,
    records: DatasetRecords,
    truths: Sequence[Truth],
    faults: FaultLog,
) -> dict[str, Any]:
    """What dataset.json says of the content."""
    expressions = sum(len(truth.ref.sentences) for truth in truths)
    return {
        "format": row.format,
        "benchmark": row.benchmark,
        "counts": {
            "images": len({truth.ref.image_id for truth in truths}),
            "targets": sum(truth.counts is not None for truth in truths),
            "no_targets": sum(truth.ref.masks == () for truth in truths),
            "expressions": expressions,
            "expressions_without_truth": sum(len(t.ref.sentences) for t in truths if t.counts is None),
            "refs_without_sentences": records.refs_without_sentences,
        },
        "conventions": {
            "frame": "photo after EXIF orientation",
            "sentence": settings.sentence if row.format != "jsonl" else "as given",
            "overlapping_polygons": settings.overlapping_polygons,
            "mask_values": settings.mask_values,
            "annotation_frame": settings.annotation_frame,
            "crowds": "left out" if row.format == "grefcoco" else "as any object",
            "colour_profiles": "ignored",
        },
        "remarks": faults.remarks(),
        "dropped": faults.lines(),
        "dropped_counts": {
            "faults": len(faults.faults),
            "by_kind": faults.counts(),
            "expressions": records.expressions - expressions,
        },
    }


def _provenance(
    row: SplitRow, settings: PrepareDatasetSettings, records: DatasetRecords, checks: Mapping[str, PhotoCheck]
) -> dict[str, Any]:
    """Where the tables come from; all photos that decode count as one input."""
    parameters = {"split": row.model_dump(mode="json"), "prepare_dataset": settings.model_dump(mode="json")}
    provenance = describe_run("prepare_dataset", parameters, {path.name: path for path in records.files})
    digests = "".join(f"{image_id}\n{checks[image_id].sha256}\n" for image_id in sorted(checks))
    return {**provenance, "inputs": {**provenance["inputs"], "photos": hashlib.sha256(digests.encode()).hexdigest()}}


def _build_tables(
    truths: Sequence[Truth],
    photos: Mapping[str, PhotoRecord],
    checks: Mapping[str, PhotoCheck],
    meta: dict[str, Any],
) -> Dataset:
    """Tables ordered by photo, photos in the order in which refs first name them, refs in theirs."""
    image_ids = list(dict.fromkeys(truth.ref.image_id for truth in truths))
    index_of = {image_id: index for index, image_id in enumerate(image_ids)}
    ordered = sorted(truths, key=lambda truth: index_of[truth.ref.image_id])
    given = [truth for truth in ordered if truth.counts is not None]
    target_of = {truth.ref.ref_id: index for index, truth in enumerate(given)}
    rows = list(itertools.chain.from_iterable(((t, *sentence) for sentence in t.ref.sentences) for t in ordered))
    frames = [checks[image_id].frame for image_id in image_ids]
    images = Images(
        image_ids,
        [photos[image_id].path.as_posix() for image_id in image_ids],
        np.array([frame.height for frame in frames], dtype=np.int32),
        np.array([frame.width for frame in frames], dtype=np.int32),
        [checks[image_id].sha256 for image_id in image_ids],
    )
    expressions = Expressions(
        [expression_id for _, expression_id, _ in rows],
        [truth.ref.ref_id for truth, _, _ in rows],
        np.array([index_of[truth.ref.image_id] for truth, _, _ in rows], dtype=np.int32),
        [truth.ref.image_id for truth, _, _ in rows],
        [sentence for _, _, sentence in rows],
        np.array([target_of.get(truth.ref.ref_id, -1) for truth, _, _ in rows], dtype=np.int32),
    )
    targets = Targets(
        [truth.ref.ref_id for truth in given],
        np.array([index_of[truth.ref.image_id] for truth in given], dtype=np.int32),
        [truth.counts for truth in given if truth.counts is not None],
        np.array([truth.area for truth in given], dtype=np.int64),
        np.array([len(truth.ref.masks or ()) for truth in given], dtype=np.int32),
    )
    return Dataset(images, expressions, targets, meta)
