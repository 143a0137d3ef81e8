"""Taking out of a store what is damaged, so that the next run computes just that.

A published file may be one file with the work folder's and with an object of DVC's cache (hard links), or a symbolic
link to that object. So nothing is ever written here: names are removed, and each copy that is damaged by its own digest
goes by its own name.

Whoever repairs has read everything first: as long as one file is there and cannot be read, nothing goes.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from refdiff.errors import StoreError, UnreadableError, translate_read_errors
from refdiff.store.dvc_cache import find_cached, find_damaged
from refdiff.store.hold import hold_folder
from refdiff.store.manifest import ATTENTION, METADATA, ShardEntry
from refdiff.store.opened import CONTENT, MARKERS, OpenedStore, open_work
from refdiff.store.verify import Fault, Kind, verify_store
from refdiff.store.work import WORK, link_or_copy, translate_write_errors, write_json


@dataclass(frozen=True, slots=True)
class Repair:
    """What was done.

    Attributes:
        removed: Names taken out of the store.
        work: Files and records taken out of its work folder.
        cache: Objects taken out of DVC's cache.
        kept: Shards that the next run need not compute, because the work folder has them whole; None when there is no
            work folder and none could be made.
    """

    removed: tuple[Path, ...]
    work: tuple[Path, ...]
    cache: tuple[Path, ...]
    kept: int | None


def repair_store(store: OpenedStore, faults: Sequence[Fault]) -> Repair:
    """Drop what `verify_store` found in a store.

    Args:
        store: A store in a folder, published or in the making.
        faults: What is wrong with it.

    Raises:
        StoreError: It lies in a bucket, is being worked on, or something cannot be removed.
        UnreadableError: Something cannot be read, so that nobody knows whether it is damaged; nothing was removed.
    """
    _refuse_unreadable(store, faults)
    if store.work is not None:
        with translate_write_errors(store.work), hold_folder(store.work, wait=False):
            dropped = _drop(_find_damaged_work(open_work(store.work)))
            return Repair((), tuple(dropped), (), len(open_work(store.work).manifest.shards))
    if "://" in store.source.where:
        raise StoreError(f"{store.source.where}: is remote; repair the copy that `dvc push` sends, and push again")
    folder = Path(store.source.where)
    if not faults:
        return Repair((), (), (), len(store.manifest.shards))
    work = _find_work(folder, store)
    with translate_write_errors(folder), hold_folder(work, wait=False) if work else nullcontext():
        cache = _find_damaged_objects(folder, faults)
        from_work: list[Path] = []
        kept = None
        if work is not None:
            _adopt(work, store, faults)
            from_work = _drop(_find_damaged_work(open_work(work)))
            kept = len(open_work(work).manifest.shards)
        return Repair(_drop_published(folder, faults), tuple(from_work), tuple(_drop(cache)), kept)


def drop_published(folder: Path, faults: Sequence[Fault]) -> Repair:
    """Take damaged files out of a published store, and damaged objects of its files out of DVC's cache.

    Args:
        folder: The store.
        faults: What is wrong with it; none of it unreadable.

    Raises:
        StoreError: Something cannot be removed.
        UnreadableError: An object of the cache cannot be read; nothing was removed.
    """
    with translate_write_errors(folder):
        cache = _find_damaged_objects(folder, faults)
        return Repair(_drop_published(folder, faults), (), tuple(_drop(cache)), None)


def _refuse_unreadable(store: OpenedStore, faults: Sequence[Fault]) -> None:
    unreadable = [fault for fault in faults if fault.kind == Kind.UNREADABLE]
    if unreadable:
        more = f" and {len(unreadable) - 1} more" if len(unreadable) > 1 else ""
        raise UnreadableError(
            f"{store.source.where}/{unreadable[0].name}{more}: {unreadable[0].reason}; nothing was removed"
        )


def _find_damaged_objects(folder: Path, faults: Sequence[Fault]) -> list[Path]:
    with translate_read_errors(folder):
        return find_damaged(find_cached(folder), ["", *(fault.name for fault in faults)])


def _drop_published(folder: Path, faults: Sequence[Fault]) -> tuple[Path, ...]:
    # What is missing by name may lie behind a folder that is a link, and is then not the store's.
    removed = [folder / fault.name for fault in faults if fault.kind != Kind.MISSING]
    for path in removed:
        path.unlink()
    if not removed and (folder / METADATA).is_file():
        # DVC looks at what is there; without its metadata the store counts as changed in any case.
        (folder / METADATA).unlink()
        removed = [folder / METADATA]
    return tuple(removed)


def _find_work(folder: Path, store: OpenedStore) -> Path | None:
    """The work folder that the store came from, or where its stage will look for one; None outside a project."""
    stage, fingerprint = store.manifest.stage, store.manifest.fingerprint
    root = next((parent for parent in folder.absolute().parents if (parent / "dvc.yaml").is_file()), None)
    if stage is None or fingerprint is None or root is None:
        return None
    there = sorted((root / WORK / stage).glob(f"*-{fingerprint[:20]}"))
    if there:
        return there[0]
    parts = folder.absolute().relative_to(root).parts
    return root / WORK / stage / f"{parts[1]}-{folder.stem}-{fingerprint[:20]}" if len(parts) == 4 else None


def _adopt(work: Path, store: OpenedStore, faults: Sequence[Fault]) -> None:
    """Give a work folder the whole shards of a published store, so that they need not be computed again."""
    damaged = {fault.name for fault in faults}
    content, done = work / CONTENT, work / MARKERS
    for place in (content, done):
        place.mkdir(parents=True, exist_ok=True)
    if not (work / "facts.json").exists():
        write_json(work / "facts.json", dict(store.manifest.provenance))
    if store.manifest.kind != ATTENTION:
        return  # the numbers of an embedding store's shards are not recorded in it
    for shard in store.manifest.shards:
        marker = done / f"{shard.index:06d}.json"
        if marker.exists() or damaged & shard.files.keys():
            continue
        for name in shard.files:
            place = content / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.unlink(missing_ok=True)
            link_or_copy(Path(store.source.where, name).resolve(), place)
        write_json(marker, shard.model_dump(exclude_none=True))


def _find_damaged_work(store: OpenedStore) -> list[Path]:
    """The damaged files and records of a work folder that this process holds."""
    assert store.work is not None
    root = store.work
    shards: dict[int, ShardEntry] = {shard.index: shard for shard in store.manifest.shards}
    damaged = list(store.bad_markers)
    faults = verify_store(store)
    _refuse_unreadable(store, faults)
    for fault in faults:
        if fault.kind != Kind.MISSING and not fault.name.startswith("../"):
            damaged.append(root / CONTENT / fault.name)
        if fault.shard in shards:
            damaged.append(root / MARKERS / f"{fault.shard:06d}.json")
    return damaged


def _drop(paths: Sequence[Path]) -> list[Path]:
    """Remove names; those that were there."""
    gone = []
    for path in dict.fromkeys(paths):
        if path.is_symlink() or path.is_file():
            path.unlink()
            gone.append(path)
    return gone
