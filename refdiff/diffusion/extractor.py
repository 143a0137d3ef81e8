"""Attention of one photo and its sentences, in memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from refdiff.attention import CrossMaps, MapKey, SelfMaps
from refdiff.diffusion.canvas import fit_canvas, to_signed
from refdiff.diffusion.capture import read_attention
from refdiff.diffusion.denoise import ImageRuns, MapsByRun
from refdiff.diffusion.model import identify_pipeline, load_model
from refdiff.diffusion.noise import draw_noise
from refdiff.diffusion.plan import CapturePlan, plan_capture
from refdiff.diffusion.prompts import count_tokens, encode_prompts
from refdiff.diffusion.settings import CaptureSettings, ExtractionSettings
from refdiff.errors import ModelError, TextError
from refdiff.model_identity import ModelIdentity


@dataclass(frozen=True, slots=True)
class ImageMaps:
    """What a capture keeps of one image.

    Attributes:
        cross: One per sentence, in the order in which they were given.
        self_attention: Of the image; None when not asked for.
    """

    cross: list[CrossMaps]
    self_attention: SelfMaps | None


class AttentionExtractor:
    """A loaded Stable Diffusion pipeline that photos and sentences go through.

    Attributes:
        settings: Model, device, precision, batch and seed.
        model: The loaded parts.
    """

    def __init__(self, settings: ExtractionSettings, identity: ModelIdentity | None = None) -> None:
        """Load the model.

        Args:
            settings: Section `extract_attention`, or the part of it that runs the U-Net.
            identity: What `identify_pipeline` found, if it was called before.

        Raises:
            ModelError: The model or the device is not there, or the model is not of the kind that is needed.
        """
        identity = identity or identify_pipeline(settings.model, settings.revision)
        self.settings = settings
        self.model = load_model(identity, settings.revision, settings.device, settings.dtype)
        self._plans: dict[CaptureSettings, CapturePlan] = {}

    def count_tokens(self, sentence: str) -> int:
        """Tokens of a sentence in its prompt, without start and end, after truncation."""
        return count_tokens(self.model, sentence)

    def capture(
        self, photo: NDArray[np.uint8], image_id: str, sentences: Sequence[str], capture: CaptureSettings
    ) -> list[CrossMaps]:
        """Cross-attention maps of every sentence about one photo.

        Args:
            photo: RGB uint8 `[H W 3]`.
            image_id: Seeds the noise, together with the settings' seed.
            sentences: Any number of them.
            capture: What is asked.

        Returns:
            One per sentence: float32 `[token map height width]` for each map size; as many tokens as the sentence has.

        Raises:
            ParameterError: The capture does not fit the model.
            TextError: A sentence has no tokens.
            ModelError: The device's memory is too small, or a map is not finite.
        """
        return self.capture_image(photo, image_id, sentences, capture, with_self=False).cross

    def capture_image(
        self,
        photo: NDArray[np.uint8],
        image_id: str,
        sentences: Sequence[str],
        capture: CaptureSettings,
        with_self: bool,
    ) -> ImageMaps:
        """As `capture`, and the image's self-attention as well when `with_self` and the capture names layers of it."""
        counts = [self.count_tokens(sentence) for sentence in sentences]
        for sentence, count in zip(sentences, counts, strict=True):
            if not count:
                raise TextError(f"image {image_id}: sentence {sentence!r} has no words; remove it from the dataset")
        try:
            with torch.inference_mode():
                return self._run(photo, image_id, list(zip(sentences, counts, strict=True)), capture, with_self)
        except torch.OutOfMemoryError as error:
            raise ModelError(
                f"image {image_id}: the device's memory is too small for {self.settings.batch_sentences} sentences "
                "at a time; use a smaller batch_sentences or canvas_px, or a half-precision dtype"
            ) from error

    def _plan(self, capture: CaptureSettings) -> CapturePlan:
        if capture not in self._plans:
            self._plans[capture] = plan_capture(self.model.identity, capture)
        return self._plans[capture]

    def _run(
        self,
        photo: NDArray[np.uint8],
        image_id: str,
        sentences: Sequence[tuple[str, int]],
        capture: CaptureSettings,
        with_self: bool,
    ) -> ImageMaps:
        """As `capture_image`, of sentences with their numbers of tokens."""
        plan = self._plan(capture)
        counts = [count for _, count in sentences]
        latent = self.encode_photo(photo, image_id, capture)
        noise = draw_noise(self.settings.seed, image_id, "diffusion", latent.shape).to(latent.device)
        unconditional = encode_prompts(self.model, [capture.negative_prompt])
        prompts = [sentence + capture.prompt_suffix for sentence, _ in sentences]
        cross: list[CrossMaps] = []
        with read_attention(self.model.unet, plan.cross, plan.self_attention, capture.quantity) as reader:
            image = ImageRuns(
                self.model, reader, capture, plan.runs, latent, noise, unconditional, max(counts, default=0)
            )
            for start in range(0, len(prompts), self.settings.batch_sentences):
                batch = slice(start, start + self.settings.batch_sentences)
                maps = image.read_sentences(encode_prompts(self.model, prompts[batch]))
                blocks = {size: _stack(maps, keys, image_id) for size, keys in plan.cross_keys.items()}
                for row, tokens in enumerate(counts[batch]):
                    mine = {size: block[row, :tokens] for size, block in blocks.items()}
                    cross.append(CrossMaps(plan.cross_keys, mine))
            if not (with_self and plan.self_keys):
                return ImageMaps(cross, None)
            maps = image.read_self_attention()
        blocks = {size: _stack(maps, keys, image_id)[0] for size, keys in plan.self_keys.items()}
        return ImageMaps(cross, SelfMaps(plan.self_keys, blocks))

    def encode_photo(self, photo: NDArray[np.uint8], image_id: str, capture: CaptureSettings) -> torch.Tensor:
        """The photo's latent, float32 `[1 channel y x]`, scaled as the U-Net expects.

        Args:
            photo: RGB uint8 `[H W 3]`.
            image_id: Seeds the draw from the posterior.
            capture: Its canvas, and whether the posterior is drawn from.

        Source: method.md, generative score 1 and 2.
        """
        vae = self.model.vae
        canvas = to_signed(fit_canvas(photo, capture.canvas_px, capture.canvas_mode))
        pixels = torch.from_numpy(canvas)[None].to(self.model.device)
        with torch.inference_mode():
            posterior = vae.encode(pixels, return_dict=False)[0]
            latent = posterior.mean
            if capture.sample_posterior:
                drawn = draw_noise(self.settings.seed, image_id, "posterior", latent.shape)
                latent = latent + posterior.std * drawn.to(latent.device)
            return (latent - (vae.config["shift_factor"] or 0.0)) * vae.config["scaling_factor"]


def _stack(maps: MapsByRun, keys: Sequence[MapKey], image_id: str) -> NDArray[np.float32]:
    """Maps of one size side by side: `[batch token map y x]` of cross-, `[batch map pixel pixel]` of self-attention."""
    each = [maps[key.step][key.layer] for key in keys]
    block = torch.stack(each, dim=each[0].ndim - 2)
    if not torch.isfinite(block).all():
        raise ModelError(
            f"image {image_id}: attention maps are not finite; the model overflows in this precision, "
            "use dtype bfloat16 or float32"
        )
    return block.cpu().numpy()
