"""DVC's cache behind a published store: which cached objects are not what they are named by.

DVC takes an object in its cache for what its name says: it compares times, never content. A damaged one would come
back with the next checkout, and one that is linked into the store is the store's damaged file.

Lock file and list of objects may come from a stranger. An object's path is made of its digest, and damaged objects are
removed, so what is no digest names nothing.
"""

import hashlib
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictStr, TypeAdapter, ValidationError

from refdiff.errors import is_absent, translate_read_errors

_STORED = re.compile(r"([0-9a-f]{32})(\.dir)?")


class _Entry(BaseModel):
    model_config: Any = ConfigDict(extra="ignore")
    md5: Annotated[StrictStr, Field(pattern="^[0-9a-f]{32}$")]
    relpath: StrictStr


_LISTING = TypeAdapter(list[_Entry])


def find_cached(store: Path) -> Mapping[str, tuple[Path, str]]:
    """Objects of DVC's local cache that a stored output is made of.

    Args:
        store: The output's folder.

    Returns:
        By name relative to the output (`""` for the list of them): the object's path, whether or not it is there, and
        its MD5. None when the folder is no output of a DVC repository, or was never stored; the list alone when that is
        not in the cache, or is damaged.
    """
    from dvc.exceptions import DvcException  # a second to import
    from dvc.repo import Repo

    try:
        with Repo(str(store.absolute().parent)) as repo:
            for out in repo.find_outs_by_path(str(store.absolute())):
                stored = _STORED.fullmatch(out.hash_info.value or "") if out.hash_info else None
                if stored is None:
                    continue
                listing = Path(out.cache.oid_to_path(stored[0]))
                found = {"": (listing, stored[1])}
                for entry in _read_listing(listing, stored[1]) if stored[2] else []:
                    found[entry.relpath] = (Path(out.cache.oid_to_path(entry.md5)), entry.md5)
                return found
    except DvcException:
        pass
    return {}


def _read_listing(path: Path, digest: str) -> list[_Entry]:
    """The objects that a list names; none where it is not there, is damaged or is no such list."""
    try:
        content = path.read_bytes()
    except OSError as error:
        if is_absent(error):
            return []
        raise
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != digest:
        return []
    try:
        return _LISTING.validate_json(content)
    except ValidationError:
        return []


def find_damaged(cached: Mapping[str, tuple[Path, str]], names: Collection[str]) -> list[Path]:
    """Objects of the cache that are not what they are named by.

    Args:
        cached: As `find_cached` gives them.
        names: Which to look at.

    Raises:
        UnreadableError: One is there and cannot be read.
    """
    damaged = []
    for name in names:
        path, digest = cached.get(name, (None, ""))
        if path is not None:
            with translate_read_errors(path):
                if path.is_file() and _md5(path) != digest:
                    damaged.append(path)
    return damaged


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
