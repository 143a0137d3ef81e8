"""A store opened for inspection: published, still in its work folder, or in a bucket."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from refdiff.errors import (
    ArtifactMissingError,
    ShardCorruptError,
    StoreError,
    StoreMismatchError,
    translate_read_errors,
)
from refdiff.paths import expand_local
from refdiff.store.byte_source import ByteSource, LocalFolder
from refdiff.store.manifest import METADATA, Manifest, ShardEntry, parse_facts, parse_manifest, parse_marker

FACTS = "facts.json"
MARKERS = "done"
CONTENT = "content"
NEAR = ("", "*/", "*/*/", "*/*/*/")
"""Below a folder that is no store, where stores are looked for: artifacts/<split>/<kind>/<name>.zarr."""


@dataclass(frozen=True, slots=True)
class OpenedStore:
    """A store and what it says of itself.

    Attributes:
        source: Its files.
        manifest: What they should be.
        names: Size of every file that is there; None for what is no regular file.
        bad_markers: Records of a work folder that are damaged; their shards count as not done.
        work: The work folder, when the store is still in one.
    """

    source: ByteSource
    manifest: Manifest
    names: Mapping[str, int | None]
    bad_markers: tuple[Path, ...] = ()
    work: Path | None = None


def open_store(path: str) -> OpenedStore:
    """Open what `path` names.

    Args:
        path: A published store, a work folder (`.work/<stage>/<name>-<fingerprint>`), or an address such as
            `s3://bucket/prefix/paper.zarr`.

    Raises:
        ArtifactMissingError: There is nothing.
        StoreMismatchError: It is no store of refdiff, or its metadata is damaged.
        StoreError: It cannot be read.
    """
    if "://" in path:
        return _open_published(_open_remote(path))
    folder = expand_local(path)
    with translate_read_errors(folder):
        is_work = _is_work(folder)
        refusal = "" if is_work else _describe_other(folder)
    if refusal:
        raise StoreError(f"{folder}: {refusal}")
    if is_work:
        return open_work(folder)
    return _open_published(LocalFolder(folder))


def open_work(folder: Path) -> OpenedStore:
    """Open a work folder; its manifest is made of the records of its finished shards.

    Raises:
        StoreMismatchError: Its facts are damaged.
        StoreError: It, or a record of it, cannot be read.
    """
    facts = parse_facts(LocalFolder(folder).read(FACTS), str(folder / FACTS))
    shards: list[ShardEntry] = []
    bad: list[Path] = []
    for marker in _list_markers(folder / MARKERS):
        try:
            shards.append(parse_marker(LocalFolder(folder).read(f"{MARKERS}/{marker.name}"), str(marker)))
        except (StoreMismatchError, ShardCorruptError):
            bad.append(marker)
    source = LocalFolder(folder / CONTENT)
    manifest = Manifest(str(facts.get("stage", folder.parent.name)), facts, tuple(shards), {}, complete=False)
    return OpenedStore(source, manifest, source.names(), tuple(bad), folder)


def _is_work(folder: Path) -> bool:
    return (folder / FACTS).is_file() and (folder / CONTENT).is_dir()


def _describe_other(path: Path) -> str:
    """What is there in place of a store, and where a store is near; empty where a store is, or nothing at all."""
    is_whole = path.suffix == ".zarr" or (path / METADATA).exists()
    around = [each for each in path.parents if each.suffix == ".zarr" and (each / METADATA).is_file()]
    if around and path.suffix != ".zarr" and path.exists():
        return f"is a part of a store; expected the whole; give {around[0]}"
    expected = "expected a store, which is a folder that ends in .zarr"
    if path.suffix == ".dvc" and path.is_file():
        return f"is DVC's note of {path.with_suffix('')}; {expected}; give that path"
    if path.is_file():
        table = "; `refdiff store verify` reads tables, the other commands do not" if path.suffix == ".parquet" else ""
        return f"is a file; {expected}; correct the path{table}"
    if is_whole or not path.is_dir():
        return ""
    if not any(path.iterdir()):
        return f"is an empty folder; {expected}; correct the path, or run `dvc repro` or `dvc pull`"
    near = [each for depth in NEAR for each in sorted(path.glob(f"{depth}*.zarr"))]
    near += [each.parent for depth in NEAR for each in sorted(path.glob(f"{depth}*/{FACTS}"))]
    advice = (
        f"give {' or '.join(map(str, near[:3]))}{' or another' if near[3:] else ''}" if near else "correct the path"
    )
    return f"has no {METADATA}; {expected}, or a work folder below .work; {advice}"


def _list_markers(done: Path) -> list[Path]:
    with translate_read_errors(done):
        # Not by glob, for which a folder that cannot be listed is empty.
        return sorted(path for path in done.iterdir() if path.suffix == ".json") if done.is_dir() else []


def _open_published(source: ByteSource) -> OpenedStore:
    names = source.names()
    if METADATA not in names:
        expected = "a store, or a work folder below .work"
        raise ArtifactMissingError(f"{source.where}: has no {METADATA}; expected {expected}; correct the path")
    manifest = parse_manifest(source.read(METADATA), f"{source.where}/{METADATA}")
    return OpenedStore(source, manifest, names)


def _open_remote(address: str) -> ByteSource:
    from refdiff.store.remote import RemoteSource  # an optional dependency

    scheme = urlsplit(address).scheme
    if scheme not in ("s3", "gs", "az", "http", "https", "file", "memory"):
        raise StoreMismatchError(f"{address}: expected an address of s3, gs, az or http, got {scheme!r}; correct it")
    return RemoteSource(address)
