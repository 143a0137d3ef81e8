"""Writing behind: order and errors."""

import threading

import pytest

from refdiff.diffusion.background import WriteBehind

# A thread that does not do its part within this time is a failure.
PATIENCE_S = 10


def test_a_task_runs_while_the_caller_goes_on_and_the_next_one_waits_for_it():
    go, order = threading.Event(), []

    def first() -> None:
        assert go.wait(PATIENCE_S)
        order.append("first")

    with WriteBehind() as writing:
        writing.submit(first)
        assert order == []  # the caller goes on
        go.set()
        writing.submit(lambda: order.append("second"))
        assert order[0] == "first"
    assert order == ["first", "second"]


def fail() -> None:
    raise OSError("disk")


@pytest.mark.parametrize("another", [True, False])
def test_a_failed_task_is_heard_at_the_next_one_or_at_the_end(another: bool):
    def run() -> None:
        with WriteBehind() as writing:
            writing.submit(fail)
            if another:
                writing.submit(lambda: None)
                raise AssertionError("the second task was taken")

    with pytest.raises(OSError, match="disk"):
        run()


def test_an_error_of_the_caller_lets_the_task_finish():
    go, done = threading.Event(), []

    def task() -> None:
        assert go.wait(PATIENCE_S)
        done.append(True)

    def run() -> None:
        with WriteBehind() as writing:
            writing.submit(task)
            go.set()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert done == [True]
