"""What a capture will run and keep with a given model, known from configurations alone, before any weight is loaded."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from refdiff.attention.maps import MapKey
from refdiff.diffusion.latent_size import latent_side
from refdiff.diffusion.layers import (
    AttentionLayer,
    choose_cross_layers,
    choose_self_layers,
    map_keys,
    trace_layers,
)
from refdiff.diffusion.pipeline_files import read_config
from refdiff.diffusion.pipeline_parts import SCHEDULER
from refdiff.diffusion.row_sharing import find_text_free
from refdiff.diffusion.schedule import Run, plan_runs
from refdiff.diffusion.settings import CaptureSettings
from refdiff.model_identity import ModelIdentity


@dataclass(frozen=True, slots=True)
class CapturePlan:
    """A capture with a model.

    Attributes:
        runs: U-Net runs, in order.
        cross: Cross-attention layers that are kept, in running order.
        self_attention: Self-attention layers that are kept.
        cross_keys: For each map size, the kept maps: by run, then by running order.
        self_keys: The same of self-attention.
        text_free: Modules of the U-Net that run before the text comes in.
        latent_px: Side of the latent.
    """

    runs: tuple[Run, ...]
    cross: tuple[AttentionLayer, ...]
    self_attention: tuple[AttentionLayer, ...]
    cross_keys: Mapping[tuple[int, int], tuple[MapKey, ...]]
    self_keys: Mapping[tuple[int, int], tuple[MapKey, ...]]
    text_free: tuple[str, ...]
    latent_px: int


def plan_capture(identity: ModelIdentity, capture: CaptureSettings) -> CapturePlan:
    """Work out a capture.

    Raises:
        ModelError: A configuration is missing, or the architecture is not handled.
        ParameterError: The capture asks for a canvas, timestep or layer that the model does not have.
    """
    train_timesteps = read_config(identity, SCHEDULER)["num_train_timesteps"]
    side = latent_side(capture.canvas_px, read_config(identity, "vae/config.json"))
    runs = plan_runs(capture.schedule, train_timesteps)
    layers, text_free = _inspect(json.dumps(read_config(identity, "unet/config.json")), side)
    cross, own = choose_cross_layers(layers, capture), choose_self_layers(layers, capture)
    return CapturePlan(runs, cross, own, map_keys(cross, len(runs)), map_keys(own, len(runs)), text_free, side)


@cache
def _inspect(architecture: str, side: int) -> tuple[tuple[AttentionLayer, ...], tuple[str, ...]]:
    """Attention layers and text-free modules of a U-Net's configuration; a second or so for each one that is new."""
    config = json.loads(architecture)
    return trace_layers(config, side), find_text_free(config, side)
