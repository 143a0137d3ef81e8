"""Who works in a folder: one process, or several that each do a part. The locks are the kernel's."""

import fcntl
import json
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from refdiff.errors import StoreError
from refdiff.whole_file import replacing

HOLDER = "holder.json"
PARTS = "holders"
LOCK = "lock"
SETUP_LOCK = "setup.lock"
_NAMED = 5


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
    lock = FileLock(path / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        holder = _name_all(path)
        if not wait:
            advice = "wait for it to end, or end it, and run the same command again"
            raise StoreError(f"{path}: {holder} works on it; {advice}") from None
        print(f"{path}: {holder} works on it; waiting for it to end", file=sys.stderr)
        lock.acquire()
    except NotImplementedError as error:
        raise StoreError(
            f"{path}: its file system has no locks; expected one on which two runs can tell each other; "
            "put the project on another"
        ) from error
    try:
        for left in [record, *_part_records(path)]:
            _warn_of_other_host(path, left)
            left.unlink(missing_ok=True)
        _write_holder(record)
        yield
        record.unlink(missing_ok=True)
    finally:
        lock.release()


@contextmanager
def share_folder(path: Path) -> Iterator[None]:
    """Hold a work folder together with other processes that each do a part; `hold_folder` and this exclude each other.

    A shared lock on the file that `hold_folder` locks exclusively. Wait, and say so, while a process has it for itself.
    Each part leaves a record, and keeps a lock on it, by which those that wait know whom they wait for; what killed
    ones left goes with the next run that has the folder for itself.

    Args:
        path: The folder; it is made.

    Raises:
        StoreError: The folder's file system has no locks.
    """
    path.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = _name_holder(path / HOLDER)
            print(f"{path}: {holder} works on all of it; waiting for it to end", file=sys.stderr)
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        with _signed_in(path / PARTS):
            yield
    finally:
        os.close(descriptor)


@contextmanager
def lock_for_setup(path: Path) -> Iterator[None]:
    """Let one process at a time make what the folder's shards have in common: a second or so."""
    with FileLock(path / SETUP_LOCK):
        yield


def empty_folder(path: Path, *, first: str | None = None) -> None:
    """Take away everything in a folder that this process holds, but for its locks.

    The folder and its locks stay: were they removed, a run that waits for the lock by its old inode (`share_folder`
    does, and on a network file system nobody can tell) and one that comes later would each hold a lock of that name.

    Args:
        path: The folder.
        first: A file by which what is left, when this is interrupted, could pass for whole.

    Raises:
        OSError: It cannot be changed.
    """
    if first is not None:
        (path / first).unlink(missing_ok=True)
    for each in path.iterdir():
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        elif each.name not in (LOCK, SETUP_LOCK):
            each.unlink(missing_ok=True)


@contextmanager
def _signed_in(folder: Path) -> Iterator[None]:
    folder.mkdir(exist_ok=True)
    record = folder / f"{platform.node().replace('/', '_')}-{os.getpid()}.json"
    _write_holder(record)
    with record.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            with suppress(OSError):  # permission may be lost by now; a record without its lock means nothing
                record.unlink()


def _write_holder(record: Path) -> None:
    with replacing(record) as partial:
        partial.write_text(json.dumps({"process": os.getpid(), "host": platform.node()}), encoding="utf-8")


def _part_records(path: Path) -> list[Path]:
    return sorted((path / PARTS).glob("*.json"))


def _is_alive(record: Path) -> bool:
    """Whether the part that left a record still has its lock."""
    try:
        with record.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # it went away
        pass
    return False


def _name_all(path: Path) -> str:
    """Who has a folder: one process, or several with a part each."""
    parts = [_name_holder(record) for record in _part_records(path) if _is_alive(record)]
    if not parts:
        return _name_holder(path / HOLDER)
    more = f" and {len(parts) - _NAMED} more" if len(parts) > _NAMED else ""
    each = "" if len(parts) == 1 else ", each with a part,"
    return f"{', '.join(parts[:_NAMED])}{more}{each}"


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
