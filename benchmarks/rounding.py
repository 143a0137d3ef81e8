"""`python -m benchmarks.rounding`: how far the product's maps lie from the plain path's, and that path's from float64.

Every figure is the largest over the maps of all sentences, layers and steps: as it is, and as a share of the capture's
largest value. The plain path in float64 starts from the same latents, noise and text states, so its distance from the
plain path in float32 is what the reference itself leaves open.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks.plain import capture_plainly
from benchmarks.schedules import PHOTO_HW, SCHEDULES, SENTENCES
from benchmarks.sd15 import write_pipeline
from benchmarks.table import print_rows
from refdiff.attention.maps import CrossMaps
from refdiff.command import run_command
from refdiff.demo.models import DIFFUSION
from refdiff.diffusion.extractor import AttentionExtractor
from refdiff.diffusion.settings import CaptureSettings, ExtractionSettings
from refdiff.params import parse_section

BATCHES = (1, 3, 7, 28)
PHOTOS = 4
RELEASED = SCHEDULES["released"]
CAPTURES: dict[str, dict[str, Any]] = {
    "probabilities, one pass": SCHEDULES["paper"],
    "probabilities, guided": {**RELEASED, "quantity": "probabilities"},
    "logits, no guidance": {**RELEASED, "guidance": 1.0},
    "logits, conditional maps": {**RELEASED, "guided_maps": False},
    "logits, guided maps": RELEASED,
}
Maps = list[np.ndarray]


def measure_capture(extractor: AttentionExtractor, capture: CaptureSettings, photos: int) -> list[str]:
    """A row of the table: the largest value, then each distance, absolute and relative."""
    generator = np.random.default_rng(0)
    pixels = [generator.integers(0, 256, (*PHOTO_HW, 3), dtype=np.uint8) for _ in range(photos)]
    precise = _in_float64(extractor)
    plain = _flatten([capture_plainly(extractor, each, str(at), SENTENCES, capture) for at, each in enumerate(pixels)])
    exact = _flatten([capture_plainly(precise, each, str(at), SENTENCES, capture) for at, each in enumerate(pixels)])
    largest = max(float(np.abs(block).max()) for block in exact)
    queries = [extractor.make_query(each, str(at), SENTENCES, capture, False) for at, each in enumerate(pixels)]
    distances = {"plain": distance(plain, exact)}
    of_batches, to_exact = [], []
    for batch in BATCHES:
        extractor.settings = extractor.settings.model_copy(update={"batch_sentences": batch})
        extractor._plans.clear()
        mine = _flatten([image.cross for image in extractor.capture_photos(queries, capture)])
        of_batches.append(distance(mine, plain))
        to_exact.append(distance(mine, exact))
    half = [block.astype(np.float16) for block in plain]
    distances |= {"batches": max(of_batches), "exact": max(to_exact), "half": distance(half, plain)}
    shown = [distances[name] for name in ("batches", "exact", "plain", "half")]
    return [f"{largest:.3g}", *(f"{each:.1e} ({each / largest:.0e})" for each in shown)]


def distance(mine: Maps, others: Maps) -> float:
    """The largest difference."""
    return max(
        float(np.abs(a.astype(np.float64) - b.astype(np.float64)).max()) for a, b in zip(mine, others, strict=True)
    )


def _in_float64(extractor: AttentionExtractor) -> AttentionExtractor:
    """The same weights, the U-Net in float64."""
    precise = AttentionExtractor(extractor.settings, extractor.model.identity)
    model: Any = precise.model
    precise.model = replace(model, unet=model.unet.double(), dtype=torch.float64)
    return precise


def _flatten(photos: Sequence[Sequence[CrossMaps]]) -> Maps:
    return [block for photo in photos for maps in photo for block in maps.maps.values()]


def measure_model(name: str, folder: Path, canvas_px: int, photos: int) -> list[list[str]]:
    """Rows of one model: one for each kind of capture."""
    section = {"model": str(folder), "revision": None, "device": "cpu", "dtype": "float32", "batch_sentences": 1}
    settings = parse_section(ExtractionSettings, {**section, "compile": False, "seed": 0}, "extract_attention")
    extractor = AttentionExtractor(settings)
    rows = []
    for kind, row in CAPTURES.items():
        whole = {**row, "canvas_px": canvas_px, "cross_layers": "all"}
        measured = measure_capture(extractor, parse_section(CaptureSettings, whole, kind), photos)
        rows.append([f"{name}: {kind}", *measured])
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rounding", description=__doc__)
    parser.add_argument("--width", type=int, default=64, help="of SD 1.5's architecture; 320 is its own")
    parser.add_argument("--canvas-px", type=int, default=128, help="of that architecture")
    parser.add_argument("--photos", type=int, default=PHOTOS)
    arguments = parser.parse_args()
    with TemporaryDirectory() as folder:
        write_pipeline(Path(folder) / "sd", arguments.width, torch.float32)
        rows = measure_model("demo, 64 px", DIFFUSION, 64, arguments.photos)
        wide = f"width {arguments.width}, {arguments.canvas_px} px"
        rows += measure_model(wide, Path(folder) / "sd", arguments.canvas_px, arguments.photos)
    columns = ("model: maps", "largest", "product - plain", "product - exact", "plain - exact", "half - float32")
    print_rows(f"Largest differences, batches of {', '.join(map(str, BATCHES))}", columns, rows)


if __name__ == "__main__":
    run_command(main)
