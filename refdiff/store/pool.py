"""Pools: what was computed for a photo, kept for every split that has this photo and for the run after a kill.

A pool is named by the fingerprint of everything that its items depend on beside the photo itself: settings, model,
code, library versions, kind of device. No split is among these, so splits that share photos share a pool, and a pool of
other settings is another folder. An item is named by a digest of what is its own (the photo, its masks, the variant).

Items lie in shards of some tens of photos (see `refdiff.store.pool_shards`). Several processes may fill one pool: what
each computes is claimed first (see `refdiff.store.claims`).
"""

import json
import shutil
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from filelock import FileLock

from refdiff.store.claims import Claims, LivingClaim
from refdiff.store.fingerprint import digest_facts
from refdiff.store.pool_shards import PoolShards, Row
from refdiff.store.work import WORK, translate_write_errors, write_json

# A shard ends with whichever comes first; a kill loses at most that much of the work of one process.
SHARD_PHOTOS = 32
SHARD_SECONDS = 60.0
SHARD_BYTES = 1 << 26


@dataclass(frozen=True, slots=True)
class PhotoTask:
    """The items of one photo.

    Attributes:
        image_index: The photo, in the split that asks.
        items: For each key what it stands for; computing gets those that are missing only.
    """

    image_index: int
    items: Mapping[str, Any]


Compute = Callable[[Sequence[PhotoTask]], Iterator[Mapping[str, Row]]]
"""Yields for each task, in order, a row for each of its keys."""


class Pool:
    """Photo-level results under one fingerprint.

    Attributes:
        facts: What the fingerprint is of.
        path: The folder: `<root>/.work/pool/<stage>/<name>-<start of the fingerprint>`.
    """

    def __init__(self, root: Path, stage: str, name: str, facts: Mapping[str, Any], columns: pa.Schema) -> None:
        """Name the folder; nothing is written yet.

        Args:
            root: The project's folder.
            stage: Whose results they are.
            name: For people, and what pools replace each other (see `finish`).
            facts: Everything that an item depends on beside its key, as plain containers.
            columns: Columns of an item.
        """
        self.facts = {**facts, "columns": str(columns)}
        self._name = name
        self.path = root / WORK / "pool" / stage / f"{name}-{digest_facts(self.facts)[:20]}"
        self._shards = PoolShards(self.path / "shards", columns)
        self._users = self.path / "users"
        self._claims = Claims(self.path / "claims")

    def begin(self, user: str) -> None:
        """Make the folder and note who uses it, so that nobody drops it.

        Args:
            user: The artifact that is made of the pool, by a name that tells a split's sources apart.

        Raises:
            StoreError: The folder cannot be written.
        """
        with translate_write_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._siblings():
                self._users.mkdir(parents=True, exist_ok=True)
                (self.path / "shards").mkdir(exist_ok=True)
                write_json(self.path / "facts.json", self.facts)
                write_json(self._users / f"{user}.json", {"complete": False})

    def fill(self, tasks: Sequence[PhotoTask], compute: Compute, report: Callable[[int], None]) -> int:
        """Compute the items that are missing; others that need the same meanwhile wait for them.

        Args:
            tasks: The photos.
            compute: Makes the rows.
            report: Called with how many of the tasks are done, each time that one is.

        Returns:
            For how many tasks something was computed by this process.

        Raises:
            StoreError: The pool cannot be written.
        """
        computed = 0
        while waiting := self._missing(tasks):  # a second time only where a shard was damaged meanwhile
            report(len(tasks) - len(waiting))
            computed += self._fill_missing(deque(waiting), compute, lambda left: report(len(tasks) - left))
        report(len(tasks))
        return computed

    def read(self, key: str) -> dict[str, Any]:
        """The item of a key that `fill` was asked for: an Arrow scalar for each column, not copied.

        Raises:
            ShardCorruptError: It is not there any more.
        """
        return self._shards.read(key)

    def finish(self, user: str) -> None:
        """Note that a user has published what it made of this pool; drop pools that all their users have left.

        A user leaves a pool when it has published from it and later from another one of the same name. So a pool is
        kept while a split has still to publish from it, and complete results of other settings, which DVC's cache has
        as artifacts, do not pile up.
        """
        with translate_write_errors(self.path), self._siblings():
            write_json(self._users / f"{user}.json", {"complete": True})
            for other in self.path.parent.glob(f"{self._name}-{'[0-9a-f]' * 20}"):
                mark = other / "users" / f"{user}.json"
                if other == self.path or not mark.is_file() or not _is_complete(mark):
                    continue
                mark.unlink()
                if not any(mark.parent.glob("*.json")):
                    shutil.rmtree(other, ignore_errors=True)

    @contextmanager
    def _siblings(self) -> Iterator[None]:
        """Hold all pools of this name against being dropped or joined. To be held shortly."""
        with FileLock(self.path.parent / f"{self._name}.lock"):
            yield

    def _fill_missing(self, waiting: deque[PhotoTask], compute: Compute, report: Callable[[int], None]) -> int:
        """Claim and compute a shard after the other; what others have claimed is looked at again later."""
        computed = 0
        while waiting:
            with translate_write_errors(self.path), self._claims.registry():
                self._shards.refresh()
                others = self._claims.living()
                if not others:
                    self._shards.sweep()
                batch, claimed = self._choose(waiting, frozenset[str]().union(*(other.keys for other in others)))
                claim = self._claims.make([key for task in batch for key in task.items]) if batch else None
            waiting.extend(claimed)
            if claim is not None:
                try:
                    left = len(waiting) + len(batch)
                    computed += self._compute(batch, compute, lambda done, left=left: report(left - done))
                finally:
                    claim.end()
            elif claimed:
                self._claims.wait(_first_of(others, claimed), str(self.path))
        return computed

    def _choose(self, waiting: deque[PhotoTask], taken: Collection[str]) -> tuple[list[PhotoTask], list[PhotoTask]]:
        """Take tasks for a shard, and those before them that others compute; what is there by now is left out."""
        batch: list[PhotoTask] = []
        claimed: list[PhotoTask] = []
        while waiting and len(batch) < SHARD_PHOTOS:
            for task in self._narrow([waiting.popleft()]):
                (claimed if any(key in taken for key in task.items) else batch).append(task)
        return batch, claimed

    def _compute(self, tasks: Sequence[PhotoTask], compute: Compute, report: Callable[[int], None]) -> int:
        """Compute and write; whatever ends it, what was computed until then is kept."""
        rows: list[Mapping[str, Row]] = []
        since, size, done = time.monotonic(), 0, 0
        try:
            for done, made in enumerate(compute(tasks), 1):
                rows.append(made)
                size += sum(getattr(value, "nbytes", 0) for row in made.values() for value in row.values())
                if time.monotonic() - since >= SHARD_SECONDS or size >= SHARD_BYTES:
                    full, rows, size, since = rows, [], 0, time.monotonic()
                    self._shards.write(full)
                report(done)
        finally:
            if rows:
                self._shards.write(rows)
        return done

    def _missing(self, tasks: Sequence[PhotoTask]) -> list[PhotoTask]:
        """What of the tasks is not there, whole."""
        with translate_write_errors(self.path):
            self._shards.refresh()
            return self._narrow(tasks)

    def _narrow(self, tasks: Sequence[PhotoTask]) -> list[PhotoTask]:
        """The tasks with those of their items that are not there."""
        narrowed = []
        for task in tasks:
            items = {key: item for key, item in task.items.items() if not self._shards.has(key)}
            if items:
                narrowed.append(PhotoTask(task.image_index, items))
        return narrowed


def _first_of(claims: Collection[LivingClaim], missing: Sequence[PhotoTask]) -> LivingClaim:
    """A claim on something that is missing; there is one, or it could have been claimed."""
    wanted = {key for task in missing for key in task.items}
    return next(claim for claim in claims if not wanted.isdisjoint(claim.keys))


def _is_complete(mark: Path) -> bool:
    return bool(json.loads(mark.read_text(encoding="utf-8")).get("complete"))
