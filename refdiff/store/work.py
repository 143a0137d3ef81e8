"""Work folders: where a store grows shard by shard, and where a killed run is continued.

A folder is named by the fingerprint of everything that its content depends on, so a run with other parameters, another
model or other inputs has another folder and never continues this one. A shard counts as done when its marker is there:
a small JSON file, written under another name and renamed, with the digest of each of the shard's files.
"""

import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from refdiff.errors import RefdiffError, StoreError
from refdiff.store.fingerprint import digest_facts, digest_file
from refdiff.whole_file import replacing

WORK = Path(".work")
HOLDER = "holder.json"


@dataclass(frozen=True, slots=True)
class ShardRecord:
    """A finished shard.

    Attributes:
        index: Which one.
        files: For each of its files, relative to the content folder: its size in bytes and its SHA-256.
    """

    index: int
    files: Mapping[str, tuple[int, str]]

    def to_plain(self) -> dict[str, Any]:
        files = {name: {"bytes": size, "sha256": digest} for name, (size, digest) in self.files.items()}
        return {"index": self.index, "files": files}

    @staticmethod
    def from_plain(plain: Mapping[str, Any]) -> "ShardRecord":
        files = {name: (int(entry["bytes"]), str(entry["sha256"])) for name, entry in plain["files"].items()}
        return ShardRecord(int(plain["index"]), files)


class WorkFolder:
    """One store in the making.

    Attributes:
        fingerprint: SHA-256 of the facts.
        path: The folder: `<root>/.work/<stage>/<name>-<start of the fingerprint>`.
        content: The store's own files.
    """

    def __init__(self, root: Path, stage: str, name: str, facts: Mapping[str, Any]) -> None:
        """Name the folder; nothing is written yet.

        Args:
            root: The project's folder.
            stage: Whose work it is.
            name: Of the store, for people; splits and parameters tell stores apart.
            facts: Everything that the content depends on, as plain containers.
        """
        self.facts = facts
        self.fingerprint = digest_facts(facts)
        self.path = root / WORK / stage / f"{name}-{self.fingerprint[:20]}"
        self.content = self.path / "content"
        self._done = self.path / "done"

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the folder for this process; wait, and say so, while another one has it.

        The lock is the kernel's: it is free as soon as its holder is gone, however it went.

        Raises:
            StoreError: The folder cannot be written.
        """
        with ExitStack() as held:
            with translate_write_errors(self.path):
                held.enter_context(hold_folder(self.path))
                write_json(self.path / "facts.json", self.facts)
                self._done.mkdir(exist_ok=True)
                self.content.mkdir(exist_ok=True)
                _drop_partials(self.path)
            yield

    def finished(self) -> dict[int, ShardRecord]:
        """Shards that are done and whose files have their digests; what is damaged is taken away, to be done again."""
        records: dict[int, ShardRecord] = {}
        for marker in sorted(self._done.glob("*.json")):
            try:
                record = ShardRecord.from_plain(json.loads(marker.read_text(encoding="utf-8")))
            except (ValueError, KeyError, TypeError, AttributeError):
                marker.unlink()
                continue
            if all(self._is_whole(name, *expected) for name, expected in record.files.items()):
                records[record.index] = record
            else:
                marker.unlink()
        return records

    def record(self, index: int, files: Sequence[str]) -> ShardRecord:
        """Say that a shard is done; its files (relative to `content`) are read back for their digests."""
        entries = {}
        for name in files:
            path = self.content / name
            entries[name] = (path.stat().st_size, digest_file(path))
        record = ShardRecord(index, entries)
        write_json(self._done / f"{index:06d}.json", record.to_plain())
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
            write_json(self.path / "complete.json", {"target": target.as_posix()})
        self._drop_older()

    def _drop_older(self) -> None:
        """Take away complete work of other fingerprints under the same name: DVC's cache has what was published."""
        name = self.path.name.rsplit("-", 1)[0]
        for other in self.path.parent.glob("*/complete.json"):
            if other.parent != self.path and other.parent.name.rsplit("-", 1)[0] == name:
                shutil.rmtree(other.parent, ignore_errors=True)

    def _is_whole(self, name: str, size: int, digest: str) -> bool:
        path = self.content / name
        return path.is_file() and path.stat().st_size == size and digest_file(path) == digest


@contextmanager
def hold_folder(path: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold a work folder for this process, so that no other writes in it.

    The lock is the kernel's: it is free as soon as its holder is gone, however it went. On a network file system whose
    locks do not reach other hosts, the holder's record is what tells that another one did not end in order.

    Args:
        path: The folder; it is made.
        wait: Wait, and say so, while another process has it; otherwise refuse.

    Raises:
        StoreError: The folder cannot be locked, or another process has it and `wait` is off.
    """
    path.mkdir(parents=True, exist_ok=True)
    record = path / HOLDER
    lock = FileLock(path / "lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            advice = "wait for it to end, or end it, and run the same command again"
            raise StoreError(f"{path}: {_name_holder(record)} works on it; {advice}") from None
        print(f"{path}: {_name_holder(record)} works on it; waiting for it to end", file=sys.stderr)
        lock.acquire()
    except NotImplementedError as error:
        raise StoreError(
            f"{path}: its file system has no locks; expected one on which two runs can tell each other; "
            "put the project on another"
        ) from error
    try:
        _warn_of_other_host(path, record)
        write_json(record, {"process": os.getpid(), "host": platform.node()})
        yield
        record.unlink(missing_ok=True)
    finally:
        lock.release()


def _warn_of_other_host(path: Path, record: Path) -> None:
    holder = _read_holder(record)
    if holder is not None and holder[1] != platform.node():
        print(
            f"{path}: {_name_holder(record)} held it and did not end in order; if it still runs, stop it: "
            "the locks of this file system do not reach its host",
            file=sys.stderr,
        )


def _read_holder(record: Path) -> tuple[str, str] | None:
    try:
        holder = json.loads(record.read_text(encoding="utf-8"))
        return str(holder["process"]), str(holder["host"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _name_holder(record: Path) -> str:
    holder = _read_holder(record)
    return "another process" if holder is None else f"process {holder[0]} on {holder[1]}"


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
