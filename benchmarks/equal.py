"""`python -m benchmarks.equal A B`: do two checkouts hold the same results, bit for bit?

The referee of a change that should change nothing. Compared are the values of tables and arrays, not bytes of files:
provenance, compression and chunks may differ.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import zarr


def compare(first: Path, second: Path) -> list[tuple[str, str]]:
    """What is compared, with `equal` or how it differs.

    Args:
        first: A project's folder, after `dvc repro`.
        second: Another one.
    """
    rows: list[tuple[str, str]] = []
    for name in sorted(_names(first) | _names(second)):
        one, other = first / name, second / name
        if not one.exists() or not other.exists():
            rows.append((name, f"only in {'the second' if other.exists() else 'the first'}"))
        elif one.suffix == ".zarr":
            rows.append((name, _compare_columns(dict(_arrays(one)), dict(_arrays(other)))))
        elif one.suffix == ".parquet":
            rows.append((name, _compare_columns(dict(_columns(one)), dict(_columns(other)))))
        else:
            rows.append((name, _compare_columns(dict(_figures(one)), dict(_figures(other)))))
    return rows


def _names(project: Path) -> set[str]:
    patterns = (
        "artifacts/*/*/predictions.parquet",
        "artifacts/*/text.parquet",
        "artifacts/*/proposals/*.parquet",
        "artifacts/*/dataset/*.parquet",
        "artifacts/*/attention/*.zarr",
        "artifacts/*/clip/*.zarr",
        "reports/*/*/metrics.json",
    )
    return {path.relative_to(project).as_posix() for pattern in patterns for path in project.glob(pattern)}


def _columns(table: Path) -> Iterator[tuple[str, Any]]:
    content = pq.read_table(table)
    for name in content.column_names:
        yield name, content[name].combine_chunks()


def _arrays(store: Path) -> Iterator[tuple[str, Any]]:
    for name, member in zarr.open_group(store, mode="r").members(max_depth=None):
        if isinstance(member, zarr.Array):
            yield name, member


def _figures(file: Path) -> Iterator[tuple[str, Any]]:
    waiting: list[tuple[str, Any]] = [("", json.loads(file.read_text(encoding="utf-8")))]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{name}.{key}".lstrip("."), each) for key, each in value.items()]
        elif isinstance(value, int | float | None):
            yield name, value


def _compare_columns(one: dict[str, Any], other: dict[str, Any]) -> str:
    absent = sorted(set(one) ^ set(other))
    unequal = [name for name in sorted(set(one) & set(other)) if not _is_equal(one[name], other[name])]
    parts = [f"{len(absent)} in one only: {', '.join(absent[:5])}"] if absent else []
    parts += [f"{len(unequal)} differ: {', '.join(unequal[:5])}"] if unequal else []
    return "; ".join(parts) or f"equal ({len(one)})"


def _is_equal(one: Any, other: Any) -> bool:
    if isinstance(one, zarr.Array):
        if (one.shape, one.dtype) != (other.shape, other.dtype):
            return False
        step = max(1, one.chunks[0]) * 16
        spans = [slice(start, start + step) for start in range(0, one.shape[0], step)]
        return all(_bits(one[span]) == _bits(other[span]) for span in spans)
    if isinstance(one, pa.Array):
        if pa.types.is_floating(one.type) and one.type == other.type:
            return _bits(one.to_numpy(zero_copy_only=False)) == _bits(other.to_numpy(zero_copy_only=False))
        return one.equals(other)
    return one == other


def _bits(values: Any) -> bytes:
    return np.ascontiguousarray(values).tobytes()


def main() -> None:
    """Compare and print; exit code 1 where anything differs."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.equal", description=__doc__)
    parser.add_argument("first", type=Path)
    parser.add_argument("second", type=Path)
    arguments = parser.parse_args()
    rows = compare(arguments.first, arguments.second)
    for name, said in rows:
        print(f"{name}: {said}")
    if not rows or any(not said.startswith("equal") for _, said in rows):
        sys.exit(1)


if __name__ == "__main__":
    main()
