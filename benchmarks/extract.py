"""`python -m benchmarks.extract`: what extracting attention costs, against the plain path in the same process."""

import argparse
import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.machine import Cost, matrix_peak, measure
from benchmarks.operations import Operations, count_operations
from benchmarks.plain import capture_plainly
from benchmarks.sd15 import FULL_WIDTH, write_pipeline
from refdiff.attention import CrossMaps
from refdiff.command import run_command
from refdiff.device import choose_device
from refdiff.diffusion.canvas import fit_canvas
from refdiff.diffusion.extractor import AttentionExtractor
from refdiff.diffusion.photo_query import PhotoQuery
from refdiff.diffusion.plan import plan_capture
from refdiff.diffusion.settings import CaptureSettings, ExtractionSettings
from refdiff.params import parse_section
from refdiff.store.attention_writer import AttentionLayout, AttentionWriter

SENTENCES = (
    "the red ring on the left",
    "the blue star",
    "the small green circle above the square",
    "the orange ring under the red diamond",
    "the square",
    "the large yellow triangle on the right",
    "the purple heart at the top",
)
PHOTO_HW = (480, 640)

# Rows of params.yaml's `captures`, but for the canvas; the maps are those of canvas/32 in both.
_COMMON: dict[str, Any] = {
    "canvas_mode": "letterbox",
    "negative_prompt": "",
    "self_layers": [],
}
SCHEDULES: dict[str, dict[str, Any]] = {
    "released": {
        **_COMMON,
        "schedule": {"kind": "img2img", "steps": 20, "strength": 0.1},
        "guidance": 9.0,
        "quantity": "logits",
        "guided_maps": True,
        "prompt_suffix": ", ",
        "sample_posterior": True,
    },
    "paper": {
        **_COMMON,
        "schedule": {"kind": "single", "timesteps": [2]},
        "guidance": 1.0,
        "quantity": "probabilities",
        "guided_maps": False,
        "prompt_suffix": "",
        "sample_posterior": False,
    },
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Attributes:
        device: See `choose_device`.
        dtype: Precision of the U-Net.
        width: Channels of the U-Net's first level; `FULL_WIDTH` is SD 1.5.
        canvases: Sides of the canvas.
        schedules: Keys of `SCHEDULES`.
        photos: Photos of one shard, each with all of `SENTENCES`.
        plain_sentences: Sentences that the plain path is timed on.
        batch: `batch_sentences`.
        compile: Whether the U-Net's parts are compiled.
        repeats: Measurements of each row, of which the fastest counts.
    """

    device: str
    dtype: Any
    width: int
    canvases: tuple[int, ...]
    schedules: tuple[str, ...]
    photos: int
    plain_sentences: int
    batch: int | Any
    compile: bool
    repeats: int


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


def make_capture(schedule: str, canvas_px: int) -> CaptureSettings:
    """A row of `captures` that keeps the maps of canvas/32."""
    row = {**SCHEDULES[schedule], "canvas_px": canvas_px, "cross_layers": {"map_px": [canvas_px // 32]}}
    return parse_section(CaptureSettings, row, schedule)


def measure_all(plan: Plan) -> list[Row]:
    """Every row of the table: for each canvas and schedule the product, then the plain path."""
    device = choose_device(plan.device)
    with TemporaryDirectory() as folder:
        pipeline = Path(folder) / "sd"
        write_pipeline(pipeline, plan.width, getattr(torch, plan.dtype))
        settings = ExtractionSettings(
            model=str(pipeline),
            revision=None,
            device=plan.device,
            dtype=plan.dtype,
            batch_sentences=plan.batch,
            compile=plan.compile,
            seed=0,
        )
        extractor = AttentionExtractor(settings)
        peak = matrix_peak(device, extractor.model.dtype, max(plan.repeats, 3))
        rows: list[Row] = []
        for canvas_px in plan.canvases:
            for schedule in plan.schedules:
                rows += _measure_pair(extractor, plan, make_capture(schedule, canvas_px), schedule, peak)
        return rows


def _measure_pair(
    extractor: AttentionExtractor, plan: Plan, capture: CaptureSettings, schedule: str, peak: float
) -> list[Row]:
    generator = np.random.default_rng(0)
    photos = [generator.integers(0, 256, (*PHOTO_HW, 3), dtype=np.uint8) for _ in range(plan.photos)]
    device = extractor.model.device
    kept: list[CrossMaps] = []

    def run() -> None:
        queries = [
            PhotoQuery(str(index), fit_canvas(photo, capture.canvas_px, capture.canvas_mode), SENTENCES, False)
            for index, photo in enumerate(photos)
        ]
        kept[:] = [maps for image in extractor.capture_photos(queries, capture) for maps in image.cross]

    def run_plainly() -> None:
        capture_plainly(extractor, photos[0], "0", SENTENCES[: plan.plain_sentences], capture)

    run()  # finds the batch, compiles
    costs: tuple[list[Cost], list[Cost]] = ([], [])
    for _ in range(plan.repeats):
        costs[0].append(measure(run, device))
        costs[1].append(measure(run_plainly, device))
    fast, plain = (min(each, key=lambda cost: cost.seconds) for each in costs)
    operations = count_operations(plan.width, capture, plan.photos, len(SENTENCES), extractor.batch_size(capture))
    stored = stored_bytes(extractor, capture, kept)
    common = (capture.canvas_px, schedule)
    return [
        Row(*common, "refdiff", len(kept), fast, operations[0], stored, peak),
        Row(*common, "plain", plan.plain_sentences, plain, operations[1], stored, peak),
    ]


def stored_bytes(extractor: AttentionExtractor, capture: CaptureSettings, maps: Sequence[CrossMaps]) -> float:
    """Bytes on disk a sentence, of a store with these maps."""
    plan = plan_capture(extractor.model.identity, capture)
    tokens = np.array([each.tokens for each in maps], np.int32)
    layout = AttentionLayout(tokens, 1, plan.cross_keys, plan.self_keys, len(maps), 1, int(tokens.max()), 3)
    with TemporaryDirectory() as folder:
        writer = AttentionWriter(Path(folder), layout, {"capture": {}})
        files = writer.write_shard(0, maps, {})
        return sum((Path(folder) / name).stat().st_size for name in files) / len(maps)


def make_table(rows: Sequence[Row]) -> Table:
    """The rows, each plain one with the ratio to the one above it."""
    table = Table()
    for name in ("canvas", "schedule", "path", "sentences/s", "ratio", "rows", "TFLOP", "of peak", "peak MB", "kB"):
        table.add_column(name, justify="left" if name in ("schedule", "path") else "right")
    for index, row in enumerate(rows):
        ratio = f"{row.rate / rows[index + 1].rate:.1f}" if row.path == "refdiff" else ""
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
            both = count_operations(FULL_WIDTH, make_capture(schedule, canvas_px), photos, len(SENTENCES), batch)
            for path, cost in zip(("refdiff", "plain"), both, strict=True):
                parts = [f"{value / 1e12:.2f}" for value in (cost.vae, cost.unet, cost.total)]
                ratio = f"{both[1].total / cost.total:.2f}" if path == "refdiff" else ""
                table.add_row(str(canvas_px), schedule, path, *parts, f"{cost.rows:.2f}", ratio)
    return table


def describe_machine(device: torch.device, peak: float, dtype: str) -> str:
    """One line: what the figures were measured on."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"{platform.machine()} CPU, {torch.get_num_threads()} threads of {os.cpu_count()} cores"
    return f"{date.today()}, {name}, torch {torch.__version__}, {dtype}: matrix product {peak / 1e12:.3g} TFLOP/s"


def parse_arguments(arguments: Sequence[str] | None = None) -> tuple[Plan, bool]:
    """The plan, and whether the real model's operations are counted too."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.extract", description=__doc__)
    on_gpu = torch.cuda.is_available()
    parser.add_argument("--device", default="auto")
    parser.add_argument("--dtype", default="bfloat16" if on_gpu else "float32")
    parser.add_argument("--width", type=int, default=FULL_WIDTH if on_gpu else 64, help="320 is SD 1.5")
    parser.add_argument("--canvas-px", type=int, nargs="+", default=[512, 1024] if on_gpu else [256])
    parser.add_argument("--schedules", nargs="+", choices=list(SCHEDULES), default=list(SCHEDULES))
    parser.add_argument("--photos", type=int, default=8 if on_gpu else 4)
    parser.add_argument("--plain-sentences", type=int, default=2, choices=range(1, len(SENTENCES) + 1))
    parser.add_argument("--batch", default="auto", help="sentences in a batch, or auto")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-count", action="store_true", help="leave out the table of the real model's operations")
    given = parser.parse_args(arguments)
    plan = Plan(
        given.device,
        given.dtype,
        given.width,
        tuple(given.canvas_px),
        tuple(given.schedules),
        given.photos,
        given.plain_sentences,
        given.batch if given.batch == "auto" else int(given.batch),
        given.compile,
        given.repeats,
    )
    return plan, not given.no_count


def main() -> None:
    """Measure and print."""
    plan, with_count = parse_arguments()
    console = Console(width=110)
    rows = measure_all(plan)
    console.print(describe_machine(choose_device(plan.device), rows[0].peak, plan.dtype))
    console.print(make_table(rows))
    if with_count:
        console.print(make_operations_table((512, 1024), photos=8, batch=16))


if __name__ == "__main__":
    run_command(main)
