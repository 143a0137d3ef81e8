"""Floating-point operations of a capture, counted on tensors without content: any size, no computing."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.plain import run_schedule
from benchmarks.sd15 import unet_config, vae_config, write_configs
from refdiff.diffusion.denoise import open_runs
from refdiff.diffusion.model import DiffusionModel
from refdiff.diffusion.plan import CapturePlan, plan_capture
from refdiff.diffusion.settings import CaptureSettings

# Tokens of a prompt, and of a sentence whose maps are kept.
_PROMPT_TOKENS = 77
_SENTENCE_TOKENS = 8
_TRAIN_TIMESTEPS = 1000


@dataclass(frozen=True, slots=True)
class Operations:
    """What one sentence costs.

    Attributes:
        vae: Operations of the autoencoder.
        unet: Operations of the U-Net.
        rows: Rows that enter the U-Net, whether they run to its end or not.
    """

    vae: float
    unet: float
    rows: float

    @property
    def total(self) -> float:
        """Both networks."""
        return self.vae + self.unet

    def without_vae(self) -> "Operations":
        """The same where the latents are there."""
        return replace(self, vae=0.0)


def count_operations(
    width: int, capture: CaptureSettings, photos: int, sentences: int, batch: int
) -> tuple[Operations, Operations]:
    """Operations a sentence of the product and of the plain path.

    Counted are matrix products, convolutions and attention, fused or not, a multiplication with its addition as two.
    Not counted: softmax, norms, activations, sums; nor the text encoder, of which both paths need a thousandth.

    Args:
        width: See `benchmarks.sd15`.
        capture: What is asked.
        photos: Photos of a shard.
        sentences: Sentences of each.
        batch: Sentences in a batch.
    """
    with TemporaryDirectory() as folder:
        plan = plan_capture(write_configs(Path(folder) / "sd", width), capture)
    with FakeTensorMode(), torch.inference_mode():
        model = _make_model(width)
        vae = count_flops(lambda: _encode(model, capture.canvas_px))
        asked = photos * sentences
        rows = _Rows(model.unet)
        ours = count_flops(lambda: _run_batches(model, plan, capture, photos, sentences, batch))
        our_rows = rows.take()
        plain = count_flops(lambda: _run_plain(model, plan, capture))
        plain_rows = rows.take()
    return (
        Operations(vae / sentences, ours / asked, our_rows / asked),
        Operations(vae, plain, plain_rows),
    )


def _make_model(width: int) -> DiffusionModel:
    unet: Any = UNet2DConditionModel(**unet_config(width))
    vae: Any = AutoencoderKL(**vae_config(width))
    alphas = tuple(1 - step / _TRAIN_TIMESTEPS for step in range(_TRAIN_TIMESTEPS))
    nothing = cast(Any, None)
    for part in (unet, vae):
        part.requires_grad_(False).eval()
    return DiffusionModel(nothing, unet, vae, nothing, nothing, alphas, "epsilon", torch.device("cpu"), torch.float32)


def _encode(model: DiffusionModel, canvas_px: int) -> None:
    model.vae.encode(torch.empty(1, 3, canvas_px, canvas_px), return_dict=False)


def _run_batches(
    model: DiffusionModel, plan: CapturePlan, capture: CaptureSettings, photos: int, sentences: int, batch: int
) -> None:
    latents, text = _inputs(model, plan, photos)
    photo_of = [photo for photo in range(photos) for _ in range(sentences)]
    with open_runs(model, plan, capture, latents, latents, text[:1], _SENTENCE_TOKENS) as runs:
        for start in range(0, len(photo_of), batch):
            some = photo_of[start : start + batch]
            runs.read_sentences(text[:1].expand(len(some), -1, -1), some)


def _run_plain(model: DiffusionModel, plan: CapturePlan, capture: CaptureSettings) -> None:
    latents, text = _inputs(model, plan, 1)
    run_schedule(model, plan, capture, latents, latents, text, text)


def _inputs(model: DiffusionModel, plan: CapturePlan, photos: int) -> tuple[torch.Tensor, torch.Tensor]:
    latents = torch.empty(photos, 4, plan.latent_px, plan.latent_px)
    return latents, torch.empty(1, _PROMPT_TOKENS, model.unet.config["cross_attention_dim"])


def count_flops(work: Callable[[], object]) -> int:
    """Operations of matrix products, convolutions and attention while `work` runs.

    torch's counter knows fused attention by a list of kernels that differs from version to version: 2.14 leaves out
    the one of the CPU. So attention is taken apart into its two products, which every version counts.
    """
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


class _Rows:
    """Counts the rows that enter a U-Net."""

    def __init__(self, unet: torch.nn.Module) -> None:
        self._seen = 0
        unet.register_forward_pre_hook(self._note)

    def _note(self, _module: torch.nn.Module, args: Sequence[Any]) -> None:
        self._seen += len(args[0])

    def take(self) -> int:
        """Rows since the last call."""
        seen, self._seen = self._seen, 0
        return seen
