"""How far a stage has come, on standard error: a bar, the rate and the remaining time, the same for every engine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

# Progress comes by shards, and one may take minutes.
RATE_SECONDS = 1800.0


class RateColumn(ProgressColumn):
    """Units a second, of what this run computes: what was there at its start does not count."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if not speed else f"{speed:.3g}/s", style="progress.data.speed")


@contextmanager
def showing_progress(title: str, unit: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar while the block runs.

    Args:
        title: Of the bar.
        unit: What is counted, in the plural.

    Yields:
        To be called with (done, in all), from any thread.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        RateColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), speed_estimate_period=RATE_SECONDS) as progress:
        task = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
