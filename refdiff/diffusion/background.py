"""Work beside the computing: writing behind, in a thread."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


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
