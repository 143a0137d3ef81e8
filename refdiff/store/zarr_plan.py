"""How a Zarr v3 array is cut and coded, by its `zarr.json`: the kinds that refdiff writes and nothing else.

Source: Zarr core specification 3.0; codecs `bytes`, `zstd`, `crc32c` and `sharding_indexed` 1.0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

METADATA = "zarr.json"
MAX_BYTES = 1 << 34  # of one chunk: a store of a stranger must not ask for more memory than any has


@dataclass(frozen=True, slots=True)
class ArrayPlan:
    """How an array is cut and coded.

    Attributes:
        shape: Of the array.
        dtype: Of a value.
        chunk: Shape of what one file holds.
        inner: Shape of an inner chunk; that of the file where the array is not sharded.
        codecs: Names of the codecs after `bytes`, in writing order: `zstd` and `crc32c`.
        sharded: Whether a file is a shard of inner chunks.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunk: tuple[int, ...]
    inner: tuple[int, ...]
    codecs: tuple[str, ...]
    sharded: bool

    @property
    def inner_grid(self) -> tuple[int, ...]:
        """Inner chunks of a shard along each axis."""
        return tuple(whole // part for whole, part in zip(self.chunk, self.inner, strict=True))


def side_names(size: tuple[int, int]) -> tuple[str, str]:
    """Names of the height and the width of maps: in one store, a name of a dimension always has the same length."""
    return f"height_{size[0]}", f"width_{size[1]}"


def parse_plan(metadata: Mapping[str, Any]) -> ArrayPlan:
    """What an array's `zarr.json` says.

    Raises:
        ValueError: It is not an array of the kind that refdiff writes; LookupError and TypeError likewise.
    """
    if metadata["node_type"] != "array" or metadata["zarr_format"] != 3 or metadata["fill_value"] != 0:
        raise ValueError("expected a Zarr v3 array with fill value 0")
    grid, keys = metadata["chunk_grid"], metadata["chunk_key_encoding"]
    if grid["name"] != "regular" or keys["name"] != "default" or keys["configuration"]["separator"] != "/":
        raise ValueError("expected a regular grid with default chunk keys")
    shape, chunk = _sizes(metadata["shape"]), _sizes(grid["configuration"]["chunk_shape"])
    codecs, inner = metadata["codecs"], chunk
    sharded = codecs[0]["name"] == "sharding_indexed"
    if sharded:
        settings = codecs[0]["configuration"]
        inner, codecs = _sizes(settings["chunk_shape"]), settings["codecs"]
        index_codecs = [codec["name"] for codec in settings["index_codecs"]]
        if settings.get("index_location", "end") != "end" or index_codecs != ["bytes", "crc32c"]:
            raise ValueError("expected an index with a checksum at the end of a shard")
    names = [codec["name"] for codec in codecs]
    if names[0] != "bytes" or not set(names[1:]) <= {"zstd", "crc32c"}:
        raise ValueError(f"expected the codecs bytes, zstd and crc32c, got {', '.join(map(str, names))}")
    if codecs[0].get("configuration", {}).get("endian", "little") != "little":
        raise ValueError("expected little-endian values")
    if not len(shape) == len(chunk) == len(inner) or min((*chunk, *inner), default=1) < 1:
        raise ValueError("shapes of array and chunks do not fit each other")
    if any(whole % part for whole, part in zip(chunk, inner, strict=True)):
        raise ValueError("a shard is not made of whole inner chunks")
    dtype = np.dtype(metadata["data_type"]).newbyteorder("<")
    if dtype.hasobject or prod(chunk) * dtype.itemsize > MAX_BYTES:
        raise ValueError("chunks are larger than any memory")
    return ArrayPlan(shape, dtype, chunk, inner, tuple(names[1:]), sharded)


def _sizes(values: Any) -> tuple[int, ...]:
    sizes = tuple(values)
    if not sizes or any(type(size) is not int or not 0 <= size <= MAX_BYTES for size in sizes):
        raise ValueError("sizes are not counts")
    return sizes
