"""pooled/<source>.zarr: every mask of a source brought to the attention grids in use; the reading side (no zarr).

Layout: one float32 array [proposals h w] a grid, named `<canvas mode>_<h>x<w>`, row i for row i of the proposals table,
pooled by the transpose of the bilinear upsampling. The root attributes hold the provenance and each file's size.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refdiff.byte_source import LocalFolder
from refdiff.errors import ArtifactMissingError, ShardCorruptError, StoreMismatchError
from refdiff.flat_rows import FlatRows
from refdiff.geometry import CanvasMode
from refdiff.zarr_chunks import METADATA, ChunkReader

ARTIFACT = "pooled masks"


def grid_name(mode: CanvasMode, size: tuple[int, int]) -> str:
    """Name of the array of one grid."""
    return f"{mode}_{size[0]}x{size[1]}"


class PooledStore:
    """Pooled masks of one source; open them with `PooledStore.open`.

    Attributes:
        attributes: Provenance and files.
    """

    def __init__(self, path: Path, attributes: dict[str, Any]) -> None:
        self.attributes = attributes
        self._path = path
        self._grids: dict[str, FlatRows] = {}

    @staticmethod
    def open(path: Path) -> "PooledStore":
        """Open what pool_masks made.

        Raises:
            ArtifactMissingError: It is not there.
            StoreMismatchError: It is something else.
            ShardCorruptError: A file of it is missing or has another size.
        """
        try:
            attributes = json.loads((path / METADATA).read_text(encoding="utf-8"))["attributes"]
            artifact = attributes["artifact"]
            files = {str(name): int(size) for name, size in attributes["files"].items()}
        except FileNotFoundError as error:
            raise ArtifactMissingError(f"{path}: not there; run `dvc repro`, which makes it") from error
        except (OSError, ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise StoreMismatchError(f"{path}: is not a store of pool_masks; make it again with `dvc repro`") from error
        if artifact != ARTIFACT:
            raise StoreMismatchError(f"{path}: holds {artifact!r}, expected {ARTIFACT!r}")
        for name, size in files.items():
            if not _has_size(path, name, size):
                raise ShardCorruptError(
                    f"{path}: {name[:200]!r} is missing or not {size} bytes long; make it again with `dvc repro`"
                )
        return PooledStore(path, attributes)

    def read(self, mode: CanvasMode, size: tuple[int, int], rows: range) -> NDArray[np.float32]:
        """Pooled masks of some rows of the proposals table, float32 `[len(rows) h w]`.

        Raises:
            StoreMismatchError: The grid was not pooled, or there are no such rows.
            ShardCorruptError: A file is damaged.
        """
        grid = self._open(grid_name(mode, size))
        if grid.shape[1:] != size:
            raise StoreMismatchError(
                f"{self._path}: masks of {grid_name(mode, size)} have shape {list(grid.shape[1:])}; make it again "
                "with `dvc repro`"
            )
        if rows.stop > grid.shape[0]:
            raise StoreMismatchError(
                f"{self._path}: has {grid.shape[0]} masks, asked for number {rows.stop - 1}; "
                "it was made for other proposals, run `dvc repro`"
            )
        return grid.read(rows)

    def _open(self, name: str) -> FlatRows:
        if name not in self._grids:
            if not (self._path / name).is_dir():
                raise StoreMismatchError(f"{self._path}: masks are not pooled to {name}; run `dvc repro`")
            array = ChunkReader(LocalFolder(self._path), name)
            if array.plan.dtype != np.float32:
                raise StoreMismatchError(
                    f"{self._path}: {name} holds {array.plan.dtype}, expected float32; make it again with `dvc repro`"
                )
            self._grids[name] = FlatRows(array)
        return self._grids[name]


def _has_size(store: Path, name: str, size: int) -> bool:
    """Whether a store has this file, with so many bytes; no name leads out of the store."""
    if not name.isprintable() or ".." in name.split("/") or name.startswith("/"):
        return False
    try:
        return LocalFolder(store).size(name) == size
    except OSError:  # such as a name that is too long
        return False
