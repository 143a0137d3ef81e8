"""Reading ahead and writing behind: order, bounds, errors."""

import threading
import time

import pytest

from refdiff.diffusion.background import WriteBehind, read_ahead

# A thread that does not do its part within this time is a failure.
PATIENCE_S = 10


def test_results_come_in_order():
    assert list(read_ahead(str, range(20), 3)) == [str(item) for item in range(20)]


def test_no_items_give_no_results():
    assert list(read_ahead(str, [], 3)) == []


def test_the_next_items_are_read_while_the_caller_works():
    read: dict[int, threading.Event] = {item: threading.Event() for item in range(10)}
    results = read_ahead(lambda item: read[item].set(), range(10), 2)
    next(results)
    assert read[2].wait(PATIENCE_S)  # nobody has asked for it
    assert not read[3].wait(0.1)  # and no more than two are held
    next(results)
    assert read[3].wait(PATIENCE_S)
    results.close()


def test_an_error_comes_where_its_result_would():
    def read(item: int) -> int:
        if item == 2:
            raise ValueError("item two")
        return item

    results = read_ahead(read, range(5), 4)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="item two"):
        next(results)


def test_what_is_not_begun_is_dropped():
    begun: list[int] = []

    def read(item: int) -> None:
        begun.append(item)
        time.sleep(0.02)

    results = read_ahead(read, range(1000), 500)
    next(results)
    results.close()
    assert len(begun) < 250  # of the 501 that were taken on
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


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
