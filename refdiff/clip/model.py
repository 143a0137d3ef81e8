"""Loading an open_clip model from this machine: never from the network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import open_clip
import torch
from torch import Tensor

from refdiff.clip.checkpoint import identify_checkpoint
from refdiff.clip.inspection import inspect_clip
from refdiff.clip.tower import VitTower
from refdiff.device import check_precision, choose_device
from refdiff.errors import ModelError
from refdiff.loaded_weights import check_weights, loading_quietly
from refdiff.model_identity import ModelIdentity
from refdiff.paths import expand, expand_clip


@dataclass(frozen=True, slots=True)
class ClipModel:
    """A loaded model.

    Attributes:
        identity: Which checkpoint it is.
        network: The open_clip model, in evaluation mode, on `device`.
        tower: Its image tower.
        tokenize: Texts to token ids `[n context]`, cut to the model's context with the end token kept.
        mean: Pixel mean per channel, RGB in [0, 1].
        std: Pixel standard deviation per channel.
        device: Where it runs.
        dtype: Its precision.
    """

    identity: ModelIdentity
    network: Any
    tower: VitTower
    tokenize: Callable[[list[str]], Tensor]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    device: torch.device
    dtype: torch.dtype


def load_clip(name: str, pretrained: str | None, device: str, dtype: str) -> ClipModel:
    """Load a model that is on this machine.

    Args:
        name: open_clip model name, `hf-hub:owner/name`, or `local-dir:folder`.
        pretrained: A tag or a weights file for a plain name; None for the others.
        device: `auto`, `cpu`, `cuda` or `cuda:<n>`.
        dtype: `float32`, `float16` or `bfloat16`.

    Raises:
        ParameterError: The device cannot compute in this precision.
        ModelError: As `inspect_clip`; or the weights do not fit the configuration or are not finite, or there is no
            such device.
    """
    target = choose_device(device)
    check_precision(target, dtype, "embed_clip.dtype")
    where = inspect_clip(name, pretrained).name
    identity = identify_checkpoint(name, pretrained)
    known = expand_clip(name)
    weights = str(expand(pretrained)) if pretrained is not None and expand(pretrained).is_file() else pretrained
    with loading_quietly():
        try:
            network: Any = open_clip.create_model(known, pretrained=weights, require_pretrained=True)
            tokenizer = open_clip.get_tokenizer(known)
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            raise ModelError(
                f"{where}: cannot be loaded ({reason}); expected weights that fit the model's configuration"
            ) from error
    network = network.eval().requires_grad_(False)
    tower = VitTower(network.visual, where)
    preprocessing = network.visual.preprocess_cfg
    precision: torch.dtype = getattr(torch, dtype)
    network.to(device=target, dtype=precision)
    check_weights(network, where)
    return ClipModel(
        identity=identity,
        network=network,
        tower=tower,
        tokenize=tokenizer,
        mean=tuple(preprocessing["mean"]),
        std=tuple(preprocessing["std"]),
        device=target,
        dtype=precision,
    )
