"""Work beside the computing: reading ahead, and writing behind, one thread each."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


def read_ahead(read: Callable[[ItemT], ResultT], items: Iterable[ItemT], ahead: int) -> Generator[ResultT]:
    """`map(read, items)`, with some items read in a thread before they are asked for.

    An error of `read` comes up where its result would have. When the caller stops early, what is not begun is dropped.

    Args:
        read: Called in one other thread, on one item after the other.
        items: Any number of them.
        ahead: Results held at most, beside the one that is asked for.
    """
    pool = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
    waiting: deque[Future[ResultT]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(read, item))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


class WriteBehind:
    """Runs one task at a time in a thread, while the caller prepares the next.

    A task's error is raised by the next `submit`, or at the end of the `with` block. When the block ends by an error
    of its own, the task in progress is still finished, and its own error is not heard.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="write-behind")
        self._pending: Future[None] | None = None

    def __enter__(self) -> "WriteBehind":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self.wait()
        finally:
            self._pool.shutdown()

    def submit(self, task: Callable[[], None]) -> None:
        """Wait for the task before, then start this one."""
        self.wait()
        self._pending = self._pool.submit(task)

    def wait(self) -> None:
        """Wait for the task that was submitted last, and raise its error."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()
