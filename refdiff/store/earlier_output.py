"""Shards of the store that a stage published before, out of DVC's cache, for a work folder that lacks them.

DVC removes a stage's outputs before it runs the stage, but what they were is in its cache, and its lock file names it
until the stage has ended. So whoever pulled a store, and has no work folder, computes after an edit what changed and
nothing else.

A cached object is read-only, and other files may be links to it. It is linked where the repository's own files are
links to it, and copied where they are copies; nothing here, and nothing in a work folder, is written in place.
"""

import os
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from refdiff.errors import StoreMismatchError, is_absent, translate_read_errors
from refdiff.store.dvc_cache import CachedOutput, find_damaged, find_output
from refdiff.store.fingerprint import digest_file
from refdiff.store.manifest import METADATA, FileEntry, ShardEntry, array_of, parse_manifest
from refdiff.store.work import ShardRecord, WorkFolder, sync_file, translate_write_errors, write_json

_LOCK = "dvc.lock"
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class _Source:
    """A published store in the cache, and the work folder that takes it over.

    Attributes:
        work: The folder, which this process holds.
        output: Objects of the store.
    """

    work: WorkFolder
    output: CachedOutput

    def shards(self) -> tuple[ShardEntry, ...]:
        """What the store says of its shards; none where that is not in the cache, or is no metadata of a store."""
        path = self.output.objects.get(METADATA, (None, ""))[0]
        if path is None:
            return ()
        try:
            with translate_read_errors(path):
                return parse_manifest(path.read_bytes(), str(path)).shards
        except StoreMismatchError:
            return ()
        except OSError as error:
            if is_absent(error):
                return ()
            raise

    def take(self, shard: ShardEntry) -> bool:
        """Put a shard's files into the work folder, and record it; whether all of them were there and whole."""
        for name, expected in shard.files.items():
            place = self.work.content / name
            if not self._place(name, place) or not _is_as_recorded(place, expected):
                place.unlink(missing_ok=True)
                return False
            sync_file(place)
        write_json(self.work.marker(shard.index), shard.model_dump(exclude_none=True))
        return True

    def _place(self, name: str, place: Path) -> bool:
        cached = self.output.objects.get(name, (None, ""))[0]
        if cached is None:
            return False
        with translate_read_errors(cached):
            if not cached.is_file():
                return False
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        if self.output.shares_files:
            with suppress(OSError):  # another file system, or one without links
                os.link(cached.resolve(), place)
                return True
        with place.open("wb") as file:
            file.writelines(_read_blocks(cached))
        return True


def _read_blocks(path: Path) -> Iterator[bytes]:
    # What cannot be read is no fault of the folder that it is written to.
    with translate_read_errors(path), path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block


def _is_as_recorded(path: Path, expected: FileEntry) -> bool:
    with translate_read_errors(path):
        return path.stat().st_size == expected.bytes and digest_file(path) == expected.sha256


def take_over_output(work: WorkFolder, target: Path, wanted: Mapping[int, str]) -> dict[int, ShardRecord]:
    """Put into a work folder those shards that the store published at `target` before has, and that fit.

    A shard fits when the digest of all that it depends on is the one that is asked for: then a fresh run would make the
    same files. They are compared with their digests. Objects of the cache that are damaged are removed, or DVC would
    take them for what the run is about to store.

    Args:
        work: The folder, which this process holds; the arrays are in it.
        target: The published store, as DVC knows it; it need not be there.
        wanted: For each shard that is missing in the folder, the digest of what it depends on.

    Returns:
        The shards that are in the folder now. None, without a word, outside a DVC repository, or where its lock file or
        its local cache has no such store.

    Raises:
        UnreadableError: A cached object is there and cannot be read.
        StoreError: The folder cannot be written, or a damaged object cannot be removed.
    """
    if not wanted or not any((parent / _LOCK).is_file() for parent in target.absolute().parents):
        return {}  # importing DVC takes a second
    with translate_read_errors(target):
        source = _Source(work, find_output(target))
    taken: dict[int, ShardRecord] = {}
    refused: list[ShardEntry] = []
    arrays = [path.parent.name for path in work.content.glob(f"cross_*/{METADATA}")]
    with translate_write_errors(work.path):
        for shard in source.shards():
            if shard.inputs is None or shard.inputs != wanted.get(shard.index) or not _is_shard(shard, arrays):
                continue
            if source.take(shard):
                files = {name: (entry.bytes, entry.sha256) for name, entry in shard.files.items()}
                taken[shard.index] = ShardRecord(shard.index, files, shard.inputs)
            else:
                refused.append(shard)
        damaged = _drop_damaged(source.output, ["", METADATA, *(name for shard in refused for name in shard.files)])
    for path in damaged:
        print(f"{path}: was damaged, and is removed from DVC's cache", file=sys.stderr)
    if taken or refused:
        lost = f"; {len(refused)} that fit are damaged or not there" if refused else ""
        store = "the store that was published before, out of DVC's cache"
        print(f"{work.path}: {len(taken)} of {len(wanted)} missing shards taken from {store}{lost}", file=sys.stderr)
    return taken


def _is_shard(shard: ShardEntry, arrays: Collection[str]) -> bool:
    """Whether a shard has its own file of each array of cross-attention, and otherwise self-attention only.

    A store may come from a stranger, and shall not name files that are another's.
    """
    own = {f"{array}/c/{shard.index}/0/0/0/0" for array in arrays}
    others = shard.files.keys() - own
    return own <= shard.files.keys() and all(name.startswith("self_") and array_of(name) for name in others)


def _drop_damaged(output: CachedOutput, names: Collection[str]) -> list[Path]:
    damaged = find_damaged(output.objects, names)
    for path in damaged:
        path.unlink(missing_ok=True)
    return damaged
