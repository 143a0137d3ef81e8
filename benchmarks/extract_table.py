"""The tables of `python -m benchmarks.extract`."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import torch
from rich.table import Table

from benchmarks.machine import Cost
from benchmarks.operations import Operations, count_operations
from benchmarks.schedules import SCHEDULES, SENTENCES, make_capture
from benchmarks.sd15 import FULL_WIDTH

# Paths: the product on photos that it has not seen before, the same where their latents are kept (another split,
# another capture), and the reference.
FIRST, AGAIN, PLAIN = "refdiff", "latents kept", "plain"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; costs are those of the fastest measurement."""

    canvas_px: int
    schedule: str
    path: str
    sentences: int
    cost: Cost
    operations: Operations
    stored_bytes: float
    peak: float

    @property
    def rate(self) -> float:
        """Sentences a second."""
        return self.sentences / self.cost.seconds

    @property
    def share(self) -> float:
        """Operations a second, of the machine's own matrix product."""
        return self.operations.total * self.rate / self.peak


def make_table(rows: Sequence[Row]) -> Table:
    """The rows, with their ratios to the plain path of the same canvas and schedule, which is the last of them."""
    table = Table()
    for name in ("canvas", "schedule", "path", "sentences/s", "ratio", "rows", "TFLOP", "of peak", "peak MB", "kB"):
        table.add_column(name, justify="left" if name in ("schedule", "path") else "right")
    for index, row in enumerate(rows):
        plain = next(other for other in rows[index:] if other.path == PLAIN)
        ratio = f"{row.rate / plain.rate:.1f}" if row is not plain else ""
        table.add_row(
            str(row.canvas_px),
            row.schedule,
            row.path,
            f"{row.rate:.3g}",
            ratio,
            f"{row.operations.rows:.2f}",
            f"{row.operations.total / 1e12:.3g}",
            f"{row.share:.0%}",
            f"{row.cost.peak_bytes / 1e6:.0f}",
            f"{row.stored_bytes / 1e3:.1f}",
        )
    return table


def make_operations_table(canvases: Sequence[int], photos: int, batch: int) -> Table:
    """Operations of the real SD 1.5, counted without computing."""
    table = Table(title="SD 1.5 at its own width: TFLOP a sentence, counted without computing")
    for name in ("canvas", "schedule", "path", "VAE", "U-Net", "total", "rows", "ratio"):
        table.add_column(name, justify="left" if name in ("schedule", "path") else "right")
    for canvas_px in canvases:
        for schedule in SCHEDULES:
            first, plain = count_operations(
                FULL_WIDTH, make_capture(schedule, canvas_px), photos, len(SENTENCES), batch
            )
            for path, cost in ((FIRST, first), (AGAIN, first.without_vae()), (PLAIN, plain)):
                parts = [f"{value / 1e12:.2f}" for value in (cost.vae, cost.unet, cost.total)]
                ratio = f"{plain.total / cost.total:.2f}" if path != PLAIN else ""
                table.add_row(str(canvas_px), schedule, path, *parts, f"{cost.rows:.2f}", ratio)
    return table


def describe_machine(device: torch.device, peak: float, dtype: str) -> str:
    """One line: what the figures were measured on."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"{platform.machine()} CPU, {torch.get_num_threads()} threads of {os.cpu_count()} cores"
    return f"{date.today()}, {name}, torch {torch.__version__}, {dtype}: matrix product {peak / 1e12:.3g} TFLOP/s"
