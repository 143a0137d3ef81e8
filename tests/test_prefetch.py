import threading
import time

import pytest

from refdiff.prefetch import prefetch


def test_everything_comes_in_order() -> None:
    assert list(prefetch(range(7), lambda n: n * n)) == [(n, n * n) for n in range(7)]
    assert list(prefetch([], str)) == []


def test_it_loads_ahead_in_another_thread_and_no_further_than_asked() -> None:
    loaded: list[int] = []

    def load(n: int) -> int:
        assert threading.current_thread() is not threading.main_thread()
        loaded.append(n)
        return n

    stream = prefetch(range(10), load, ahead=3)
    assert next(stream) == (0, 0)
    limit = time.monotonic() + 10
    while len(loaded) < 4 and time.monotonic() < limit:
        time.sleep(0.01)
    assert loaded == [0, 1, 2, 3]
    stream.close()  # pyright: ignore[reportAttributeAccessIssue]


def test_an_error_comes_after_what_was_loaded_before_it() -> None:
    def load(n: int) -> int:
        if n == 2:
            raise OSError("vanished")
        return n

    stream = prefetch(range(9), load)
    assert [next(stream), next(stream)] == [(0, 0), (1, 1)]
    with pytest.raises(OSError, match="vanished"):
        next(stream)
