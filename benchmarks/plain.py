"""The plain path: what extraction would be if nothing were saved, the reference for its results and its speed.

One sentence at a time: the photo is encoded anew, every U-Net pass runs to its end with a batch of one, and every
attention matrix is written out in float32, as the released code does. Only latents, noise and text states come from
the product, so that both start from the same numbers.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from diffusers.models.attention_processor import Attention
from numpy.typing import NDArray

from refdiff.attention.maps import CrossMaps
from refdiff.diffusion.extractor import AttentionExtractor
from refdiff.diffusion.model import DiffusionModel
from refdiff.diffusion.noise import draw_noise
from refdiff.diffusion.plan import CapturePlan, plan_capture
from refdiff.diffusion.prompts import encode_prompts
from refdiff.diffusion.schedule import add_noise, denoise
from refdiff.diffusion.settings import CaptureSettings

# By layer name: `[batch token pixel]`.
Maps = dict[str, torch.Tensor]


class WrittenOut:
    """Attention as a textbook writes it, every matrix in full; keeps the head mean of logits and of probabilities."""

    def __init__(self, name: str, logits: Maps, probabilities: Maps) -> None:
        self.name, self.logits, self.probabilities = name, logits, probabilities

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: None = None,
    ) -> torch.Tensor:
        assert attention_mask is None
        is_cross = encoder_hidden_states is not None
        text = encoder_hidden_states if is_cross else hidden_states
        q, k, v = (
            rows.unflatten(2, (attn.heads, -1)).transpose(1, 2)
            for rows in (attn.to_q(hidden_states), attn.to_k(text), attn.to_v(text))
        )
        q, k = widen(q), widen(k)
        logits = (q @ k.transpose(2, 3)) / q.shape[-1] ** 0.5
        probabilities = torch.softmax(logits, dim=3)
        if is_cross:
            self.logits[self.name] = logits.mean(1).transpose(1, 2)
            self.probabilities[self.name] = probabilities.mean(1).transpose(1, 2)
        return attn.to_out[0]((probabilities.to(v.dtype) @ v).transpose(1, 2).flatten(2))


def widen(values: torch.Tensor) -> torch.Tensor:
    """In float32, or in float64 where the U-Net runs in it."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


@contextmanager
def write_out(unet: Any) -> Iterator[tuple[Maps, Maps]]:
    """Written-out attention on every layer; yields the logits and the probabilities of the last pass."""
    before, logits, probabilities = unet.attn_processors, {}, {}
    for name, module in unet.named_modules():
        if isinstance(module, Attention):
            module.set_processor(WrittenOut(name, logits, probabilities))  # pyright: ignore[reportArgumentType]
    try:
        yield logits, probabilities
    finally:
        unet.set_attn_processor(before)


def run_schedule(
    model: DiffusionModel,
    plan: CapturePlan,
    capture: CaptureSettings,
    latent: torch.Tensor,
    noise: torch.Tensor,
    states: torch.Tensor,
    unconditional: torch.Tensor,
) -> list[Maps]:
    """All U-Net passes of one sentence, in full.

    Args:
        model: The loaded pipeline.
        plan: Its runs.
        capture: What is asked.
        latent: `[1 channel y x]`, scaled.
        noise: The same shape.
        states: Text states of the prompt, `[1 token channel]`.
        unconditional: Those of the negative prompt.

    Returns:
        By run and layer name, the maps that the capture asks for, of all tokens of the prompt.
    """
    scale, found = capture.guidance, []
    latents = latent
    with write_out(model.unet) as kinds:
        maps_now = kinds[0] if capture.quantity == "logits" else kinds[1]

        def run_unet(timestep: int, text: torch.Tensor) -> tuple[torch.Tensor, Maps]:
            prediction = model.unet(
                latents.to(model.dtype),
                torch.tensor(timestep, device=latents.device),
                encoder_hidden_states=text.to(model.dtype),
            ).sample
            return widen(prediction), dict(maps_now)

        for step, run in enumerate(plan.runs):
            if run.noised_at is not None:
                latents = add_noise(latent, noise, model.alphas[run.noised_at])
            prediction, maps = run_unet(run.timestep, states)
            if scale != 1:
                plain, plain_maps = run_unet(run.timestep, unconditional)
                prediction = plain + scale * (prediction - plain)
                if capture.guided_maps:
                    maps = {name: plain_maps[name] + scale * (maps[name] - plain_maps[name]) for name in maps}
            found.append(maps)
            if step + 1 < len(plan.runs):
                here, there = model.alphas[run.timestep], model.alphas[plan.runs[step + 1].timestep]
                latents = denoise(latents, prediction, here, there, model.prediction)
    return found


def capture_plainly(
    extractor: AttentionExtractor,
    photo: NDArray[np.uint8],
    image_id: str,
    sentences: Sequence[str],
    capture: CaptureSettings,
) -> list[CrossMaps]:
    """What `AttentionExtractor.capture` gives, by the plain path."""
    model, plan = extractor.model, plan_capture(extractor.model.identity, capture)
    result = []
    for sentence in sentences:
        latent = extractor.encode_photo(photo, image_id, capture)
        noise = draw_noise(extractor.settings.seed, image_id, "diffusion", latent.shape).to(latent.device)
        states, unconditional = (
            encode_prompts(model, [prompt]) for prompt in (sentence + capture.prompt_suffix, capture.negative_prompt)
        )
        with torch.inference_mode():
            found = run_schedule(model, plan, capture, latent, noise, states, unconditional)
        tokens = slice(1, 1 + extractor.count_tokens(sentence))
        blocks = {
            size: np.stack(
                [found[key.step][key.layer][0, tokens].unflatten(1, size).cpu().numpy() for key in keys], axis=1
            )
            for size, keys in plan.cross_keys.items()
        }
        result.append(CrossMaps(plan.cross_keys, blocks))
    return result
