"""All shards of a store through an engine: dead workers are replaced, and what cannot be computed is named."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from refdiff.engine.job import ShardJob
from refdiff.engine.queue import ShardQueue
from refdiff.engine.settings import Engine
from refdiff.engine.worker import work_off
from refdiff.errors import ShardsFailedError

POLL_SECONDS = 0.5

# Called with the number of shards done so far.
Watch = Callable[[int], None]


def run_shards(job: ShardJob, shards: range, engine: Engine, watch: Watch) -> None:
    """Compute what is not done of a store's shards.

    Args:
        job: The store in the making.
        shards: All of its shards; the engine's part is taken of them.
        engine: Who computes them.
        watch: Told from time to time how many of the part are done.

    Raises:
        ShardsFailedError: Some could not be computed; the others are done.
        FailingAlikeError: The first all failed with the same error; no other was tried.
        StoreError: The work folder cannot be written.
        ModelError: The model or a device is not there, or the Dask cluster cannot be reached.
    """
    mine = engine.part.of(shards)
    queue = ShardQueue(job, engine.settings.attempts)
    queue.forget(mine)
    with _watching(job, mine, watch):
        if queue.open_shards(mine):
            _compute(job, mine, engine)
    failed = queue.given_up(mine)
    if failed:
        reasons = [f"shard {shard} ({job.describe(shard)}): {reason}" for shard, reason in failed.items()]
        raise ShardsFailedError(
            f"{job.folder}: {len(failed)} of {len(mine)} shards could not be computed, the others are done and kept; "
            "see to the reasons and run the same command again",
            reasons,
        )
    if engine.is_whole:
        queue.remove()


def _compute(job: ShardJob, shards: range, engine: Engine) -> None:
    settings = engine.settings
    arguments = (settings.attempts, settings.accelerators)
    if settings.kind == "serial":
        error = work_off(job, shards, *arguments, replaceable=False)
        if error is not None:
            raise error
    elif settings.kind == "processes":
        from refdiff.engine.processes import run_in_processes

        run_in_processes(job, shards, arguments, settings.workers)
    else:
        from refdiff.engine.cluster import run_on_cluster

        run_on_cluster(job, shards, arguments, settings.workers, settings.address)


@contextmanager
def _watching(job: ShardJob, shards: range, watch: Watch) -> Iterator[None]:
    """Count the markers in a thread, the same way for every engine."""
    over = threading.Event()

    def count() -> None:
        done: set[int] = set()
        is_over = False
        while True:
            with suppress(OSError):  # what keeps markers from being read ends the run, and is said there
                done.update(shard for shard in shards if shard not in done and job.is_done(shard))
            watch(len(done))
            if is_over:
                return
            is_over = over.wait(POLL_SECONDS)

    thread = threading.Thread(target=count, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
