"""What runs before the text comes in: found in any layout, computed once, the same values."""

from typing import Any

import pytest
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from refdiff.diffusion.extractor import AttentionExtractor
from refdiff.diffusion.row_sharing import find_text_free, share_rows
from refdiff.errors import ModelError

TRUNK = "down_blocks.0.attentions.0"
SMALL: dict[str, Any] = {
    "in_channels": 4, "out_channels": 4, "block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"), "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "cross_attention_dim": 12, "attention_head_dim": 4,
}  # fmt: skip
LAYOUTS: dict[str, dict[str, Any]] = {
    "SD 1.x": SMALL,
    "SD 2.x": {**SMALL, "use_linear_projection": True, "attention_head_dim": (2, 4), "upcast_attention": True},
    "no cross-attention at the top": {
        **SMALL,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
    },
    "two blocks a transformer": {**SMALL, "transformer_layers_per_block": 2},
    "cross-attention only": {**SMALL, "only_cross_attention": True},
    "the text projected": {**SMALL, "encoder_hid_dim": 12, "encoder_hid_dim_type": "text_proj"},
    "resnets that scale and shift": {**SMALL, "resnet_time_scale_shift": "scale_shift"},
    "simple attention blocks": {
        **SMALL,
        "down_block_types": ("SimpleCrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "SimpleCrossAttnUpBlock2D"),
        "mid_block_type": "UNetMidBlock2DSimpleCrossAttn",
    },
}


def make_unet(layout: dict[str, Any]) -> UNet2DConditionModel:
    torch.manual_seed(0)
    return UNet2DConditionModel(**layout).eval().requires_grad_(False)


def test_what_runs_before_the_text(extractor: AttentionExtractor):
    block = f"{TRUNK}.transformer_blocks.0"
    assert find_text_free(extractor.model.unet.config, 8) == (
        "conv_in",
        "down_blocks.0.resnets.0",
        f"{TRUNK}.norm",
        f"{TRUNK}.proj_in",
        f"{block}.norm1",
        f"{block}.attn1",
        f"{block}.norm2",
        f"{block}.attn2.to_q",
    )


def test_blocks_without_cross_attention_are_taken_whole():
    assert find_text_free(LAYOUTS["no cross-attention at the top"], 8)[:2] == ("conv_in", "down_blocks.0")


def test_what_projects_the_text_is_not_shared():
    assert not [name for name in find_text_free(LAYOUTS["the text projected"], 8) if "encoder_hid" in name]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_shared_rows_have_the_values_of_their_own(layout: str):
    unet = make_unet(LAYOUTS[layout])
    latents, text = torch.randn(2, 4, 8, 8)[[0, 1, 1, 0, 1]], torch.randn(5, 7, 12)
    expected = unet(latents, 3, encoder_hidden_states=text).sample
    seen: list[int] = []
    unet.conv_in.register_forward_pre_hook(lambda _module, args: seen.append(len(args[0])))
    names = find_text_free(LAYOUTS[layout], 8)
    with share_rows(unet, names) as sharing:
        unet.conv_in.register_forward_pre_hook(lambda _module, args: seen.append(len(args[0])))
        sharing.expect([0, 1, 1, 0, 1], latents.device)
        shared = unet(latents, 3, encoder_hidden_states=text).sample
    assert seen == [5, 2]
    torch.testing.assert_close(shared, expected, atol=1e-5, rtol=1e-5)
    assert torch.equal(unet(latents, 3, encoder_hidden_states=text).sample, expected)


def test_rows_without_anything_in_common_are_left_alone(extractor: AttentionExtractor):
    unet = make_unet(SMALL)
    latents, text = torch.randn(3, 4, 8, 8), torch.randn(3, 7, 12)
    expected = unet(latents, 3, encoder_hidden_states=text).sample
    with share_rows(unet, find_text_free(SMALL, 8)) as sharing:
        sharing.expect([0, 1, 2], latents.device)
        assert torch.equal(unet(latents, 3, encoder_hidden_states=text).sample, expected)


def test_an_architecture_that_cannot_be_run_is_refused():
    with pytest.raises(ModelError, match="latent: cannot be run"):
        find_text_free({**SMALL, "class_embed_type": "timestep"}, 8)
