"""Workers as processes of this machine; one that dies is replaced, and the others do not notice.

Not by joblib's loky: there one death ends all workers, so that each loads its model again and nobody knows whose shard
it was. As the queue is kept in files, all that is left to do here is to start processes and to see how they end.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing import get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from refdiff.engine.deaths import VainDeaths
from refdiff.engine.job import ShardJob
from refdiff.engine.queue import ShardQueue
from refdiff.engine.worker import work_off
from refdiff.errors import ModelError, RefdiffError

THREADS = "OMP_NUM_THREADS"
END_SECONDS = 5.0
PAUSE_SECONDS = 0.2
DEATHS_IN_VAIN = 10

_context = get_context("spawn")


def run_in_processes(job: ShardJob, shards: range, arguments: tuple[int, tuple[str, ...]], workers: int) -> None:
    """Run the worker's loop in processes until every shard is done or given up.

    Args:
        job: The store in the making.
        shards: What this call is about.
        arguments: Attempts and accelerators, as `work_off` takes them.
        workers: Processes; each has its share of the machine's cores, unless OMP_NUM_THREADS says otherwise.

    Raises:
        RefdiffError: What keeps every shard from being computed.
    """
    queue = ShardQueue(job, arguments[0])
    alive: dict[int, tuple[BaseProcess, Connection]] = {}
    share = {THREADS: os.environ.get(THREADS, str(max(1, (os.cpu_count() or 1) // workers)))}

    def start() -> None:
        ours, theirs = _context.Pipe(duplex=False)
        process = _context.Process(target=_report, args=(theirs, job, shards, *arguments), daemon=True)
        with theirs, _environment(share):
            try:
                process.start()
            except OSError as error:
                ours.close()
                raise ModelError(
                    f"engine.workers: process {len(alive) + 1} of {workers} cannot be started "
                    f"({error.strerror or error}); use fewer workers"
                ) from error
        alive[process.sentinel] = (process, ours)

    wanted, deaths = workers, VainDeaths(queue, shards, DEATHS_IN_VAIN)
    try:
        while (left := len(queue.open_shards(shards))) or alive:
            while len(alive) < min(wanted, left):
                start()
            for sentinel in wait(list(alive)):
                process, said = alive.pop(int(sentinel))  # pyright: ignore[reportArgumentType] sentinels are numbers
                process.join()
                with said:
                    try:
                        error = said.recv()
                    except EOFError:  # nothing was said: it died, and is replaced
                        deaths.count(f"exit code {process.exitcode}")
                        continue
                    if error is not None:
                        raise error
                    wanted -= 1  # it found nothing more to take
            if not alive and wanted <= 0:
                wanted = workers
                time.sleep(PAUSE_SECONDS)  # what is left was in other hands
    finally:
        for process, said in alive.values():
            process.terminate()
            process.join(END_SECONDS)
            process.kill()
            process.join()
            said.close()


def _report(results: Connection, *arguments: Any) -> None:
    """The process: its result, or nothing at all when it dies. The starting process ends it, also by its own death."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group, and is that process's matter
    threading.Thread(target=_end_with_parent, name="end-with-parent", daemon=True).start()
    error: RefdiffError | None = work_off(*arguments, replaceable=True)
    results.send(error)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)


@contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    """Environment variables for processes that are started in the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
