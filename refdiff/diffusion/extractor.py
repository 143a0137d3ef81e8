"""Attention of photos and their sentences, in memory."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from refdiff.attention.maps import CrossMaps, SelfMaps
from refdiff.diffusion.autoencoder import encode_canvas, too_small_for
from refdiff.diffusion.batch_size import BatchSize
from refdiff.diffusion.canvas import fit_canvas
from refdiff.diffusion.denoise import PhotoRuns, open_runs
from refdiff.diffusion.model import load_model, prepare_unet
from refdiff.diffusion.noise import draw_noise
from refdiff.diffusion.photo_query import ImageMaps, PhotoQuery, stack_maps
from refdiff.diffusion.pipeline_files import identify_pipeline
from refdiff.diffusion.plan import CapturePlan, plan_capture
from refdiff.diffusion.prompts import count_tokens, encode_all_prompts, encode_prompts
from refdiff.diffusion.settings import CaptureSettings, ExtractionSettings, posterior_seed
from refdiff.errors import TextError
from refdiff.model_identity import ModelIdentity


@dataclass(frozen=True, slots=True)
class _Prompt:
    """A sentence on its way through the U-Net: the place of its photo, its prompt and its number of tokens."""

    photo: int
    text: str
    tokens: int


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
        prepare_unet(self.model, settings.compile)
        self._plans: dict[CaptureSettings, tuple[CapturePlan, BatchSize]] = {}

    def count_tokens(self, sentence: str) -> int:
        """Tokens of a sentence in its prompt, without start and end, after truncation."""
        return count_tokens(self.model, sentence)

    def batch_size(self, capture: CaptureSettings) -> int:
        """Sentences of the next batch of a capture."""
        return self._prepare(capture)[1].sentences

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
        return self.capture_photos([self.make_query(photo, image_id, sentences, capture, with_self)], capture)[0]

    def make_query(
        self,
        photo: NDArray[np.uint8],
        image_id: str,
        sentences: Sequence[str],
        capture: CaptureSettings,
        with_self: bool,
    ) -> PhotoQuery:
        """What `capture_image` asks, with the photo's latent computed."""
        return PhotoQuery(image_id, self.encode_photo(photo, image_id, capture), sentences, with_self)

    def capture_photos(self, queries: Sequence[PhotoQuery], capture: CaptureSettings) -> list[ImageMaps]:
        """As `capture_image`, of several photos, whose sentences share batches; in the order of the queries.

        Raises:
            ParameterError: The capture does not fit the model.
            TextError: A sentence has no tokens.
            ModelError: The device's memory is too small, or a map is not finite.
        """
        plan, _ = self._prepare(capture)
        prompts = self._make_prompts(queries, capture)
        if not queries:
            return []
        try:
            with torch.inference_mode(), self._open(queries, prompts, plan, capture) as runs:
                cross = self._read_all(runs, queries, prompts, capture)
                own = [self._read_self(runs, photo, query, plan) for photo, query in enumerate(queries)]
        except torch.OutOfMemoryError as error:
            raise too_small_for(queries[0].image_id) from error
        return [ImageMaps(mine, self_maps) for mine, self_maps in zip(cross, own, strict=True)]

    def _open(
        self, queries: Sequence[PhotoQuery], prompts: Sequence[_Prompt], plan: CapturePlan, capture: CaptureSettings
    ) -> AbstractContextManager[PhotoRuns]:
        """The U-Net made ready for the photos' latents and noise."""
        latents = torch.cat([query.latent.to(self.model.device) for query in queries])
        seed, shape = self.settings.seed, latents.shape[1:]
        noise = torch.stack([draw_noise(seed, query.image_id, "diffusion", shape) for query in queries])
        unconditional = encode_prompts(self.model, [capture.negative_prompt])
        tokens = max((prompt.tokens for prompt in prompts), default=0)
        return open_runs(self.model, plan, capture, latents, noise.to(latents.device), unconditional, tokens)

    def _prepare(self, capture: CaptureSettings) -> tuple[CapturePlan, BatchSize]:
        if capture not in self._plans:
            plan = plan_capture(self.model.identity, capture)
            size = BatchSize(self.settings.batch_sentences, plan.latent_px, self.model.device)
            self._plans[capture] = plan, size
        return self._plans[capture]

    def _make_prompts(self, queries: Sequence[PhotoQuery], capture: CaptureSettings) -> list[_Prompt]:
        prompts: list[_Prompt] = []
        for photo, query in enumerate(queries):
            for sentence in query.sentences:
                tokens = self.count_tokens(sentence)
                if not tokens:
                    raise TextError(
                        f"image {query.image_id}: sentence {sentence!r} has no words; remove it from the dataset"
                    )
                prompts.append(_Prompt(photo, sentence + capture.prompt_suffix, tokens))
        return prompts

    def _read_all(
        self, runs: PhotoRuns, queries: Sequence[PhotoQuery], prompts: Sequence[_Prompt], capture: CaptureSettings
    ) -> list[list[CrossMaps]]:
        """Cross-attention of all sentences, by photo."""
        plan, size = self._prepare(capture)
        texts, place_of = np.unique([prompt.text for prompt in prompts], return_inverse=True)
        states = encode_all_prompts(self.model, texts.tolist())
        cross: list[list[CrossMaps]] = [[] for _ in queries]
        start = 0
        while start < len(prompts):
            batch = prompts[start : start + size.sentences]
            conditional = states[place_of[start : start + len(batch)]]
            size.start_batch()
            try:
                maps = runs.read_sentences(conditional, [prompt.photo for prompt in batch])
            except torch.OutOfMemoryError:
                maps = None
            if maps is None:  # out of the except clause, where the failed pass has let go of its tensors
                size.halve(len(batch))
                continue
            size.end_batch(len(batch))
            rows = [
                f"image {queries[prompt.photo].image_id}, sentence {prompt.text.removesuffix(capture.prompt_suffix)!r}"
                for prompt in batch
            ]
            dtype = self.model.dtype
            blocks = {map_size: stack_maps(maps, keys, rows, dtype) for map_size, keys in plan.cross_keys.items()}
            for row, prompt in enumerate(batch):
                mine = {map_size: block[row, : prompt.tokens] for map_size, block in blocks.items()}
                cross[prompt.photo].append(CrossMaps(plan.cross_keys, mine))
            start += len(batch)
        return cross

    def _read_self(self, runs: PhotoRuns, photo: int, query: PhotoQuery, plan: CapturePlan) -> SelfMaps | None:
        if not (query.with_self and plan.self_keys):
            return None
        maps = runs.read_self_attention(photo)
        rows, dtype = [f"image {query.image_id}"], self.model.dtype
        blocks = {size: stack_maps(maps, keys, rows, dtype)[0] for size, keys in plan.self_keys.items()}
        return SelfMaps(plan.self_keys, blocks)

    def encode_photo(self, photo: NDArray[np.uint8], image_id: str, capture: CaptureSettings) -> torch.Tensor:
        """The photo's latent, float32 `[1 channel y x]`, scaled as the U-Net expects.

        Args:
            photo: RGB uint8 `[H W 3]`.
            image_id: Seeds the draw from the posterior.
            capture: Its canvas, and whether the posterior is drawn from.

        Raises:
            ParameterError: The canvas does not fit the model.
            ModelError: The device's memory is too small.
        """
        self._prepare(capture)  # a canvas that does not fit the model is refused before a photo is put on it
        canvas = fit_canvas(photo, capture.canvas_px, capture.canvas_mode)
        return encode_canvas(self.model.vae, canvas, image_id, posterior_seed(capture, self.settings))
