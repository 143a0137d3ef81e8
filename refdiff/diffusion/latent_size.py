"""Sides of a canvas's latent and of its attention maps, from configurations alone (no torch here)."""

from collections.abc import Mapping, Sequence
from typing import Any

from refdiff.errors import ParameterError

CROSS_DOWN, CROSS_MID, CROSS_UP = "CrossAttnDownBlock2D", "UNetMidBlock2DCrossAttn", "CrossAttnUpBlock2D"
# The blocks of Stable Diffusion 1.x and 2.x; nothing is known of the layers of others.
KNOWN_BLOCKS = frozenset({CROSS_DOWN, CROSS_MID, CROSS_UP, "DownBlock2D", "UpBlock2D"})


def vae_reduction(vae_config: Any) -> int:
    """Canvas pixels per latent pixel along a side: every block of the encoder but the last halves."""
    return 2 ** (len(vae_config["block_out_channels"]) - 1)


def latent_side(canvas_px: int, vae_config: Any) -> int:
    """Side of the latent of a canvas.

    Raises:
        ParameterError: The canvas is not a multiple of the VAE's reduction.
    """
    reduction = vae_reduction(vae_config)
    if canvas_px % reduction:
        raise ParameterError(
            f"canvas_px: {canvas_px} is not a multiple of {reduction}, the reduction of the model's VAE; "
            f"use {canvas_px // reduction * reduction or reduction} or {-(-canvas_px // reduction) * reduction}"
        )
    return canvas_px // reduction


def cross_map_sides(unet_config: Mapping[str, Any], latent_px: int) -> dict[str, int]:
    """Side of the maps of each cross-attention layer, by the layer's dotted name, in running order.

    Args:
        unet_config: The U-Net's configuration, of `KNOWN_BLOCKS` alone.
        latent_px: Side of the latent.
    """
    down, up = unet_config["down_block_types"], unet_config["up_block_types"]
    levels = len(down)
    resnets = _per_block(unet_config.get("layers_per_block", 2), levels)
    depths = _per_block(unet_config.get("transformer_layers_per_block", 1), levels)
    up_depths = unet_config.get("reverse_transformer_layers_per_block") or depths[::-1]
    padding = unet_config.get("downsample_padding", 1)
    sides = [latent_px]
    for _ in down[1:]:
        # A convolution of 3 x 3 with stride 2; without padding the block pads one side itself.
        sides.append((sides[-1] + (2 * padding or 1) - 3) // 2 + 1)
    found: dict[str, int] = {}
    for level, kind in enumerate(down):
        if kind == CROSS_DOWN:
            found |= _layers(f"down_blocks.{level}", resnets[level], depths[level], sides[level])
    if unet_config.get("mid_block_type", CROSS_MID) == CROSS_MID:
        found |= _layers("mid_block", 1, depths[-1], sides[-1])
    for level, kind in enumerate(up):
        if kind == CROSS_UP:
            found |= _layers(f"up_blocks.{level}", resnets[-1 - level] + 1, up_depths[level], sides[-1 - level])
    return found


def _per_block(value: Any, levels: int) -> list[Any]:
    return list(value) if isinstance(value, Sequence) else [value] * levels


def _layers(block: str, attentions: int, depth: Any, side: int) -> dict[str, int]:
    """Layers of one block; `depth` counts the transformer blocks of each of its attentions, or of all alike."""
    depths = _per_block(depth, attentions)
    return {
        f"{block}.attentions.{place}.transformer_blocks.{inner}.attn2": side
        for place in range(attentions)
        for inner in range(depths[place])
    }
