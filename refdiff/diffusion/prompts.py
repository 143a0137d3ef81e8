"""Prompts: token counts and text states."""

from collections.abc import Sequence

import torch

from refdiff.diffusion.model import DiffusionModel

PROMPTS_AT_A_TIME = 64


def count_tokens(model: DiffusionModel, sentence: str) -> int:
    """Tokens of a sentence in its prompt, without start and end; what does not fit the model is cut."""
    ids = model.tokenizer(sentence, add_special_tokens=False, verbose=False)["input_ids"]
    return min(len(ids), model.prompt_tokens - 2)


def encode_prompts(model: DiffusionModel, prompts: Sequence[str]) -> torch.Tensor:
    """Text states of prompts, padded and cut to the model's length.

    Returns:
        `[prompt token channel]` in the model's precision, on its device; token 0 is the start token.
    """
    tokens = model.tokenizer(
        list(prompts), padding="max_length", truncation=True, max_length=model.prompt_tokens, return_tensors="pt"
    )
    ids = tokens["input_ids"].to(model.device)
    with torch.inference_mode():
        return model.text_encoder(ids)[0]


def encode_all_prompts(model: DiffusionModel, prompts: Sequence[str]) -> torch.Tensor:
    """As `encode_prompts`, of any number of prompts, some at a time."""
    if not prompts:
        return encode_prompts(model, [""])[:0]
    parts = [prompts[start : start + PROMPTS_AT_A_TIME] for start in range(0, len(prompts), PROMPTS_AT_A_TIME)]
    return torch.cat([encode_prompts(model, part) for part in parts])
