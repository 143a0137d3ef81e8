"""Whether a Stable Diffusion pipeline can work, from its configurations and headers alone (no torch here)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from refdiff.diffusion.latent_size import cross_map_sides, latent_side, vae_reduction
from refdiff.diffusion.pipeline_kind import refuse_index, refuse_parts, refuse_scheduler
from refdiff.diffusion.pipeline_parts import INDEX, PIPELINE, SCHEDULER
from refdiff.errors import ModelError
from refdiff.model_files import ModelFacts, ModelFolder, open_folder
from refdiff.model_identity import convert_command


@dataclass(frozen=True, slots=True)
class PipelineFacts(ModelFacts):
    """What is known of a pipeline before it is loaded.

    Attributes:
        unet: The U-Net's configuration.
        vae: The VAE's configuration.
        train_timesteps: Timesteps that it was trained with.
    """

    unet: Mapping[str, Any]
    vae: Mapping[str, Any]
    train_timesteps: int

    @property
    def native_px(self) -> int | None:
        """Side of the photos that the model was trained on; None where its configuration does not say."""
        sample = self.unet.get("sample_size")
        side = max(sample) if isinstance(sample, list) else sample
        return side * vae_reduction(self.vae) if isinstance(side, int) else None

    def map_sides(self, canvas_px: int) -> dict[str, int]:
        """Side of each cross-attention layer's maps on a canvas, by the layer's dotted name, in running order.

        Raises:
            ParameterError: The canvas is not a multiple of the reduction.
        """
        return cross_map_sides(self.unet, latent_side(canvas_px, self.vae))

    def warn_of_canvas(self, canvas_px: int) -> str | None:
        """What to say of a canvas that is far from what the model was trained on; None where it is not."""
        native = self.native_px
        if native is None or native / 2 <= canvas_px <= native * 2:
            return None
        return (
            f"canvas_px {canvas_px} is far from the {native} px that model {self.name} was trained on, and its maps "
            f"may mean little; expected {-(-native // 2)} to {native * 2}"
        )


def inspect_pipeline(name: str, revision: str | None) -> PipelineFacts:
    """Read a pipeline's configurations and the headers of its weights.

    Args:
        name: A folder, or a hub id (`owner/name`) that was fetched before.
        revision: Branch, tag or commit of a hub id; None for the main branch, and for folders.

    Raises:
        ModelError: It is not on this machine or not whole, or of a kind that can never work.
        UnreadableError: A file of it cannot be read now.
    """
    folder = open_folder(name, revision, PIPELINE)
    if not (folder.path / INDEX).is_file():
        raise _no_index(folder)
    _refuse(name, refuse_index(folder.read_json(INDEX)))
    configs = [f"{part}/config.json" for part in PIPELINE.stems]
    tokenizer = ["tokenizer/tokenizer.json"]
    if not (folder.path / tokenizer[0]).is_file():
        tokenizer = ["tokenizer/vocab.json", "tokenizer/merges.txt"]
    weights = folder.find_weights([SCHEDULER, *configs, *tokenizer])
    unet, vae, text = map(folder.read_json, configs)
    scheduler = folder.read_json(SCHEDULER)
    _refuse(name, refuse_parts(unet, vae, text) or refuse_scheduler(scheduler))
    return PipelineFacts(name, folder.path, weights, unet, vae, scheduler["num_train_timesteps"])


def _refuse(name: str, reason: str | None) -> None:
    if reason:
        raise ModelError(f"model {name}: {reason}")


def _no_index(folder: ModelFolder) -> ModelError:
    what = f"model {folder.name}: {folder.path} has no {INDEX}; expected a diffusers pipeline"
    inside = sorted(path.parent for pattern in ("*", "snapshots/*") for path in folder.path.glob(f"{pattern}/{INDEX}"))
    if inside:
        return ModelError(f"{what}; {inside[0]} is one: name that")
    single = sorted(path for ending in ("safetensors", "ckpt") for path in folder.path.glob(f"*.{ending}"))
    if single:
        target = f"models/{single[0].stem}"
        command = convert_command(f"from_single_file({json.dumps(str(single[0]))})", target)
        return ModelError(f"{what}; make one of {single[0].name} with `{command}` and name {target}")
    return ModelError(f"{what}; {folder.advice}, or choose another model")
