"""What the benchmarks ask of a U-Net: the released and the paper's schedule, seven sentences about a photo."""

from typing import Any

from refdiff.diffusion.settings import CaptureSettings
from refdiff.params import parse_section

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


def make_capture(schedule: str, canvas_px: int) -> CaptureSettings:
    """A row of `captures` that keeps the maps of canvas/32."""
    row = {**SCHEDULES[schedule], "canvas_px": canvas_px, "cross_layers": {"map_px": [canvas_px // 32]}}
    return parse_section(CaptureSettings, row, schedule)
