"""Reading stored attention (no torch, no zarr): one Zarr group per split and capture.

    tokens               int32 [expression], tokens of each sentence
    cross_{h}x{w}        float16 [expression token map h w], one array per map size, padded over tokens
    self_{h}x{w}         float16 [image map h*w h*w], where the capture asks for self-attention

The attribute `refdiff` of the group holds where the store comes from, which map is which, and the digest of every
shard's file. A shard of a cross array is one file with all tokens and maps of `shard_expressions` expressions.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from refdiff.attention.layout import (
    ATTRIBUTE,
    FORMAT,
    KIND,
    Size,
    array_name,
    check_files,
    parse_keys,
    read_attributes,
)
from refdiff.attention.maps import CrossMaps, SelfMaps
from refdiff.errors import StoreError, StoreMismatchError
from refdiff.geometry import CanvasMode
from refdiff.store.byte_source import ByteSource, LocalFolder
from refdiff.store.zarr_chunks import ChunkReader

__all__ = ["ATTRIBUTE", "FORMAT", "KIND", "AttentionStore", "Size", "TokenBlock", "array_name"]


@dataclass(frozen=True, slots=True)
class TokenBlock:
    """Maps of the wanted tokens of consecutive expressions.

    Attributes:
        expressions: Which ones.
        starts: int `[len(expressions) + 1]`; the tokens of expression i are rows starts[i] to starts[i + 1].
        maps: For each map size, float16 `[row map height width]`.
    """

    expressions: range
    starts: NDArray[np.intp]
    maps: Mapping[Size, NDArray[np.float16]]


class AttentionStore:
    """A complete store.

    Attributes:
        where: Where it is, for messages.
        provenance: Stage, versions, parameters, model, input digests.
        settings: The capture's row of params.yaml.
        keys: For each map size, which map is which.
        self_keys: The same of self-attention; empty when the capture asks for none.
        tokens: int32 `[expression]`, tokens of each sentence.
    """

    def __init__(self, source: ByteSource, attributes: Mapping[str, Any]) -> None:
        """Use `AttentionStore.open`."""
        self.where = source.where
        self.provenance = dict(attributes["provenance"])
        self.settings: dict[str, Any] = dict(attributes["capture"])
        self.keys = parse_keys(attributes["cross"])
        self.self_keys = parse_keys(attributes["self"])
        self._source = source
        self.tokens: NDArray[np.int32] = ChunkReader(source, "tokens").read_rows().astype(np.int32)
        self._cross = {size: ChunkReader(source, array_name("cross", size)) for size in self.keys}
        self._self = {size: ChunkReader(source, array_name("self", size)) for size in self.self_keys}
        self._check_shapes()

    @classmethod
    def open(
        cls, place: Path | ByteSource, *, expressions: int | None = None, capture: Mapping[str, Any] | None = None
    ) -> "AttentionStore":
        """Open a store and see that it is what the reader expects.

        Args:
            place: The `.zarr` folder, or where else its files are read from.
            expressions: Rows that the dataset has; not checked when None.
            capture: The capture's row of params.yaml; not checked when None.

        Raises:
            ArtifactMissingError: There is none.
            StoreMismatchError: It is of another kind, version, dataset or capture.
            StoreError: It is incomplete.
            ShardCorruptError: A shard's file is missing or has another size than was recorded.
        """
        source = LocalFolder(place) if isinstance(place, Path) else place
        where = source.where
        attributes = read_attributes(source)
        if not attributes.get("complete"):
            raise StoreError(f"{where}: is incomplete; run `dvc repro`, which goes on with it")
        try:
            check_files(source, attributes["shards"])
            store = cls(source, attributes)
        except (LookupError, TypeError, AttributeError, ValueError) as error:
            if isinstance(error, StoreError):
                raise
            raise StoreMismatchError(f"{where}: its attributes cannot be read ({error!r}); make it again") from error
        store._check_fit(expressions, capture)
        return store

    @property
    def canvas_mode(self) -> CanvasMode:
        """How photos lie on the square canvas that the maps are of.

        Raises:
            StoreMismatchError: The store does not say it.
        """
        mode = self.settings.get("canvas_mode")
        if mode in ("letterbox", "resize"):
            return mode
        raise StoreMismatchError(
            f"{self.where}: capture has canvas_mode {mode!r}; expected one of {', '.join(get_args(CanvasMode))}; "
            "make it again with `dvc repro`"
        )

    def read(self, expression_index: int) -> CrossMaps:
        """All maps of one expression, float32.

        Raises:
            StoreMismatchError: There is no such expression.
            ShardCorruptError: The shard is damaged.
        """
        if not 0 <= expression_index < len(self.tokens):
            raise StoreMismatchError(
                f"{self.where}: no expression {expression_index}; expected 0 to {len(self.tokens) - 1}; run `dvc repro`"
            )
        rows = np.full(self.tokens[expression_index], expression_index)
        places = np.arange(len(rows))
        maps = {size: self._take(size, rows, places).astype(np.float32) for size in self.keys}
        return CrossMaps(self.keys, maps)

    def blocks(self, rows: Sequence[Sequence[int]]) -> Iterator[TokenBlock]:
        """Wanted tokens of every expression in order, shard by shard, as they are stored.

        Args:
            rows: For each expression the prompt positions (start token = 0) that are needed.

        Raises:
            StoreMismatchError: A position is not stored.
            ShardCorruptError: A shard is damaged.
        """
        counts, places = self._flatten(rows)
        starts = np.concatenate([[0], np.cumsum(counts)])
        owner = np.repeat(np.arange(len(rows)), counts)
        step = self._shard_expressions
        for start in range(0, len(self.tokens), step):
            expressions = range(start, min(start + step, len(self.tokens)))
            part = slice(starts[start], starts[expressions.stop])
            maps = {size: self._take(size, owner[part], places[part]) for size in self.keys}
            yield TokenBlock(expressions, starts[start : expressions.stop + 1] - starts[start], maps)

    def iterate(self, rows: Sequence[Sequence[int] | None] | None = None) -> Iterator[tuple[int, CrossMaps]]:
        """Every expression in order, read shard by shard.

        Args:
            rows: As `blocks`, and None stands for all tokens of an expression, or of all expressions. The rows of
                other tokens are NaN.

        Yields:
            The expression's index and its maps, float32.

        Raises:
            As `blocks`.
        """
        asked = [None] * len(self.tokens) if rows is None else rows
        wanted = [
            range(1, tokens + 1) if row is None else row
            for row, tokens in zip(asked, self.tokens.tolist(), strict=len(asked) == len(self.tokens))
        ]
        for block in self.blocks(wanted):
            for number, index in enumerate(block.expressions):
                part = slice(block.starts[number], block.starts[number + 1])
                yield index, self._spread(index, wanted[index], {size: maps[part] for size, maps in block.maps.items()})

    def read_self(self, image_index: int) -> SelfMaps:
        """Self-attention of one image, float32.

        Raises:
            StoreMismatchError: The capture has none, or the image has no expression.
            ShardCorruptError: The shard is damaged.
        """
        if not self._self:
            raise StoreMismatchError(
                f"{self.where}: has no self-attention; name layers in the capture's self_layers and run `dvc repro`"
            )
        maps = {}
        for size, array in self._self.items():
            inside = 0 <= image_index < array.plan.shape[0]
            if not inside or self._source.size(array.file(image_index, 0, 0, 0)) is None:
                raise StoreMismatchError(f"{self.where}: no self-attention of image {image_index}; run `dvc repro`")
            places = np.arange(array.plan.shape[1])
            maps[size] = array.take(image_index, np.zeros_like(places), places).astype(np.float32)
        return SelfMaps(self.self_keys, maps)

    @property
    def shards(self) -> int:
        """How many blocks there are."""
        return -(-len(self.tokens) // self._shard_expressions)

    @property
    def _shard_expressions(self) -> int:
        return next(iter(self._cross.values())).plan.chunk[0]

    def _take(self, size: Size, rows: NDArray[np.integer], places: NDArray[np.integer]) -> NDArray[np.float16]:
        """Maps of tokens, all of expressions of one shard."""
        shard = int(rows[0]) // self._shard_expressions if len(rows) else 0
        return self._cross[size].take(shard, rows - shard * self._shard_expressions, places)

    def _spread(self, index: int, wanted: Sequence[int], blocks: Mapping[Size, NDArray[np.floating]]) -> CrossMaps:
        maps = {}
        for size, block in blocks.items():
            mine = np.full((self.tokens[index], *block.shape[1:]), np.nan, dtype=np.float32)
            mine[np.asarray(wanted, dtype=np.intp) - 1] = block
            maps[size] = mine
        return CrossMaps(self.keys, maps)

    def _check_shapes(self) -> None:
        """See that the arrays are those of the attributes, and cut along expressions (or images) and tokens only."""
        if not self._cross:
            raise StoreMismatchError(f"{self.where}: has no maps; make it again with `dvc repro`")
        for arrays, keys, kind in ((self._cross, self.keys, "cross"), (self._self, self.self_keys, "self")):
            for size, array in arrays.items():
                plan, maps, cells = array.plan, len(keys[size]), size[0] * size[1]
                rest = (maps, *size) if kind == "cross" else (cells, cells)
                ends = plan.shape[0] == len(self.tokens) if kind == "cross" else plan.shape[1:2] == (maps,)
                if not (plan.sharded and ends and plan.shape[2:] == plan.inner[2:] == rest):
                    raise StoreMismatchError(
                        f"{self.where}: array {array.name} has shape {list(plan.shape)}, which does not fit its "
                        "attributes; run `refdiff store repair`, then `dvc repro`"
                    )
        shards = {array.plan.chunk[0] for array in self._cross.values()}
        tokens = min(min(array.plan.shape[1], array.plan.chunk[1]) for array in self._cross.values())
        if len(shards) != 1 or self.tokens.max(initial=0) > tokens or self.tokens.min(initial=1) < 1:
            raise StoreMismatchError(
                f"{self.where}: its arrays do not fit each other; run `refdiff store repair`, then `dvc repro`"
            )

    def _check_fit(self, expressions: int | None, capture: Mapping[str, Any] | None) -> None:
        if expressions is not None and expressions != len(self.tokens):
            raise StoreMismatchError(
                f"{self.where}: expected {expressions} expressions, which the dataset has, got {len(self.tokens)}; "
                "run `dvc repro`"
            )
        for name, value in (capture or {}).items():
            if self.settings.get(name) != value:
                raise StoreMismatchError(
                    f"{self.where}: made with {name} {self.settings.get(name)!r}, expected {value!r}; run `dvc repro`"
                )

    def _flatten(self, rows: Sequence[Sequence[int]]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """How many tokens are wanted of each expression, and their places along the tokens, one after the other."""
        if len(rows) != len(self.tokens):
            raise StoreMismatchError(
                f"{self.where}: expected rows of {len(self.tokens)} expressions, got {len(rows)}; run `dvc repro`"
            )
        counts = np.fromiter(map(len, rows), np.intp, len(rows))
        places = np.fromiter(chain.from_iterable(rows), np.intp, int(counts.sum())) - 1
        outside = (places < 0) | (places >= np.repeat(self.tokens, counts))
        if outside.any():
            index = int(np.repeat(np.arange(len(rows)), counts)[outside][0])
            raise StoreMismatchError(
                f"{self.where}: expression {index}: expected token positions 1 to {self.tokens[index]}, "
                f"got {list(rows[index])}; the text table does not fit, run `dvc repro`"
            )
        return counts, places
