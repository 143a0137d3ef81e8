"""Parameters for tests, as they would stand in params.yaml."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refdiff.diffusion.settings import CaptureSettings, ExtractAttentionSettings
from refdiff.params import parse_section

MODEL = Path(__file__).parents[1] / "fixtures" / "parity" / "sd"

PAPER: dict[str, Any] = {
    "schedule": {"kind": "single", "timesteps": [2]},
    "guidance": 1.0,
    "quantity": "probabilities",
    "guided_maps": False,
    "canvas_px": 64,
    "canvas_mode": "letterbox",
    "prompt_suffix": "",
    "negative_prompt": "",
    "sample_posterior": False,
    "cross_layers": "all",
    "self_layers": [],
}
RELEASED: dict[str, Any] = {
    **PAPER,
    "schedule": {"kind": "img2img", "steps": 20, "strength": 0.1},
    "guidance": 9.0,
    "quantity": "logits",
    "guided_maps": True,
    "prompt_suffix": ", ",
    "sample_posterior": True,
}
SECTION: dict[str, Any] = {
    "model": str(MODEL),
    "revision": None,
    "device": "cpu",
    "dtype": "float32",
    "batch_sentences": 16,
    "compile": False,
    "seed": 0,
    "keep_latents": True,
    "store": {"shard_expressions": 2, "chunk_expressions": 1, "chunk_tokens": 2, "compression_level": 1},
}
ENGINE: dict[str, Any] = {"kind": "serial", "workers": 2, "address": None, "accelerators": [], "attempts": 3}


def make_capture(row: dict[str, Any], **changes: Any) -> CaptureSettings:
    """A row of `captures` with some values changed."""
    return parse_section(CaptureSettings, {**row, **changes}, "captures.test")


def make_section(**changes: Any) -> ExtractAttentionSettings:
    """The section `extract_attention` with some values changed."""
    return parse_section(ExtractAttentionSettings, {**SECTION, **changes}, "extract_attention")


def make_photo(seed: int, height: int, width: int) -> NDArray[np.uint8]:
    """Random pixels, RGB uint8 `[height width 3]`."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
