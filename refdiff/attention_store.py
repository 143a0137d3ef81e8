"""Reading stored attention (no torch): one Zarr group per split and capture.

    tokens               int32 [expression], tokens of each sentence
    cross_{h}x{w}        float16 [expression token map h w], one array per map size, padded over tokens
    self_{h}x{w}         float16 [image map h*w h*w], where the capture asks for self-attention

The attribute `refdiff` of the group holds where the store comes from, which map is which, and the digest of every
shard's file. A shard of a cross array is one file with all tokens and maps of `shard_expressions` expressions.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.errors import GroupNotFoundError

from refdiff.attention import CrossMaps, MapKey, SelfMaps
from refdiff.errors import ArtifactMissingError, ShardCorruptError, StoreError, StoreMismatchError

ATTRIBUTE = "refdiff"
KIND = "attention"
FORMAT = 1
Size = tuple[int, int]


def array_name(kind: str, size: Size) -> str:
    """Name of the array of one map size; `kind` is `cross` or `self`."""
    return f"{kind}_{size[0]}x{size[1]}"


class AttentionStore:
    """A complete store.

    Attributes:
        path: Where it is.
        provenance: Stage, versions, parameters, model, input digests.
        settings: The capture's row of params.yaml.
        keys: For each map size, which map is which.
        self_keys: The same of self-attention; empty when the capture asks for none.
        tokens: int32 `[expression]`, tokens of each sentence.
    """

    def __init__(self, path: Path, group: zarr.Group, attributes: Mapping[str, Any]) -> None:
        """Use `AttentionStore.open`."""
        self.path = path
        self.provenance = dict(attributes["provenance"])
        self.settings: dict[str, Any] = dict(attributes["capture"])
        self.keys = _parse_keys(attributes["cross"])
        self.self_keys = _parse_keys(attributes["self"])
        self._cross = {size: _array(group, array_name("cross", size), path) for size in self.keys}
        self._self = {size: _array(group, array_name("self", size), path) for size in self.self_keys}
        self.tokens: NDArray[np.int32] = np.asarray(
            self._load(_array(group, "tokens", path), slice(None), "tokens/c/0"), dtype=np.int32
        )

    @classmethod
    def open(
        cls, path: Path, *, expressions: int | None = None, capture: Mapping[str, Any] | None = None
    ) -> "AttentionStore":
        """Open a store and see that it is what the reader expects.

        Args:
            path: The `.zarr` folder.
            expressions: Rows that the dataset has; not checked when None.
            capture: The capture's row of params.yaml; not checked when None.

        Raises:
            ArtifactMissingError: There is none.
            StoreMismatchError: It is of another kind, version, dataset or capture.
            StoreError: It is incomplete.
            ShardCorruptError: A shard's file is missing or has another size than was recorded.
        """
        try:
            group = zarr.open_group(path, mode="r")
        except (GroupNotFoundError, FileNotFoundError) as error:
            raise ArtifactMissingError(f"{path}: not there; run `dvc repro`, which makes it") from error
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise StoreMismatchError(f"{path}: is not a Zarr group ({error}); make it again") from error
        attributes: Any = group.attrs.asdict().get(ATTRIBUTE)
        if not isinstance(attributes, dict) or attributes.get("kind") != KIND:
            raise StoreMismatchError(f"{path}: is no attention store of refdiff; make it again")
        if attributes.get("format") != FORMAT:
            raise StoreMismatchError(
                f"{path}: expected store format {FORMAT}, got {attributes.get('format')}; run `dvc repro`"
            )
        if not attributes.get("complete"):
            raise StoreError(f"{path}: is incomplete; run `dvc repro`, which goes on with it")
        _check_files(path, attributes["shards"])
        store = cls(path, group, attributes)
        store._check_fit(expressions, capture)
        return store

    def read(self, expression_index: int) -> CrossMaps:
        """All maps of one expression, float32.

        For many expressions use `iterate`: a read costs milliseconds.

        Raises:
            StoreMismatchError: There is no such expression.
            ShardCorruptError: The shard is damaged.
        """
        if not 0 <= expression_index < len(self.tokens):
            raise StoreMismatchError(
                f"{self.path}: no expression {expression_index}; expected 0 to {len(self.tokens) - 1}; run `dvc repro`"
            )
        count = int(self.tokens[expression_index])
        maps = {}
        for size, array in self._cross.items():
            shard = self._shard(size, expression_index)
            maps[size] = self._load(array, (expression_index, slice(0, count)), shard).astype(np.float32)
        return CrossMaps(self.keys, maps)

    def iterate(self, rows: Sequence[Sequence[int] | None] | None = None) -> Iterator[tuple[int, CrossMaps]]:
        """Every expression in order, read shard by shard.

        Args:
            rows: For each expression the prompt positions (start token = 0) that are needed; None is all of them. The
                rows of other tokens are NaN.

        Yields:
            The expression's index and its maps, float32.

        Raises:
            StoreMismatchError: A position is not stored.
            ShardCorruptError: A shard is damaged.
        """
        if rows is not None:
            self._check_rows(rows)
        step = self._shard_expressions
        for start in range(0, len(self.tokens), step):
            indexes = range(start, min(start + step, len(self.tokens)))
            wanted = [self._positions(index, rows) - 1 for index in indexes]
            union = np.unique(np.concatenate(wanted))
            blocks = {}
            for size, array in self._cross.items():
                shard = self._shard(size, start)
                selection = (slice(indexes.start, indexes.stop), union)
                blocks[size] = self._load(array, selection, shard)
            for row, index in enumerate(indexes):
                yield index, self._unpack(index, wanted[row], union, {s: b[row] for s, b in blocks.items()})

    def read_self(self, image_index: int) -> SelfMaps:
        """Self-attention of one image, float32.

        Raises:
            StoreMismatchError: The capture has none, or the image has no expression.
            ShardCorruptError: The shard is damaged.
        """
        if not self._self:
            raise StoreMismatchError(
                f"{self.path}: has no self-attention; name layers in the capture's self_layers and run `dvc repro`"
            )
        maps = {}
        for size, array in self._self.items():
            shard = f"{array_name('self', size)}/c/{image_index}/0/0/0"
            if not (0 <= image_index < array.shape[0] and (self.path / shard).exists()):
                raise StoreMismatchError(f"{self.path}: no self-attention of image {image_index}; run `dvc repro`")
            maps[size] = self._load(array, image_index, shard).astype(np.float32)
        return SelfMaps(self.self_keys, maps)

    @property
    def _shard_expressions(self) -> int:
        array = next(iter(self._cross.values()))
        return (array.shards or array.chunks)[0]

    def _shard(self, size: Size, expression_index: int) -> str:
        return f"{array_name('cross', size)}/c/{expression_index // self._shard_expressions}/0/0/0/0"

    def _positions(self, index: int, rows: Sequence[Sequence[int] | None] | None) -> NDArray[np.intp]:
        asked = None if rows is None else rows[index]
        if asked is None:
            return np.arange(1, self.tokens[index] + 1)
        return np.asarray(asked, dtype=np.intp)

    def _unpack(
        self, index: int, wanted: NDArray[np.intp], union: NDArray[np.intp], blocks: Mapping[Size, NDArray[Any]]
    ) -> CrossMaps:
        maps = {}
        places = np.searchsorted(union, wanted)
        for size, block in blocks.items():
            mine = np.full((self.tokens[index], *block.shape[1:]), np.nan, dtype=np.float32)
            mine[wanted] = block[places]
            maps[size] = mine
        return CrossMaps(self.keys, maps)

    def _load(self, array: zarr.Array, selection: Any, shard: str) -> NDArray[Any]:
        try:
            return np.asarray(array.oindex[selection])
        except (RuntimeError, ValueError, KeyError, OSError) as error:
            reason = " ".join(str(error).split())
            raise ShardCorruptError(
                f"{self.path / shard}: shard is damaged ({reason}); remove the store and run `dvc repro`"
            ) from error

    def _check_fit(self, expressions: int | None, capture: Mapping[str, Any] | None) -> None:
        if expressions is not None and expressions != len(self.tokens):
            raise StoreMismatchError(
                f"{self.path}: expected {expressions} expressions, which the dataset has, got {len(self.tokens)}; "
                "run `dvc repro`"
            )
        for name, value in (capture or {}).items():
            if self.settings.get(name) != value:
                raise StoreMismatchError(
                    f"{self.path}: made with {name} {self.settings.get(name)!r}, expected {value!r}; run `dvc repro`"
                )

    def _check_rows(self, rows: Sequence[Sequence[int] | None]) -> None:
        if len(rows) != len(self.tokens):
            raise StoreMismatchError(
                f"{self.path}: expected rows of {len(self.tokens)} expressions, got {len(rows)}; run `dvc repro`"
            )
        for index, asked in enumerate(rows):
            if asked is not None and not all(1 <= position <= self.tokens[index] for position in asked):
                raise StoreMismatchError(
                    f"{self.path}: expression {index}: expected token positions 1 to {self.tokens[index]}, "
                    f"got {list(asked)}; the text table does not fit, run `dvc repro`"
                )


def _array(group: zarr.Group, name: str, path: Path) -> zarr.Array:
    try:
        array = group[name]
    except KeyError as error:
        raise ShardCorruptError(f"{path / name}: array is not there; remove the store and run `dvc repro`") from error
    assert isinstance(array, zarr.Array)
    return array


def _parse_keys(plain: Mapping[str, Sequence[Sequence[Any]]]) -> dict[Size, tuple[MapKey, ...]]:
    keys: dict[Size, tuple[MapKey, ...]] = {}
    for name, entries in plain.items():
        height, width = (int(side) for side in name.split("x"))
        keys[height, width] = tuple(
            MapKey(int(step), int(order), str(layer), height, width) for step, order, layer in entries
        )
    return keys


def _check_files(path: Path, shards: Sequence[Mapping[str, Any]]) -> None:
    """See that every recorded file is there with its size: a missing shard would read as zeros."""
    for shard in shards:
        for name, entry in shard["files"].items():
            file = path / name
            size = file.stat().st_size if file.is_file() else None
            if size != entry["bytes"]:
                found = "it is missing" if size is None else f"it has {size}"
                raise ShardCorruptError(
                    f"{file}: shard {shard['index']}: expected {entry['bytes']} bytes, {found}; "
                    "remove the store and run `dvc repro`"
                )
