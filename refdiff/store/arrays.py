"""Zarr arrays of a store from their bytes: metadata is checked first, chunks are decoded file by file.

Zarr itself is shown one file at a time, in memory, so that a store is inspected alike wherever it lies.
"""

from math import prod
from typing import Annotated, Any, Literal

import numpy as np
import zarr
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import MemoryStore

from refdiff.errors import ShardCorruptError, StoreMismatchError
from refdiff.store.byte_source import MAX_FILE_BYTES
from refdiff.store.manifest import METADATA

_CHECKED: Any = ConfigDict(strict=True, extra="ignore", frozen=True)
Length = Annotated[StrictInt, Field(ge=0, le=1 << 40)]
ChunkLength = Annotated[StrictInt, Field(ge=1, le=1 << 32)]


class _Codec(BaseModel):
    model_config = _CHECKED
    name: Literal["bytes", "zstd", "crc32c", "sharding_indexed"]


class _GridShape(BaseModel):
    model_config = _CHECKED
    chunk_shape: Annotated[tuple[ChunkLength, ...], Field(min_length=1, max_length=8)]


class _Grid(BaseModel):
    model_config = _CHECKED
    name: Literal["regular"]
    configuration: _GridShape


class ArrayMetadata(BaseModel):
    """What a store's array says of itself.

    Attributes:
        shape: Of the array.
        data_type: Of its values.
        chunk_grid: Files of the array; `shape` of a file is its `chunk_shape`.
        codecs: How a file is encoded.
    """

    model_config = _CHECKED
    zarr_format: Literal[3]
    node_type: Literal["array"]
    shape: Annotated[tuple[Length, ...], Field(min_length=1, max_length=8)]
    data_type: Literal["float16", "float32", "int32", "int64"]
    chunk_grid: _Grid
    codecs: Annotated[tuple[_Codec, ...], Field(min_length=1, max_length=8)]

    @property
    def file_shape(self) -> tuple[int, ...]:
        """Values in one file."""
        return self.chunk_grid.configuration.chunk_shape

    @property
    def nbytes(self) -> int:
        """Bytes of the array's values when they are not compressed."""
        return prod(self.shape) * np.dtype(self.data_type).itemsize

    @property
    def files(self) -> tuple[int, ...]:
        """Files along each axis."""
        return tuple(-(-whole // part) for whole, part in zip(self.shape, self.file_shape, strict=True))

    def region(self, key: tuple[int, ...]) -> tuple[range, ...] | None:
        """What the file at `key` of the grid holds, axis by axis; None when the grid has no such file."""
        if len(key) != len(self.shape) or any(k >= n for k, n in zip(key, self.files, strict=True)):
            return None
        steps = zip(key, self.file_shape, self.shape, strict=True)
        return tuple(range(k * step, min((k + 1) * step, whole)) for k, step, whole in steps)


def parse_array(content: bytes, where: str) -> ArrayMetadata:
    """An array's `zarr.json`.

    Raises:
        StoreMismatchError: It is not JSON, or describes no array that refdiff writes.
    """
    try:
        found = ArrayMetadata.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])[:120] or "the whole"
        raise StoreMismatchError(f"{where}: is no array of refdiff ({ascii(place)[1:-1]}: {first['msg']})") from error
    size = prod(found.file_shape) * np.dtype(found.data_type).itemsize
    if len(found.shape) != len(found.file_shape) or size > MAX_FILE_BYTES:
        raise StoreMismatchError(
            f"{where}: expected a file's shape of {len(found.shape)} axes and at most {MAX_FILE_BYTES} bytes, "
            f"got {list(found.file_shape)}"
        )
    return found


def decode_file(metadata: bytes, name: str, region: tuple[range, ...], content: bytes, where: str) -> NDArray[Any]:
    """The values in one file: every chunk is decoded and its checksum compared.

    Args:
        metadata: The array's `zarr.json`, which `parse_array` accepts.
        name: The file's name below the array, such as `c/3/0`.
        region: What it holds.
        content: Its bytes.
        where: The file, for messages.

    Raises:
        ShardCorruptError: A chunk does not decode or does not have its checksum.
    """
    buffer = default_buffer_prototype().buffer
    store = MemoryStore({METADATA: buffer.from_bytes(metadata), name: buffer.from_bytes(content)}, read_only=True)
    try:
        with np.errstate(over="ignore", invalid="ignore"):  # a fill value that its type cannot hold
            array = zarr.open_array(store, mode="r")
            return np.asarray(array[tuple(slice(axis.start, axis.stop) for axis in region)])
    except (RuntimeError, ValueError, LookupError, TypeError, OSError, ArithmeticError, MemoryError) as error:
        reason = ascii(" ".join(str(error).split()))[1:-1][:200]
        raise ShardCorruptError(f"{where}: a chunk is damaged ({reason}); run `refdiff store repair`") from error
