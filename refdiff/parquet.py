"""Parquet tables with a fixed schema: written once and whole, read back with a clear word when they do not fit."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from refdiff.errors import (
    ArtifactMissingError,
    OutputError,
    RefdiffError,
    StoreMismatchError,
    is_absent,
    translate_read_errors,
)
from refdiff.whole_file import replacing

PROVENANCE_KEY = b"refdiff"


def write_table(
    path: Path,
    schema: pa.Schema,
    columns: Mapping[str, Sequence[Any] | pa.Array],
    provenance: Mapping[str, Any],
) -> None:
    """Write a table at once: under a temporary name, then renamed.

    Args:
        path: The file; its folder is made.
        schema: Names and types; the columns must have exactly these names.
        columns: The content, one sequence per column.
        provenance: Where the table comes from (parameters, digests, versions); stored as JSON in the file.

    Raises:
        StoreMismatchError: The columns are not those of the schema.
        OutputError: The file cannot be written.
    """
    if set(columns) != set(schema.names):
        raise StoreMismatchError(f"{path}: expected columns {schema.names}, got {sorted(columns)}")
    table = pa.table({name: columns[name] for name in schema.names}, schema=schema)
    table = table.replace_schema_metadata({PROVENANCE_KEY: json.dumps(provenance, sort_keys=True).encode()})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as partial:
            pq.write_table(table, partial, compression="zstd", write_page_checksum=True)
    except OSError as error:
        reason = " ".join((error.strerror or str(error)).split())
        raise OutputError(
            f"{path}: cannot be written ({reason}); make room or correct the permissions and run the same command again"
        ) from error


def read_table(path: Path, schema: pa.Schema, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a table that an earlier stage wrote.

    Args:
        path: The file.
        schema: What the file must hold.
        columns: The columns wanted; all when None.

    Raises:
        ArtifactMissingError: There is no such file.
        UnreadableError: It is there and cannot be read.
        StoreMismatchError: The file is not Parquet, its schema is another, or a value is missing.
    """
    wanted = list(columns) if columns is not None else schema.names
    with _reading(path, "is not a readable Parquet file ({}); make it again"):
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            found = file.schema_arrow
            if found.names != schema.names or found.types != schema.types:
                raise StoreMismatchError(
                    f"{path}: expected columns {schema.names}, got {found.names}; "
                    "it was made by another version, run `dvc repro`"
                )
            table = file.read(columns=wanted)
        for name, column in zip(wanted, table.columns, strict=True):
            if column.null_count:
                raise StoreMismatchError(f"{path}: {column.null_count} values of {name} are missing; make it again")
        return table


def check_rows(path: Path, fits: NDArray[np.bool_], expected: str) -> None:
    """See that every row of a table says what can be.

    Args:
        path: The file.
        fits: `[rows]`, whether each does.
        expected: The rule, for people.

    Raises:
        StoreMismatchError: A row does not; the first is named.
    """
    if not fits.all():
        row = int(np.argmin(fits))
        raise StoreMismatchError(f"{path}: row {row}: expected {expected}; make it again with `dvc repro`")


def verify_table(path: Path) -> int:
    """Read all of a table and compare the checksum of every page.

    Returns:
        Its rows.

    Raises:
        ArtifactMissingError: There is no such file.
        UnreadableError: It is there and cannot be read.
        StoreMismatchError: It is damaged, or is no Parquet file.
    """
    advice = "remove it and run `dvc repro`, which restores it or makes it again"
    with _reading(path, f"is damaged ({{}}); {advice}"), pq.ParquetFile(path, page_checksum_verification=True) as file:
        return file.read().num_rows


def read_provenance(path: Path) -> dict[str, Any]:
    """The provenance that `write_table` stored; empty when the file has none.

    Raises:
        ArtifactMissingError: There is no such file.
        UnreadableError: It is there and cannot be read.
        StoreMismatchError: The file is not Parquet, or its provenance is no mapping.
    """
    with _reading(path, "its provenance cannot be read ({}); make it again"):
        with pq.ParquetFile(path) as file:
            metadata = file.schema_arrow.metadata or {}
        provenance = json.loads(metadata.get(PROVENANCE_KEY, b"{}"))
    if not isinstance(provenance, dict):
        raise StoreMismatchError(f"{path}: its provenance is no mapping; make it again")
    return provenance


@contextmanager
def _reading(path: Path, damage: str) -> Iterator[None]:
    """Say in one line what keeps a table from being read.

    Args:
        path: The file.
        damage: What to say of one that is there, can be read, and is no such table; `{}` stands for the reason.
    """
    try:
        yield
    except FileNotFoundError as error:
        if isinstance(error, RefdiffError):
            raise
        raise ArtifactMissingError(f"{path}: not there; run `dvc repro`, which makes it") from error
    except (pa.ArrowException, OSError, ValueError, RecursionError) as error:
        if isinstance(error, RefdiffError):
            raise
        # Arrow raises OSError for damage too, and then without a number.
        if isinstance(error, OSError) and error.errno is not None and not is_absent(error):
            with translate_read_errors(path):
                raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise StoreMismatchError(f"{path}: {damage.format(' '.join(str(error).split()))}") from error
