"""The U-Net's attention layers: their names, running order and map sizes, found without weights or computing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from diffusers.models.attention_processor import Attention
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from refdiff.attention.maps import MapKey
from refdiff.diffusion.settings import CaptureSettings, LayersBySize
from refdiff.errors import ModelError, ParameterError

Kind = Literal["cross", "self"]


@dataclass(frozen=True, slots=True)
class AttentionLayer:
    """One attention layer of a U-Net at a given latent size.

    Attributes:
        name: The model's own dotted name, e.g. `down_blocks.0.attentions.0.transformer_blocks.0.attn2`.
        kind: Over the prompt (cross) or over the latent itself (self).
        order: Position in the running order among the layers of its kind.
        side: Rows, and columns, of its map.
    """

    name: str
    kind: Kind
    order: int
    side: int


def trace_layers(unet_config: Mapping[str, Any], latent_px: int) -> tuple[AttentionLayer, ...]:
    """Every attention layer, in the order in which the U-Net runs them.

    Runs the architecture on torch's meta device: no weights, no arithmetic.

    Args:
        unet_config: The U-Net's configuration.
        latent_px: Side of the latent.

    Raises:
        ModelError: The architecture cannot be built or run from it.
    """
    found: list[AttentionLayer] = []
    unet = build_on_meta(unet_config)
    for name, module in unet.named_modules():
        if isinstance(module, Attention):
            module.register_forward_pre_hook(_note(name, found), with_kwargs=True)
    run_on_meta(unet, latent_px, rows=1, text_gradients=False)
    return tuple(found)


def build_on_meta(unet_config: Mapping[str, Any]) -> Any:
    """The architecture on torch's meta device: shapes alone, no weights and no arithmetic.

    Raises:
        ModelError: It cannot be built from its configuration.
    """
    try:
        with torch.device("meta"):
            unet: Any = UNet2DConditionModel.from_config(dict(unet_config))
        return unet.requires_grad_(False).eval()
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        raise _describe("U-Net", "built", error) from error


def run_on_meta(unet: Any, latent_px: int, rows: int, text_gradients: bool) -> None:
    """Run what `build_on_meta` gave, for its hooks.

    Args:
        unet: The architecture.
        latent_px: Side of the latent.
        rows: Of the batch.
        text_gradients: Whether what depends on the text is to require gradients.

    Raises:
        ModelError: It cannot be run.
    """
    try:
        with torch.device("meta"), torch.set_grad_enabled(text_gradients):
            latent = torch.zeros(rows, unet.config["in_channels"], latent_px, latent_px)
            text = torch.zeros(rows, 1, unet.config["cross_attention_dim"], requires_grad=text_gradients)
            unet(latent, torch.zeros((), dtype=torch.long), encoder_hidden_states=text)
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        raise _describe(f"U-Net of a {latent_px} x {latent_px} latent", "run", error) from error


def choose_cross_layers(layers: Sequence[AttentionLayer], capture: CaptureSettings) -> tuple[AttentionLayer, ...]:
    """The cross-attention layers that a capture keeps, in running order.

    Raises:
        ParameterError: A name or size is not the model's; the message lists those that are.
    """
    there = [layer for layer in layers if layer.kind == "cross"]
    wanted = capture.cross_layers
    if wanted == "all":
        return tuple(there)
    if isinstance(wanted, LayersBySize):
        sides = sorted({layer.side for layer in there})
        missing = sorted(set(wanted.map_px) - set(sides))
        if missing:
            raise ParameterError(
                f"cross_layers.map_px: no layer has maps of side {missing[0]} at canvas_px {capture.canvas_px}; "
                f"expected some of: {', '.join(map(str, sides))}"
            )
        return tuple(layer for layer in there if layer.side in wanted.map_px)
    return _by_name(there, wanted, "cross_layers")


def choose_self_layers(layers: Sequence[AttentionLayer], capture: CaptureSettings) -> tuple[AttentionLayer, ...]:
    """The self-attention layers that a capture keeps, in running order.

    Raises:
        ParameterError: A name is not the model's; the message lists those that are.
    """
    there = [layer for layer in layers if layer.kind == "self"]
    return _by_name(there, capture.self_layers, "self_layers")


def map_keys(layers: Sequence[AttentionLayer], runs: int) -> dict[tuple[int, int], tuple[MapKey, ...]]:
    """Keys of the maps that `runs` U-Net runs leave, by size, by step and then by running order."""
    keys: dict[tuple[int, int], list[MapKey]] = {}
    for step in range(runs):
        for layer in layers:
            key = MapKey(step, layer.order, layer.name, layer.side, layer.side)
            keys.setdefault((layer.side, layer.side), []).append(key)
    return {size: tuple(group) for size, group in keys.items()}


def _describe(what: str, verb: str, error: Exception) -> ModelError:
    reason = " ".join(str(error).split())[:300]
    return ModelError(
        f"{what}: cannot be {verb} ({reason}); expected a diffusers UNet2DConditionModel that takes text; "
        "choose another model or canvas_px"
    )


def _note(name: str, found: list[AttentionLayer]) -> Any:
    def note(_module: Attention, args: tuple, kwargs: dict[str, Any]) -> None:
        hidden = args[0] if args else kwargs["hidden_states"]
        kind: Kind = "self" if kwargs.get("encoder_hidden_states") is None else "cross"
        side = round(hidden.shape[1] ** 0.5)
        order = sum(layer.kind == kind for layer in found)
        found.append(AttentionLayer(name, kind, order, side))

    return note


def _by_name(there: Sequence[AttentionLayer], wanted: Sequence[str], parameter: str) -> tuple[AttentionLayer, ...]:
    names = [layer.name for layer in there]
    missing = [name for name in wanted if name not in names]
    if missing:
        raise ParameterError(
            f"{parameter}: no layer {missing[0]!r} in this model; expected some of: {', '.join(names)}"
        )
    return tuple(layer for layer in there if layer.name in wanted)
