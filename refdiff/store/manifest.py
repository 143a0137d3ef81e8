"""What a store says that it holds: provenance, and the size and digest of every file.

A store may come from a stranger, so nothing in its metadata is trusted: types, ranges and names are checked here, once,
and everything behind this module works with what passed.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr, ValidationError

from refdiff.errors import StoreMismatchError

METADATA = "zarr.json"
ATTENTION = "attention"
CLIP = "clip embeddings"
MAX_METADATA_BYTES = 1 << 28
_MAX_NAME = 500
_SMALL: Any = ConfigDict(strict=True, extra="ignore", frozen=True)


def check_name(name: str) -> str:
    """A file's name inside a store, as it stands.

    Raises:
        ValueError: It is absolute, leads out of the store, or is not printable.
    """
    parts = name.split("/")
    if not 0 < len(name) <= _MAX_NAME or not name.isprintable() or "\\" in name:
        raise ValueError("expected a printable name with / between its parts")
    if any(part in ("", ".", "..") for part in parts) or ":" in parts[0]:
        raise ValueError("expected a name that stays inside the store")
    return name


FileName = Annotated[StrictStr, AfterValidator(check_name)]
Count = Annotated[StrictInt, Field(ge=0, le=1 << 50)]


class FileEntry(BaseModel):
    """A file as it was recorded.

    Attributes:
        bytes: Its size.
        sha256: Digest of its content, hexadecimal.
    """

    model_config = _SMALL
    bytes: Count
    sha256: Annotated[StrictStr, Field(pattern="^[0-9a-f]{64}$")]


class ShardEntry(BaseModel):
    """A finished shard: its number, its files by name relative to the store, and the digest of what it depends on."""

    model_config = _SMALL
    index: Annotated[StrictInt, Field(ge=0, lt=1 << 31)]
    files: dict[FileName, FileEntry]
    inputs: Annotated[StrictStr, Field(pattern="^[0-9a-f]{64}$")] | None = None


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a store says of itself.

    Attributes:
        kind: `attention` or `clip embeddings`; for a work folder, its stage's name.
        provenance: Stage, versions, parameters, model, input digests.
        shards: The finished shards; a store that counts files and not shards has one shard a file.
        metadata: Files that belong to no shard and whose digests are known.
        complete: Whether the store is published, so that any other file in it is one too many.
    """

    kind: str
    provenance: Mapping[str, Any]
    shards: tuple[ShardEntry, ...]
    metadata: Mapping[str, FileEntry]
    complete: bool

    def files(self) -> Iterator[tuple[str, FileEntry, int | None]]:
        """Every recorded file: its name, its entry and the shard that it belongs to."""
        for name, entry in self.metadata.items():
            yield name, entry, None
        for shard in self.shards:
            for name, entry in shard.files.items():
                yield name, entry, shard.index

    @property
    def fingerprint(self) -> str | None:
        """Of the work folder that the store was made in, when it is recorded as one."""
        value = self.provenance.get("fingerprint")
        is_digest = isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")
        return value if is_digest else None

    @property
    def stage(self) -> str | None:
        """The stage that made the store, when it is recorded as a plain word."""
        value = self.provenance.get("stage")
        is_word = isinstance(value, str) and value.isascii() and value.replace("_", "a").isalnum()
        return value if is_word else None


SizeName = Annotated[StrictStr, Field(pattern="^[1-9][0-9]{0,4}x[1-9][0-9]{0,4}$")]
MapEntry = tuple[Annotated[StrictInt, Field(ge=0)], Annotated[StrictInt, Field(ge=0)], StrictStr]


class _AttentionAttributes(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", frozen=True, populate_by_name=True)
    kind: Literal["attention"]
    format: Annotated[StrictInt, Field(ge=0)]
    complete: StrictBool
    capture: dict[str, Any]
    provenance: dict[str, Any]
    cross: Annotated[dict[SizeName, tuple[MapEntry, ...]], Field(min_length=1)]
    own: Annotated[dict[SizeName, tuple[MapEntry, ...]], Field(alias="self")]
    shards: tuple[ShardEntry, ...] = ()
    metadata: dict[FileName, FileEntry] = {}


class ClipAttributes(BaseModel):
    """What a store of embeddings says of itself; its provenance is in `model_extra`.

    Attributes:
        artifact: What it is: `CLIP`.
        files: Every file of it but this one.
        local_variants: Position variants of its local views, in the order of the columns of `local_start`.
        global_variants: The same of its global views.
    """

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)
    artifact: Literal["clip embeddings"]
    files: dict[FileName, FileEntry]
    local_variants: tuple[StrictStr, ...]
    global_variants: tuple[StrictStr, ...]

    def describe(self) -> dict[str, Any]:
        """All but the files, as plain containers."""
        return self.model_dump(mode="json", exclude={"files"})


class _Attributes(BaseModel):
    model_config = _SMALL
    refdiff: _AttentionAttributes | None = None


class _Root(BaseModel):
    model_config = _SMALL
    attributes: _Attributes


class _ClipRoot(BaseModel):
    model_config = _SMALL
    attributes: ClipAttributes


ModelT = TypeVar("ModelT", bound=BaseModel)


def parse_manifest(content: bytes, where: str) -> Manifest:
    """The manifest in the `zarr.json` of a store's root.

    Args:
        content: The file's bytes.
        where: The file, for messages.

    Raises:
        StoreMismatchError: It is not JSON, is no store of refdiff, or says what cannot be.
    """
    found = _parse(_Root, content, where).attributes.refdiff
    if found is not None:
        return Manifest(ATTENTION, found.provenance, found.shards, found.metadata, found.complete)
    clip = parse_clip(content, where)
    shards = tuple(
        ShardEntry(index=index, files={name: clip.files[name]})
        for index, name in enumerate(sorted(clip.files))
        if "/c/" in name
    )
    metadata = {name: entry for name, entry in clip.files.items() if "/c/" not in name}
    return Manifest(CLIP, clip.describe(), shards, metadata, True)


def parse_clip(content: bytes, where: str) -> ClipAttributes:
    """The attributes in the `zarr.json` of the root of a store of embeddings.

    Args:
        content: The file's bytes.
        where: The file, for messages.

    Raises:
        StoreMismatchError: It is not JSON, is no such store, or says what cannot be.
    """
    return _parse(_ClipRoot, content, where).attributes


def parse_marker(content: bytes, where: str) -> ShardEntry:
    """The record of a finished shard in a work folder.

    Raises:
        StoreMismatchError: It is not one.
    """
    return _parse(ShardEntry, content, where)


def parse_facts(content: bytes, where: str) -> dict[str, Any]:
    """The facts of a work folder: what its fingerprint is made of.

    Raises:
        StoreMismatchError: They are not a mapping in JSON.
    """
    try:
        facts = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise StoreMismatchError(f"{where}: is not JSON; expected the facts of a work folder") from error
    if not isinstance(facts, dict):
        raise StoreMismatchError(f"{where}: expected a mapping, got {type(facts).__name__}")
    return facts


def array_of(name: str) -> tuple[str, tuple[int, ...]] | None:
    """The array that a chunk file belongs to, and the file's place in the array's grid; None for other files."""
    array, found, key = name.partition("/c/")
    parts = key.split("/")
    if not found or not all(part.isascii() and part.isdigit() and len(part) < 12 for part in parts):
        return None
    return PurePosixPath(array).as_posix(), tuple(int(part) for part in parts)


def _parse(model: type[ModelT], content: bytes, where: str) -> ModelT:
    if len(content) > MAX_METADATA_BYTES:
        raise StoreMismatchError(f"{where}: has {len(content)} bytes, expected at most {MAX_METADATA_BYTES}")
    try:
        return model.model_validate_json(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])[:120] or "the whole"
        raise StoreMismatchError(
            f"{where}: is no metadata of a store of refdiff ({ascii(place)[1:-1]}: {ascii(first['msg'])[1:-1]}); "
            "`refdiff store repair` drops it, and `dvc repro` makes it again"
        ) from error
