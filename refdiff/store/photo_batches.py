"""The photos of a split as units of work for the engine, which are done when a pool has their items.

A batch is what the split has of one bucket of the pool, and the bucket of a photo is the start of its digest: other
splits have their photos in the same buckets. Who computes a batch holds the lock of its bucket, and that is all the
agreement between workers of one run, parts of a job array, and runs of other splits or sources: whoever gets the lock
looks at what is there by now and computes the rest. Were batches cut by the order of a split's photos, splits would
need a second list of who computes which photo, beside the engine's queue.

There are 4,096 buckets, so a batch has about one photo of RefCOCO val's 1,500 and a dozen of 50,000.
"""

import json
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa

from refdiff.errors import StoreError
from refdiff.prefetch import prefetch
from refdiff.store.pool_shards import PHOTOS, PoolShards, Row, bucket_of
from refdiff.whole_file import replacing

# A shard of the pool ends with its batch, or with whichever of these comes first; a kill loses at most that much of the
# work of one worker.
SHARD_PHOTOS = 32
SHARD_SECONDS = 60.0
SHARD_BYTES = 1 << 26

FILE = "photos.json"
_HEXADECIMAL = frozenset("0123456789abcdef")

LoadedT = TypeVar("LoadedT")


@dataclass(frozen=True, slots=True)
class PhotoTask:
    """The items of one photo.

    Attributes:
        image_index: The photo, in the split.
        image_id: Its id in the dataset.
        digest: SHA-256 of its bytes.
        items: For each key what it stands for, as plain containers; computing gets those that are missing only.
    """

    image_index: int
    image_id: str
    digest: str
    items: Mapping[str, Any]


class PhotoBatches:
    """The batches of a split, in the order of their buckets.

    Args:
        tasks: All photos of the split.
        shards: The pool's items.
    """

    def __init__(self, tasks: Sequence[PhotoTask], shards: PoolShards) -> None:
        buckets: dict[str, list[PhotoTask]] = defaultdict(list)
        for task in tasks:
            buckets[bucket_of(task.digest)].append(task)
        self._batches = sorted(buckets.items())
        self._shards = shards

    def __len__(self) -> int:
        return len(self._batches)

    def tasks(self, batch: int) -> list[PhotoTask]:
        """The photos of a batch."""
        return self._batches[batch][1]

    def read(self, task: PhotoTask, key: str) -> dict[str, Any]:
        """An item of a photo: an Arrow scalar for each column, not copied.

        Raises:
            ShardCorruptError: It is not there, or damaged.
        """
        return self._shards.read(bucket_of(task.digest), key)

    def lock(self, batch: int) -> Path:
        """What whoever computes the batch has locked, in this split or another."""
        return self._shards.lock(self._batches[batch][0])

    def describe(self, batch: int) -> str:
        """The images of a batch."""
        return "images " + ", ".join(task.image_id for task in self._batches[batch][1])

    def is_done(self, batch: int) -> bool:
        """Whether all items of a batch are there; whether they are whole, `verify` finds out."""
        bucket, tasks = self._batches[batch]
        keys = self._shards.keys(bucket)
        return all(key in keys for task in tasks for key in task.items)

    def missing(self, batch: int) -> list[PhotoTask]:
        """The tasks of a batch with those of their items that are not there; a photo that is twice in it, once."""
        bucket, tasks = self._batches[batch]
        there, narrowed = set(self._shards.keys(bucket)), []
        for task in tasks:
            items = {key: item for key, item in task.items.items() if key not in there}
            if items:
                narrowed.append(PhotoTask(task.image_index, task.image_id, task.digest, items))
                there.update(items)
        return narrowed

    def verify(self, batches: Iterable[int]) -> None:
        """Compare what is there with its digests; what is damaged is taken away, to be computed again."""
        for batch in batches:
            self._shards.verify(self._batches[batch][0])

    def run(
        self,
        batches: Iterator[int],
        load: Callable[[PhotoTask], LoadedT],
        compute: Callable[[PhotoTask, LoadedT], Mapping[str, Row]],
    ) -> Iterator[int]:
        """Compute batches as the iterator hands them out, which locks them; each is on disk before it is yielded.

        Args:
            batches: Which.
            load: Reads a photo, in another thread, while the one before is computed.
            compute: Makes a row for each of the task's keys.

        Raises:
            StoreError: The pool cannot be written.
        """

        def asked() -> Iterator[tuple[int, PhotoTask | None]]:
            for batch in batches:
                self._shards.sweep(self._batches[batch][0])
                yield from ((batch, task) for task in self.missing(batch))
                yield batch, None  # the end of it

        def load_asked(asked: tuple[int, PhotoTask | None]) -> Any:
            return None if asked[1] is None else load(asked[1])

        batch, rows = 0, _Rows()
        try:
            for (batch, task), loaded in prefetch(asked(), load_asked):
                if task is not None:
                    rows.add(compute(task, loaded))
                if task is None or rows.are_enough():
                    self._write(batch, rows)
                if task is None:
                    yield batch
        finally:  # whatever ends it, what was computed until then is kept
            self._write(batch, rows)

    def _write(self, batch: int, rows: "_Rows") -> None:
        photos = rows.take()
        if photos:
            self._shards.write(self._batches[batch][0], photos)


class _Rows:
    """Rows of some photos that are not yet written."""

    def __init__(self) -> None:
        self._photos: list[Mapping[str, Row]] = []
        self._bytes = 0
        self._since = time.monotonic()

    def add(self, photo: Mapping[str, Row]) -> None:
        """Those of one more photo."""
        self._photos.append(photo)
        self._bytes += sum(getattr(value, "nbytes", 0) for row in photo.values() for value in row.values())

    def are_enough(self) -> bool:
        """Whether they make a shard."""
        waited = time.monotonic() - self._since
        return len(self._photos) >= SHARD_PHOTOS or self._bytes >= SHARD_BYTES or waited >= SHARD_SECONDS

    def take(self) -> list[Mapping[str, Row]]:
        """All of them; they are in here no more."""
        photos = self._photos
        self._photos, self._bytes, self._since = [], 0, time.monotonic()
        return photos


def write_tasks(folder: Path, tasks: Sequence[PhotoTask], pool: Path) -> None:
    """Leave the tasks for workers, so that each need not list them again, out of all masks of the split.

    Args:
        folder: The work folder.
        tasks: All photos of the split.
        pool: The pool's folder, for those who ask how far the work has come.
    """
    photos = [[task.image_index, task.image_id, task.digest, dict(task.items)] for task in tasks]
    plain = {"pool": Path(os.path.relpath(pool, folder)).as_posix(), "photos": photos}
    with replacing(folder / FILE) as partial:
        partial.write_text(json.dumps(plain), encoding="utf-8")


def read_tasks(folder: Path) -> list[PhotoTask]:
    """What `write_tasks` left.

    Raises:
        StoreError: There is nothing of the kind.
    """
    return _read(folder)[0]


def count_done(folder: Path) -> tuple[int, int] | None:
    """How many photos of a work folder have all their items in its pool, and how many there are.

    None where the work is not done photo by photo. Whether items are whole is not looked at.

    Raises:
        StoreError: The folder's list of photos, or the pool, cannot be read.
    """
    if not (folder / FILE).exists():
        return None
    tasks, pool = _read(folder)
    batches = PhotoBatches(tasks, PoolShards(pool / PHOTOS, pa.schema([])))
    missing = {task.image_index for batch in range(len(batches)) for task in batches.missing(batch)}
    return sum(task.image_index not in missing for task in tasks), len(tasks)


def _read(folder: Path) -> tuple[list[PhotoTask], Path]:
    try:
        plain = json.loads((folder / FILE).read_text(encoding="utf-8"))
        rows, pool = plain["photos"], folder / str(plain["pool"])
        tasks = [PhotoTask(int(index), str(name), str(digest), dict(items)) for index, name, digest, items in rows]
        if not all(set(task.digest) <= _HEXADECIMAL for task in tasks):
            raise ValueError("a photo's digest is none")
        return tasks, pool
    except (OSError, ValueError, TypeError, LookupError, OverflowError, RecursionError) as error:
        raise StoreError(
            f"{folder / FILE}: cannot be read ({error}); expected the one of the run that sent this work, on a file "
            "system that all workers see; run the same command again"
        ) from error
