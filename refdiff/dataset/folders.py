"""A photo folder that is not the one: told in one line, and not once a photo."""

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from refdiff.dataset.records import PhotoRecord
from refdiff.errors import DatasetError

# Folders looked into, below the named one and beside it, for where the photos are.
_SEARCHED = 1000


def check_photo_folder(folder: Path, photos: Iterable[PhotoRecord], parameter: str) -> None:
    """See that the folder is there and holds some of the photos.

    Args:
        folder: The folder that photo names are relative to.
        photos: Their records; each file lies below `folder`.
        parameter: The parameter that names the folder.

    Raises:
        DatasetError: It is no folder, or holds none of the photos; the message says where the first one is.
    """
    records = list(photos)
    if not records or any(os.path.lexists(record.path) for record in records):
        return
    name = records[0].path.relative_to(folder)
    elsewhere = next((place for place in _near(folder) if os.path.lexists(place / name)), None)
    if elsewhere is None and folder.is_dir() and len(records) == 1:
        return  # one photo alone is as likely a wrong name as a wrong folder
    what = f"holds none of the {len(records)} photos" if folder.is_dir() else "is not a folder"
    advice = f"fetch the photos, or correct {parameter} in params.yaml"
    if elsewhere is not None:
        advice = f"{elsewhere / name} is there, set {parameter}: {elsewhere.as_posix()}"
    raise DatasetError(f"{folder}: {what}; expected the photos, such as {name}; {advice}")


def _near(folder: Path) -> Iterator[Path]:
    """Folders below, above and beside."""
    below = (Path(root, sub) for root, subs, _ in os.walk(folder) for sub in sorted(subs))
    yield from islice(below, _SEARCHED)
    yield from list(folder.parents)[:2]
    if folder.parent.is_dir():
        yield from islice((path for path in sorted(folder.parent.iterdir()) if path.is_dir()), _SEARCHED)
