"""How far a long loop has come, on standard error: a bar on a terminal, elsewhere a line now and then."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

Progress = Callable[[Iterable[Any], int], Iterable[Any]]
"""Puts a progress bar around some steps, which it hands through; called with the steps and their number."""

Report = Callable[[int, int], None]
"""Called with (done, in all), from any thread."""

# Without a terminal: a line after so long, also when nothing was done meanwhile.
LINE_SECONDS = 30.0
# Progress comes by shards, and one may take minutes.
RATE_SECONDS = 1800.0
# A loop of short steps spends no time on its bar.
REDRAW_SECONDS = 0.1

StepT = TypeVar("StepT")


def track(
    steps: Iterable[StepT], title: str, total: int, unit: str = "steps", transient: bool = False
) -> Iterator[StepT]:
    """Hand steps through, and show how many are done; arguments are those of `showing_progress`."""
    with showing_progress(title, unit, transient) as report:
        shown = -REDRAW_SECONDS
        for done, step in enumerate(steps):
            if (now := time.monotonic()) - shown >= REDRAW_SECONDS:
                report(done, total)
                shown = now
            yield step
        report(total, total)


def tracker(title: str, unit: str = "steps", transient: bool = False) -> Progress:
    """`track` for functions that say their steps themselves; arguments are those of `showing_progress`."""
    return lambda steps, total: track(steps, title, total, unit, transient)


@contextmanager
def showing_progress(title: str, unit: str, transient: bool = False) -> Iterator[Report]:
    """Show progress while the block runs.

    Args:
        title: What it is of.
        unit: What is counted, in the plural.
        transient: Whether a terminal's bar goes when all is done.

    Yields:
        What is to be told of it.
    """
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        with _showing_bar(console, title, unit, transient) as report:
            yield report
    else:
        lines = _Lines(title, unit)
        yield lines.report
        lines.end()


class _Lines:
    """A line each `LINE_SECONDS` and one at the end; what was there at the start does not count for the rate."""

    def __init__(self, title: str, unit: str) -> None:
        self._title, self._unit = title, unit
        self._start = self._last = time.monotonic()
        self._first: int | None = None
        self._now = 0, 0

    def report(self, done: int, total: int) -> None:
        self._first = done if self._first is None else self._first
        self._now = done, total
        now = time.monotonic()
        if now - self._last >= LINE_SECONDS:
            self._last, elapsed, made = now, now - self._start, done - self._first
            self._print(f", {_clock(elapsed * (total - done) / made)} left" if made else "")

    def end(self) -> None:
        self._print("")

    def _print(self, left: str) -> None:
        done, total = self._now
        share = f" ({100 * done // total} %)" if total else ""
        elapsed = _clock(time.monotonic() - self._start)
        text = f"{self._title}: {done} of {total} {self._unit}{share}, {elapsed} elapsed{left}"
        print(text, file=sys.stderr, flush=True)


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


@contextmanager
def _showing_bar(console: Any, title: str, unit: str, transient: bool) -> Iterator[Report]:
    from rich import progress as bars

    columns = (
        bars.TextColumn("{task.description}"),
        bars.BarColumn(),
        bars.MofNCompleteColumn(),
        bars.TextColumn(unit),
        bars.TextColumn("{task.fields[rate]}", style="progress.data.speed"),
        bars.TimeElapsedColumn(),
        bars.TimeRemainingColumn(),
    )
    with bars.Progress(*columns, console=console, transient=transient, speed_estimate_period=RATE_SECONDS) as progress:
        task = progress.add_task(title, total=None, rate="")

        def report(done: int, total: int) -> None:
            speed = progress.tasks[task].speed
            progress.update(task, completed=done, total=total, rate="" if not speed else f"{speed:.3g}/s")

        yield report
