"""The image tower against open_clip itself, and against the masked attention written out."""

import math

import numpy as np
import open_clip
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from refdiff.clip.embedder import ClipEmbedder
from refdiff.clip.tower import VitTower, interpolate_positions
from tests.clip.small_model import PARITY_FOLDER, clip_settings

HEADS = 1
LAYERS = 3
EPSILON = 1e-5


@pytest.fixture(scope="module")
def network() -> open_clip.CLIP:
    return open_clip.create_model(f"local-dir:{PARITY_FOLDER}").eval()  # pyright: ignore[reportReturnType]


@pytest.fixture(scope="module")
def tower(network: open_clip.CLIP) -> VitTower:
    return VitTower(network.visual, "parity")


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    return torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(3))


def _layer_norm(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    scaled = centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + EPSILON)
    return scaled * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def _released_positions(trained: Tensor, height: int, width: int) -> Tensor:
    """The released rule as its code has it: by the number of patches, and by the pixels of the uncut image."""
    side = math.isqrt(len(trained) - 1)
    rows, columns = height // 16, width // 16
    if rows * columns == side * side and height == width:
        return trained
    field = trained[1:].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    scale = ((rows + 0.1) / side, (columns + 0.1) / side)
    moved = torch.nn.functional.interpolate(field, scale_factor=scale, mode="bicubic")
    return torch.cat([trained[:1], moved[0].flatten(1).T])


def _embed(weights: dict[str, Tensor], pixels: Tensor, visible: Tensor | None) -> Tensor:
    """An image as the released code embeds it: the whole sequence, the whole attention matrix, -inf where it is blind.

    Args:
        weights: Of the image tower.
        pixels: `[1 3 height width]`, of any size.
        visible: Patches of the one mask of the global view; None for the local view, where every token sees all.
    """
    kernel = weights["conv1.weight"]
    height, width = pixels.shape[-2:]
    patches = torch.stack(
        [
            (pixels[0, :, 16 * y : 16 * y + 16, 16 * x : 16 * x + 16] * kernel).sum((1, 2, 3))
            for y in range(height // 16)
            for x in range(width // 16)
        ]
    )
    positions = _released_positions(weights["positional_embedding"], height, width)
    x = torch.cat([weights["class_embedding"][None], patches]) + positions
    blind = torch.zeros(len(x), len(x), dtype=x.dtype)
    if visible is not None:
        blind[1:, 0] = -torch.inf
        blind[0, 1:][~visible] = -torch.inf
    x = _layer_norm(x, weights, "ln_pre")
    for layer in range(LAYERS):
        block = f"transformer.resblocks.{layer}"
        h = _layer_norm(x, weights, f"{block}.ln_1")
        q, k, v = (h @ weights[f"{block}.attn.in_proj_weight"].T + weights[f"{block}.attn.in_proj_bias"]).chunk(3, -1)
        attention = torch.softmax(q @ k.T / q.shape[-1] ** 0.5 + blind, dim=-1)
        x = x + attention @ v @ weights[f"{block}.attn.out_proj.weight"].T + weights[f"{block}.attn.out_proj.bias"]
        h = _layer_norm(x, weights, f"{block}.ln_2")
        h = h @ weights[f"{block}.mlp.c_fc.weight"].T + weights[f"{block}.mlp.c_fc.bias"]
        h = h / (1 + torch.exp(-1.702 * h))
        x = x + h @ weights[f"{block}.mlp.c_proj.weight"].T + weights[f"{block}.mlp.c_proj.bias"]
    return _layer_norm(x[0], weights, "ln_post") @ weights["proj"]


def test_global_view_is_the_masked_attention_written_out(
    network: open_clip.CLIP, tower: VitTower, pixels: Tensor
) -> None:
    visible = torch.rand(4, 196, generator=torch.Generator().manual_seed(5)) < 0.2
    visible[3] = False
    visible[3, 77] = True
    weights = {name: value.double() for name, value in network.visual.state_dict().items()}
    with torch.inference_mode():
        found = tower.embed_masked(pixels, visible, 3, moved=False)
        expected = torch.stack([_embed(weights, pixels.double(), row) for row in visible])
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=2e-5)


@pytest.mark.parametrize(
    ("height", "width"),
    [(72, 73), (73, 72), (72, 72), (224, 239), (112, 120), (64, 96)],
)
def test_nearly_square_pictures_have_the_released_positions(network: open_clip.CLIP, height: int, width: int) -> None:
    """72 x 73 becomes 224 x 227 pixels, which are the trained 14 x 14 patches, yet no square; 112 x 120 has one more
    column of patches."""
    settings = clip_settings(PARITY_FOLDER)
    embedder = ClipEmbedder(settings)
    mean, std = embedder._model.mean, embedder._model.std
    photo = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    weights = {name: value.double() for name, value in network.visual.state_dict().items()}

    def embed(picture: Image.Image, visible: Tensor | None) -> NDArray[np.float64]:
        pixels = (np.asarray(picture) / 255 - mean) / std
        with torch.inference_mode():
            embedded = _embed(weights, torch.from_numpy(pixels).permute(2, 0, 1)[None], visible)
        return (embedded / embedded.norm()).numpy()

    mask = np.ones((1, height, width), dtype=np.bool_)
    short = min(height, width)
    resized = Image.fromarray(photo).resize((224 * width // short, 224 * height // short), Image.Resampling.BILINEAR)
    np.testing.assert_allclose(embedder.embed_local(photo, mask, "none")[0], embed(resized, None), atol=2e-6)
    seen = torch.ones((height // 16) * (width // 16), dtype=torch.bool)
    np.testing.assert_allclose(
        embedder.embed_global(photo, mask, "none")[0], embed(Image.fromarray(photo), seen), atol=2e-6
    )


def test_crops_go_through_as_open_clip_sends_them(network: open_clip.CLIP, tower: VitTower, pixels: Tensor) -> None:
    with torch.inference_mode():
        np.testing.assert_allclose(tower.embed_images(pixels, moved=False), network.encode_image(pixels), atol=1e-5)


def test_a_class_token_is_independent_of_the_others(tower: VitTower, pixels: Tensor) -> None:
    visible = torch.rand(9, 196, generator=torch.Generator().manual_seed(6)) < 0.3
    with torch.inference_mode():
        together = tower.embed_masked(pixels, visible, 100, moved=False)
        alone = torch.cat([tower.embed_masked(pixels, row[None], 1, moved=False) for row in visible])
        chunked = tower.embed_masked(pixels, visible, 4, moved=False)
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(together, chunked, atol=1e-5)


def test_a_mask_decides_what_its_token_says(tower: VitTower, pixels: Tensor) -> None:
    visible = torch.zeros(2, 196, dtype=torch.bool)
    visible[0, :98] = True
    visible[1, 98:] = True
    with torch.inference_mode():
        first, second = tower.embed_masked(pixels, visible, 2, moved=False)
    assert float((first - second).abs().max()) > 1e-3


def test_positions_of_another_grid_stay_near_a_smooth_field() -> None:
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    positions = torch.cat([torch.full((1, 2), 9.0), torch.stack([rows.flatten(), columns.flatten()], dim=1)])
    moved = interpolate_positions(positions, (8, 8), (16, 12))
    assert moved[0].tolist() == [9.0, 9.0]
    field = moved[1:].reshape(16, 12, 2)
    centre_rows = (torch.arange(16.0) + 0.5) / 2 - 0.5
    centre_columns = (torch.arange(12.0) + 0.5) * 8 / 12 - 0.5
    # The 0.1 patch of the released scale moves the samples by less than a twelfth of a trained patch.
    np.testing.assert_allclose(field[3:-3, 0, 0], centre_rows[3:-3], atol=0.1)
    np.testing.assert_allclose(field[0, 3:-3, 1], centre_columns[3:-3], atol=0.1)
