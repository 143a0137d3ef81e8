"""Chunks of Zarr v3 arrays read straight from their files: no event loop and no task a chunk, each checksum verified.

zarr itself costs 1.5 to 4 ms a read, whatever is read. This reads what refdiff writes (with zarr) and nothing else:
little-endian numbers, zstd and crc32c, plain chunks or shards with their index at the end.

Source: Zarr core specification 3.0; codecs `bytes`, `zstd`, `crc32c` and `sharding_indexed` 1.0.
"""

import json
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import google_crc32c
import numpy as np
import zstandard
from numpy.typing import NDArray

from refdiff.byte_source import ByteSource
from refdiff.errors import ShardCorruptError, StoreMismatchError

METADATA = "zarr.json"
ABSENT = np.uint64(2**64 - 1)
CRC_BYTES = 4
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


class ChunkReader:
    """One array of a store.

    Attributes:
        name: The array's name in the store.
        plan: How it is cut and coded.
    """

    def __init__(self, source: ByteSource, name: str) -> None:
        """Read the array's metadata.

        Raises:
            ShardCorruptError: It is not there or cannot be read.
            StoreMismatchError: It is an array of another kind.
        """
        self._source = source
        self.name = name
        file = f"{name}/{METADATA}"
        try:
            self.plan = parse_plan(json.loads(source.read(file)))
        except OSError as error:
            raise ShardCorruptError(
                f"{source.describe(name)}: array is not there; remove the store and run `dvc repro`"
            ) from error
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise StoreMismatchError(
                f"{source.describe(file)}: is not an array of refdiff ({error}); remove the store and run `dvc repro`"
            ) from error
        self._zstd = zstandard.ZstdDecompressor()
        self._chunk_bytes = prod(self.plan.inner) * self.plan.dtype.itemsize

    def file(self, *place: int) -> str:
        """Name of the file of the chunk at this place of the grid."""
        return "/".join([self.name, "c", *map(str, place)])

    def read_chunk(self, *place: int) -> NDArray[Any]:
        """The values of one file of an array without shards, cut where the array ends.

        Raises:
            ShardCorruptError: The file is damaged or not there.
        """
        file, plan = self.file(*place), self.plan
        try:
            values = np.frombuffer(self._decode(self._source.read(file)), plan.dtype).reshape(plan.chunk)
        except (OSError, ValueError) as error:
            raise self._damaged(file, error) from error
        ends = (size - at * part for size, at, part in zip(plan.shape, place, plan.chunk, strict=True))
        return values[tuple(slice(0, max(0, min(end, part))) for end, part in zip(ends, plan.chunk, strict=True))]

    def read_rows(self) -> NDArray[Any]:
        """The whole of an array that is cut along its first axis only.

        Raises:
            ShardCorruptError: A file is damaged or not there.
        """
        rest = (0,) * (len(self.plan.shape) - 1)
        files = -(-self.plan.shape[0] // self.plan.chunk[0])
        parts = [self.read_chunk(index, *rest) for index in range(files)]
        return np.concatenate([np.zeros((0, *self.plan.shape[1:]), self.plan.dtype), *parts])

    def take(self, shard: int, first: NDArray[np.integer], second: NDArray[np.integer]) -> NDArray[Any]:
        """Points along the first two axes of a shard, the other axes whole; only the chunks that hold them are read.

        Args:
            shard: Position of the shard along the first axis; along the others there is one shard.
            first: `[n]`, places along the first axis, counted from the shard's start.
            second: `[n]`, places along the second axis.

        Returns:
            `[n ...]`, a block for each point.

        Raises:
            ShardCorruptError: The shard is damaged or not there.
        """
        file, plan = self.file(shard, *(0 for _ in self.plan.shape[1:])), self.plan
        chunks = (first // plan.inner[0]) * plan.inner_grid[1] + second // plan.inner[1]
        wanted, place = np.unique(chunks, return_inverse=True)
        if plan.inner[:2] == (1, 1):
            # A chunk is a point: the common case, and worth half of the time.
            values = self._join(file, wanted)
            return values if np.array_equal(place, np.arange(len(wanted))) else values[place]
        taken = np.empty((len(first), *plan.inner[2:]), plan.dtype)
        inside = (first % plan.inner[0], second % plan.inner[1])
        for number, content in enumerate(self._contents(file, wanted)):
            rows = place == number
            taken[rows] = np.frombuffer(content, plan.dtype).reshape(plan.inner)[inside[0][rows], inside[1][rows]]
        return taken

    def _join(self, file: str, wanted: NDArray[np.integer]) -> NDArray[Any]:
        """Some inner chunks of one point each, `[len(wanted) ...]`."""
        size = self._chunk_bytes
        joined = bytearray(len(wanted) * size)
        for number, content in enumerate(self._contents(file, wanted)):
            joined[number * size : (number + 1) * size] = content
        return np.frombuffer(joined, self.plan.dtype).reshape(len(wanted), *self.plan.inner[2:])

    def _contents(self, file: str, wanted: NDArray[np.integer]) -> Iterator[bytes]:
        """Decoded bytes of some inner chunks of a shard, one after the other: each is in the cache when it is used.

        Raises:
            ShardCorruptError: The shard is damaged or not there.
        """
        try:
            spans = self._spans(file, wanted)
            stored = iter(self._source.read_spans(file, [span for span in spans if span is not None]))
            for span in spans:
                yield bytes(self._chunk_bytes) if span is None else self._decode(next(stored), span[1])
        except (OSError, ValueError) as error:
            raise self._damaged(file, error) from error

    def _spans(self, file: str, wanted: NDArray[np.integer]) -> list[tuple[int, int] | None]:
        """First byte and length of inner chunks in their file; None for one of zeros that was not written."""
        chunks = prod(self.plan.inner_grid)
        stored = self._source.read_end(file, 16 * chunks + CRC_BYTES)
        if len(stored) != 16 * chunks + CRC_BYTES:
            raise ValueError("it is shorter than its index")
        index = np.frombuffer(_checked(stored), "<u8").reshape(chunks, 2)[wanted]
        missing = (index == ABSENT).all(axis=1)
        if (index[~missing] > MAX_BYTES).any():
            raise ValueError("its index points nowhere")
        return [
            None if gone else (int(offset), int(length)) for gone, (offset, length) in zip(missing, index, strict=True)
        ]

    def _decode(self, stored: bytes, length: int | None = None) -> bytes:
        """Bytes of the values of an inner chunk."""
        if length is not None and len(stored) != length:
            raise ValueError("it ends before its chunks do")
        for codec in reversed(self.plan.codecs):
            stored = _checked(stored) if codec == "crc32c" else self._inflate(stored)
        if len(stored) != self._chunk_bytes:
            raise ValueError(f"a chunk has {len(stored)} bytes, expected {self._chunk_bytes}")
        return stored

    def _inflate(self, stored: bytes) -> bytes:
        try:
            # A frame says its size before memory is taken for it. Bytes behind the frame mean that its header, where
            # the checksum is announced, was changed.
            if not 0 <= zstandard.frame_content_size(stored) <= self._chunk_bytes + CRC_BYTES:
                raise ValueError("a compressed chunk has another size than its values")
            return self._zstd.decompress(stored, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from error

    def _damaged(self, file: str, error: Exception) -> ShardCorruptError:
        reason = " ".join(str(error).split())
        return ShardCorruptError(
            f"{self._source.describe(file)}: shard is damaged ({reason}); remove the store and run `dvc repro`"
        )


def _checked(stored: bytes) -> bytes:
    """The bytes before a crc32c, which they must have."""
    content = stored[:-CRC_BYTES]
    if len(stored) < CRC_BYTES or struct.unpack("<I", stored[-CRC_BYTES:])[0] != google_crc32c.value(content):
        raise ValueError("a checksum does not fit")
    return content
