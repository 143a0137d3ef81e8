"""Whether a Stable Diffusion pipeline can work, from its configurations and headers alone (no torch here)."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refdiff.diffusion.latent_size import cross_map_sides, latent_side, vae_reduction
from refdiff.diffusion.pipeline_kind import check_index, check_parts, check_scheduler
from refdiff.diffusion.pipeline_parts import INDEX, NEEDED_FILES, SCHEDULER, PipelineFolder
from refdiff.errors import ModelError
from refdiff.model_identity import convert_command, find_model
from refdiff.safetensors_header import read_header

# The last is of positions, which old files hold as numbers and no model reads.
_FLOATS = ("F64", "F32", "F16", "BF16")
POSITIONS = "position_ids"
_PREFIX = "text_model."
"""Names of a text encoder's weights have it or not: the library takes both, and of two the last."""


@dataclass(frozen=True, slots=True)
class PipelineFacts:
    """What is known of a pipeline before it is loaded.

    Attributes:
        name: As params.yaml has it.
        folder: Where it is.
        files: The weights that are read.
        bytes: Their size.
        reduction: Canvas pixels per latent pixel, along a side.
        native_px: Side of the photos that the model was trained on; None where its configuration does not say.
        unet: The U-Net's configuration.
        vae: The VAE's configuration.
    """

    name: str
    folder: Path
    files: tuple[Path, ...]
    bytes: int
    reduction: int
    native_px: int | None
    unet: Mapping[str, Any]
    vae: Mapping[str, Any]

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
    folder = PipelineFolder(name, revision, find_model(name, revision, NEEDED_FILES))
    if not (folder.path / INDEX).is_file():
        raise _no_index(folder)
    check_index(name, folder.read_json(INDEX))
    weights = folder.find_weights()
    unet, vae, text = (folder.read_json(f"{part}/config.json") for part in ("unet", "vae", "text_encoder"))
    check_parts(name, unet, vae, text)
    check_scheduler(name, folder.read_json(SCHEDULER))
    for part, files in weights.items():
        names = {key for file in files for key in _check_header(folder, part, file)}
        twice = sorted(key for key in names if f"{_PREFIX}{key}" in names)
        if twice:
            raise ModelError(
                f"model {name}: its {part} has {len(twice)} weights twice, with and without the prefix {_PREFIX} "
                f"({', '.join(twice[:3])} ...); expected each once, as they may differ; get a whole model, or choose "
                "another"
            )
    files = tuple(file for each in weights.values() for file in each)
    reduction, sample = vae_reduction(vae), unet.get("sample_size")
    native = max(sample) if isinstance(sample, list) else sample
    return PipelineFacts(
        name,
        folder.path,
        files,
        sum(file.stat().st_size for file in files),
        reduction,
        native * reduction if isinstance(native, int) else None,
        unet,
        vae,
    )


def _check_header(folder: PipelineFolder, part: str, file: Path) -> Iterable[str]:
    """The names of a file's weights, whose types can be read."""
    try:
        header = read_header(file)
    except ModelError as error:
        raise ModelError(f"model {folder.name}: its {part} cannot be loaded: {error}; {folder.advice}") from error
    others = {dtype for key, (dtype, _) in header.items() if dtype not in _FLOATS and not key.endswith(POSITIONS)}
    if others:
        raise ModelError(
            f"model {folder.name}: {file} holds numbers of type {min(others)}; expected {', '.join(_FLOATS)} (no "
            "quantized weights); choose other files of the model"
        )
    return header


def _no_index(folder: PipelineFolder) -> ModelError:
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
