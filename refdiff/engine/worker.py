"""What a worker does: take shards, compute them, until there are none left to take."""

import os
import sys
import threading
import time
import traceback
from functools import lru_cache

from refdiff.engine.accelerators import take_accelerator
from refdiff.engine.job import ShardJob, ShardRunner
from refdiff.engine.queue import Claims, ShardQueue
from refdiff.errors import ModelError, RefdiffError, StoreError

EXIT_UNUSABLE = 70
POLL_SECONDS = 0.5

# A process computes in one thread: a scheduler that gives it several tasks at once has the others end at once.
_busy = threading.Lock()


def work_off(
    job: ShardJob, shards: range, attempts: int, accelerators: tuple[str, ...], replaceable: bool
) -> RefdiffError | None:
    """Compute shards until each is done or given up; what is in other hands is waited for, and taken if they die.

    An error of one shard is written down in the queue, and the others are gone on with, unless the first shards all
    fail alike.

    Args:
        job: The store in the making.
        shards: Those of them that this run is about.
        attempts: Times that a shard is tried.
        accelerators: See `EngineSettings`.
        replaceable: Whether somebody starts another process where this one ends, so that one whose device is beyond
            use should end.

    Returns:
        What keeps every shard from being computed, such as a full disk; None otherwise.
    """
    if not _busy.acquire(blocking=False):
        return None
    try:
        take_accelerator(accelerators)
        return _work_off(job, shards, ShardQueue(job, attempts), replaceable)
    except RefdiffError as error:  # as a value: engines pass exceptions on in different ways
        return error
    finally:
        _busy.release()


def _work_off(job: ShardJob, shards: range, queue: ShardQueue, replaceable: bool) -> None:
    runner = None
    waits = False
    while queue.open_shards(shards):
        runner = runner or _load(job)
        claims = Claims(queue, shards)
        taken = False
        try:
            for shard in runner.run(claims):
                taken = True
                claims.finish(shard)
        except StoreError:
            claims.give_back()
            raise
        except RefdiffError as error:
            taken = True
            claims.fail(str(error), is_refused=True)
            queue.check_alike(shards)
        except Exception as error:  # noqa: BLE001 whatever one shard does, the others go on
            taken = True
            claims.fail(_name(error), is_refused=False)
            queue.check_alike(shards)
            if replaceable and _ends_device(error):
                os._exit(EXIT_UNUSABLE)
        finally:
            claims.give_back()
        if not taken:
            if not waits and not replaceable:  # the only worker of its run
                print(f"{job.folder}: another run computes what is left; waiting for it", file=sys.stderr)
            waits = True
            time.sleep(POLL_SECONDS)


def _load(job: ShardJob) -> ShardRunner:
    """The loaded job.

    Raises:
        RefdiffError: It cannot be loaded, which is no shard's fault and ends the run.
    """
    try:
        return _start(job)
    except RefdiffError:
        raise
    except Exception as error:
        raise ModelError(f"a worker cannot load the model: {_name(error)}; see to it and run it again") from error


@lru_cache(maxsize=1)
def _start(job: ShardJob) -> ShardRunner:
    """The loaded job; a worker keeps that of its last job only."""
    return job.start()


def _name(error: Exception) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {' '.join(str(error).split())} ({os.path.basename(place.filename)}:{place.lineno})"  # noqa: PTH119


def _ends_device(error: Exception) -> bool:
    """Whether the process can do nothing more on its accelerator, as after an illegal memory access."""
    return type(error).__name__ == "AcceleratorError" or "CUDA error" in str(error)
