"""Training of the miniature Stable Diffusion: first the autoencoder, then the U-Net with its text encoder.

Ordinary diffusion training: noise is predicted from captions. No mask is read by any loss.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from numpy.typing import NDArray
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from demo.captions import scene_caption
from demo.checkpoint import Checkpoint
from demo.corpus import SceneRecord
from demo.refer_form import VALIDATION_SEEDS


@dataclass(frozen=True)
class Cycle:
    """A stretch of the U-Net's training on scenes of its own.

    Attributes:
        scenes: Seeds of the scenes.
        steps: Steps.
        rate: Greatest learning rate; it is reached after `WARM_UP` steps and falls along a cosine.
    """

    scenes: range
    steps: int
    rate: float

    def rate_at(self, step: int) -> float:
        """Learning rate of a step, counted from the cycle's first."""
        slope = FLOOR + (1 - FLOOR) * 0.5 * (1 + float(np.cos(np.pi * step / self.steps)))
        return self.rate * min(1.0, (step + 1) / WARM_UP) * slope


WARM_UP, FLOOR = 150, 0.05
_FIRST = VALIDATION_SEEDS.stop


@dataclass(frozen=True)
class DiffusionRecipe:
    """Everything that the training of the diffusion model depends on.

    Attributes:
        canvas_px: Side of the canvas in pixels.
        vae_channels: Channels of the autoencoder's levels; each level but the first halves the side.
        unet_channels: Channels of the U-Net's levels, all with cross-attention.
        text_width: Width of the text encoder and of the cross-attention.
        text_layers: Layers of the text encoder.
        vae_steps: Steps of the autoencoder.
        vae_batch: Canvases in such a step.
        vae_rate: Its greatest learning rate.
        cycles: Stretches of the training of the U-Net and the text encoder. The second has scenes that the first has
            not: going on with the same ones made the model point worse.
        batch: Canvases in such a step.
        caption_dropout: Share of captions that are left empty, for guidance.
        low_noise_share: Share of timesteps below 300; the others lie between 300 and 980, where so little is left of
            the picture that the caption helps.
        snr_limit: Greatest signal-to-noise ratio that counts in full (min-SNR weighting, arXiv 2303.09556).
        seed: Seed of the weights and of every step's draws.
    """

    canvas_px: int = 64
    vae_channels: tuple[int, ...] = (16, 32, 48)
    unet_channels: tuple[int, ...] = (48, 80, 112)
    text_width: int = 96
    text_layers: int = 2
    vae_steps: int = 420
    vae_batch: int = 16
    vae_rate: float = 3e-3
    cycles: tuple[Cycle, ...] = (
        Cycle(range(_FIRST, _FIRST + 10_000), steps=3400, rate=1.2e-3),
        Cycle(range(_FIRST + 10_000, _FIRST + 20_000), steps=1800, rate=8e-4),
    )
    batch: int = 32
    caption_dropout: float = 0.1
    low_noise_share: float = 0.15
    snr_limit: float = 5.0
    seed: int = 0


LATENT_CHANNELS = 4
LOW_NOISE, MOST_NOISE = 300, 980


def make_vae(recipe: DiffusionRecipe) -> AutoencoderKL:
    """An autoencoder of the recipe's size, with seeded weights."""
    torch.manual_seed(recipe.seed)
    levels = len(recipe.vae_channels)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,  # pyright: ignore[reportArgumentType]
        up_block_types=("UpDecoderBlock2D",) * levels,  # pyright: ignore[reportArgumentType]
        block_out_channels=recipe.vae_channels,  # pyright: ignore[reportArgumentType]
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        sample_size=recipe.canvas_px,
        mid_block_add_attention=False,
    )


def make_unet(recipe: DiffusionRecipe) -> UNet2DConditionModel:
    """A conditional U-Net of the recipe's size, with seeded weights."""
    torch.manual_seed(recipe.seed + 1)
    levels = len(recipe.unet_channels)
    return UNet2DConditionModel(
        sample_size=recipe.canvas_px // 2 ** (len(recipe.vae_channels) - 1),
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        down_block_types=("CrossAttnDownBlock2D",) * levels,
        up_block_types=("CrossAttnUpBlock2D",) * levels,
        block_out_channels=recipe.unet_channels,
        layers_per_block=1,
        cross_attention_dim=recipe.text_width,
        attention_head_dim=4,
        norm_num_groups=16,
    )


def make_text_encoder(recipe: DiffusionRecipe, tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """A CLIP text encoder of the recipe's size, with seeded weights."""
    torch.manual_seed(recipe.seed + 2)
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=recipe.text_width,
            intermediate_size=2 * recipe.text_width,
            projection_dim=recipe.text_width,
            num_hidden_layers=recipe.text_layers,
            num_attention_heads=4,
            max_position_embeddings=77,
            hidden_act="quick_gelu",
            bos_token_id=int(tokenizer.bos_token_id),  # pyright: ignore[reportArgumentType]
            eos_token_id=int(tokenizer.eos_token_id),  # pyright: ignore[reportArgumentType]
            pad_token_id=int(tokenizer.pad_token_id),  # pyright: ignore[reportArgumentType]
        )
    )


def make_scheduler() -> DDIMScheduler:
    """The noise schedule of Stable Diffusion 1.x."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        timestep_spacing="leading",
        prediction_type="epsilon",
    )


def train_vae(
    vae: AutoencoderKL, canvases: NDArray[np.uint8], recipe: DiffusionRecipe, checkpoint: Checkpoint
) -> Iterator[tuple[int, float]]:
    """Train the autoencoder to give back its input; yields (step, loss).

    Args:
        vae: The autoencoder, changed in place.
        canvases: RGB uint8, n canvas canvas 3.
        recipe: The recipe.
        checkpoint: Where the state is kept; training goes on from what it holds.
    """
    optimizer = torch.optim.AdamW(vae.parameters(), lr=recipe.vae_rate)
    for step in checkpoint.steps({"vae": vae}, optimizer, recipe.vae_steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.vae_rate * min(1.0, (step + 1) / 40) * (1 - step / recipe.vae_steps)
        rng = np.random.default_rng([recipe.seed, 1, step])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        pixels = _pixels(canvases[rng.integers(len(canvases), size=recipe.vae_batch)])
        posterior = vae.encode(pixels).latent_dist  # pyright: ignore[reportAttributeAccessIssue]
        restored = vae.decode(posterior.sample(generator=generator)).sample  # pyright: ignore[reportAttributeAccessIssue]
        difference = restored - pixels
        loss = difference.abs().mean() + difference.pow(2).mean() + 1e-5 * posterior.kl().mean() / 64
        _step(loss, optimizer, [*vae.parameters()])
        yield step, loss.item()


@dataclass(frozen=True)
class Corpus:
    """Training scenes as the U-Net sees them.

    Attributes:
        records: The scenes.
        means: Mean of each scene's posterior, float32, n 4 latent latent, not yet scaled.
        deviations: Its deviation, the same shape.
    """

    records: Sequence[SceneRecord]
    means: torch.Tensor
    deviations: torch.Tensor


def encode_corpus(vae: AutoencoderKL, records: Sequence[SceneRecord]) -> Corpus:
    """Scenes with the posteriors that an autoencoder has for them."""
    return Corpus(records, *encode_canvases(vae, np.stack([record.canvas for record in records])))


@torch.no_grad()
def encode_canvases(vae: AutoencoderKL, canvases: NDArray[np.uint8]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation of the posterior of each canvas, float32, n 4 latent latent (not yet scaled)."""
    means, deviations = [], []
    for first in range(0, len(canvases), 100):
        posterior = vae.encode(_pixels(canvases[first : first + 100])).latent_dist  # pyright: ignore[reportAttributeAccessIssue]
        means.append(posterior.mean)
        deviations.append(posterior.std)
    return torch.cat(means), torch.cat(deviations)


def train_unet(
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    corpora: Sequence["Corpus"],
    scale: float,
    recipe: DiffusionRecipe,
    checkpoint: Checkpoint,
) -> Iterator[tuple[int, float]]:
    """Train U-Net and text encoder together to predict noise from captions; yields (step, loss).

    Args:
        unet: Changed in place.
        text_encoder: Changed in place.
        tokenizer: The demo's tokenizer.
        corpora: The scenes of each of the recipe's cycles.
        scale: Factor that gives the latents unit deviation.
        recipe: The recipe.
        checkpoint: Where the state is kept; training goes on from what it holds.
    """
    scheduler = make_scheduler()
    kept = scheduler.alphas_cumprod
    ratios = kept / (1 - kept)
    plan = [
        (cycle, corpus, step)
        for cycle, corpus in zip(recipe.cycles, corpora, strict=True)
        for step in range(cycle.steps)
    ]
    parameters = [*unet.parameters(), *text_encoder.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=recipe.cycles[0].rate, weight_decay=0.01, betas=(0.9, 0.99))
    for step in checkpoint.steps({"unet": unet, "text_encoder": text_encoder}, optimizer, len(plan)):
        cycle, corpus, step_of_cycle = plan[step]
        for group in optimizer.param_groups:
            group["lr"] = cycle.rate_at(step_of_cycle)
        rng = np.random.default_rng([recipe.seed, 2, step])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        chosen = rng.integers(len(corpus.records), size=recipe.batch)
        captions = [
            "" if rng.random() < recipe.caption_dropout else scene_caption(rng, corpus.records[int(index)].objects)
            for index in chosen
        ]
        low = rng.random(recipe.batch) < recipe.low_noise_share
        timesteps = torch.from_numpy(
            np.where(low, rng.integers(0, LOW_NOISE, recipe.batch), rng.integers(LOW_NOISE, MOST_NOISE, recipe.batch))
        )
        mean = corpus.means[chosen]
        clean = (mean + corpus.deviations[chosen] * torch.randn(mean.shape, generator=generator)) * scale
        noise = torch.randn(clean.shape, generator=generator)
        noisy = scheduler.add_noise(clean, noise, timesteps)  # pyright: ignore[reportArgumentType]
        states = text_encoder(tokenize(tokenizer, captions))[0]
        predicted = unet(noisy, timesteps, states).sample
        ratio = ratios[timesteps]
        weight = torch.clamp(ratio, max=recipe.snr_limit) / ratio
        loss = (weight * (predicted - noise).pow(2).mean((1, 2, 3))).mean()
        _step(loss, optimizer, parameters)
        yield step, loss.item()


def tokenize(tokenizer: CLIPTokenizer, texts: list[str]) -> torch.Tensor:
    """Token ids of texts, padded or truncated to the model's length, int64, texts 77."""
    return tokenizer(texts, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids


def save_pipeline(
    folder: Path, vae: AutoencoderKL, unet: UNet2DConditionModel, text_encoder: CLIPTextModel, tokenizer: CLIPTokenizer
) -> None:
    """Write a pipeline in diffusers' own layout, half precision; the tokenizer's files are already in the folder."""
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=make_scheduler(),  # pyright: ignore[reportArgumentType] its published type is an enumeration
        safety_checker=None,  # pyright: ignore[reportArgumentType]
        feature_extractor=None,  # pyright: ignore[reportArgumentType]
        requires_safety_checker=False,
    )
    pipeline.to(dtype=torch.float16).save_pretrained(folder, safe_serialization=True)


def _pixels(canvases: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(canvases).permute(0, 3, 1, 2).float() / 127.5 - 1


def _step(loss: torch.Tensor, optimizer: torch.optim.Optimizer, parameters: list[torch.nn.Parameter]) -> None:
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
