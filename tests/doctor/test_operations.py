"""The short formulas against what `python -m benchmarks.extract` counts of the real architecture."""

from typing import Any

import pytest

from refdiff.clip.settings import ClipSettings
from refdiff.diffusion.settings import CaptureSettings
from refdiff.doctor import operations
from refdiff.doctor.datasets import SplitSize
from refdiff.params import find, parse_section
from refdiff.presets.table import PRESETS

# benchmarks/README.md: canvas, capture, TFLOP a sentence with seven sentences a photo, maps of canvas/32.
COUNTED = [(512, "released", 1.79), (512, "paper", 0.52), (1024, "released", 9.57), (1024, "paper", 2.54)]


def _capture(name: str, **changes: Any) -> CaptureSettings:
    row = find(PRESETS["paper"].read(), f"captures.{name}")
    assert isinstance(row, dict)
    return parse_section(CaptureSettings, {**row, **changes}, name)


@pytest.mark.parametrize(("canvas", "name", "tera"), COUNTED)
def test_operations_are_those_that_were_counted(canvas: int, name: str, tera: float) -> None:
    capture = _capture(name, canvas_px=canvas, cross_layers={"map_px": [canvas // 32]})
    size = SplitSize(photos=10, sentences=70, tokens=4, counted=True)
    unet = operations.unet_operations(capture, size, 1066e6, operations.kept_sides(capture))
    made = (operations.vae_operations(capture, size, 1066e6) + unet) / size.sentences / 1e12
    assert made == pytest.approx(tera, rel=0.1)


def test_bytes_of_a_token() -> None:
    size = SplitSize(photos=1, sentences=1, tokens=1, counted=True)
    paper = _capture("paper")
    assert operations.attention_bytes(paper, size, operations.kept_sides(paper)) == pytest.approx(54e3, rel=0.01)
    assert operations.latent_bytes(paper, size) == 64 * 1024
    ten = _capture("released", canvas_px=1024, cross_layers={"map_px": [32]})
    assert operations.attention_bytes(ten, size, operations.kept_sides(ten)) == 20 * 1024


def test_bytes_of_a_photo_in_clip() -> None:
    clip = parse_section(ClipSettings, PRESETS["paper"].read()["embed_clip"], "embed_clip")
    size = SplitSize(photos=1, sentences=7, tokens=4, counted=True)
    assert operations.clip_bytes(clip, size) == 2 * 245_760
