"""Names of the dimensions of a store's arrays, as readers such as xarray take them."""

from pathlib import Path

import zarr
from zarr.core.metadata import ArrayV3Metadata


def read_dimensions(store: Path) -> dict[str, tuple[str, ...]]:
    """Names of the axes of each array; in one store, a name has one length and is not twice in an array.

    Args:
        store: A published store.
    """
    lengths: dict[str, int] = {}
    found: dict[str, tuple[str, ...]] = {}
    for file in sorted(store.rglob("*/zarr.json")):
        array, name = zarr.open_array(file.parent, mode="r"), file.parent.relative_to(store).as_posix()
        assert isinstance(array.metadata, ArrayV3Metadata)
        names = tuple(map(str, array.metadata.dimension_names or ()))
        assert len(names) == len(set(names)) == array.ndim, name
        assert array.ndim == 1 or name not in names, "xarray takes it for a coordinate"
        for each, length in zip(names, array.shape, strict=True):
            assert lengths.setdefault(each, length) == length, (name, each)
        found[name] = names
    return found
