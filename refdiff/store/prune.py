"""`.work` by age and size: which work folders and pools there are, what each is for, and taking away the oldest.

Everything there can be computed again, so age and size decide and nothing else does. What a run holds stays.
"""

import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from refdiff.errors import StoreError, translate_read_errors
from refdiff.store.hold import LOCK, SETUP_LOCK, empty_folder, hold_folder
from refdiff.store.pool import POOL, USERS, hold_siblings
from refdiff.store.work import COMPLETE, FACTS, WORK, translate_write_errors

_DAY = 24 * 60 * 60
_DIGEST = "[0-9a-f]" * 20


@dataclass(frozen=True, slots=True)
class Kept:
    """A work folder or a pool; its path tells the stage and, of a work folder, the split and the row.

    Attributes:
        path: The folder.
        users: Of a pool: the splits, each with its row, that have used it.
        complete: Of a work folder: whether the store was published.
        days: Since a run last began to use it.
        freed: Bytes of files that have no other name.
        shared: Bytes of files that others are links to, such as the published store.
    """

    path: Path
    users: tuple[str, ...]
    complete: bool
    days: float
    freed: int
    shared: int

    @property
    def is_pool(self) -> bool:
        return self.path.parent.parent.name == POOL


def list_work(root: Path) -> list[Kept]:
    """What there is below `.work` of a project, the oldest first."""
    work, now = root / WORK, time.time()
    found = []
    for path in [*work.glob(f"*/*-{_DIGEST}"), *work.glob(f"{POOL}/*/*-{_DIGEST}")]:
        with suppress(FileNotFoundError), translate_read_errors(path):  # a run may drop one meanwhile
            if {each.name for each in path.iterdir()} <= {LOCK, SETUP_LOCK}:
                continue  # it was emptied before
            facts = path / FACTS  # written by each run that begins
            used = (facts if facts.is_file() else path).stat().st_mtime
            users = sorted(user.stem for user in (path / USERS).glob("*.json"))
            complete = (path / COMPLETE).is_file()
            found.append(Kept(path, tuple(users), complete, (now - used) / _DAY, *_measure(path)))
    return sorted(found, key=lambda each: -each.days)


def choose(kept: Sequence[Kept], older_than: float, keep_bytes: float) -> list[Kept]:
    """What goes: all that is older, and the oldest of the rest until at most `keep_bytes` would stay."""
    left = sum(each.freed for each in kept)
    chosen = []
    for each in kept:
        if each.days > older_than or left > keep_bytes:
            chosen.append(each)
            left -= each.freed
    return chosen


def prune(chosen: Sequence[Kept], *, dry_run: bool) -> Iterator[tuple[Kept, bool]]:
    """Remove folders; whether each was free.

    Args:
        chosen: Of one project.
        dry_run: Remove nothing.

    Yields:
        Each, after it was removed. Of a work folder the locks stay (see `empty_folder`).

    Raises:
        StoreError: Something cannot be removed.
    """
    for each in chosen:
        yield each, (_drop_pool if each.is_pool else _empty)(each.path, dry_run=dry_run)


def _measure(folder: Path) -> tuple[int, int]:
    """Bytes of files that have this name alone, and of files that have others."""
    stats = []
    for path in folder.rglob("*"):
        with suppress(OSError):  # a run may hold the folder, and what it writes comes and goes
            if stat.S_ISREG((found := path.lstat()).st_mode):
                stats.append(found)
    alone = sum(each.st_size for each in stats if each.st_nlink == 1)
    return alone, sum(each.st_size for each in stats) - alone


def _empty(folder: Path, *, dry_run: bool) -> bool:
    """Empty a work folder; whether it was free."""
    try:
        with translate_write_errors(folder), hold_folder(folder, wait=False):
            if not dry_run:
                empty_folder(folder, first=COMPLETE)
    except StoreError:
        if _is_held(folder):
            return False
        raise
    return True


def _drop_pool(pool: Path, *, dry_run: bool) -> bool:
    """Remove a pool; whether no run of its stage was at work. One that begins waits for the lock of the pool's name."""
    with translate_write_errors(pool), hold_siblings(pool):
        if any(_is_held(folder) for folder in (pool.parents[2] / pool.parent.name).glob(f"*-{_DIGEST}")):
            return False
        if not dry_run:
            shutil.rmtree(pool)
    return True


def _is_held(folder: Path) -> bool:
    try:
        with hold_folder(folder, wait=False):
            return False
    except (StoreError, OSError):  # another's, or another person's
        return True
