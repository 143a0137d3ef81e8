"""Pools: what was computed for a photo, kept for every split that has this photo and for the run after a kill.

A pool is named by the fingerprint of everything that its items depend on beside the photo itself: settings, model,
code, library versions, kind of device. No split is among these, so splits that share photos share a pool, and a pool of
other settings is another folder. An item is named by a digest of what is its own (the photo, its masks, the variant).

Items lie in shards (see `refdiff.store.pool_shards`), which the engine's workers write (see
`refdiff.store.photo_batches`).
"""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from filelock import FileLock

from refdiff.store.fingerprint import digest_facts
from refdiff.store.pool_shards import PHOTOS, PoolShards
from refdiff.store.work import WORK, translate_write_errors, write_json

POOL = "pool"
USERS = "users"


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
        self.path = root / WORK / POOL / stage / f"{name}-{digest_facts(self.facts)[:20]}"
        self._users = self.path / USERS

    @staticmethod
    def open_shards(path: Path, columns: pa.Schema) -> PoolShards:
        """The items of the pool in a folder."""
        return PoolShards(path / PHOTOS, columns)

    def begin(self, user: str) -> None:
        """Make the folder and note who uses it, so that nobody drops it.

        Args:
            user: The artifact that is made of the pool, by a name that tells a split's sources apart.

        Raises:
            StoreError: The folder cannot be written.
        """
        with translate_write_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with hold_siblings(self.path):
                self._users.mkdir(parents=True, exist_ok=True)
                write_json(self.path / "facts.json", self.facts)
                write_json(self._users / f"{user}.json", {"complete": False})

    def finish(self, user: str) -> None:
        """Note that a user has published what it made of this pool; drop pools that all their users have left.

        A user leaves a pool when it has published from it and later from another one of the same name. So a pool is
        kept while a split has still to publish from it, and complete results of other settings, which DVC's cache has
        as artifacts, do not pile up.
        """
        with translate_write_errors(self.path), hold_siblings(self.path):
            write_json(self._users / f"{user}.json", {"complete": True})
            self._leave(user, self.path)

    def leave(self, user: str) -> None:
        """Note that a user has published without a pool of this name; drop those that all their users have left."""
        with translate_write_errors(self.path):
            if self.path.parent.is_dir():
                with hold_siblings(self.path):
                    self._leave(user, None)

    def _leave(self, user: str, stays: Path | None) -> None:
        """Take a user's mark from the pools of this name that it published from; drop those that have no marks left."""
        for pool in self.path.parent.glob(f"{self._name}-{'[0-9a-f]' * 20}"):
            mark = pool / USERS / f"{user}.json"
            if pool == stays or not mark.is_file() or not _is_complete(mark):
                continue
            mark.unlink()
            # A folder that cannot be listed raises here; glob would call it empty.
            if not any(user.suffix == ".json" for user in mark.parent.iterdir()):
                shutil.rmtree(pool, ignore_errors=True)


@contextmanager
def hold_siblings(pool: Path) -> Iterator[None]:
    """Hold all pools of one name against being dropped or joined. To be held shortly.

    Args:
        pool: The folder of one of them.
    """
    with FileLock(pool.parent / f"{pool.name.rsplit('-', 1)[0]}.lock"):
        yield


def _is_complete(mark: Path) -> bool:
    """Whether a user has published; one whose mark cannot be read may still want to."""
    try:
        return json.loads(mark.read_text(encoding="utf-8"))["complete"] is True
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return False
