"""Tables for a terminal, and what a process cost."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

WIDTH = 110


@dataclass(frozen=True, slots=True)
class Cost:
    """What something cost.

    Attributes:
        process_s: User and system time of the process, seconds.
        wall_s: On the clock, seconds.
        memory_gb: Peak of the process; 0 where it was not a process of its own.
    """

    process_s: float
    wall_s: float
    memory_gb: float = 0.0


def run_process(arguments: Sequence[str], folder: Path) -> Cost:
    """Run `python -m ...` as a process of its own, imports included; the system's own accounting of it."""
    root = str(Path(__file__).parents[1])
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-m", *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        output = process.stdout.read() if process.stdout is not None else b""
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: exit {process.returncode}\n{output.decode()[-2000:]}")
    return Cost(usage.ru_utime + usage.ru_stime, time.perf_counter() - start, usage.ru_maxrss / 1e6)


def best_of(repeats: int, work: Callable[[], object]) -> Cost:
    """The least process time and the least wall time of some calls in this process."""
    costs = []
    for _ in range(repeats):
        wall, process = time.perf_counter(), time.process_time()
        work()
        costs.append((time.process_time() - process, time.perf_counter() - wall))
    return Cost(min(cost[0] for cost in costs), min(cost[1] for cost in costs))


def print_rows(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table; the first column is text, the others are figures."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1))
    table.add_column(columns[0], overflow="fold")
    for name in columns[1:]:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    Console(width=WIDTH).print(table)
