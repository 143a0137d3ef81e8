"""text.parquet: one row per expression of a split, in the order of expressions.parquet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from refdiff.errors import StoreMismatchError
from refdiff.parquet import read_table, write_table
from refdiff.text.parsed import HeadRule, ParsedText

PREFIXES: dict[HeadRule, str] = {"root": "root", "root_or_subject": "subject"}
"""Names of the head columns by the rule's name in params.yaml."""

NUMBERS = ("start", "end", "unet_first", "unet_last")

TEXT = pa.schema(
    [pa.field("expression_index", pa.int32())]
    + [
        field
        for prefix in PREFIXES.values()
        for field in [
            pa.field(f"{prefix}_text", pa.string()),
            *(pa.field(f"{prefix}_{name}", pa.int32()) for name in NUMBERS),
        ]
    ]
    + [
        pa.field("root_fallback", pa.string()),
        pa.field("unet_tokens", pa.int32()),
        pa.field("clip_tokens", pa.int32()),
        pa.field("direction", pa.string()),
        pa.field("direction_released", pa.string()),
        pa.field("directions", pa.list_(pa.string())),
        pa.field("truncated", pa.bool_()),
    ]
)


@dataclass(frozen=True, slots=True)
class HeadColumns:
    """The head words of all expressions by one rule; arrays are int32 [expressions].

    Attributes:
        text: The words as written.
        start: First characters in the sentences.
        end: Behind the last characters.
        unet_first: First prompt positions of the U-Net (start token 0).
        unet_last: Last prompt positions, inclusive.
    """

    text: list[str]
    start: NDArray[np.int32]
    end: NDArray[np.int32]
    unet_first: NDArray[np.int32]
    unet_last: NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class TextTable:
    """text.parquet; row i is expression i. See `refdiff.text.parsed.ParsedText` for the columns.

    Attributes:
        root: Head words by the paper's rule.
        subject: Head words by the released rule.
        root_fallback: Rule that replaced a root that is no noun, "" for none.
        unet_tokens: Sentence tokens that the U-Net sees, int32 [expressions].
        clip_tokens: Sentence tokens that CLIP sees, int32 [expressions].
        direction: none, left, right, top or bottom.
        direction_released: none, left or right.
        directions: All directions found, per expression.
        truncated: Whether the sentence was too long, bool [expressions].
    """

    root: HeadColumns
    subject: HeadColumns
    root_fallback: list[str]
    unet_tokens: NDArray[np.int32]
    clip_tokens: NDArray[np.int32]
    direction: list[str]
    direction_released: list[str]
    directions: list[list[str]]
    truncated: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.direction)

    def head(self, rule: HeadRule) -> HeadColumns:
        """The head words by a rule of params.yaml (`token_rule`, `head_rule`)."""
        return self.root if rule == "root" else self.subject


def write_text(path: Path, rows: Sequence[ParsedText], provenance: Mapping[str, Any]) -> None:
    """Write the parsed sentences of a split, in the order of its expressions."""
    columns: dict[str, list[Any]] = {"expression_index": list(range(len(rows)))}
    for rule, prefix in PREFIXES.items():
        heads = [row.head(rule) for row in rows]
        for name in ("text", *NUMBERS):
            columns[f"{prefix}_{name}"] = [getattr(head, name) for head in heads]
    for name in TEXT.names[1 + len(PREFIXES) * (1 + len(NUMBERS)) :]:
        values = [getattr(row, name) for row in rows]
        columns[name] = [list(value) for value in values] if name == "directions" else values
    write_table(path, TEXT, columns, provenance)


def read_text(path: Path) -> TextTable:
    """Read text.parquet.

    Raises:
        ArtifactMissingError: Stage parse_text has not made it.
        StoreMismatchError: It is not such a table, or its rows are not in the order of the expressions.
    """
    table = read_table(path, TEXT)
    indexes = table["expression_index"].to_numpy()
    if not np.array_equal(indexes, np.arange(len(indexes))):
        raise StoreMismatchError(
            f"{path}: rows are not in the order of the expressions; expected 0, 1, 2 ..., "
            f"got {indexes[:5].tolist()}; run `dvc repro`"
        )
    return TextTable(
        root=_head_columns(table, "root"),
        subject=_head_columns(table, "subject"),
        root_fallback=table["root_fallback"].to_pylist(),
        unet_tokens=table["unet_tokens"].to_numpy(),
        clip_tokens=table["clip_tokens"].to_numpy(),
        direction=table["direction"].to_pylist(),
        direction_released=table["direction_released"].to_pylist(),
        directions=table["directions"].to_pylist(),
        truncated=table["truncated"].to_numpy(),
    )


def _head_columns(table: pa.Table, prefix: str) -> HeadColumns:
    numbers = {name: table[f"{prefix}_{name}"].to_numpy() for name in NUMBERS}
    return HeadColumns(text=table[f"{prefix}_text"].to_pylist(), **numbers)
