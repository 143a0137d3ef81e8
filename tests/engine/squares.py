"""A job of small files, whose shards can be told to fail, to hang, or to kill their worker."""

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from refdiff.engine.queue import lock_of
from refdiff.errors import DatasetError, StoreError
from refdiff.whole_file import replacing

# In the place of a shard's number: trouble while the job is loaded.
LOADING = -1


@dataclass(frozen=True)
class Squares:
    """Writes the square of each shard's number; a file `<trouble>-<shard>` in `folder` says what else happens."""

    folder: Path
    seconds: float = 0.0

    def is_done(self, shard: int) -> bool:
        return self.file(shard).is_file()

    def lock(self, shard: int) -> Path:
        return lock_of(self.folder, shard)

    def describe(self, shard: int) -> str:
        return f"images {shard}a, {shard}b"

    def start(self) -> "SquaresRunner":
        with (self.folder / "starts").open("a") as file:
            file.write(f"{os.getpid()}\n")
        runner = SquaresRunner(self)
        runner.check(LOADING)
        return runner

    def file(self, shard: int) -> Path:
        return self.folder / f"{shard}.txt"

    def plan(self, trouble: str, shard: int, times: int) -> None:
        """Let a shard's next `times` attempts end in trouble: dies, breaks, refuses, full."""
        (self.folder / f"{trouble}-{shard}").write_text(str(times))

    def pids(self) -> list[int]:
        """Processes that loaded the job, in the order of their doing so."""
        starts = self.folder / "starts"
        return [int(line) for line in starts.read_text().split()] if starts.is_file() else []

    def content(self, shards: range) -> list[str]:
        return [self.file(shard).read_text() for shard in shards]


class SquaresRunner:
    def __init__(self, job: Squares) -> None:
        self._job = job

    def run(self, shards: Iterator[int]) -> Iterator[int]:
        """One shard is taken ahead, as a runner does that reads photos early."""
        current = next(shards, None)
        while current is not None:
            following = next(shards, None)
            time.sleep(self._job.seconds)
            self._make(current)
            yield current
            current = following

    def _make(self, shard: int) -> None:
        self.check(shard)
        with replacing(self._job.file(shard)) as partial:
            partial.write_text(str(shard**2))

    def check(self, shard: int) -> None:
        """What was planned for a shard happens."""
        if self._has("dies", shard):
            os.kill(os.getpid(), signal.SIGKILL)
        if self._has("breaks", shard):
            raise RuntimeError("a defect")
        if self._has("refuses", shard):
            raise DatasetError(f"photo of {shard} is gone")
        if self._has("full", shard):
            raise StoreError("disk is full")

    def _has(self, trouble: str, shard: int) -> bool:
        file = self._job.folder / f"{trouble}-{shard}"
        if not file.is_file() or not (left := int(file.read_text())):
            return False
        file.write_text(str(left - 1))
        return True
