"""What the attributes of an attention store say: kind, version, which map is which, and the files of its shards."""

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from refdiff.attention.maps import MapKey
from refdiff.errors import ArtifactMissingError, ShardCorruptError, StoreMismatchError, UnreadableError
from refdiff.store.byte_source import ByteSource
from refdiff.store.zarr_plan import METADATA

ATTRIBUTE = "refdiff"
KIND = "attention"
FORMAT = 1
Size = tuple[int, int]


def array_name(kind: str, size: Size) -> str:
    """Name of the array of one map size; `kind` is `cross` or `self`."""
    return f"{kind}_{size[0]}x{size[1]}"


def read_attributes(source: ByteSource) -> dict[str, Any]:
    """The group's attribute `refdiff`, of a store of this kind and version.

    Raises:
        ArtifactMissingError: There is no store.
        StoreMismatchError: It is of another kind or version.
        UnreadableError: It cannot be read now.
    """
    where = source.where
    if source.size(METADATA) is None:
        raise ArtifactMissingError(f"{where}: not there; run `dvc repro`, which makes it")
    try:
        metadata = json.loads(source.read(METADATA))
        if metadata["node_type"] != "group":
            raise ValueError("its node_type is no group")
    except UnreadableError:
        raise
    except (ValueError, LookupError, TypeError, OSError, RecursionError) as error:
        raise StoreMismatchError(f"{where}: is not a Zarr group ({error}); make it again") from error
    plain = metadata.get("attributes")
    attributes = plain.get(ATTRIBUTE) if isinstance(plain, dict) else None
    if not isinstance(attributes, dict) or attributes.get("kind") != KIND:
        raise StoreMismatchError(f"{where}: is no attention store of refdiff; make it again")
    if attributes.get("format") != FORMAT:
        raise StoreMismatchError(
            f"{where}: expected store format {FORMAT}, got {attributes.get('format')}; run `dvc repro`"
        )
    return attributes


def parse_keys(plain: Mapping[str, Sequence[Sequence[Any]]]) -> dict[Size, tuple[MapKey, ...]]:
    """For each map size, which map is which."""
    keys: dict[Size, tuple[MapKey, ...]] = {}
    for name, entries in plain.items():
        height, width = (int(side) for side in name.split("x"))
        keys[height, width] = tuple(
            MapKey(int(step), int(order), str(layer), height, width) for step, order, layer in entries
        )
    return keys


def check_files(source: ByteSource, shards: Sequence[Mapping[str, Any]]) -> None:
    """See that every recorded file is there with its size: a missing shard would read as zeros.

    Raises:
        ShardCorruptError: One is not.
        StoreMismatchError: A recorded name leads out of the store.
    """
    for shard in shards:
        for name, entry in shard["files"].items():
            if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
                raise StoreMismatchError(f"{source.where}: records a file outside itself ({name!r})")
            size = source.size(name)
            if size != entry["bytes"]:
                found = "it is missing" if size is None else f"it has {size}"
                raise ShardCorruptError(
                    f"{source.where}/{name}: shard {shard['index']}: expected {entry['bytes']} bytes, {found}; "
                    "run `refdiff store repair`, then `dvc repro`"
                )
