"""The queue of shards, kept in files: whoever sees the work folder can take a shard, and a death frees it.

A shard is taken by a lock of the kernel, which is gone with its holder. How often it was begun is written before the
work, so that a shard which kills its workers is given up in the end.
"""

import json
import os
import platform
import re
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from refdiff.engine.job import ShardJob
from refdiff.errors import FailingAlikeError
from refdiff.store.work import translate_write_errors
from refdiff.whole_file import replacing

FOLDER = "queue"
DIED = "its worker was killed or ran out of memory"
# So many different shards that fail with one error, and none that is done, are no accident: the others would fail too.
ALIKE = 3
# Words of an error that differ from shard to shard: numbers, paths, names of files, and what is quoted.
_NAMES = re.compile(r"""'[^']*'|"[^"]*"|\S*[\d./\\_]\S*""")


@dataclass(frozen=True, slots=True)
class Trial:
    """How it went with a shard so far.

    Attributes:
        begun: Times that it was begun.
        failures: Reasons of the attempts that ended with an error.
        is_refused: Whether the last error is one that another attempt cannot mend.
    """

    begun: int = 0
    failures: tuple[str, ...] = ()
    is_refused: bool = False

    def is_given_up(self, attempts: int) -> bool:
        """Whether no further attempt is made; ask only while nobody has the shard."""
        return self.is_refused or self.begun >= attempts

    @property
    def reason(self) -> str:
        """Why the last attempt did not succeed."""
        return self.failures[-1] if len(self.failures) == self.begun and self.failures else DIED


class ShardQueue:
    """The shards of a job as the processes that compute them see each other's."""

    def __init__(self, job: ShardJob, attempts: int) -> None:
        """Open the queue; its folder is made.

        Args:
            job: Whose shards.
            attempts: Times that a shard is tried.
        """
        self._job = job
        self._attempts = attempts
        self._folder = job.folder / FOLDER
        with translate_write_errors(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)

    def open_shards(self, shards: Iterable[int]) -> list[int]:
        """Those that are neither done nor given up."""
        return [shard for shard in shards if not self._is_done(shard) and not self._is_given_up(shard)]

    def given_up(self, shards: Iterable[int]) -> dict[int, str]:
        """Those that are given up, with the reason."""
        return {
            shard: self.trial(shard).reason for shard in shards if not self._is_done(shard) and self._is_given_up(shard)
        }

    def take(self, shard: int) -> FileLock | None:
        """Take an open shard; None when another process has it, or it is done or given up by now.

        Raises:
            StoreError: Its lock cannot be written.
        """
        path = self._job.lock(shard)
        lock = FileLock(path, thread_local=False)
        with translate_write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:  # an OSError as well
                return None
        if self._is_done(shard) or self._is_given_up(shard):
            lock.release()
            return None
        return lock

    def trial(self, shard: int) -> Trial:
        """What was written down of a shard; an unreadable note counts as none."""
        try:
            note = json.loads(self._note(shard).read_text(encoding="utf-8"))
            return Trial(int(note["begun"]), tuple(map(str, note["failures"])), bool(note["is_refused"]))
        except (OSError, ValueError, KeyError, TypeError):
            return Trial()

    def begin(self, shard: int) -> None:
        """Write down that an attempt begins; by the holder of the shard."""
        trial = self.trial(shard)
        worker = f"process {os.getpid()} on {platform.node()}"
        self._write(shard, Trial(trial.begun + 1, trial.failures), worker=worker)

    def fail(self, shard: int, reason: str, is_refused: bool) -> None:
        """Write down that the attempt ended with an error; by the holder of the shard."""
        trial = self.trial(shard)
        self._write(shard, Trial(trial.begun, (*trial.failures, reason), is_refused))

    def check_alike(self, shards: Iterable[int]) -> None:
        """See that this run is not one in which every shard fails; by the worker whose shard just failed.

        Raises:
            FailingAlikeError: `ALIKE` shards failed, all with the same error but for names and numbers, and none that
                the run began is done.
        """
        trials = {shard: trial for shard in shards if (trial := self.trial(shard)).begun}
        failures = {shard: trial.failures[-1] for shard, trial in trials.items() if trial.failures}
        kinds = {_NAMES.sub("", reason) for trial in trials.values() for reason in trial.failures}
        if len(failures) < ALIKE or len(kinds) > 1 or any(self._is_done(shard) for shard in trials):
            return
        shard, reason = next(iter(failures.items()))
        raise FailingAlikeError(
            f"{self._job.folder}: the first {len(failures)} shards all failed alike, and the run ends here: "
            f"shard {shard} ({self._job.describe(shard)}): {reason}; see to it and run the same command again"
        )

    def forget(self, shards: Iterable[int]) -> None:
        """Let every shard have all its attempts again: a new run, after somebody saw to the reason."""
        with translate_write_errors(self._folder):
            for shard in shards:
                self._note(shard).unlink(missing_ok=True)

    def remove(self) -> None:
        """Take the queue away, when everything is done."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _is_done(self, shard: int) -> bool:
        with translate_write_errors(self._folder):
            return self._job.is_done(shard)

    def _is_given_up(self, shard: int) -> bool:
        return self.trial(shard).is_given_up(self._attempts)

    def _note(self, shard: int) -> Path:
        return self._folder / f"{shard:06d}.json"

    def _write(self, shard: int, trial: Trial, **more: Any) -> None:
        plain: Mapping[str, Any] = {
            "begun": trial.begun,
            "failures": list(trial.failures),
            "is_refused": trial.is_refused,
            **more,
        }
        with translate_write_errors(self._note(shard)), replacing(self._note(shard)) as partial:
            partial.write_text(json.dumps(plain), encoding="utf-8")


def lock_of(folder: Path, shard: int) -> Path:
    """The lock of a shard that only this job has, in the job's own queue.

    Args:
        folder: The job's.
        shard: Which.
    """
    return folder / FOLDER / f"{shard:06d}.lock"


class Claims(Iterator[int]):
    """Shards that this worker takes one by one; the oldest that it has is the one it computes.

    Those that were not tried yet come first: what fails is tried again at the end.
    A thread that reads ahead may take shards while another finishes them.
    """

    def __init__(self, queue: ShardQueue, shards: Iterable[int]) -> None:
        self._queue = queue
        self._coming = iter(sorted(queue.open_shards(shards), key=lambda shard: queue.trial(shard).begun))
        self._held: dict[int, FileLock] = {}
        self._mutex = threading.Lock()

    def __next__(self) -> int:
        with self._mutex:
            for shard in self._coming:
                lock = self._queue.take(shard)
                if lock is not None:
                    self._held[shard] = lock
                    if len(self._held) == 1:
                        self._queue.begin(shard)
                    return shard
        raise StopIteration

    def finish(self, shard: int) -> None:
        """A shard is done; the next one held is the one that is computed now."""
        with self._mutex:
            self._held.pop(shard).release()
            if self._held:
                self._queue.begin(next(iter(self._held)))

    def fail(self, reason: str, is_refused: bool) -> None:
        """The shard that is computed ended with an error; all that are held are given back."""
        with self._mutex:
            if self._held:
                self._queue.fail(next(iter(self._held)), reason, is_refused)
        self.give_back()

    def give_back(self) -> None:
        """Take no more, and let go of every shard, for others to take."""
        with self._mutex:
            self._coming = iter(())
            for lock in self._held.values():
                lock.release()
            self._held.clear()
