"""Chunks of Zarr v3 arrays read straight from their files: no event loop and no task a chunk, each checksum verified.

zarr itself costs 1.5 to 4 ms a read, whatever is read. This reads what refdiff writes (with zarr) and nothing else:
little-endian numbers, zstd and crc32c, plain chunks or shards with their index at the end.

Source: Zarr core specification 3.0; codecs `bytes`, `zstd`, `crc32c` and `sharding_indexed` 1.0.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from math import prod
from typing import Any

import google_crc32c
import numpy as np
import zstandard
from numpy.typing import NDArray

from refdiff.errors import ShardCorruptError, StoreMismatchError
from refdiff.store.byte_source import ByteSource
from refdiff.store.zarr_plan import METADATA, parse_plan

ABSENT = np.uint64(2**64 - 1)
CRC_BYTES = 4
_REPAIR = "run `refdiff store repair`, then `dvc repro`"
# The crc32c of any bytes that are followed by their own crc32c: they are checked without being cut off.
CRC_RESIDUE = 0x48674BC7
MAX_OFFSET = 1 << 40


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
        except ShardCorruptError as error:
            raise ShardCorruptError(
                f"{source.where}/{name}: array is not there; run `refdiff store repair`, then `dvc repro`"
            ) from error
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise StoreMismatchError(
                f"{source.where}/{file}: is not an array of refdiff ({error}); {_REPAIR}"
            ) from error
        self._decoders = self.plan.codecs[::-1]
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
        with self._naming(file):
            values = np.frombuffer(self._decode(self._source.read(file)), plan.dtype).reshape(plan.chunk)
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
        joined = np.empty(len(wanted) * size + CRC_BYTES, np.uint8)
        if self.plan.codecs == ("crc32c",):
            self._read_plain(file, wanted, joined)
        else:
            for number, content in enumerate(self._contents(file, wanted)):
                joined[number * size : (number + 1) * size] = np.frombuffer(content, np.uint8)
        return joined[:-CRC_BYTES].view(self.plan.dtype).reshape(len(wanted), *self.plan.inner[2:])

    def _read_plain(self, file: str, wanted: NDArray[np.integer], joined: NDArray[np.uint8]) -> None:
        """Read chunks that are their values and a crc32c to where they are wanted, without a copy.

        Each is read with its checksum, which the next one overwrites.
        """
        size, checksum = self._chunk_bytes, google_crc32c.value
        whole = size + CRC_BYTES
        with self._naming(file):
            spans = self._spans(file, wanted)
            rows = [joined[at : at + whole] for at in range(0, len(wanted) * size, size)]
            stored = [(first, row) for (first, length), row in zip(spans, rows, strict=True) if length >= 0]
            counts = self._source.read_into(file, stored)
            for (_, length), row in zip(spans, rows, strict=True):
                if length < 0:
                    row[:size] = 0
                elif next(counts) != whole or length != whole:
                    raise ValueError("it ends before its chunks do, or they are of another size than its values")
                elif checksum(row) != CRC_RESIDUE:
                    raise ValueError("a checksum does not fit")

    def _contents(self, file: str, wanted: NDArray[np.integer]) -> Iterator[bytes | memoryview]:
        """Decoded bytes of some inner chunks of a shard, one after the other: each is in the cache when it is used.

        Raises:
            ShardCorruptError: The shard is damaged or not there.
        """
        with self._naming(file):
            spans = self._spans(file, wanted)
            memory = np.empty(max((0, *(length for _, length in spans))), np.uint8)
            pieces = [(first, memory[:length]) for first, length in spans if length >= 0]
            counts = self._source.read_into(file, pieces)
            for _, length in spans:
                if length < 0:
                    yield bytes(self._chunk_bytes)
                elif next(counts) != length:
                    raise ValueError("it ends before its chunks do")
                else:
                    yield self._decode(memory[:length].tobytes())

    def _spans(self, file: str, wanted: NDArray[np.integer]) -> list[tuple[int, int]]:
        """First byte and length of inner chunks in their file; -1 as the length of zeros that were not written."""
        chunks = prod(self.plan.inner_grid)
        stored = self._source.read_end(file, 16 * chunks + CRC_BYTES)
        if len(stored) != 16 * chunks + CRC_BYTES:
            raise ValueError("it is shorter than its index")
        index = np.frombuffer(_checked(stored), "<u8").reshape(chunks, 2)[wanted]
        missing = (index == ABSENT).all(axis=1)
        # No codec makes a chunk much longer.
        if (index[~missing] > [[MAX_OFFSET, 2 * self._chunk_bytes + 1024]]).any():
            raise ValueError("its index points nowhere")
        spans = index.astype(np.int64)
        spans[missing] = -1
        return list(zip(spans[:, 0].tolist(), spans[:, 1].tolist(), strict=True))

    def _decode(self, stored: bytes) -> bytes | memoryview:
        """Bytes of the values of a chunk."""
        content: bytes | memoryview = stored
        for codec in self._decoders:
            content = _checked(content) if codec == "crc32c" else self._inflate(content)
        if len(content) != self._chunk_bytes:
            raise ValueError(f"a chunk has {len(content)} bytes, expected {self._chunk_bytes}")
        return content

    def _inflate(self, stored: bytes | memoryview) -> bytes:
        try:
            # A frame says its size before memory is taken for it. Bytes behind the frame mean that its header, where
            # the checksum is announced, was changed.
            if not 0 <= zstandard.frame_content_size(stored) <= self._chunk_bytes + CRC_BYTES:
                raise ValueError("a compressed chunk has another size than its values")
            return self._zstd.decompress(stored, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise ValueError(str(error)) from error

    @contextmanager
    def _naming(self, file: str) -> Iterator[None]:
        try:
            yield
        except ValueError as error:
            reason = " ".join(str(error).split())
            raise ShardCorruptError(f"{self._source.where}/{file}: shard is damaged ({reason}); {_REPAIR}") from error


def _checked(stored: bytes | memoryview) -> memoryview:
    """The bytes before a crc32c, which they must have."""
    whole = stored if isinstance(stored, bytes) else bytes(stored)
    if len(whole) < CRC_BYTES or google_crc32c.value(whole) != CRC_RESIDUE:
        raise ValueError("a checksum does not fit")
    return memoryview(whole)[:-CRC_BYTES]
