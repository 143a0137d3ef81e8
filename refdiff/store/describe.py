"""What a store is, in figures: shapes, sizes, compression, files, and how far it has come."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from refdiff.errors import RefdiffError
from refdiff.store.arrays import ArrayMetadata, parse_array
from refdiff.store.manifest import METADATA, array_of
from refdiff.store.opened import OpenedStore
from refdiff.store.photo_batches import count_done


@dataclass(frozen=True, slots=True)
class ArraySummary:
    """One array of a store.

    Attributes:
        name: Its name.
        shape: Its shape.
        data_type: Of its values.
        files: Files recorded, and files that the shape asks for.
        stored_bytes: Size of the recorded files.
        raw_bytes: Size of the same values without compression, padding included.
    """

    name: str
    shape: tuple[int, ...]
    data_type: str
    files: tuple[int, int]
    stored_bytes: int
    raw_bytes: int


@dataclass(frozen=True, slots=True)
class StoreSummary:
    """A store in figures.

    Attributes:
        where: The store.
        kind: What it holds.
        complete: Whether it is published.
        shards: Shards finished, and shards in all (None when no array tells).
        photos: Photos of which everything is in the pool, and photos in all; None where work is not done by photo.
        files: Files in the folder.
        bytes: Their sizes together.
        arrays: Its arrays.
        provenance: Stage, versions, parameters, model, input digests.
    """

    where: str
    kind: str
    complete: bool
    shards: tuple[int, int | None]
    photos: tuple[int, int] | None
    files: int
    bytes: int
    arrays: tuple[ArraySummary, ...]
    provenance: Mapping[str, Any]


def summarise_store(store: OpenedStore) -> StoreSummary:
    """Figures of a store, from its metadata and the sizes of its files; no shard is read."""
    recorded: dict[str, dict[tuple[int, ...], int]] = {}
    for name, entry, _ in store.manifest.files():
        place = array_of(name)
        if place is not None:
            recorded.setdefault(place[0], {})[place[1]] = entry.bytes
    names = sorted(name.removesuffix(f"/{METADATA}") for name in store.names if name.endswith(f"/{METADATA}"))
    arrays = tuple(
        _summarise_array(name, parsed, recorded.get(name, {}))
        for name in names
        if (parsed := _try_parse(store, name)) is not None
    )
    sizes = [size for size in store.names.values() if size is not None]
    return StoreSummary(
        store.source.where,
        store.manifest.kind,
        store.manifest.complete,
        (len(store.manifest.shards), _count_shards(store, arrays)),
        None if store.work is None else count_done(store.work),
        len(store.names),
        sum(sizes),
        arrays,
        store.manifest.provenance,
    )


def describe_summary(summary: StoreSummary) -> list[str]:
    """Lines for people."""
    done, total = summary.shards
    state = "complete" if summary.complete else "in the making"
    lines = [f"{summary.where}: {summary.kind}, {state}"]
    if summary.photos is not None:
        lines.append(f"  photos  {summary.photos[0]} of {summary.photos[1]} are in the pool")
    if summary.photos is None or total is not None:  # masks have no shards, and views none before all photos are done
        lines.append(f"  shards  {done} of {'an unknown number' if total is None else total}")
    stored = sum(array.stored_bytes for array in summary.arrays)
    raw = sum(array.raw_bytes for array in summary.arrays)
    ratio = f"; {raw / stored:.2f} times smaller than its {format_size(raw)} of values" if stored else ""
    lines.append(f"  files   {summary.files}, {format_size(summary.bytes)}{ratio}")
    for array in summary.arrays:
        shape = " x ".join(str(length) for length in array.shape)
        ratio = f", {array.raw_bytes / array.stored_bytes:.2f} times smaller" if array.stored_bytes else ""
        files = f"{array.files[0]} of {array.files[1]} files"
        lines.append(
            f"  array   {array.name}: {array.data_type} {shape}, {files}, {format_size(array.stored_bytes)}{ratio}"
        )
    lines.extend(f"  {line}" for line in _flatten(summary.provenance))
    return lines


def _summarise_array(name: str, parsed: ArrayMetadata, recorded: Mapping[tuple[int, ...], int]) -> ArraySummary:
    regions = [region for key in recorded if (region := parsed.region(key)) is not None]
    values = sum(prod(len(axis) for axis in region) for region in regions)
    raw = values * np.dtype(parsed.data_type).itemsize
    files = (len(recorded), prod(parsed.files))
    return ArraySummary(name, parsed.shape, parsed.data_type, files, sum(recorded.values()), raw)


def _try_parse(store: OpenedStore, array: str) -> ArrayMetadata | None:
    try:
        return parse_array(store.source.read(f"{array}/{METADATA}"), array)
    except RefdiffError:
        return None


def _count_shards(store: OpenedStore, arrays: tuple[ArraySummary, ...]) -> int | None:
    """Shards that a store has when it is complete."""
    if store.manifest.complete:
        return len(store.manifest.shards)
    totals = {array.name: array.files[1] for array in arrays}
    cross = [total for name, total in totals.items() if name.startswith("cross_")]
    if cross:
        return max(cross)
    if {"local", "global"} <= totals.keys():
        return 1 + totals["local"] + totals["global"]  # the texts are one more
    return None


def _flatten(value: Mapping[str, Any], prefix: str = "") -> list[str]:
    lines = []
    for key, each in value.items():
        name = f"{prefix}{ascii(key)[1:-1]}"
        if isinstance(each, dict):
            lines.extend(_flatten(each, f"{name}."))
        else:
            text = ascii(each)
            lines.append(f"{name}  {text if len(text) <= 300 else text[:300] + ' ...'}")
    return lines


def format_size(count: int) -> str:
    """Bytes for people."""
    for unit, step in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= step:
            return f"{count / step:.1f} {unit}"
    return f"{count} B"
