"""Which expressions and photos a shard's file is about, so that a fault says what it concerns."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refdiff.clip.view_rows import ViewRows
from refdiff.dataset.tables import Dataset, read_dataset
from refdiff.errors import RefdiffError
from refdiff.layout import ARTIFACTS
from refdiff.store.arrays import ArrayMetadata, decode_file, parse_array
from refdiff.store.fingerprint import digest_facts
from refdiff.store.manifest import ATTENTION, CLIP, METADATA, array_of
from refdiff.store.opened import OpenedStore

VIEWS = ("local", "global")


@dataclass(frozen=True, slots=True)
class Members:
    """Names the expressions and photos of a file.

    Attributes:
        store: The store.
        dataset: The tables of its split, if they are at hand and are the ones that the store was made of.
        views: Rows of a store of embeddings, by view; empty for others.
    """

    store: OpenedStore
    dataset: Dataset | None
    views: dict[str, ViewRows]

    def describe(self, name: str) -> str:
        """What a file of the store holds: `expressions 64 to 127 (photos 17 to 33)`; empty when that is not known."""
        place = array_of(name)
        if place is None:
            return ""
        array, key = place
        metadata = _read_array(self.store, array)
        region = metadata.region(key) if metadata is not None else None
        if region is None or not region[0]:
            return ""
        if array in self.views:
            return self._photos(_photos_of_rows(self.views[array], region[0]))
        if array.startswith("self_"):
            return self._photos(region[0])
        if array.startswith("cross_"):
            return self._expressions(region[0])
        return ""

    def _expressions(self, rows: range) -> str:
        text = f"expressions {rows.start} to {rows.stop - 1}"
        if self.dataset is None:
            return text
        photos = self.dataset.expressions.image_index[rows.start : rows.stop]
        return f"{text}, {self._photos([int(index) for index in np.unique(photos)])}"

    def _photos(self, indexes: Sequence[int]) -> str:
        if not indexes:
            return "no photos"
        if self.dataset is None:
            return f"photos {indexes[0]} to {indexes[-1]}"
        names = self.dataset.images.image_id
        return f"photos {names[indexes[0]]} to {names[indexes[-1]]} ({len(indexes)})"


def find_members(store: OpenedStore) -> Members:
    """What the store's shards are about, as far as the store and the project around it tell."""
    return Members(store, _find_dataset(store), _read_views(store) if store.manifest.kind == CLIP else {})


def _find_dataset(store: OpenedStore) -> Dataset | None:
    """The split's tables beside the store, or in the project of the work folder, if the store was made of them."""
    inputs = store.manifest.provenance.get("inputs")
    if not isinstance(inputs, dict):
        return None
    for folder in _dataset_folders(store):
        try:
            dataset = read_dataset(folder)
        except RefdiffError:
            continue
        expressions = dataset.expressions
        sentences = digest_facts([expressions.image_index.tolist(), expressions.sentence])
        if store.manifest.kind == CLIP or inputs.get("sentences") == sentences:
            return dataset
    return None


def _dataset_folders(store: OpenedStore) -> list[Path]:
    if store.work is not None:
        name, artifacts = store.work.name, store.work.absolute().parents[2] / ARTIFACTS
        return [folder / "dataset" for folder in sorted(artifacts.glob("*")) if name.startswith(f"{folder.name}-")]
    if store.manifest.kind in (ATTENTION, CLIP) and "://" not in store.source.where:
        return [Path(store.source.where).absolute().parents[1] / "dataset"]
    return []


def _read_views(store: OpenedStore) -> dict[str, ViewRows]:
    views = {}
    counts = _read_values(store, "proposals")
    for view in VIEWS:
        start, names = _read_values(store, f"{view}_start"), store.manifest.provenance.get(f"{view}_variants")
        if counts is None or start is None or not isinstance(names, list) or start.shape != (len(counts), len(names)):
            continue
        views[view] = ViewRows(tuple(str(name) for name in names), start, counts)
    return views


def _photos_of_rows(rows: ViewRows, wanted: range) -> list[int]:
    return sorted({segment.image_index for segment in rows.segments(wanted.start, wanted.stop)})


def _read_array(store: OpenedStore, array: str) -> ArrayMetadata | None:
    try:
        return parse_array(store.source.read(f"{array}/{METADATA}"), array)
    except RefdiffError:
        return None


def _read_values(store: OpenedStore, array: str) -> np.ndarray | None:
    """A small array in one file; None when it is not there or is damaged."""
    metadata = _read_array(store, array)
    if metadata is None:
        return None
    key = tuple(0 for _ in metadata.shape)
    region, name = metadata.region(key), "/".join(["c", *("0" for _ in key)])
    try:
        if region is None:
            return None
        raw, content = store.source.read(f"{array}/{METADATA}"), store.source.read(f"{array}/{name}")
        return decode_file(raw, name, region, content, array)
    except RefdiffError:
        return None
