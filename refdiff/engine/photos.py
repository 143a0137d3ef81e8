"""The photos of a split as a job of the engine: what stages that keep their results in a pool have in common."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from refdiff.engine.job import ShardJob
from refdiff.engine.run import run_shards
from refdiff.engine.settings import Engine
from refdiff.errors import ShardCorruptError
from refdiff.store.photo_batches import PhotoBatches, read_tasks
from refdiff.store.pool import Pool

ROUNDS = 3

# Called with (photos done, photos in all), of the part that the run computes.
Report = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class PhotoJob:
    """Photos whose results go into a pool. The first shards are the batches of photos; a stage may have others behind.

    A stage's job extends it by what `start` needs.

    Attributes:
        folder: The work folder, absolute; it holds the tasks, and its name stands for them.
        pool: The pool's folder, absolute.
    """

    folder: Path
    pool: Path

    columns: ClassVar[pa.Schema]

    @property
    def batches(self) -> PhotoBatches:
        """The batches, as this process sees them."""
        return _open_batches(self.folder, self.pool, self.columns)

    def is_done(self, shard: int) -> bool:
        """Whether the items of all of a batch's photos are in the pool."""
        return self.batches.is_done(shard)

    def lock(self, shard: int) -> Path:
        """The lock of the batch's bucket, which other splits' jobs name too."""
        return self.batches.lock(shard)

    def describe(self, shard: int) -> str:
        """The images of a batch."""
        return self.batches.describe(shard)


def compute_photos(job: ShardJob, batches: PhotoBatches, engine: Engine, report: Report, others: int = 0) -> int:
    """Compute what is not in the pool yet; it is whole afterwards, as far as the engine's part goes.

    Args:
        job: A stage's job.
        batches: Their batches; what they found whole is not compared again when it is read through them.
        engine: Who computes, and which part.
        report: Told of progress.
        others: Shards behind the batches.

    Returns:
        For how many photos something was missing at the start.

    Raises:
        ShardsFailedError: Some could not be computed; the others are done.
        RefdiffError: Something keeps every photo from being computed.
    """
    shards = range(len(batches) + others)
    mine = engine.part.of(shards)
    photos = [shard for shard in mine if shard < len(batches)]
    total = sum(len(batches.tasks(batch)) for batch in photos)

    # Batches differ little in their number of photos.
    def watch(done: int) -> None:
        report(total * done // max(1, len(mine)), total)

    batches.verify(photos)
    computed = sum(len(batches.missing(batch)) for batch in photos)
    for _ in range(ROUNDS):
        run_shards(job, shards, engine, watch)
        batches.verify(photos)
        if all(batches.is_done(batch) for batch in photos):
            return computed
    raise ShardCorruptError(
        f"{job.folder}: what was written {ROUNDS} times was damaged when it was read back; check this file system"
    )


@lru_cache(maxsize=2)
def _open_batches(folder: Path, pool: Path, columns: pa.Schema) -> PhotoBatches:
    return PhotoBatches(read_tasks(folder), Pool.open_shards(pool, columns))
