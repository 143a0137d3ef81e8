"""Chunks read without zarr are those that zarr wrote; what is damaged or of another kind is refused."""

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from zarr.codecs import BytesCodec, Crc32cCodec, ZstdCodec

from refdiff.errors import ShardCorruptError, StoreMismatchError
from refdiff.store.byte_source import LocalFolder
from refdiff.store.zarr_chunks import ChunkReader
from tests.fuzzing import count_examples

SHAPE, INNER, SHARD = (5, 4, 3), (2, 2, 3), (4, 4, 3)


def _write(
    root: Path,
    codec: Any,
    sharded: bool = True,
    empty: bool = True,
    level: int = 3,
    inner: tuple[int, ...] = INNER,
) -> np.ndarray:
    values = np.random.default_rng(0).normal(size=SHAPE).astype(np.float16)
    values[:2, :2] = 0
    array = zarr.create_array(
        root / "x",
        shape=SHAPE,
        chunks=inner,
        shards=SHARD if sharded else None,
        dtype="float16",
        compressors=codec(level),
        fill_value=0,
        config={"write_empty_chunks": empty},
    )
    array[...] = values
    return values


CODECS = {
    "zstd": lambda level: ZstdCodec(level=level, checksum=True),
    "crc32c": lambda _: Crc32cCodec(),
    "both": lambda level: [ZstdCodec(level=level, checksum=False), Crc32cCodec()],
}


@pytest.mark.parametrize("codec", sorted(CODECS))
@pytest.mark.parametrize("level", [-5, 3])
@pytest.mark.parametrize("empty", [True, False], ids=["written", "left-out"])
@pytest.mark.parametrize("inner", [(1, 1, 3), (2, 2, 3)])
def test_points_of_a_shard(tmp_path: Path, codec: str, level: int, empty: bool, inner: tuple[int, ...]) -> None:
    values = _write(tmp_path, CODECS[codec], empty=empty, level=level, inner=inner)
    reader = ChunkReader(LocalFolder(tmp_path), "x")
    first, second = np.array([3, 0, 0, 1, 3]), np.array([1, 0, 3, 1, 1])
    np.testing.assert_array_equal(reader.take(0, first, second), values[first, second])
    np.testing.assert_array_equal(reader.take(1, np.array([0]), np.array([2])), values[[4], [2]])
    assert reader.take(0, np.zeros(0, np.int64), np.zeros(0, np.int64)).shape == (0, 3)
    # Nothing but zeros, of which no chunk may have been written.
    np.testing.assert_array_equal(reader.take(0, np.array([0, 1]), np.array([0, 1])), np.zeros((2, 3), np.float16))


def test_chunks_without_shards(tmp_path: Path) -> None:
    values = np.arange(21, dtype=np.int64).reshape(7, 3)
    array = zarr.create_array(tmp_path / "flat", shape=(7, 3), chunks=(3, 3), dtype="int64", fill_value=0)
    array[...] = values
    reader = ChunkReader(LocalFolder(tmp_path), "flat")
    np.testing.assert_array_equal(reader.read_rows(), values)
    np.testing.assert_array_equal(reader.read_chunk(2, 0), values[6:])


@settings(max_examples=count_examples())
@given(
    place=st.floats(0, 1, exclude_max=True),
    bit=st.integers(0, 7),
    sharded=st.booleans(),
    codec=st.sampled_from(["zstd", "crc32c"]),
    inner=st.sampled_from([INNER, (1, 1, 3)]),
)
def test_no_flipped_bit_changes_a_value_unseen(
    tmp_path_factory: pytest.TempPathFactory,
    place: float,
    bit: int,
    sharded: bool,
    codec: str,
    inner: tuple[int, ...],
):
    root = tmp_path_factory.mktemp("flip")
    values = _write(root, CODECS[codec], sharded, inner=inner if sharded else INNER)
    file = root / "x/c/0/0/0"
    content = bytearray(file.read_bytes())
    content[int(len(content) * place)] ^= 1 << bit
    file.write_bytes(content)
    reader = ChunkReader(LocalFolder(root), "x")
    first, second = (each.ravel() for each in np.mgrid[:4, :4])
    try:
        found = reader.take(0, first, second) if sharded else reader.read_chunk(0, 0, 0)
    except ShardCorruptError as error:
        message = str(error)
    else:
        # A frame of zstd has a bit that nobody reads, and checksums cover what it holds: its values.
        message = "c/0/0/0: shard is damaged" if codec == "zstd" else "nothing was found"
        expected = values[first, second] if sharded else values[: INNER[0], : INNER[1]]
        np.testing.assert_array_equal(found, expected)
    assert "c/0/0/0: shard is damaged" in message


@pytest.mark.parametrize("codec", sorted(CODECS))
@pytest.mark.parametrize("length", [0, 3, 40, -1])
def test_a_torn_shard_is_found(tmp_path: Path, length: int, codec: str) -> None:
    _write(tmp_path, CODECS[codec])
    file = tmp_path / "x/c/0/0/0"
    file.write_bytes(file.read_bytes()[:length])
    with pytest.raises(ShardCorruptError, match="shard is damaged"):
        ChunkReader(LocalFolder(tmp_path), "x").take(0, np.array([3]), np.array([3]))


@pytest.mark.parametrize("codec", sorted(CODECS))
@pytest.mark.parametrize("inner", [(1, 1, 3), (2, 2, 3)])
def test_a_shard_with_a_hole_before_a_whole_index_is_found(tmp_path: Path, codec: str, inner: tuple[int, ...]) -> None:
    _write(tmp_path, CODECS[codec], inner=inner)
    file, index = tmp_path / "x/c/0/0/0", 16 * (16 // (inner[0] * inner[1])) + 4
    content = file.read_bytes()
    file.write_bytes(content[-index:])
    points = np.arange(16)
    with pytest.raises(ShardCorruptError, match="shard is damaged"):
        ChunkReader(LocalFolder(tmp_path), "x").take(0, points // 4, points % 4)


def test_a_shard_that_vanished_is_named(tmp_path: Path) -> None:
    _write(tmp_path, CODECS["crc32c"])
    reader = ChunkReader(LocalFolder(tmp_path), "x")
    (tmp_path / "x/c/0/0/0").unlink()
    with pytest.raises(ShardCorruptError, match=r"x/c/0/0/0: cannot be read \(No such file"):
        reader.take(0, np.array([3]), np.array([3]))


class CutWhileRead(LocalFolder):
    """A folder whose shard another process cuts after its index was read."""

    def read_into(self, name: str, pieces: Iterable[tuple[int, NDArray[np.uint8]]]) -> Iterator[int]:
        """Cut the file, then read."""
        os.truncate(f"{self.where}/{name}", 10)
        return super().read_into(name, pieces)


@pytest.mark.parametrize("codec", sorted(CODECS))
def test_a_shard_that_is_cut_while_it_is_read_is_found(tmp_path: Path, codec: str) -> None:
    _write(tmp_path, CODECS[codec], inner=(1, 1, 3))
    with pytest.raises(ShardCorruptError, match="it ends before its chunks do"):
        ChunkReader(CutWhileRead(tmp_path), "x").take(0, np.array([3]), np.array([3]))


@pytest.mark.parametrize(
    "change",
    [
        {"node_type": "group"},
        {"fill_value": 1},
        {"data_type": "string"},
        {"shape": [-1, 4, 3]},
        {"shape": [5, 4]},
        {
            "shape": [1 << 60, 1 << 60, 3],
            "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [1 << 60] * 3}},
        },
        {"codecs": [{"name": "bytes"}, {"name": "blosc"}]},
        {"codecs": []},
        {"codecs": None},
        {"chunk_key_encoding": {"name": "v2", "configuration": {"separator": "."}}},
    ],
)
def test_arrays_of_another_kind_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    _write(tmp_path, CODECS["zstd"], sharded=False)
    file = tmp_path / "x/zarr.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(StoreMismatchError, match="is not an array of refdiff"):
        ChunkReader(LocalFolder(tmp_path), "x")


def test_big_endian_values_are_refused(tmp_path: Path) -> None:
    zarr.create_array(
        tmp_path / "x", shape=(2,), chunks=(2,), dtype="float32", fill_value=0, serializer=BytesCodec(endian="big")
    )
    with pytest.raises(StoreMismatchError, match="little-endian"):
        ChunkReader(LocalFolder(tmp_path), "x")
