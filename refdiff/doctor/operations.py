"""How many operations and bytes a split takes, by what was counted of the real architectures.

Source: `python -m benchmarks.extract` for Stable Diffusion 1.5, torch's flop counter for SAM and CLIP
(benchmarks/README.md, docs/scale.md). A multiplication with its addition is two operations. Other models are taken by
their number of weights.
"""

from refdiff.clip.settings import ClipSettings
from refdiff.diffusion.settings import CaptureSettings, Img2ImgSchedule, LayersBySize
from refdiff.doctor.datasets import SplitSize
from refdiff.proposals.settings import SamSettings

CANDIDATES = 60
"""Masks of a photo, about."""

_SD_WEIGHTS, _CLIP_WEIGHTS = 1066e6, 150e6
_TERA = 1e12
_SAM_POINTS = 1024


def attention_operations(capture: CaptureSettings, size: SplitSize, weights: float) -> float:
    """Autoencoder and U-Net, for all sentences of a split.

    A photo's unconditional row of the first run is shared by its sentences, and the last run ends behind the last layer
    that is read.
    """
    area = (capture.canvas_px / 512) ** 2
    vae, row = 1.09 * area + 0.03 * area**2, 0.68 * area + 0.12 * area**2
    per_photo = size.sentences / size.photos
    guided = capture.guidance != 1.0 or capture.guided_maps
    last = _share_of_last_run(capture)
    if isinstance(capture.schedule, Img2ImgSchedule):
        full = max(capture.schedule.runs - 1, 0)
        first = min(full, 1) * (1 + guided / per_photo)
        rows = first + max(full - 1, 0) * (1 + guided) + (1 + guided) * last
    else:
        rows = len(capture.schedule.timesteps) * (1 + guided / per_photo) * last
    return (size.photos * vae + size.sentences * rows * row) * _TERA * weights / _SD_WEIGHTS


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


def map_sides(canvas_px: int) -> list[int]:
    """Sides of the maps of the cross-attention layers of Stable Diffusion 1.x and 2.x."""
    latent = canvas_px // 8
    return [*(latent // part for part in (1, 2, 4) for _ in range(5)), latent // 8]


def attention_bytes(capture: CaptureSettings, size: SplitSize) -> float:
    """Stored maps in half precision."""
    sides = map_sides(capture.canvas_px)
    if isinstance(capture.cross_layers, LayersBySize):
        sides = [side for side in sides if side in capture.cross_layers.map_px]
    elif capture.cross_layers != "all":
        sides = sides[: len(capture.cross_layers)]
    steps = capture.schedule.runs if isinstance(capture.schedule, Img2ImgSchedule) else len(capture.schedule.timesteps)
    return size.sentences * size.tokens * steps * sum(side**2 for side in sides) * 2.0


def latent_bytes(capture: CaptureSettings, size: SplitSize) -> float:
    """Kept latents in single precision."""
    return size.photos * 4 * (capture.canvas_px // 8) ** 2 * 4.0


def clip_bytes(clip: ClipSettings, size: SplitSize, numbers: int = 512) -> float:
    """Stored embeddings in single precision."""
    return size.photos * CANDIDATES * (len(clip.local_ramps) + len(clip.global_ramps)) * numbers * 4.0


def mask_bytes(size: SplitSize, heat_masks: int) -> float:
    """Run-length codes, of every photo's candidates and of every sentence's."""
    return 300.0 * (size.photos * CANDIDATES + size.sentences * heat_masks)


def _share_of_last_run(capture: CaptureSettings) -> float:
    """How much of the U-Net runs until its last layer that is read."""
    if not isinstance(capture.cross_layers, LayersBySize):
        return 1.0
    largest = max(capture.cross_layers.map_px) / capture.canvas_px
    if largest <= 1 / 32:
        return 0.42
    return 0.7 if largest <= 1 / 16 else 1.0
