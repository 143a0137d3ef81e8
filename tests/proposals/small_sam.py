"""Miniature random mask generators, saved as ordinary checkpoints."""

from pathlib import Path
from typing import Any

import torch
from transformers import (
    Sam2Config,
    Sam2ImageProcessor,
    Sam2Model,
    SamConfig,
    SamHQConfig,
    SamHQModel,
    SamImageProcessor,
    SamModel,
)

VISION: dict[str, Any] = {
    "hidden_size": 32,
    "output_channels": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 64,
    "patch_size": 8,
    "window_size": 4,
    "global_attn_indexes": [1],
    "num_pos_feats": 8,
    "mlp_dim": 64,
    "initializer_range": 0.05,
}
PROMPT: dict[str, Any] = {"hidden_size": 16, "image_size": 64, "patch_size": 8, "mask_input_channels": 4}
DECODER: dict[str, Any] = {
    "hidden_size": 16,
    "mlp_dim": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "iou_head_hidden_dim": 16,
}
HIERA: dict[str, Any] = {
    "model_type": "sam2_hiera_det_model",
    "hidden_size": 8,
    "num_attention_heads": 1,
    "image_size": [64, 64],
    "blocks_per_stage": [1, 1, 2, 1],
    "embed_dim_per_stage": [8, 16, 32, 64],
    "num_attention_heads_per_stage": [1, 2, 2, 4],
    "window_size_per_stage": [4, 2, 2, 2],
    "global_attention_blocks": [3],
}
VISION2: dict[str, Any] = {
    "backbone_config": HIERA,
    "backbone_channel_list": [64, 32, 16, 8],
    "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
    "fpn_hidden_size": 32,
}
WIDE: dict[str, Any] = {**DECODER, "hidden_size": 32}
PROMPT2: dict[str, Any] = {**PROMPT, "hidden_size": 32, "patch_size": 16}


def save_small_sam(kind: str, folder: Path) -> None:
    """Save a model of `sam`, `sam_hq` or `sam2` with its image processor."""
    torch.manual_seed(0)
    if kind == "sam":
        model = SamModel(SamConfig(vision_config=VISION, prompt_encoder_config=PROMPT, mask_decoder_config=DECODER))
    elif kind == "sam_hq":
        decoder = {**DECODER, "vit_dim": 32}
        model = SamHQModel(SamHQConfig(vision_config=VISION, prompt_encoder_config=PROMPT, mask_decoder_config=decoder))
    else:
        model = Sam2Model(Sam2Config(vision_config=VISION2, prompt_encoder_config=PROMPT2, mask_decoder_config=WIDE))
    model.save_pretrained(folder)
    if kind == "sam2":
        processor = Sam2ImageProcessor(size={"height": 64, "width": 64}, mask_size={"height": 16, "width": 16})
    else:
        edge, square = {"longest_edge": 64}, {"height": 64, "width": 64}
        processor = SamImageProcessor(size=edge, mask_size=edge, pad_size=square, mask_pad_size=square)
    processor.save_pretrained(folder)
