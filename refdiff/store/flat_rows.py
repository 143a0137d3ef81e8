"""Rows of a flat array of a store, read file by file."""

from collections import OrderedDict
from operator import lt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refdiff.errors import StoreMismatchError
from refdiff.store.zarr_chunks import ChunkReader

CACHED_FILES = 2


class FlatRows:
    """An array that is cut along its first axis only; the last few files stay in memory.

    Attributes:
        shape: Of the array.
    """

    def __init__(self, array: ChunkReader) -> None:
        """Take an array.

        Raises:
            StoreMismatchError: It is cut in another way, or is no array of rows.
        """
        self.shape, chunk = array.plan.shape, array.plan.chunk
        if array.plan.sharded or not self.shape or any(map(lt, chunk[1:], self.shape[1:])):
            raise StoreMismatchError(
                f"{array.name}: an array of shape {list(self.shape)} is cut into {list(chunk)}; expected whole rows; "
                "run `refdiff store repair`, then `dvc repro`"
            )
        self._array = array
        self._rows_per_file = array.plan.chunk[0]
        self._cache: OrderedDict[int, NDArray[Any]] = OrderedDict()

    def read(self, rows: range) -> NDArray[Any]:
        """These rows, `[len(rows) ...]`.

        Raises:
            ShardCorruptError: A file is damaged.
        """
        step = self._rows_per_file
        files = range(rows.start // step, -(-rows.stop // step) if len(rows) else 0)
        parts = [self._load(index)[max(0, rows.start - index * step) : rows.stop - index * step] for index in files]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([np.zeros((0, *self.shape[1:]), self._array.plan.dtype), *parts])

    def _load(self, index: int) -> NDArray[Any]:
        if index not in self._cache:
            self._cache[index] = self._array.read_chunk(index, *(0 for _ in self.shape[1:]))
            if len(self._cache) > CACHED_FILES:
                self._cache.popitem(last=False)
        self._cache.move_to_end(index)
        return self._cache[index]
