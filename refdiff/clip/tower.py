"""A plain ViT image tower run in the two ways that the method needs: crops of any size, and many class tokens."""

from typing import TypeGuard

import torch
import torch.nn.functional as F
from open_clip.transformer import ResidualAttentionBlock, VisionTransformer
from torch import Tensor

from refdiff.clip.plain_vit import EXPECTED, TowerKind
from refdiff.errors import ModelError


class VitTower:
    """An open_clip `VisionTransformer` with a class token, on images of any number of whole patches.

    Args:
        visual: The model's image tower.
        where: The model's name, for messages.

    Attributes:
        image_px: Shorter side of the images that the model was trained on.
        patch_px: Side of a patch.
        dim: Length of an embedding.

    Raises:
        ModelError: The tower is of another kind; the message says which.
    """

    def __init__(self, visual: torch.nn.Module, where: str) -> None:
        self._visual = _require_plain_vit(visual, where)
        self._blocks = [block for block in self._visual.transformer.resblocks if _is_plain(block)]
        self.patch_px = int(self._visual.conv1.kernel_size[0])
        self.image_px = int(min(self._visual.image_size))
        self.dim = int(self._visual.output_dim)
        self._grid = (int(self._visual.grid_size[0]), int(self._visual.grid_size[1]))

    def keeps_positions(self, size: tuple[int, int]) -> bool:
        """Whether an image has the position embeddings as trained; any other has them moved.

        Args:
            size: Height and width in pixels, before the image is cut to whole patches.

        Source: docs/method.md, "Local view": interpolate_pos_encoding keeps them for the trained number of patches
            where the pixels are square. So 224 x 227 pixels, of 14 x 14 patches as trained, have moved positions.
        """
        height, width = size
        rows, columns = self._grid
        return (height // self.patch_px, width // self.patch_px) == self._grid and height * columns == width * rows

    def embed_images(self, pixels: Tensor, *, moved: bool) -> Tensor:
        """Class-token embeddings of a batch of images, not normalised.

        Args:
            pixels: Float `[batch 3 height width]`, normalised for the model, sides multiples of `patch_px`.
            moved: Whether the position embeddings are moved to the image's grid (see `keeps_positions`).

        Returns:
            `[batch dim]`.
        """
        tokens = self._tokens(pixels, moved)
        *blocks, last = self._blocks
        for block in blocks:
            query, key, value = _project_heads(block, tokens)
            tokens = _finish(block, tokens, F.scaled_dot_product_attention(query, key, value))
        # Of the last block only the class token is read.
        query, key, value = _project_heads(last, tokens)
        mixed = F.scaled_dot_product_attention(query[:, :, :1], key, value)
        return self._project(_finish(last, tokens[:, :1], mixed)[:, 0])

    def embed_masked(self, pixels: Tensor, visible: Tensor, class_tokens: int, *, moved: bool) -> Tensor:
        """One class-token embedding per mask, all on one image, not normalised.

        In every block class token i attends to itself and to the patches of mask i; patches attend to patches only.
        So patches are computed once, whatever the number of masks.

        Args:
            pixels: Float `[1 3 height width]`, normalised for the model, sides multiples of `patch_px`.
            visible: Bool `[n patches]`: the patches that each class token sees.
            class_tokens: How many class tokens attend at a time; memory grows with this times the patches.
            moved: As `embed_images`.

        Returns:
            `[n dim]`.

        Source: docs/method.md, "Global view": paper; released code, get_clipsoft.
        """
        tokens = self._tokens(pixels, moved)
        patches = tokens[:, 1:]
        classes = tokens[:, :1].expand(visible.shape[0], -1, -1)
        for block in self._blocks:
            query, key, value = _project_heads(block, patches)
            classes = torch.cat(
                [
                    _attend_classes(block, chunk, seen, key, value)
                    for chunk, seen in zip(classes.split(class_tokens), visible.split(class_tokens), strict=True)
                ]
            )
            if block is not self._blocks[-1]:
                patches = _finish(block, patches, F.scaled_dot_product_attention(query, key, value))
        return self._project(classes[:, 0])

    def _tokens(self, pixels: Tensor, moved: bool) -> Tensor:
        """Class token and patches with their positions, `[batch 1+patches width]`."""
        visual, p = self._visual, self.patch_px
        batch, channels, height, width = pixels.shape
        rows, columns = height // p, width // p
        patches = pixels.reshape(batch, channels, rows, p, columns, p).permute(0, 2, 4, 1, 3, 5)
        # The convolution with stride = kernel as one matrix product.
        patches = F.linear(patches.reshape(batch, rows * columns, -1), visual.conv1.weight.flatten(1))
        classes = visual.class_embedding.to(patches.dtype).expand(batch, 1, -1)
        positions: Tensor = visual.positional_embedding
        if moved:
            positions = interpolate_positions(positions, self._grid, (rows, columns))
        return visual.ln_pre(torch.cat([classes, patches], dim=1) + positions.to(patches.dtype))

    def _project(self, classes: Tensor) -> Tensor:
        pooled = self._visual.ln_post(classes)
        return pooled if self._visual.proj is None else pooled @ self._visual.proj


def interpolate_positions(positions: Tensor, grid: tuple[int, int], wanted: tuple[int, int]) -> Tensor:
    """Position embeddings moved to a patch grid, bicubic; to the trained grid too, which 0.1 patch moves them on.

    Args:
        positions: `[1 + rows*columns width]` as trained, the class token's first.
        grid: Rows and columns that the model was trained on.
        wanted: Rows and columns of the image.

    Returns:
        `[1 + wanted rows*columns width]`.

    Source: docs/method.md, "Local view": the sampling scale of interpolate_pos_encoding has 0.1 patch added to each
    side against rounding errors; it is kept because it moves the embeddings.
    """
    width = positions.shape[1]
    trained = positions[1:].reshape(1, grid[0], grid[1], width).permute(0, 3, 1, 2).float()
    scale = ((wanted[0] + 0.1) / grid[0], (wanted[1] + 0.1) / grid[1])
    moved = F.interpolate(trained, scale_factor=scale, mode="bicubic").to(positions.dtype)
    assert moved.shape[-2:] == wanted
    return torch.cat([positions[:1], moved.permute(0, 2, 3, 1).reshape(-1, width)])


def _attend_classes(
    block: ResidualAttentionBlock, classes: Tensor, visible: Tensor, key: Tensor, value: Tensor
) -> Tensor:
    """One block on a chunk of class tokens `[chunk 1 width]`, given the patches' keys and values."""
    count = classes.shape[0]
    tokens = classes.transpose(0, 1)
    own_query, own_key, own_value = _project_heads(block, tokens)
    itself = torch.eye(count, dtype=torch.bool, device=visible.device)
    mixed = F.scaled_dot_product_attention(
        own_query,
        torch.cat([own_key, key], dim=2),
        torch.cat([own_value, value], dim=2),
        attn_mask=torch.cat([itself, visible], dim=1),
    )
    return _finish(block, tokens, mixed).transpose(0, 1)


def _project_heads(block: ResidualAttentionBlock, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value of `[batch tokens width]`, each `[batch heads tokens width/heads]`."""
    batch, count, width = tokens.shape
    joined = F.linear(block.ln_1(tokens), block.attn.in_proj_weight, block.attn.in_proj_bias)
    heads = joined.reshape(batch, count, 3, block.attn.num_heads, width // block.attn.num_heads)
    query, key, value = heads.permute(2, 0, 3, 1, 4).unbind(0)
    return query, key, value


def _finish(block: ResidualAttentionBlock, tokens: Tensor, mixed: Tensor) -> Tensor:
    """The rest of a block after the attention's weighted sum `[batch heads tokens width/heads]`."""
    joined = mixed.transpose(1, 2).flatten(2)
    tokens = tokens + block.ls_1(block.attn.out_proj(joined))
    return tokens + block.ls_2(block.mlp(block.ln_2(tokens)))


def _require_plain_vit(visual: torch.nn.Module, where: str) -> VisionTransformer:
    if not isinstance(visual, VisionTransformer):
        raise ModelError(f"{where}: its image tower is {type(visual).__name__}; {EXPECTED}")
    blocks = visual.transformer.resblocks
    kernel = visual.conv1.kernel_size
    TowerKind(
        type(visual).__name__,
        visual.attn_pool is not None,
        visual.pool_type,
        tuple(sorted({type(block).__name__ for block in blocks if not _is_plain(block)})),
        len(blocks),
        (int(kernel[0]), int(kernel[1])),
    ).check(where)
    return visual


def _is_plain(block: torch.nn.Module) -> TypeGuard[ResidualAttentionBlock]:
    return isinstance(block, ResidualAttentionBlock)
