"""Workers of a Dask cluster: one that is there already, or a local one for this run.

By Dask's own futures rather than by joblib's Dask backend, which waits for ever for a task that Dask gave up because
its worker died too often.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from refdiff.engine.job import ShardJob
from refdiff.engine.queue import ShardQueue
from refdiff.engine.worker import work_off
from refdiff.errors import ModelError

CONNECT_SECONDS = 30

_SETTINGS = {
    # A task goes back to the queue as often as its worker dies; the shards count their attempts themselves. A scheduler
    # that is there already has its own number, beyond which the task is sent again from here.
    "distributed.scheduler.allowed-failures": 100,
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
    with _connect(address, workers) as client:
        while left := len(queue.open_shards(shards)):
            _run_loops(client, min(workers, left), (job, shards, *arguments, True))


def _run_loops(client: Any, count: int, arguments: tuple[Any, ...]) -> None:
    from distributed import KilledWorker, wait

    loops = [client.submit(work_off, *arguments, pure=False) for _ in range(count)]
    try:
        wait(loops)
        for loop in loops:
            try:
                error = loop.result()
            except KilledWorker:
                continue
            if error is not None:
                raise error
    finally:
        client.cancel(loops)


@contextmanager
def _connect(address: str | None, workers: int) -> Iterator[Any]:
    """Connect to a scheduler, or start a local cluster of single-threaded processes.

    Raises:
        ModelError: Dask is not installed, or the scheduler does not answer.
    """
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ModelError("engine.kind: dask is not installed; run `pip install 'refdiff[dask]'`") from error
    with dask.config.set(_SETTINGS):
        cluster: Any = address
        if address is None:
            cluster = LocalCluster(
                n_workers=workers, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs="ERROR"
            )
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
