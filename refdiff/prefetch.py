"""Reading ahead: photos are read and decoded in a thread while what was read before is computed with."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

JobT = TypeVar("JobT")
LoadedT = TypeVar("LoadedT")


def prefetch(jobs: Iterable[JobT], load: Callable[[JobT], LoadedT], ahead: int = 2) -> Iterator[tuple[JobT, LoadedT]]:
    """Each job with what `load` makes of it, in order.

    An error of `load` is raised where its job would have been yielded, after all earlier ones.

    Args:
        jobs: What to load.
        load: Called in one other thread.
        ahead: How many loaded jobs may wait.
    """
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prefetch")
    waiting: deque[tuple[JobT, Future[LoadedT]]] = deque()
    try:
        for job in jobs:
            waiting.append((job, executor.submit(load, job)))
            if len(waiting) > ahead:
                first, loaded = waiting.popleft()
                yield first, loaded.result()
        while waiting:
            first, loaded = waiting.popleft()
            yield first, loaded.result()
    finally:
        executor.shutdown(cancel_futures=True)
