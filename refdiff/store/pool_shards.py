"""The shards of a pool: small files of some photos' items, in a folder for each bucket of photos."""

import json
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from filelock import FileLock

from refdiff.errors import ShardCorruptError, is_absent, translate_read_errors
from refdiff.store.fingerprint import digest_bytes, digest_file
from refdiff.store.work import translate_write_errors
from refdiff.whole_file import replacing

OPEN_SHARDS = 64
BUCKET_DIGITS = 3
LOCK = "lock"
DATA = ".arrow"
MARKER = ".json"

Row = Mapping[str, Any]
"""One item: a value for each column of the pool."""

_Keys = tuple[tuple[str, ...], ...]
"""Keys of a shard's items, for each of its record batches."""


_Shard = tuple[str, str]
"""Bucket and name of the marker."""


def bucket_of(photo: str) -> str:
    """The bucket of a photo, in every pool, by the SHA-256 of its bytes."""
    return photo[:BUCKET_DIGITS]


@dataclass(frozen=True, slots=True)
class _Place:
    shard: _Shard
    batch: int
    row: int


class PoolShards:
    """Shards in one folder.

    A shard is an Arrow file named by its SHA-256, with a record batch for each photo. Its marker, a JSON file with its
    name and keys that is itself named by its SHA-256, is written after it and renamed: what has no marker was never
    finished, and what was changed since does not have its name any more.

    Finding is cheap and looks at markers only. `verify` and `read` compare a shard with its digest, once an object. A
    file that is there and cannot be read (a lost permission, an error of the disk) is not taken for damaged: every
    method but `write` raises `UnreadableError` for it, and removes nothing.

    Args:
        folder: Where they lie: a folder for each bucket.
        columns: Columns of an item.
    """

    def __init__(self, folder: Path, columns: pa.Schema) -> None:
        self._folder = folder
        self._columns = columns
        self._markers: dict[str, tuple[str, _Keys]] = {}  # by name, and so by content: never stale
        self._seen: dict[str, tuple[frozenset[str], dict[str, _Place]]] = {}
        self._whole: set[_Shard] = set()
        self._open: OrderedDict[_Shard, Any] = OrderedDict()

    def lock(self, bucket: str) -> Path:
        """The file that whoever writes in a bucket has locked."""
        return self._folder / bucket / LOCK

    def keys(self, bucket: str) -> frozenset[str]:
        """Keys of the items that are there, by whomever they were written."""
        return frozenset(self._look(bucket))

    def write(self, bucket: str, photos: Sequence[Mapping[str, Row]]) -> None:
        """Write a shard; the caller has the bucket's lock.

        Args:
            bucket: Where.
            photos: For each photo a row for each key.

        Raises:
            StoreError: It cannot be written.
        """
        folder = self._folder / bucket
        with translate_write_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            partial = folder / f"shard{DATA}.partial"
            with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, self._columns) as writer:
                for items in photos:
                    writer.write_batch(self._batch(items))
            digest = digest_file(partial)
            partial.replace(folder / f"{digest}{DATA}")
            marker = json.dumps({"file": digest, "keys": [list(items) for items in photos]}).encode()
            with replacing(folder / f"{digest_bytes(marker)}{MARKER}") as partial:
                partial.write_bytes(marker)

    def read(self, bucket: str, key: str) -> dict[str, Any]:
        """An item: an Arrow scalar for each column, not copied.

        Raises:
            ShardCorruptError: It is not there, or damaged.
        """
        place = self._look(bucket).get(key)
        if place is None or not self._is_whole(place.shard):
            raise ShardCorruptError(
                f"{self._folder / bucket}: an item is gone; run the same command again, which computes it"
            )
        batch = self._reader(place.shard).get_batch(place.batch)
        return {name: batch.column(name)[place.row] for name in self._columns.names}

    def verify(self, bucket: str) -> None:
        """Compare a bucket's shards with their digests; what is damaged is taken away, under the bucket's lock.

        Only where there is damage is the lock waited for; the caller must not have it.

        Raises:
            UnreadableError: A shard or marker cannot be read now.
            StoreError: Something cannot be removed.
        """
        shards = [(bucket, name) for name in self._list(bucket) if name.endswith(MARKER)]
        damaged = [shard for shard in shards if not self._is_whole(shard)]
        if not damaged:
            return
        with translate_write_errors(self._folder / bucket), FileLock(self.lock(bucket)):
            for shard in damaged:
                if not self._is_whole(shard):  # another run may have written it again by now
                    (self._folder / bucket / shard[1]).unlink(missing_ok=True)

    def sweep(self, bucket: str) -> None:
        """Remove what nobody will use, as a killed process leaves it; the caller has the bucket's lock."""
        with translate_write_errors(self._folder / bucket):
            names = self._list(bucket)
            markers = [self._marker(bucket, name) for name in names if name.endswith(MARKER)]
            used = {marker[0] for marker in markers if marker is not None}
            for name in names:
                if name.endswith(".partial") or (name.endswith(DATA) and name.removesuffix(DATA) not in used):
                    (self._folder / bucket / name).unlink(missing_ok=True)

    def _list(self, bucket: str) -> frozenset[str]:
        folder = self._folder / bucket
        with translate_write_errors(folder), translate_read_errors(folder):
            try:
                return frozenset(path.name for path in folder.iterdir())
            except FileNotFoundError:
                return frozenset()

    def _look(self, bucket: str) -> dict[str, _Place]:
        """Where each of a bucket's items is, as the folder is now."""
        names = self._list(bucket)
        seen = self._seen.get(bucket)
        if seen is not None and seen[0] == names:
            return seen[1]
        places: dict[str, _Place] = {}
        for name in sorted(names):
            marker = self._marker(bucket, name) if name.endswith(MARKER) else None
            if marker is not None and marker[0] + DATA in names:
                for batch, keys in enumerate(marker[1]):
                    places |= {key: _Place((bucket, name), batch, row) for row, key in enumerate(keys)}
        self._seen[bucket] = names, places
        return places

    def _marker(self, bucket: str, name: str) -> tuple[str, _Keys] | None:
        """Which shard a marker is of, and its keys; None where it is not what it was when it was written."""
        if name not in self._markers:
            content = self._read_marker(bucket, name)
            try:
                if content is None or digest_bytes(content) + MARKER != name:
                    return None
                plain = json.loads(content)
                self._markers[name] = str(plain["file"]), tuple(tuple(map(str, keys)) for keys in plain["keys"])
            except (ValueError, KeyError, TypeError, RecursionError):
                return None
        return self._markers[name]

    def _read_marker(self, bucket: str, name: str) -> bytes | None:
        path = self._folder / bucket / name
        try:
            with translate_read_errors(path):
                return path.read_bytes()
        except OSError as error:
            if is_absent(error):
                return None
            raise

    def _is_whole(self, shard: _Shard) -> bool:
        """Whether a shard has its digest, and the rows that its marker says. Only then is it read as Arrow."""
        if shard not in self._whole:
            marker = self._marker(*shard)
            if marker is None:
                return False
            digest, keys = marker
            path = self._folder / shard[0] / f"{digest}{DATA}"
            try:
                with translate_read_errors(path):
                    if digest_file(path) != digest or not self._holds(path, [len(photo) for photo in keys]):
                        return False
            except OSError as error:
                if is_absent(error):
                    return False
                raise
            self._whole.add(shard)
        return True

    def _holds(self, path: Path, rows: Sequence[int]) -> bool:
        """Whether a file is one of Arrow with the columns, and as many rows in each of its batches."""
        with pa.memory_map(str(path)) as file:
            try:
                with pa.ipc.open_file(file) as reader:
                    found = [reader.get_batch(batch).num_rows for batch in range(reader.num_record_batches)]
                    return reader.schema == self._columns and found == list(rows)
            except (OSError, pa.ArrowException):  # of what is in it: it is mapped already
                return False

    def _reader(self, shard: _Shard) -> Any:
        """The open shard, which was found whole."""
        if shard not in self._open:
            path = self._folder / shard[0] / f"{self._markers[shard[1]][0]}{DATA}"
            with translate_read_errors(path):
                self._open[shard] = pa.ipc.open_file(pa.memory_map(str(path)))
            if len(self._open) > OPEN_SHARDS:
                self._open.popitem(last=False)
        self._open.move_to_end(shard)
        return self._open[shard]

    def _batch(self, items: Mapping[str, Row]) -> pa.RecordBatch:
        columns = [pa.array([row[field.name] for row in items.values()], field.type) for field in self._columns]
        return pa.record_batch(columns, schema=self._columns)
