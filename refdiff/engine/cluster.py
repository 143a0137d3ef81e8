"""Workers of a Dask cluster: one that is there already, or a local one for this run.

By Dask's own futures rather than by joblib's Dask backend, which waits for ever for a task that Dask gave up because
its worker died too often.
"""

import logging
from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import contextmanager
from typing import Any

from refdiff.engine.deaths import VainDeaths
from refdiff.engine.job import ShardJob
from refdiff.engine.queue import ShardQueue
from refdiff.engine.worker import work_off
from refdiff.errors import ModelError, RefdiffError

CONNECT_SECONDS = 30
POLL_SECONDS = 1.0
EMPTY_LOOKS = 5  # in a row: a worker that died is started again within them
DEATHS_IN_VAIN = 12

# Dask gives a task up when more workers than this died with it, and it is sent again from here: a task is a worker's
# whole loop, and the shards count their attempts themselves. The number of a scheduler that is there already is not
# known; this is what it has unless it was told otherwise.
ALLOWED_FAILURES = 3

_SETTINGS = {
    "distributed.scheduler.allowed-failures": ALLOWED_FAILURES,
    # A worker has the loop that it runs and none that waits behind it.
    "distributed.scheduler.worker-saturation": 1.0,
}


def run_on_cluster(
    job: ShardJob, shards: range, arguments: tuple[int, tuple[str, ...]], workers: int, address: str | None
) -> None:
    """Run the worker's loop on a cluster until every shard is done or given up.

    Args:
        job: The store in the making.
        shards: What this call is about.
        arguments: Attempts and accelerators, as `work_off` takes them.
        workers: Workers of a local cluster; on another, at most so many of its workers are used.
        address: Of the scheduler; None for a local cluster.

    Raises:
        RefdiffError: What keeps every shard from being computed.
    """
    queue = ShardQueue(job, arguments[0])
    deaths = VainDeaths(queue, shards, DEATHS_IN_VAIN)
    while queue.open_shards(shards):
        with _connect(address, workers) as client, _translate_loss(address):
            while left := len(queue.open_shards(shards)):
                count = min(workers, left)
                if not _run_loops(client, count, (job, shards, *arguments, True), address is None, deaths):
                    deaths.count("all workers of the local cluster were gone", count)
                    break


def _run_loops(client: Any, count: int, arguments: tuple[Any, ...], is_local: bool, deaths: VainDeaths) -> bool:
    """Run loops to their ends; False when a local cluster is without workers, which it will not start again."""
    from distributed import wait

    loops = [client.submit(work_off, *arguments, pure=False) for _ in range(count)]
    try:
        looks_empty = 0
        while looks_empty < EMPTY_LOOKS:
            try:
                wait(loops, timeout=POLL_SECONDS)
                break
            except TimeoutError:
                is_empty = is_local and not client.scheduler_info(n_workers=-1)["workers"]
                looks_empty = looks_empty + 1 if is_empty else 0
        else:
            return False
        for loop in loops:
            error = _read_result(loop, deaths)
            if error is not None:
                raise error
        return True
    finally:
        client.cancel(loops)


def _read_result(loop: Any, deaths: VainDeaths) -> RefdiffError | None:
    """What ended a loop; None as well when its workers died too often for the scheduler, and it is sent again.

    Raises:
        ModelError: They died in vain too often, or a worker cannot take the work at all.
    """
    from distributed import KilledWorker

    try:
        return loop.result()
    except KilledWorker:
        deaths.count("killed, as Dask says", ALLOWED_FAILURES + 1)
        return None
    except (CancelledError, OSError):  # of the connection: what the work meets comes as a value
        raise
    except Exception as error:
        raise ModelError(
            f"engine.kind: dask: a worker cannot take the work ({type(error).__name__}: {' '.join(str(error).split())}"
            "); give all workers this checkout and the same packages"
        ) from error


@contextmanager
def _translate_loss(address: str | None) -> Iterator[None]:
    """Turn the loss of the scheduler into one line.

    Raises:
        ModelError: It was lost in the block.
    """
    try:
        yield
    except (CancelledError, OSError) as error:
        if isinstance(error, RefdiffError):
            raise
        where = "the local cluster" if address is None else address
        raise ModelError(
            f"engine.address: {where}: the Dask scheduler was lost while the run went on; finished shards are kept; "
            "see to it and run the same command again"
        ) from error


@contextmanager
def _connect(address: str | None, workers: int) -> Iterator[Any]:
    """Connect to a scheduler, or start a local cluster of single-threaded processes.

    Raises:
        ModelError: Dask is not installed, or the scheduler does not answer.
    """
    try:
        from dask import config
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ModelError("engine.kind: dask is not installed; run `pip install 'refdiff[dask]'`") from error
    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # a loss is said here, in one line
    with config.set(_SETTINGS):
        cluster: Any = address
        if address is None:
            try:
                cluster = LocalCluster(
                    n_workers=workers,
                    threads_per_worker=1,
                    processes=True,
                    dashboard_address=":0",
                    silence_logs=logging.ERROR,
                )
            except (OSError, RuntimeError, TimeoutError) as error:
                raise ModelError(
                    f"engine.kind: dask: a local cluster of {workers} workers cannot be started ({error}); see to the "
                    "reason, or use --engine processes"
                ) from error
        try:
            client = Client(cluster, timeout=CONNECT_SECONDS)
        except (OSError, ValueError) as error:
            raise ModelError(
                f"engine.address: {address}: no Dask scheduler answers there ({error}); start one or correct it"
            ) from error
        try:
            yield client
        finally:
            client.close()
            if address is None:
                cluster.close()
