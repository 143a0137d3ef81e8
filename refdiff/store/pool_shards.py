"""The shards of a pool: files of some photos' items, each with a marker that makes it count."""

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from refdiff.errors import ShardCorruptError
from refdiff.store.fingerprint import digest_file
from refdiff.store.work import translate_write_errors, write_json

OPEN_SHARDS = 64

Row = Mapping[str, Any]
"""One item: a value for each column of the pool."""


@dataclass(frozen=True, slots=True)
class _Place:
    shard: str
    batch: int
    row: int


class PoolShards:
    """Shards in one folder.

    A shard is an Arrow file named by its SHA-256, with a record batch for each photo. Its marker, a JSON file with its
    size and its keys, is written after it, under another name, and renamed: what has no marker was never finished.

    Args:
        folder: Where they lie.
        columns: Columns of an item.
    """

    def __init__(self, folder: Path, columns: pa.Schema) -> None:
        self._folder = folder
        self._columns = columns
        self._index: dict[str, _Place] = {}
        self._whole: dict[str, bool] = {}  # shards whose marker was read: whether the file was found whole, too
        self._open: OrderedDict[str, pa.RecordBatchFileReader] = OrderedDict()

    def write(self, photos: Sequence[Mapping[str, Row]]) -> None:
        """Write a shard.

        Args:
            photos: For each photo a row for each key.

        Raises:
            StoreError: It cannot be written.
        """
        with translate_write_errors(self._folder):
            partial = self._folder / f"{next(iter(photos[0]))}.partial"
            with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, self._columns) as writer:
                for items in photos:
                    writer.write_batch(self._batch(items))
            digest, size = digest_file(partial), partial.stat().st_size
            partial.replace(self._folder / f"{digest}.arrow")
            write_json(self._folder / f"{digest}.json", {"bytes": size, "keys": [list(items) for items in photos]})

    def read(self, key: str) -> dict[str, Any]:
        """The item of a key: an Arrow scalar for each column, not copied.

        Raises:
            ShardCorruptError: It is not there.
        """
        try:
            place = self._index[key]
            batch = self._reader(place.shard).get_batch(place.batch)
        except (KeyError, OSError, pa.ArrowInvalid) as error:
            raise ShardCorruptError(
                f"{self._folder}: an item is gone; run the same command again, which computes it"
            ) from error
        return {name: batch.column(name)[place.row] for name in self._columns.names}

    def refresh(self) -> None:
        """Take note of shards that were finished since, by whomever."""
        for marker in self._folder.glob("*.json"):
            if marker.stem in self._whole:
                continue
            try:
                photos = json.loads(marker.read_text(encoding="utf-8"))["keys"]
                places = {
                    str(key): _Place(marker.stem, batch, row)
                    for batch, keys in enumerate(photos)
                    for row, key in enumerate(keys)
                }
            except (ValueError, KeyError, TypeError):
                marker.unlink()
                continue
            self._whole[marker.stem] = False
            self._index |= places

    def has(self, key: str) -> bool:
        """Whether an item is there; a shard is checked against its digest the first time that it is asked for."""
        place = self._index.get(key)
        if place is None:
            return False
        if not self._whole[place.shard]:
            file = self._folder / f"{place.shard}.arrow"
            if not file.is_file() or digest_file(file) != place.shard:
                self._drop(place.shard)
                return False
            self._whole[place.shard] = True
        return True

    def sweep(self) -> None:
        """Remove what a killed process left half written; to be called while nobody writes."""
        for file in self._folder.iterdir():
            if file.suffix != ".json" and not file.with_suffix(".json").is_file():
                file.unlink()

    def _drop(self, shard: str) -> None:
        """Take a damaged shard away."""
        (self._folder / f"{shard}.json").unlink(missing_ok=True)
        (self._folder / f"{shard}.arrow").unlink(missing_ok=True)
        del self._whole[shard]
        self._index = {key: place for key, place in self._index.items() if place.shard != shard}

    def _batch(self, items: Mapping[str, Row]) -> pa.RecordBatch:
        columns = [pa.array([row[field.name] for row in items.values()], field.type) for field in self._columns]
        return pa.record_batch(columns, schema=self._columns)

    def _reader(self, shard: str) -> Any:
        if shard not in self._open:
            self._open[shard] = pa.ipc.open_file(pa.memory_map(str(self._folder / f"{shard}.arrow")))
            if len(self._open) > OPEN_SHARDS:
                self._open.popitem(last=False)
        self._open.move_to_end(shard)
        return self._open[shard]
