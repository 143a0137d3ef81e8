"""`python -m benchmarks.extract`: what extracting attention costs, against the plain path in the same process."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from rich.console import Console

from benchmarks.extract_table import AGAIN, FIRST, PLAIN, Row, describe_machine, make_operations_table, make_table
from benchmarks.machine import Cost, matrix_peak, measure
from benchmarks.operations import count_operations
from benchmarks.plain import capture_plainly
from benchmarks.schedules import PHOTO_HW, SCHEDULES, SENTENCES, make_capture
from benchmarks.sd15 import FULL_WIDTH, write_pipeline
from refdiff.attention.maps import CrossMaps
from refdiff.command import run_command
from refdiff.device import choose_device
from refdiff.diffusion.extractor import AttentionExtractor
from refdiff.diffusion.latent_pool import LatentPool
from refdiff.diffusion.photo_query import PhotoQuery
from refdiff.diffusion.plan import plan_capture
from refdiff.diffusion.settings import CaptureSettings, ExtractionSettings
from refdiff.store.attention_writer import AttentionLayout, AttentionWriter
from refdiff.store.fingerprint import digest_facts


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


def measure_all(plan: Plan) -> list[Row]:
    """The table: for each canvas and schedule the product without latents, the product with them, the plain path."""
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
                rows += _measure_paths(extractor, plan, make_capture(schedule, canvas_px), schedule, peak)
        return rows


def _measure_paths(
    extractor: AttentionExtractor, plan: Plan, capture: CaptureSettings, schedule: str, peak: float
) -> list[Row]:
    generator = np.random.default_rng(0)
    photos = [generator.integers(0, 256, (*PHOTO_HW, 3), dtype=np.uint8) for _ in range(plan.photos)]
    device = extractor.model.device
    kept: list[CrossMaps] = []

    def run() -> None:
        queries = [
            extractor.make_query(photo, str(index), SENTENCES, capture, False) for index, photo in enumerate(photos)
        ]
        kept[:] = [maps for image in extractor.capture_photos(queries, capture) for maps in image.cross]

    def run_again(folder: Path) -> None:
        pool = LatentPool(folder, capture.sample_posterior)  # opened anew: it compares each latent with its digest
        latents = [pool.find(name_photo(index), str(index)) for index in range(plan.photos)]
        queries = [
            PhotoQuery(str(index), torch.from_numpy(latent)[None], SENTENCES, False)
            for index, latent in enumerate(latents)
            if latent is not None
        ]
        assert len(queries) == plan.photos
        extractor.capture_photos(queries, capture)

    def run_plainly() -> None:
        capture_plainly(extractor, photos[0], "0", SENTENCES[: plan.plain_sentences], capture)

    with TemporaryDirectory() as folder:
        pool = LatentPool(Path(folder), capture.sample_posterior)
        for index, photo in enumerate(photos):
            latent = extractor.encode_photo(photo, str(index), capture)[0].cpu().numpy()
            pool.keep(name_photo(index), str(index), latent)
        run()  # finds the batch, compiles
        costs: tuple[list[Cost], ...] = ([], [], [])
        for _ in range(plan.repeats):
            for cost, work in zip(costs, (run, partial(run_again, Path(folder)), run_plainly), strict=True):
                cost.append(measure(work, device))
    fast, again, plain = (min(each, key=lambda cost: cost.seconds) for each in costs)
    operations = count_operations(plan.width, capture, plan.photos, len(SENTENCES), extractor.batch_size(capture))
    stored = stored_bytes(extractor, capture, kept)
    common = (capture.canvas_px, schedule)
    return [
        Row(*common, FIRST, len(kept), fast, operations[0], stored, peak),
        Row(*common, AGAIN, len(kept), again, operations[0].without_vae(), stored, peak),
        Row(*common, PLAIN, plan.plain_sentences, plain, operations[1], stored, peak),
    ]


def name_photo(index: int) -> str:
    """What stands for the SHA-256 of a photo's bytes."""
    return digest_facts([index])


def stored_bytes(extractor: AttentionExtractor, capture: CaptureSettings, maps: Sequence[CrossMaps]) -> float:
    """Bytes on disk a sentence, of a store with these maps."""
    plan = plan_capture(extractor.model.identity, capture)
    tokens = np.array([each.tokens for each in maps], np.int32)
    layout = AttentionLayout(tokens, 1, plan.cross_keys, plan.self_keys, len(maps), 1, int(tokens.max()), 3)
    with TemporaryDirectory() as folder:
        writer = AttentionWriter(Path(folder), layout, {"capture": {}})
        files = writer.write_shard(0, maps, {})
        return sum((Path(folder) / name).stat().st_size for name in files) / len(maps)


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
