"""Reading all of a store, and naming what is not as it was recorded."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from math import prod

import numpy as np

from refdiff.errors import ShardCorruptError, StoreMismatchError, UnreadableError
from refdiff.store.arrays import ArrayMetadata, decode_file, parse_array
from refdiff.store.byte_source import MAX_FILE_BYTES
from refdiff.store.fingerprint import digest_bytes
from refdiff.store.manifest import METADATA, FileEntry, array_of
from refdiff.store.opened import OpenedStore

PARTIAL = ".partial"
# Self-attention is there for images with expressions only.
SPARSE = "self_"

# Called with (files read, files in all).
Report = Callable[[int, int], None]


class Kind(StrEnum):
    """What is wrong with a file.

    One that is there and cannot be read (a lost permission, an error of the disk) is unreadable and not damaged: nobody
    knows what is in it.
    """

    DAMAGED = "damaged"
    MISSING = "missing"
    UNREADABLE = "unreadable"
    SURPLUS = "surplus"


@dataclass(frozen=True, slots=True)
class Fault:
    """A file that is not as it was recorded.

    Attributes:
        kind: What is wrong.
        name: The file, relative to the store.
        shard: The shard that it belongs to, if any.
        reason: What was found, for people.
    """

    kind: Kind
    name: str
    shard: int | None
    reason: str


def verify_store(store: OpenedStore, report: Report = lambda _done, _total: None) -> list[Fault]:
    """Read every file of a store: digests are compared, chunks decoded, values looked at.

    Args:
        store: Which.
        report: Told of progress.

    Returns:
        What is wrong, in the order of the store's records; nothing when all is well.

    Raises:
        StoreError: The server of a remote store cannot be reached or refuses.
    """
    recorded = list(store.manifest.files())
    arrays = _Arrays(store)
    faults = [_bad_marker(marker.name) for marker in store.bad_markers]
    for done, (name, entry, shard) in enumerate(recorded):
        report(done, len(recorded))
        fault = _check_file(store, arrays, name, entry, shard)
        if fault is not None:
            faults.append(fault)
    report(len(recorded), len(recorded))
    unrecorded = _find_unrecorded(store, arrays, {name for name, _, _ in recorded})
    return [*faults, *unrecorded, *_find_gaps(store, arrays)]


class _Arrays:
    """Metadata of a store's arrays, parsed once each.

    Attributes:
        unreadable: For each array whose metadata cannot be read now, why.
    """

    def __init__(self, store: OpenedStore) -> None:
        self.unreadable: dict[str, str] = {}
        self._store = store
        self._known: dict[str, tuple[bytes, ArrayMetadata] | None] = {}

    def get(self, array: str) -> tuple[bytes, ArrayMetadata] | None:
        """The `zarr.json` of an array; None when it is missing or unusable, which is a fault of its own."""
        if array not in self._known:
            self._known[array] = self._read(array)
        return self._known[array]

    def _read(self, array: str) -> tuple[bytes, ArrayMetadata] | None:
        name = f"{array}/{METADATA}"
        if self._store.names.get(name) is None:
            return None
        try:
            content = self._store.source.read(name)
            return content, parse_array(content, name)
        except UnreadableError as error:
            self.unreadable[array] = _reason(self._store, name, error)
            return None
        except (ShardCorruptError, StoreMismatchError):
            return None


def _check_size(store: OpenedStore, name: str, entry: FileEntry, shard: int | None) -> Fault | None:
    if name not in store.names:
        return Fault(Kind.MISSING, name, shard, "is not there")
    size = store.names[name]
    if size is None:
        return Fault(Kind.DAMAGED, name, shard, "is no regular file")
    if size != entry.bytes or size > MAX_FILE_BYTES:
        return Fault(Kind.DAMAGED, name, shard, f"has {size} bytes, expected {entry.bytes}")
    return None


def _check_file(store: OpenedStore, arrays: _Arrays, name: str, entry: FileEntry, shard: int | None) -> Fault | None:
    fault = _check_size(store, name, entry, shard)
    if fault is not None:
        return fault
    try:
        content = store.source.read(name)
    except UnreadableError as error:
        return Fault(Kind.UNREADABLE, name, shard, _reason(store, name, error))
    except ShardCorruptError as error:
        return Fault(Kind.DAMAGED, name, shard, str(error))
    if digest_bytes(content) != entry.sha256:
        return Fault(Kind.DAMAGED, name, shard, "its content does not have the recorded digest")
    reason = _check_chunks(store, arrays, name, content)
    return None if reason is None else Fault(Kind.DAMAGED, name, shard, reason)


def _check_chunks(store: OpenedStore, arrays: _Arrays, name: str, content: bytes) -> str | None:
    """What is wrong with a chunk file, or with an array's metadata, beyond its digest."""
    if name.endswith(f"/{METADATA}"):
        return None if arrays.get(name.removesuffix(f"/{METADATA}")) else "describes no array of refdiff"
    place = array_of(name)
    if place is None:
        return None  # a work folder may hold files that are no arrays
    array, key = place
    found = arrays.get(array)
    if found is None:  # damaged metadata is a fault of its own; the file has its digest
        known = f"{array}/{METADATA}" in store.manifest.metadata
        return f"its array has no recorded {METADATA}" if store.manifest.complete and not known else None
    metadata, parsed = found
    region = parsed.region(key)
    if region is None:
        return "lies outside its array"
    try:
        values = decode_file(metadata, name.removeprefix(f"{array}/"), region, content, name)
    except ShardCorruptError as error:
        return str(error).removeprefix(f"{name}: ")
    return None if np.isfinite(values).all() else "holds NaN or infinity, which no stage writes"


def _find_unrecorded(store: OpenedStore, arrays: _Arrays, recorded: set[str]) -> Iterator[Fault]:
    """Files without a record; in a work folder that is the metadata, and what is not finished."""
    for name in sorted(store.names):
        if name in recorded or name == METADATA:
            continue
        if name.endswith(PARTIAL):
            yield Fault(Kind.SURPLUS, name, None, "was left by a run that was killed")
        elif store.manifest.complete:
            yield Fault(Kind.SURPLUS, name, None, "belongs to no shard")
        elif name.endswith(f"/{METADATA}") and arrays.get(array := name.removesuffix(f"/{METADATA}")) is None:
            unreadable = arrays.unreadable.get(array)
            kind = Kind.DAMAGED if unreadable is None else Kind.UNREADABLE
            yield Fault(kind, name, None, unreadable or "describes no array of refdiff")


def _find_gaps(store: OpenedStore, arrays: _Arrays) -> Iterator[Fault]:
    """Arrays of a complete store with fewer recorded files than their shape asks for: the rest would read as zeros."""
    if not store.manifest.complete:
        return
    counts = Counter(place[0] for name, _, _ in store.manifest.files() if (place := array_of(name)))
    for name in store.manifest.metadata:
        array = name.removesuffix(f"/{METADATA}")
        found = arrays.get(array) if array != name else None
        if found is None or array.startswith(SPARSE):
            continue
        expected = prod(found[1].files)
        if counts[array] != expected:
            reason = f"{counts[array]} files of it are recorded, expected {expected}"
            yield Fault(Kind.MISSING, f"{array}/c", None, reason)


def _reason(store: OpenedStore, name: str, error: UnreadableError) -> str:
    return str(error).removeprefix(f"{store.source.where}/{name}: ")


def _bad_marker(name: str) -> Fault:
    shard = int(name.removesuffix(".json")) if name.removesuffix(".json").isdecimal() else None
    return Fault(Kind.DAMAGED, f"../done/{name}", shard, "the record of a finished shard is none")
