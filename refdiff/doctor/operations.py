"""How many operations and bytes a split takes, by what was counted of the real architectures.

Source: `python -m benchmarks.extract` for Stable Diffusion 1.5, torch's flop counter for SAM and CLIP
(benchmarks/README.md, docs/scale.md). A multiplication with its addition is two operations. Other models are taken by
their number of weights.
"""

from refdiff.checking.maps import pick_layers
from refdiff.clip.settings import ClipSettings
from refdiff.diffusion.inspection import PipelineFacts
from refdiff.diffusion.latent_size import CROSS_DOWN, CROSS_UP, cross_map_sides
from refdiff.diffusion.settings import CaptureSettings, Img2ImgSchedule
from refdiff.doctor.datasets import SplitSize
from refdiff.proposals.settings import SamSettings

CANDIDATES = 60
"""Masks of a photo, about."""

_SD_WEIGHTS, _CLIP_WEIGHTS = 1066e6, 150e6
_TERA = 1e12
_SD_BLOCKS = {
    "down_block_types": [*[CROSS_DOWN] * 3, "DownBlock2D"],
    "up_block_types": ["UpBlock2D", *[CROSS_UP] * 3],
}
_SAM_POINTS = 1024


def kept_sides(capture: CaptureSettings, pipeline: PipelineFacts | None = None) -> list[int]:
    """Sides of the maps that a capture keeps; without a pipeline, of Stable Diffusion 1.x and 2.x."""
    if pipeline is None:
        sides = cross_map_sides(_SD_BLOCKS, capture.canvas_px // 8)
    else:
        sides = pipeline.map_sides(capture.canvas_px)
    return list(pick_layers(capture.cross_layers, sides, "cross_layers", "the model").values())


def vae_operations(capture: CaptureSettings, size: SplitSize, weights: float) -> float:
    """The autoencoder, for all photos of a split; it runs in single precision, whatever the U-Net runs in."""
    area = _area(capture)
    return size.photos * (1.09 * area + 0.03 * area**2) * _TERA * weights / _SD_WEIGHTS


def unet_operations(capture: CaptureSettings, size: SplitSize, weights: float, sides: list[int]) -> float:
    """The U-Net, for all sentences of a split.

    A photo's unconditional row of the first run is shared by its sentences, and the last run ends behind the last layer
    that is read.
    """
    area = _area(capture)
    row = 0.68 * area + 0.12 * area**2
    per_photo = size.sentences / size.photos
    guided = capture.guidance != 1.0 or capture.guided_maps
    last = _share_of_last_run(max(sides) / capture.canvas_px)
    if isinstance(capture.schedule, Img2ImgSchedule):
        full = max(capture.schedule.runs - 1, 0)
        first = min(full, 1) * (1 + guided / per_photo)
        rows = first + max(full - 1, 0) * (1 + guided) + (1 + guided) * last
    else:
        rows = capture.schedule.runs * (1 + guided / per_photo) * last
    return size.sentences * rows * row * _TERA * weights / _SD_WEIGHTS


def mask_operations(sam: SamSettings, size: SplitSize, weights: float) -> float:
    """SAM's image encoder for every photo and crop, and its decoder for every point."""
    crops = [4**layer for layer in range(sam.crops_n_layers + 1)]
    points = [
        count * (sam.points_per_side // sam.crop_points_downscale**layer) ** 2 for layer, count in enumerate(crops)
    ]
    return size.photos * (sum(crops) * 9300 * weights + sum(points) / _SAM_POINTS * 3.7 * _TERA)


def clip_operations(clip: ClipSettings, size: SplitSize, weights: float) -> float:
    """Crops and the whole photo, for every ramp; every sentence and head word."""
    photo = CANDIDATES * len(clip.local_ramps) * 0.035 + len(clip.global_ramps) * 0.25
    return (size.photos * photo + size.sentences * 2 * 0.006) * _TERA * weights / _CLIP_WEIGHTS


def crop_seconds(clip: ClipSettings, size: SplitSize) -> float:
    """Seconds of one core that cut and resize the crops."""
    return size.photos * CANDIDATES * len(clip.local_ramps) * 0.01


def attention_bytes(capture: CaptureSettings, size: SplitSize, sides: list[int]) -> float:
    """Stored maps of layers with these sides, in half precision."""
    return size.sentences * size.tokens * capture.schedule.runs * sum(side**2 for side in sides) * 2.0


def latent_bytes(capture: CaptureSettings, size: SplitSize) -> float:
    """Kept latents in single precision."""
    return size.photos * 4 * (capture.canvas_px // 8) ** 2 * 4.0


def clip_bytes(clip: ClipSettings, size: SplitSize, numbers: int = 512) -> float:
    """Stored embeddings in single precision."""
    return size.photos * CANDIDATES * (len(clip.local_ramps) + len(clip.global_ramps)) * numbers * 4.0


def mask_bytes(size: SplitSize, heat_masks: int) -> float:
    """Run-length codes, of every photo's candidates and of every sentence's."""
    return 300.0 * (size.photos * CANDIDATES + size.sentences * heat_masks)


def _area(capture: CaptureSettings) -> float:
    """Of the canvas, in units of the one that the counts are of."""
    return (capture.canvas_px / 512) ** 2


def _share_of_last_run(largest: float) -> float:
    """How much of the U-Net runs until its last layer that is read; `largest` is its side, as a share of the canvas."""
    if largest <= 1 / 32:
        return 0.42
    return 0.7 if largest <= 1 / 16 else 1.0
