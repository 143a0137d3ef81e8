"""Latents of photos on the disk, where other splits, captures and later runs find them."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from filelock import FileLock
from numpy.typing import NDArray

from refdiff.errors import ShardCorruptError
from refdiff.geometry import CanvasMode
from refdiff.store.fingerprint import digest_facts
from refdiff.store.pool import Pool
from refdiff.store.pool_shards import bucket_of
from refdiff.store.work import translate_write_errors

# In the precision in which they were computed.
COLUMNS = pa.schema([("shape", pa.list_(pa.int32())), ("latent", pa.list_(pa.float32()))])

AXES = 3  # channel, y, x


def describe_latent(canvas_px: int, canvas_mode: CanvasMode, seed: int | None) -> dict[str, Any]:
    """The parameters that decide a photo's latent, as a pool of latents records them.

    Args:
        canvas_px: Side of the canvas.
        canvas_mode: How the photo is put on it.
        seed: Of the draw from the posterior; None for the posterior's mean.
    """
    posterior = "mean" if seed is None else f"drawn by seed {seed}"
    return {"canvas": [canvas_px, canvas_mode], "posterior": posterior}


class LatentPool:
    """The latents of a pool, each a shard of its own.

    A worker of extraction takes shards of sentences and not buckets of photos, so it holds a bucket's lock while it
    writes and not while it computes: two runs that want the same latent at the same time may both compute it, with the
    same bits, and the first of them writes it.

    `find` and `keep` may be called from two threads, each from one.

    Args:
        folder: Of the pool.
        is_drawn: Whether latents are drawn from the posterior, by the image's id: then an item belongs to photo and id.
    """

    def __init__(self, folder: Path, is_drawn: bool) -> None:
        self._is_drawn = is_drawn
        # One for each thread.
        self._reading, self._writing = (Pool.open_shards(folder, COLUMNS) for _ in range(2))

    def find(self, photo: str, image_id: str) -> NDArray[np.float32] | None:
        """The latent of a photo, float32 `[channel y x]`; None where it is not kept, or was damaged and is now removed.

        What is whole by its digest and no latent all the same (a forgery) counts as not kept, and stays.

        Args:
            photo: SHA-256 of its bytes.
            image_id: Its id.

        Raises:
            UnreadableError: It is there and cannot be read now.
            StoreError: It is damaged and cannot be removed.
        """
        bucket, key = bucket_of(photo), self._key(photo, image_id)
        if key not in self._reading.keys(bucket):
            return None
        try:
            item = self._reading.read(bucket, key)
            return _to_latent(item["latent"], item["shape"].as_py())
        except ShardCorruptError:
            self._reading.verify(bucket)
            return None

    def keep(self, photo: str, image_id: str, latent: NDArray[np.float32]) -> None:
        """Write a latent, if nobody else has by now.

        Args:
            photo: SHA-256 of the photo's bytes.
            image_id: Its id.
            latent: float32 `[channel y x]`.

        Raises:
            StoreError: It cannot be written.
        """
        bucket, key = bucket_of(photo), self._key(photo, image_id)
        lock = self._writing.lock(bucket)
        with translate_write_errors(lock):
            lock.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(lock):
                if key not in self._writing.keys(bucket):
                    self._writing.sweep(bucket)
                    self._writing.write(bucket, [{key: {"shape": list(latent.shape), "latent": latent.ravel()}}])

    def _key(self, photo: str, image_id: str) -> str:
        return digest_facts([photo, image_id]) if self._is_drawn else photo


def _to_latent(latent: pa.ListScalar, shape: list[int | None] | None) -> NDArray[np.float32] | None:
    """The values in their shape; None where they do not fit it, or are not finite numbers."""
    if not latent.is_valid or shape is None or len(shape) != AXES:
        return None
    values = np.array(latent.values, np.float32)
    sides = [side or 0 for side in shape]
    if min(sides) < 1 or math.prod(sides) != values.size or not np.isfinite(values).all():
        return None
    return values.reshape(sides)
