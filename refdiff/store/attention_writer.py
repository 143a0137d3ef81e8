"""Writing stored attention shard by shard (layout: see refdiff/attention/store.py)."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.storage import MemoryStore

from refdiff.attention.layout import ATTRIBUTE, FORMAT, KIND, Size, array_name
from refdiff.attention.maps import CrossMaps, MapKey, SelfMaps
from refdiff.errors import StoreError
from refdiff.store.fingerprint import digest_file
from refdiff.store.work import ShardRecord
from refdiff.store.zarr_plan import side_names

# Inner chunks of zeros, the padding over tokens, take no room; a shard of zeros alone is written like any other, so
# that a missing file always means a missing shard.
_SPARSE: Any = {"write_empty_chunks": False}
_DENSE: Any = {"write_empty_chunks": True}


@dataclass(frozen=True, slots=True)
class AttentionLayout:
    """Shape of a store.

    Attributes:
        tokens: int32 `[expression]`, tokens of each sentence.
        images: Images of the dataset.
        cross_keys: For each map size, which map is which.
        self_keys: The same of self-attention.
        shard_expressions: Expressions in a shard.
        chunk_expressions: Expressions in an inner chunk.
        chunk_tokens: Tokens in an inner chunk.
        compression_level: Of zstd; None stores the values as they are, with a crc32c.
    """

    tokens: NDArray[np.int32]
    images: int
    cross_keys: Mapping[Size, tuple[MapKey, ...]]
    self_keys: Mapping[Size, tuple[MapKey, ...]]
    shard_expressions: int
    chunk_expressions: int
    chunk_tokens: int
    compression_level: int | None

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-len(self.tokens) // self.shard_expressions)

    def expressions_of(self, shard: int) -> range:
        """Expressions of a shard."""
        start = shard * self.shard_expressions
        return range(start, min(start + self.shard_expressions, len(self.tokens)))


class AttentionWriter:
    """Writes the shards of one store; several processes may write different shards of it at once."""

    def __init__(self, folder: Path, layout: AttentionLayout, provenance: Mapping[str, Any]) -> None:
        """Make the store's arrays, or open those that an earlier run made in the same folder.

        Args:
            folder: Where the store grows; it belongs to one layout (see `WorkFolder`).
            layout: Its shape.
            provenance: Where its content comes from; `capture` in it is the row of params.yaml.
        """
        self._set(folder, layout)
        self._attributes = {
            "kind": KIND,
            "format": FORMAT,
            "complete": False,
            "capture": provenance["capture"],
            "provenance": dict(provenance),
            "cross": _plain_keys(layout.cross_keys),
            "self": _plain_keys(layout.self_keys),
        }
        _write_if_other(folder / "zarr.json", self._describe_group({}))
        for size in layout.cross_keys:
            self._make_cross(size)
        for size in layout.self_keys:
            self._make_self(size)
        self._make("tokens", layout.tokens.shape, layout.tokens.shape, None, "int32", ("expression",))
        _open(folder / "tokens")[:] = layout.tokens
        self._open_arrays()

    @classmethod
    def reopen(cls, folder: Path, layout: AttentionLayout) -> "AttentionWriter":
        """Open arrays that another process made, to write shards of them; nothing else is written.

        Raises:
            StoreError: They are not there.
        """
        writer = cls.__new__(cls)
        writer._set(folder, layout)
        try:
            writer._open_arrays()
        except FileNotFoundError as error:
            raise StoreError(f"{folder}: the store's arrays are not there; run the same command again") from error
        return writer

    def _set(self, folder: Path, layout: AttentionLayout) -> None:
        self.folder = folder
        self.layout = layout
        self._attributes: dict[str, Any] = {}

    def _open_arrays(self) -> None:
        self._cross = {size: _open(self.folder / array_name("cross", size)) for size in self.layout.cross_keys}
        self._self = {size: _open(self.folder / array_name("self", size)) for size in self.layout.self_keys}

    def describe_arrays(self) -> dict[str, Any]:
        """How the files of shards are laid out and coded: metadata of the open arrays, without shapes and names."""
        arrays = {array_name("cross", size): array for size, array in self._cross.items()}
        arrays |= {array_name("self", size): array for size, array in self._self.items()}
        plain = {name: json.loads(json.dumps(array.metadata.to_dict(), default=str)) for name, array in arrays.items()}
        left_out = {"shape", "dimension_names"}
        return {name: {key: each[key] for key in each.keys() - left_out} for name, each in plain.items()}

    def write_shard(self, shard: int, maps: Sequence[CrossMaps], self_maps: Mapping[int, SelfMaps]) -> list[str]:
        """Write one shard whole.

        Args:
            shard: Which one.
            maps: Of its expressions, in order.
            self_maps: By image index, of the images whose first expression is in this shard.

        Returns:
            The files written, relative to the folder.

        Raises:
            StoreError: A value does not fit half precision.
        """
        layout, rows = self.layout, self.layout.expressions_of(shard)
        files = []
        for size, array in self._cross.items():
            block = np.zeros((len(rows), *array.shape[1:]), dtype=np.float16)
            for row, each in enumerate(maps):
                block[row, : layout.tokens[rows[row]]] = _to_half(each.maps[size], f"expression {rows[row]}")
            files.append(self._make_way(f"{array_name('cross', size)}/c/{shard}/0/0/0/0"))
            _choose(array, block)[rows.start : rows.stop] = block
        for size, array in self._self.items():
            for image, each in self_maps.items():
                files.append(self._make_way(f"{array_name('self', size)}/c/{image}/0/0/0"))
                block = _to_half(each.maps[size], f"image {image}")[None]
                _choose(array, block)[image : image + 1] = block
        return files

    def _make_way(self, name: str) -> str:
        """Remove an older file of that name: Zarr would read it first, and fail if it is damaged."""
        (self.folder / name).unlink(missing_ok=True)
        return name

    def metadata_files(self) -> list[str]:
        """Files that belong to no shard, relative to the folder; the group's own is not among them."""
        names = [array_name("cross", size) for size in self._cross]
        names += [array_name("self", size) for size in self._self]
        return [*(f"{name}/zarr.json" for name in names), "tokens/zarr.json", "tokens/c/0"]

    def final_metadata(self, records: Sequence[ShardRecord]) -> bytes:
        """The group's `zarr.json` of the complete store, with the digests of all shards and of the other files."""
        return self._describe_group(
            {
                "complete": True,
                "shards": [record.to_plain() for record in records],
                "metadata": {
                    name: {"bytes": (self.folder / name).stat().st_size, "sha256": digest_file(self.folder / name)}
                    for name in self.metadata_files()
                },
            }
        )

    def _describe_group(self, more: Mapping[str, Any]) -> bytes:
        attributes = {ATTRIBUTE: {**self._attributes, **more}}
        return json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes}, sort_keys=True).encode()

    def _make_cross(self, size: Size) -> None:
        layout = self.layout
        tokens = int(layout.tokens.max())
        chunk_tokens = min(layout.chunk_tokens, tokens)
        inner, name = (len(layout.cross_keys[size]), *size), array_name("cross", size)
        self._make(
            name,
            (len(layout.tokens), tokens, *inner),
            (layout.chunk_expressions, chunk_tokens, *inner),
            (layout.shard_expressions, -(-tokens // chunk_tokens) * chunk_tokens, *inner),
            "float16",
            ("expression", "token", f"{name}_map", *side_names(size)),
        )

    def _make_self(self, size: Size) -> None:
        maps, pixels, name = len(self.layout.self_keys[size]), size[0] * size[1], array_name("self", size)
        self._make(
            name,
            (self.layout.images, maps, pixels, pixels),
            (1, 1, pixels, pixels),
            (1, maps, pixels, pixels),
            "float16",
            ("image", f"{name}_map", f"{name}_query", f"{name}_key"),
        )

    def _make(
        self,
        name: str,
        shape: tuple[int, ...],
        chunks: tuple[int, ...],
        shards: tuple[int, ...] | None,
        dtype: str,
        names: tuple[str, ...],
    ) -> None:
        described: dict[str, Any] = {}
        level = self.layout.compression_level
        zarr.create_array(
            MemoryStore(described),
            shape=shape,
            chunks=chunks,
            shards=shards,
            dtype=dtype,
            compressors=Crc32cCodec() if level is None else ZstdCodec(level=level, checksum=True),
            fill_value=0,
            dimension_names=names,
        )
        # Compared and not trusted: a run that lost its power may have left an empty file, and chunks must stay.
        _write_if_other(self.folder / name / "zarr.json", described["zarr.json"].to_bytes())


def _open(path: Path) -> zarr.Array:
    return zarr.open_array(path, mode="r+").with_config(_DENSE)


def _choose(array: zarr.Array, block: NDArray[np.float16]) -> zarr.Array:
    """The array, set to write this shard; the setting is not stored with it."""
    return array.with_config(_SPARSE if block.any() else _DENSE)


def _write_if_other(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, unless it is there with this content."""
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    partial.replace(path)


def _plain_keys(keys: Mapping[Size, tuple[MapKey, ...]]) -> dict[str, list[list[Any]]]:
    return {
        f"{height}x{width}": [[key.step, key.order, key.layer] for key in group]
        for (height, width), group in keys.items()
    }


def _to_half(values: NDArray[np.floating], where: str) -> NDArray[np.float16]:
    limit = np.finfo(np.float16).max
    if values.size and not np.abs(values).max() <= limit:
        raise StoreError(
            f"{where}: an attention value does not fit half precision; expected at most {limit:.0f}; "
            "use a smaller guidance or quantity: probabilities"
        )
    return values.astype(np.float16)
