"""Work folders: where a store grows shard by shard, and where a killed run is continued.

A folder is named by the fingerprint of what all of its shards depend on, so a run with other parameters or another
model has another folder and never continues this one. A shard counts as done when its marker is there: a small JSON
file, written under another name and renamed, with the digest of each of the shard's files. What one shard depends on
alone, its photos and sentences, may stay out of the folder's name and be digested in the marker: then an edit of some
photos leaves the other shards as they are.
"""

import json
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refdiff.errors import RefdiffError, StoreError, UnreadableError, translate_read_errors
from refdiff.store.fingerprint import digest_facts, digest_file
from refdiff.store.hold import empty_folder, hold_folder, lock_for_setup, share_folder
from refdiff.whole_file import replacing

WORK = Path(".work")
DONE = "done"
FACTS = "facts.json"
COMPLETE = "complete.json"
FINGERPRINT = "fingerprint"


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """A finished shard.

    Attributes:
        index: Which one.
        files: For each of its files, relative to the content folder: its size in bytes and its SHA-256.
        inputs: Digest of everything that its files depend on; None where the folder's name says it all.
    """

    index: int
    files: Mapping[str, tuple[int, str]]
    inputs: str | None = None

    def to_plain(self) -> dict[str, Any]:
        files = {name: {"bytes": size, "sha256": digest} for name, (size, digest) in self.files.items()}
        return {"index": self.index, "files": files} | ({} if self.inputs is None else {"inputs": self.inputs})

    @staticmethod
    def from_plain(plain: Mapping[str, Any]) -> "ShardRecord":
        files = {name: (int(entry["bytes"]), str(entry["sha256"])) for name, entry in plain["files"].items()}
        inputs = plain.get("inputs")
        return ShardRecord(int(plain["index"]), files, None if inputs is None else str(inputs))


class WorkFolder:
    """One store in the making.

    Attributes:
        facts: What its content depends on, the notes included.
        fingerprint: SHA-256 of the facts without the notes.
        path: The folder: `<root>/.work/<stage>/<name>-<start of the fingerprint>`.
        content: The store's own files.
    """

    def __init__(
        self, root: Path, stage: str, name: str, facts: Mapping[str, Any], notes: Mapping[str, Any] | None = None
    ) -> None:
        """Name the folder; nothing is written yet.

        Args:
            root: The project's folder.
            stage: Whose work it is.
            name: Of the store, for people; splits and parameters tell stores apart.
            facts: Everything that all of the content depends on, as plain containers.
            notes: Written beside the facts, and no part of the name: what only some shards depend on.
        """
        fingerprint = digest_facts(facts)
        self._set(root / WORK / stage / f"{name}-{fingerprint[:20]}", {**facts, **(notes or {})}, fingerprint)

    @classmethod
    def of(cls, path: Path) -> "WorkFolder":
        """The folder that another process made and holds.

        Raises:
            StoreError: There is none.
        """
        try:
            facts = json.loads((path / FACTS).read_text(encoding="utf-8"))
            fingerprint = str(facts.pop(FINGERPRINT))
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise StoreError(
                f"{path}: no work folder can be read there ({error}); expected the one of the run that sent this work, "
                "on a file system that all workers see"
            ) from error
        work = cls.__new__(cls)
        work._set(path, facts, fingerprint)
        return work

    def _set(self, path: Path, facts: Mapping[str, Any], fingerprint: str) -> None:
        self.facts = facts
        self.fingerprint = fingerprint
        self.path = path
        self.content = path / "content"
        self._done = path / DONE

    @contextmanager
    def hold(self, prepare: Callable[[], None] = lambda: None, *, shared: bool = False) -> Iterator[None]:
        """Hold the folder for this process; wait, and say so, while another one has it.

        The lock is the kernel's: it is free as soon as its holder is gone, however it went.

        Args:
            prepare: Makes what all shards have in common; never called by two processes at once.
            shared: For a run that computes a part of the shards: other parts may hold the folder too, whole runs not.
                What killed runs left half written stays then, as it could be another part's.

        Raises:
            StoreError: The folder cannot be written.
        """
        with ExitStack() as held:
            with translate_write_errors(self.path):
                held.enter_context((share_folder if shared else hold_folder)(self.path))
                with lock_for_setup(self.path):
                    (self.path / COMPLETE).unlink(missing_ok=True)  # from now on it is work again, and nobody's to drop
                    write_json(self.path / FACTS, {**self.facts, FINGERPRINT: self.fingerprint})
                    self._done.mkdir(exist_ok=True)
                    self.content.mkdir(exist_ok=True)
                    if not shared:
                        _drop_partials(self.path)
                    prepare()
            yield

    def finished(
        self, shards: Iterable[int] | None = None, inputs: Mapping[int, str] | None = None
    ) -> dict[int, ShardRecord]:
        """Shards that are done and whose files have their digests; the markers of all others go, to be done again.

        Args:
            shards: Those to look at; None for all.
            inputs: Of each shard, what its record must have; one that is of other inputs, or is not named here, counts
                as not done. None where the folder's name says it all.

        Raises:
            StoreError: A marker cannot be removed.
        """
        markers = sorted(self._done.glob("*.json")) if shards is None else [self.marker(shard) for shard in shards]
        records: dict[int, ShardRecord] = {}
        for marker in markers:
            record = read_marker(marker)
            if record is not None and self._holds(record, marker, inputs):
                records[record.index] = record
            else:
                with translate_write_errors(marker):
                    marker.unlink(missing_ok=True)
        return records

    def _holds(self, record: ShardRecord, marker: Path, inputs: Mapping[int, str] | None) -> bool:
        if self.marker(record.index) != marker:
            return False
        if inputs is not None and (record.inputs is None or record.inputs != inputs.get(record.index)):
            return False
        return all(self._is_whole(name, *expected) for name, expected in record.files.items())

    def drop_unused(self, files: Collection[str]) -> None:
        """Take away what an earlier run left in `content` and no shard has any more.

        Args:
            files: What stays, relative to `content`.
        """
        used = set(files)
        for path in self.content.rglob("*"):
            if path.is_file() and path.relative_to(self.content).as_posix() not in used:
                path.unlink()

    def marker(self, index: int) -> Path:
        """The file that says that a shard is done."""
        return marker_of(self.path, index)

    def record(self, index: int, files: Sequence[str], inputs: str | None = None) -> ShardRecord:
        """Say that a shard is done; its files (relative to `content`) are read back for their digests.

        Args:
            index: Which one.
            files: Its files.
            inputs: See `ShardRecord`.
        """
        entries = {}
        for name in files:
            path = self.content / name
            sync_file(path)
            entries[name] = (path.stat().st_size, digest_file(path))
        record = ShardRecord(index, entries, inputs)
        write_json(self.marker(index), record.to_plain())
        return record

    def publish(self, target: Path, files: Sequence[str], final: Mapping[str, bytes]) -> None:
        """Put the finished store where it belongs, by hard links: no second copy, and nothing half done in sight.

        Args:
            target: The artifact; what was there goes.
            files: Files to link, relative to `content`; copied where links are not possible.
            final: Files written for the published store only: name and bytes.

        Raises:
            StoreError: The target cannot be written.
        """
        staged = self.path / "published"
        with translate_write_errors(target):
            shutil.rmtree(staged, ignore_errors=True)
            for name in files:
                place = staged / name
                place.parent.mkdir(parents=True, exist_ok=True)
                link_or_copy(self.content / name, place)
            for name, content in final.items():
                (staged / name).write_bytes(content)
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.exists():
                shutil.rmtree(target)
            shutil.move(staged, target)
            write_json(self.path / COMPLETE, {"target": target.as_posix()})
        self._drop_older()

    def _drop_older(self) -> None:
        """Take away complete work of other fingerprints under the same name: DVC's cache has what was published.

        What another run holds stays.
        """
        name = self.path.name.rsplit("-", 1)[0]
        for other in self.path.parent.glob(f"*/{COMPLETE}"):
            if other.parent != self.path and other.parent.name.rsplit("-", 1)[0] == name:
                # Held by another run, or of another person's: it is not this run's concern.
                with suppress(StoreError, OSError), hold_folder(other.parent, wait=False):
                    if other.is_file():
                        empty_folder(other.parent, first=COMPLETE)

    def _is_whole(self, name: str, size: int, digest: str) -> bool:
        path = self.content / name
        with translate_read_errors(path):
            return path.is_file() and path.stat().st_size == size and digest_file(path) == digest


def sync_file(path: Path) -> None:
    """Bring a file to the disk, so that its marker does not outlive it when the power fails."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def marker_of(work: Path, index: int) -> Path:
    """The marker of a shard in a work folder."""
    return work / DONE / f"{index:06d}.json"


def read_marker(marker: Path) -> ShardRecord | None:
    """What a marker says; None when there is none, or it is damaged.

    Raises:
        UnreadableError: It is there and cannot be read, which says nothing of what it holds.
    """
    try:
        with translate_read_errors(marker):
            return ShardRecord.from_plain(json.loads(marker.read_bytes()))
    except UnreadableError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _drop_partials(path: Path) -> None:
    """Take away what a killed run left half written; only the holder writes here, so nothing of it is in use."""
    for file in path.rglob("*.partial"):
        file.unlink(missing_ok=True)


@contextmanager
def translate_write_errors(where: Path) -> Iterator[None]:
    """Turn a full disk, a read-only folder or a lost permission into one line.

    Raises:
        StoreError: Something in the block could not be written or read.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, RefdiffError):
            raise
        raise StoreError(
            f"{error.filename or where}: cannot be written ({error.strerror or error}); finished shards are kept, "
            "make room or correct the permissions and run the same command again"
        ) from error


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a JSON file whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(content, sort_keys=True, indent=1), encoding="utf-8")


def link_or_copy(source: Path, place: Path) -> None:
    """Give a file a second name; a copy where the file system has no hard links."""
    try:
        os.link(source, place)
    except OSError:
        shutil.copy2(source, place)
