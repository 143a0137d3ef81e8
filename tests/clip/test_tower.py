"""The image tower against open_clip itself, and against the masked attention written out."""

import numpy as np
import open_clip
import pytest
import torch
from torch import Tensor

from refdiff.clip.tower import VitTower, interpolate_positions
from tests.clip.small_model import PARITY_FOLDER

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


def _embed_one_mask(weights: dict[str, Tensor], pixels: Tensor, visible: Tensor) -> Tensor:
    """The paper's global view of one mask: the whole sequence, the whole attention matrix, -inf where it is blind."""
    kernel = weights["conv1.weight"]
    grid = pixels.shape[-1] // kernel.shape[-1]
    patches = torch.stack(
        [
            (pixels[0, :, 16 * y : 16 * y + 16, 16 * x : 16 * x + 16] * kernel).sum((1, 2, 3))
            for y in range(grid)
            for x in range(grid)
        ]
    )
    x = torch.cat([weights["class_embedding"][None], patches]) + weights["positional_embedding"]
    blind = torch.zeros(len(x), len(x), dtype=x.dtype)
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
        found = tower.embed_masked(pixels, visible, 3)
        expected = torch.stack([_embed_one_mask(weights, pixels.double(), row) for row in visible])
    np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=2e-5)


def test_crops_go_through_as_open_clip_sends_them(network: open_clip.CLIP, tower: VitTower, pixels: Tensor) -> None:
    with torch.inference_mode():
        np.testing.assert_allclose(tower.embed_images(pixels), network.encode_image(pixels), atol=1e-5)


def test_a_class_token_is_independent_of_the_others(tower: VitTower, pixels: Tensor) -> None:
    visible = torch.rand(9, 196, generator=torch.Generator().manual_seed(6)) < 0.3
    with torch.inference_mode():
        together = tower.embed_masked(pixels, visible, 100)
        alone = torch.cat([tower.embed_masked(pixels, row[None], 1) for row in visible])
        chunked = tower.embed_masked(pixels, visible, 4)
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(together, chunked, atol=1e-5)


def test_a_mask_decides_what_its_token_says(tower: VitTower, pixels: Tensor) -> None:
    visible = torch.zeros(2, 196, dtype=torch.bool)
    visible[0, :98] = True
    visible[1, 98:] = True
    with torch.inference_mode():
        first, second = tower.embed_masked(pixels, visible, 2)
    assert float((first - second).abs().max()) > 1e-3


def test_positions_of_the_trained_grid_are_the_trained_ones() -> None:
    positions = torch.randn(1 + 12, 5)
    assert interpolate_positions(positions, (3, 4), (3, 4)) is positions


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
