"""All photos of a split, opened and decoded in full, so that a truncated one is found here and not hours later."""

import hashlib
import os
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from refdiff.dataset.faults import FaultLog, RemarkKind
from refdiff.dataset.photo_remarks import remark_on_photo
from refdiff.dataset.records import PhotoRecord
from refdiff.errors import ImageError
from refdiff.photo import PhotoFrame, decode_photo, read_bytes
from refdiff.progress import track

_MAX_THREADS = 8


@dataclass(frozen=True, slots=True)
class PhotoCheck:
    """A photo that decodes.

    Attributes:
        frame: Its frames.
        sha256: Digest of its file.
        remarks: Kinds and texts of what a person should know of it.
    """

    frame: PhotoFrame
    sha256: str
    remarks: tuple[tuple[RemarkKind, str], ...]


def check_photos(photos: Iterable[PhotoRecord], max_pixels: int, faults: FaultLog) -> dict[str, PhotoCheck]:
    """Decode every photo; those that do not decode are noted as faults and left out of the result, by image id."""
    records = list(photos)
    checked: dict[str, PhotoCheck] = {}
    with warnings.catch_warnings(), ThreadPoolExecutor(min(_MAX_THREADS, os.cpu_count() or 1)) as pool:
        # Pillow warns of damaged EXIF blocks and of bombs; the first is harmless, the second is a fault below.
        warnings.filterwarnings("ignore", module=r"PIL\.")
        results = pool.map(lambda record: _check_photo(record, max_pixels), records)
        progress = track(results, "prepare_dataset", len(records), "photos")
        for record, result in zip(records, progress, strict=True):
            if isinstance(result, ImageError):
                faults.add("image", str(result))
            else:
                checked[record.image_id] = result
                for kind, text in result.remarks:
                    faults.remark(kind, f"{record.where}: {text}")
    return checked


def _check_photo(record: PhotoRecord, max_pixels: int) -> PhotoCheck | ImageError:
    try:
        data = read_bytes(record.path, record.where)
        _, frame = decode_photo(data, record.where, max_pixels)
    except ImageError as error:
        return error
    return PhotoCheck(frame, hashlib.sha256(data).hexdigest(), tuple(remark_on_photo(data)))
