"""Writing pooled/<source>.zarr: arrays row after row, then the root that names their files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

from refdiff.pooling.store import ARTIFACT
from refdiff.store.zarr_plan import METADATA

FILE_BYTES = 8 << 20  # of values in one file, before they are compressed
ZSTD_LEVEL = 1


class RowWriter:
    """Writes the rows of an array file by file, each file once and whole."""

    def __init__(self, folder: Path, shape: tuple[int, ...], dtype: str, names: tuple[str, ...]) -> None:
        """Make the array.

        Args:
            folder: The array's; it is not there yet.
            shape: Of the whole array.
            dtype: Of its values.
            names: Of its dimensions.
        """
        self._step = max(1, FILE_BYTES // (int(np.prod(shape[1:])) * np.dtype(dtype).itemsize))
        self._array = zarr.create_array(
            folder,
            shape=shape,
            chunks=(self._step, *shape[1:]),
            dtype=dtype,
            compressors=ZstdCodec(level=ZSTD_LEVEL, checksum=True),
            fill_value=0,
            dimension_names=names,
            zarr_format=3,
            config={"write_empty_chunks": True},
        )
        self._waiting: list[NDArray[Any]] = []
        self._count = 0
        self._written = 0

    def add(self, rows: NDArray[Any]) -> None:
        """Append rows `[n ...]`."""
        self._waiting.append(rows)
        self._count += len(rows)
        if self._count >= self._step:
            block = np.concatenate(self._waiting)
            whole = len(block) // self._step * self._step
            self._write(block[:whole])
            self._waiting, self._count = [block[whole:]], len(block) - whole

    def close(self) -> None:
        """Write what is left."""
        if self._count:
            self._write(np.concatenate(self._waiting))

    def _write(self, rows: NDArray[Any]) -> None:
        self._array[self._written : self._written + len(rows)] = rows
        self._written += len(rows)


def seal_store(path: Path, provenance: Mapping[str, Any]) -> None:
    """Write the root of a store whose arrays are written: where it comes from, and the size of every file."""
    files = {
        file.relative_to(path).as_posix(): file.stat().st_size for file in sorted(path.rglob("*")) if file.is_file()
    }
    attributes = {"artifact": ARTIFACT, "provenance": dict(provenance), "files": files}
    root = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    (path / METADATA).write_text(json.dumps(root, sort_keys=True, indent=1), encoding="utf-8")
