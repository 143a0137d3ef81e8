"""Writing a store of CLIP embeddings: array by array, each chunk one file that is written once and whole."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import ZstdCodec

from refdiff.store.manifest import CLIP, METADATA
from refdiff.store.work import ShardRecord

# Float32 embeddings hardly compress (1.08 times at level 3), and at this level they are read five times faster.
ZSTD_LEVEL = -5

# A chunk of zeros is written like any other: a missing file always means a missing shard.
_CONFIG: Any = {"write_empty_chunks": True}

DIMENSIONS = {
    "text": ("text_row", "channel"),
    "sentence_row": ("expression",),
    "root_row": ("expression",),
    "subject_row": ("expression",),
    "proposals": ("photo",),
    "local": ("local_row", "channel"),
    "global": ("global_row", "channel"),
    "local_start": ("photo", "local_variant"),
    "global_start": ("photo", "global_variant"),
}
"""Of each array, names of its axes, by which xarray opens a store."""


def create_array(folder: Path, shape: tuple[int, ...], rows_per_file: int, dtype: str) -> None:
    """Write an array's metadata; chunks that are there stay.

    Args:
        folder: The array, one of `DIMENSIONS`.
        shape: Its shape.
        rows_per_file: Rows of a chunk; the other axes are whole.
        dtype: Its type.
    """
    (folder / METADATA).unlink(missing_ok=True)
    zarr.create_array(
        folder,
        shape=shape,
        chunks=(rows_per_file, *(max(1, length) for length in shape[1:])),
        dtype=dtype,
        compressors=ZstdCodec(level=ZSTD_LEVEL, checksum=True),
        fill_value=0,
        dimension_names=DIMENSIONS[folder.name],
        zarr_format=3,
        config=_CONFIG,
    )


def write_array(folder: Path, values: NDArray[Any]) -> None:
    """Write a small array in one file."""
    create_array(folder, values.shape, max(1, len(values)), str(values.dtype))
    if values.size:
        _open_for_writing(folder)[...] = values


def write_rows(folder: Path, first: int, values: NDArray[np.float32]) -> None:
    """Write rows from `first` on; they fill whole chunks, or end with the array."""
    _open_for_writing(folder)[first : first + len(values)] = values


def _open_for_writing(folder: Path) -> Any:
    # The setting is not stored with the array, and open_array drops it.
    return zarr.open_array(folder, mode="r+").with_config(_CONFIG)


def list_files(content: Path, array: str) -> list[str]:
    """An array's files, relative to `content`."""
    files = (path for path in (content / array).rglob("*") if path.is_file() and path.suffix != ".partial")
    return sorted(path.relative_to(content).as_posix() for path in files)


def chunk_file(array: str, index: int) -> str:
    """The file of chunk `index` of a two-dimensional array, relative to the store."""
    return f"{array}/c/{index}/0"


def describe_store(facts: Mapping[str, Any], records: Mapping[int, ShardRecord]) -> bytes:
    """The root's metadata file, which completes a store: provenance and the digest of every file.

    Args:
        facts: Provenance, model and variants, as plain containers.
        records: The finished shards.
    """
    files = {name: entry for record in records.values() for name, entry in record.to_plain()["files"].items()}
    attributes = {"artifact": CLIP, **facts, "files": files}
    root = {"zarr_format": 3, "node_type": "group", "attributes": attributes}
    return json.dumps(root, sort_keys=True, indent=1).encode()
