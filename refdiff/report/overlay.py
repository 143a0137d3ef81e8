"""Drawing over photos: tinted masks with contours, outlines of proposals, heat. Pillow and NumPy only."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from refdiff.errors import MaskError
from refdiff.report.caption import draw_caption
from refdiff.report.colours import CHOICE_RGB, HALO_RGB, PROPOSAL_RGB, TRUTH_RGB, heat_colours

Rgb = tuple[int, int, int]
Photo = NDArray[np.uint8]
Mask = NDArray[np.bool_]

LEAST_WIDTH_PX = 256
"""A narrower photo is set on a plain ground of this width, so that its caption can be read."""

GROUND_RGB = (24, 27, 33)


def draw_overlay(photo: Photo, mask: Mask, sentence: str, heat: NDArray[np.floating] | None = None) -> Photo:
    """A photo with one mask drawn over it and its sentence below.

    Args:
        photo: RGB uint8 `[height width 3]`.
        mask: Bool `[height width]`; an empty one draws nothing but the caption.
        sentence: Any text; it is wrapped, shortened when very long, and drawn as far as the fonts at hand go.
        heat: `[height width]` in [0, 1], drawn in a second panel at the right.

    Returns:
        RGB uint8, the photo (or both panels side by side) above a caption strip.

    Raises:
        MaskError: The mask or the heat has another size than the photo.
    """
    check_frame(photo, mask, "mask")
    line_px = max(2, round(max(photo.shape[:2]) / 240))
    panels = [draw_mask(photo, mask, CHOICE_RGB, line_px)]
    if heat is not None:
        panels.append(draw_heat(photo, heat))
    height = photo.shape[0]
    gap = np.full((height, line_px * 2, 3), GROUND_RGB, dtype=np.uint8)
    parts = [panels[0]]
    for panel in panels[1:]:
        parts += [gap, panel]
    picture = np.concatenate(parts, axis=1)
    missing = LEAST_WIDTH_PX - picture.shape[1]
    if missing > 0:
        sides = ((0, 0), (missing // 2, missing - missing // 2))
        picture = np.stack([np.pad(picture[..., c], sides, constant_values=GROUND_RGB[c]) for c in range(3)], axis=-1)
    return np.concatenate([picture, draw_caption(sentence, picture.shape[1])], axis=0)


def tile_overlays(overlays: Sequence[Photo]) -> Photo:
    """Overlays of one photo in a grid, as nearly square as it goes; all have the same width.

    Args:
        overlays: RGB uint8, at least one; captions may differ in height.
    """
    height = max(overlay.shape[0] for overlay in overlays)
    width = overlays[0].shape[1]
    columns = max(1, min(len(overlays), round((len(overlays) * height / width) ** 0.5)))
    rows = -(-len(overlays) // columns)
    gap = max(4, width // 100)
    size = (rows * (height + gap) - gap, columns * (width + gap) - gap, 3)
    grid = np.full(size, GROUND_RGB, dtype=np.uint8)
    for place, overlay in enumerate(overlays):
        top, left = (place // columns) * (height + gap), (place % columns) * (width + gap)
        grid[top : top + overlay.shape[0], left : left + width] = overlay
    return grid


def draw_mask(photo: Photo, mask: Mask, colour: Rgb, line_px: int) -> Photo:
    """The photo with everything but the mask dimmed, the mask tinted, and a contour inside its edge."""
    check_frame(photo, mask, "mask")
    if not mask.any():
        return photo.copy()
    canvas = photo.astype(np.float32)
    canvas[~mask] = canvas[~mask] * 0.62 + 14.0
    _paint(canvas, mask, colour, 0.22)
    _stroke_inside(canvas, mask, colour, line_px)
    return _to_uint8(canvas)


def draw_choice(
    photo: Photo, proposals: Iterable[Mask], choice: Mask | None, truth: Mask | None, line_px: int
) -> Photo:
    """One method's decision: every candidate outlined, the chosen mask tinted, the truth as a line around it.

    The choice's line lies inside its mask and the truth's outside of its own, so that both are seen when they agree.

    Args:
        photo: RGB uint8 `[height width 3]`.
        proposals: Bool masks of the photo's size.
        choice: The chosen mask; None or empty draws none.
        truth: The true mask; None or empty draws none.
        line_px: Width of the choice's and the truth's lines.

    Raises:
        MaskError: A mask has another size than the photo.
    """
    canvas = photo.astype(np.float32)
    edges = np.zeros(photo.shape[:2], dtype=np.bool_)
    for proposal in proposals:
        check_frame(photo, proposal, "proposal")
        edges |= inner_edge(proposal, 1)
    _paint(canvas, grow(edges, 1) & ~edges, HALO_RGB, 0.30)
    _paint(canvas, edges, PROPOSAL_RGB, 0.72)
    if choice is not None:
        check_frame(photo, choice, "choice")
        _paint(canvas, choice, CHOICE_RGB, 0.30)
        _stroke_inside(canvas, choice, CHOICE_RGB, line_px)
    if truth is not None:
        check_frame(photo, truth, "truth")
        _stroke_outside(canvas, truth, TRUTH_RGB, line_px)
    return _to_uint8(canvas)


def draw_truth(photo: Photo, truth: Mask | None, line_px: int) -> Photo:
    """The photo as it is, with a line around the true mask where there is one."""
    canvas = photo.astype(np.float32)
    if truth is not None:
        check_frame(photo, truth, "truth")
        _stroke_outside(canvas, truth, TRUTH_RGB, line_px)
    return _to_uint8(canvas)


def draw_heat(photo: Photo, heat: NDArray[np.floating]) -> Photo:
    """The heat in colours over the photo in grey.

    Args:
        photo: RGB uint8 `[height width 3]`.
        heat: `[height width]` in [0, 1].
    """
    check_frame(photo, heat, "heat")
    grey = photo.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    strength = (0.55 + 0.25 * np.clip(heat, 0.0, 1.0)).astype(np.float32)[..., None]
    return _to_uint8(grey[..., None] * (1.0 - strength) + heat_colours(heat) * strength)


def fit_photo(photo: Photo, longer_side_px: int) -> Photo:
    """The photo scaled so that its longer side is `longer_side_px` (neither side below 1 pixel)."""
    height, width = photo.shape[:2]
    scale = longer_side_px / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS))


def fit_mask(mask: Mask, height: int, width: int) -> Mask:
    """The mask at another size: a pixel is set where the mask covers at least half of it."""
    grey = Image.fromarray(mask.astype(np.uint8) * 255)
    return np.asarray(grey.resize((width, height), Image.Resampling.BOX)) >= 128


def fit_heat(heat: NDArray[np.floating], height: int, width: int) -> NDArray[np.float32]:
    """The heat at another size, bilinear."""
    levels = Image.fromarray(heat.astype(np.float32))
    return np.asarray(levels.resize((width, height), Image.Resampling.BILINEAR))


def grow(mask: Mask, pixels: int) -> Mask:
    """The mask and everything within `pixels` steps up, down, left or right of it."""
    grown = mask.copy()
    for _ in range(pixels):
        wider = grown.copy()
        wider[1:] |= grown[:-1]
        wider[:-1] |= grown[1:]
        wider[:, 1:] |= grown[:, :-1]
        wider[:, :-1] |= grown[:, 1:]
        grown = wider
    return grown


def inner_edge(mask: Mask, pixels: int) -> Mask:
    """Pixels of the mask within `pixels` steps of its outside; what lies beyond the photo counts as outside."""
    outside = np.pad(~mask, pixels, constant_values=True)
    inner = slice(pixels, -pixels)
    return mask & grow(outside, pixels)[inner, inner]


def check_frame(photo: Photo, layer: NDArray[np.generic], name: str) -> None:
    """Refuse a layer that does not lie on the photo.

    Raises:
        MaskError: Its size is another.
    """
    if layer.shape != photo.shape[:2]:
        height, width = photo.shape[:2]
        raise MaskError(f"{name}: expected the photo's {height} x {width} (height x width), got {list(layer.shape)}")


def _stroke_inside(canvas: NDArray[np.float32], mask: Mask, colour: Rgb, line_px: int) -> None:
    """A line along the mask's edge, with a dark one on either side, so that it shows on its own colour too."""
    halo_px = max(1, line_px // 3)
    line = inner_edge(mask, line_px)
    _paint(canvas, grow(mask, halo_px) & ~mask, HALO_RGB, 0.65)
    _paint(canvas, inner_edge(mask, line_px + halo_px) & ~line, HALO_RGB, 0.45)
    _paint(canvas, line, colour, 1.0)


def _stroke_outside(canvas: NDArray[np.float32], mask: Mask, colour: Rgb, line_px: int) -> None:
    line = grow(mask, line_px)
    _paint(canvas, grow(line, max(1, line_px // 3)) & ~line, HALO_RGB, 0.65)
    _paint(canvas, line & ~mask, colour, 1.0)


def _paint(canvas: NDArray[np.float32], where: Mask, colour: Rgb, strength: float) -> None:
    """Mix a colour into the canvas, in place."""
    canvas[where] = canvas[where] * (1.0 - strength) + np.array(colour, dtype=np.float32) * strength


def _to_uint8(canvas: NDArray[np.floating]) -> Photo:
    return np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
