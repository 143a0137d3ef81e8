"""Parameters of extract_attention: the rows of `captures` and the section of the stage (no torch here)."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from refdiff.geometry import CanvasMode
from refdiff.params import Device, Section

Quantity = Literal["probabilities", "logits"]
Dtype = Literal["float32", "float16", "bfloat16"]
Timestep = Annotated[int, Field(ge=0)]
LayerName = Annotated[str, Field(min_length=1)]


class SingleSchedule(Section):
    """The image is noised at each timestep, and the U-Net runs there once; nothing is denoised.

    Attributes:
        kind: `single`.
        timesteps: Training timesteps, run in this order.
    """

    kind: Literal["single"]
    timesteps: Annotated[tuple[Timestep, ...], Field(min_length=1)]

    @field_validator("timesteps")
    @classmethod
    def _refuse_repeats(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) != len(value):
            raise ValueError("a timestep is given twice; give each once")
        return value

    @property
    def runs(self) -> int:
        """U-Net runs."""
        return len(self.timesteps)


class Img2ImgSchedule(Section):
    """The image is noised part of the way and denoised by DDIM (eta 0).

    Attributes:
        kind: `img2img`.
        steps: Steps of the whole DDIM schedule.
        strength: Share of them that is run; at least one step.
    """

    kind: Literal["img2img"]
    steps: Annotated[int, Field(ge=1, le=1000)]
    strength: Annotated[float, Field(gt=0, le=1)]

    @model_validator(mode="after")
    def _refuse_nothing_to_run(self) -> "Img2ImgSchedule":
        if self.runs < 1:
            raise ValueError(
                f"strength {self.strength} of {self.steps} steps runs none; expected steps x strength of 1 or more"
            )
        return self

    @property
    def runs(self) -> int:
        """U-Net runs: steps x strength, rounded down."""
        return int(self.steps * self.strength + 1e-9)


class LayersBySize(Section):
    """Layers picked by the side of their maps, in map cells."""

    map_px: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]


class CaptureSettings(Section):
    """One row of params.yaml's `captures`: what the U-Net is asked, and what of its attention is kept.

    Attributes:
        schedule: Where noise is added and the U-Net runs.
        guidance: Classifier-free guidance scale g, of the denoising and of guided maps; 1 runs the conditional pass
            only.
        quantity: Head mean of the softmax over all prompt tokens, or of the logits before it.
        guided_maps: Keep uncond + g (cond - uncond) instead of the conditional map.
        canvas_px: Side of the square canvas, a multiple of the VAE's reduction.
        canvas_mode: Black borders (letterbox) or stretched (resize).
        prompt_suffix: Put behind each sentence.
        negative_prompt: Prompt of the unconditional pass.
        sample_posterior: Draw the latent from the VAE's posterior instead of taking its mean.
        cross_layers: Cross-attention layers kept: all, dotted names, or those whose maps have one of these sides.
        self_layers: Dotted names of self-attention layers kept, once per image, from the denoising of the
            negative prompt alone.

    Source: docs/method.md, "Canvas", "Noise" and "Cross-attention".
    """

    schedule: Annotated[SingleSchedule | Img2ImgSchedule, Field(discriminator="kind")]
    guidance: Annotated[float, Field(ge=0, le=100)]
    quantity: Quantity
    guided_maps: bool
    canvas_px: Annotated[int, Field(ge=8, le=4096)]
    canvas_mode: CanvasMode
    prompt_suffix: str
    negative_prompt: str
    sample_posterior: bool
    cross_layers: Literal["all"] | Annotated[tuple[LayerName, ...], Field(min_length=1)] | LayersBySize
    self_layers: tuple[LayerName, ...]

    @field_validator("cross_layers", "self_layers")
    @classmethod
    def _refuse_repeats(cls, value: object) -> object:
        if isinstance(value, tuple) and len(set(value)) != len(value):
            raise ValueError("a layer is given twice; give each once")
        return value


class StoreSettings(Section):
    """How the store is cut into files.

    Attributes:
        shard_expressions: Expressions in one shard: one file per map size, written whole.
        chunk_expressions: Expressions in one inner chunk, the least that is read at a time; divides a shard.
        chunk_tokens: Tokens in one inner chunk.
        compression_level: Of zstd; null stores the values as they are, each chunk with a crc32c, which is read fastest.
    """

    shard_expressions: Annotated[int, Field(ge=1)]
    chunk_expressions: Annotated[int, Field(ge=1)]
    chunk_tokens: Annotated[int, Field(ge=1)]
    compression_level: Annotated[int, Field(ge=-7, le=19)] | None

    @model_validator(mode="after")
    def _refuse_cut_chunks(self) -> "StoreSettings":
        if self.shard_expressions % self.chunk_expressions:
            raise ValueError(
                f"shard_expressions {self.shard_expressions} is not a multiple of "
                f"chunk_expressions {self.chunk_expressions}"
            )
        return self


class ExtractionSettings(Section):
    """What it takes to run the U-Net in memory.

    Attributes:
        model: Hub id or folder of a diffusers Stable Diffusion pipeline.
        revision: Branch, tag or commit of a hub id; null for main and for folders.
        device: `auto` takes an accelerator when there is one.
        dtype: Precision of U-Net and text encoder; the VAE and the stored maps are computed in float32.
        batch_sentences: Sentences in one batch, of one image or of several; with guidance a U-Net pass has up to
            twice as many rows. `auto` finds it from the device's memory, and goes on with half where that fails.
        compile: Compile parts of the U-Net with `torch.compile`: minutes at the start, faster passes.
        seed: Of the noise, together with the image id.
    """

    model: Annotated[str, Field(min_length=1)]
    revision: Annotated[str, Field(min_length=1)] | None
    device: Device
    dtype: Dtype
    batch_sentences: Literal["auto"] | Annotated[int, Field(ge=1)]
    compile: bool
    seed: Annotated[int, Field(ge=0)]


class ExtractAttentionSettings(ExtractionSettings):
    """The section `extract_attention` of params.yaml.

    Attributes:
        keep_latents: Keep the photos' latents for other splits, captures and runs, 4 x (canvas_px / 8)^2 x 4 bytes
            each; a run that does not keep them does not look for them either.
        store: How the result is cut into files.
    """

    keep_latents: bool
    store: StoreSettings


def posterior_seed(capture: CaptureSettings, settings: ExtractionSettings) -> int | None:
    """What the draw from the VAE's posterior is seeded with, beside the image id; None where its mean is taken."""
    return settings.seed if capture.sample_posterior else None
