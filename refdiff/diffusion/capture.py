"""Reading attention while the U-Net runs: processors on the wanted layers only, fused attention everywhere.

A reading layer computes its output exactly as diffusers' own processor does, by fused attention, so that the U-Net's
output has the same bits with reading on or off; the map is a separate product of the same queries and keys.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from refdiff.diffusion.layers import AttentionLayer
from refdiff.diffusion.settings import Quantity
from refdiff.errors import ModelError

# Values of a self-attention map that are held at a time beside the map itself.
_CHUNK_VALUES = 1 << 24


class PassEnded(Exception):  # noqa: N818 - not an error: nothing more of the pass is wanted
    """The last layer that is read has been read; whoever runs the U-Net catches it (see `expect`)."""


class AttentionReader:
    """What the next U-Net pass is to leave behind, and what it left.

    Attributes:
        tokens: Cross-attention maps kept, from the first token after the start token on; 0 keeps none.
        rows: Rows of the batch whose cross-attention is kept, from the first on.
        read_self: Whether self-attention is kept.
        ends_at: Name of the layer that ends the pass; None: it runs to its prediction.
        cross: By layer name, float32 `[row token height width]` of the last pass.
        self_attention: By layer name, float32 `[row pixel pixel]` of the last pass.
    """

    def __init__(self, cross: Sequence[AttentionLayer], self_attention: Sequence[AttentionLayer]) -> None:
        """Layers that are read, in running order."""
        self._last_cross = cross[-1].name if cross else None
        self._last_self = self_attention[-1].name if self_attention else None
        self.expect(0, 0, read_self=False, to_the_end=True)

    def expect(self, tokens: int, rows: int, read_self: bool, to_the_end: bool) -> None:
        """Forget the last pass, and say what to keep of the next one.

        Args:
            tokens: See the attributes.
            rows: See the attributes.
            read_self: See the attributes; not together with tokens.
            to_the_end: Whether the U-Net's prediction is wanted too. If not, the pass raises `PassEnded` when the last
                layer that is read has its queries and keys.
        """
        assert not (tokens and read_self)
        self.tokens, self.rows, self.read_self = tokens, rows, read_self
        self.ends_at = None if to_the_end else self._last_self if read_self else self._last_cross
        self.cross: dict[str, torch.Tensor] = {}
        self.self_attention: dict[str, torch.Tensor] = {}


@contextmanager
def read_attention(
    unet: UNet2DConditionModel,
    cross: Sequence[AttentionLayer],
    self_attention: Sequence[AttentionLayer],
    quantity: Quantity,
) -> Iterator[AttentionReader]:
    """Put reading processors on some layers; the U-Net gets its own processors back at the end, also on errors.

    Args:
        unet: The U-Net.
        cross: Cross-attention layers to read.
        self_attention: Self-attention layers to read.
        quantity: What a cross-attention map holds. Self-attention maps hold probabilities.

    Raises:
        ModelError: A layer does more than plain scaled dot-product attention.
    """
    modules = dict(unet.named_modules())
    reader = AttentionReader(cross, self_attention)
    replaced: list[tuple[Attention, Any]] = []
    try:
        for layer in (*cross, *self_attention):
            module = modules[layer.name]
            _refuse_unusual(layer.name, module)
            assert isinstance(module, Attention)
            replaced.append((module, module.get_processor()))
            processor: Any = (
                _CrossProcessor(reader, layer.name, quantity)
                if layer.kind == "cross"
                else _SelfProcessor(reader, layer.name)
            )
            module.set_processor(processor)
        yield reader
    finally:
        for module, processor in replaced:
            module.set_processor(processor)
        reader.expect(0, 0, read_self=False, to_the_end=True)


def mean_logits(query: torch.Tensor, key: torch.Tensor, heads: int, scale: float) -> torch.Tensor:
    """Head mean of q k / sqrt(d): one product, since the heads lie side by side in the channels.

    Args:
        query: `[batch pixel channel]`, all heads.
        key: `[batch token channel]`, all heads.
        heads: Number of heads.
        scale: 1 / sqrt(channels of a head).

    Returns:
        float32 `[batch token pixel]`.

    Source: docs/method.md, "Cross-attention": released code, before the softmax.
    """
    return (key.float() * (scale / heads)) @ query.float().transpose(1, 2)


def mean_probabilities(query: torch.Tensor, key: torch.Tensor, heads: int, scale: float, tokens: int) -> torch.Tensor:
    """Head mean of the softmax over all keys; some keys of it.

    Args:
        query: `[batch pixel channel]`, all heads.
        key: `[batch token channel]`, all heads and every token of the prompt.
        heads: Number of heads.
        scale: 1 / sqrt(channels of a head).
        tokens: Kept tokens, from the second on (the first is the start token).

    Returns:
        float32 `[batch tokens pixel]`.

    Source: docs/method.md, "Cross-attention": paper.
    """
    batch, pixels, _ = query.shape
    total = query.new_zeros(batch, tokens, pixels, dtype=torch.float32)
    # Head by head: a large map of all heads and tokens at once would be the largest tensor of the run.
    for q, k in zip(query.float().chunk(heads, dim=2), key.float().chunk(heads, dim=2), strict=True):
        probabilities = torch.softmax((k * scale) @ q.transpose(1, 2), dim=1)
        total += probabilities[:, 1 : 1 + tokens]
    return total / heads


def mean_self_probabilities(query: torch.Tensor, key: torch.Tensor, heads: int, scale: float) -> torch.Tensor:
    """Head mean of the softmax of self-attention; beside the result, little memory.

    Args:
        query: `[batch pixel channel]`, all heads.
        key: The same shape.
        heads: Number of heads.
        scale: 1 / sqrt(channels of a head).

    Returns:
        float32 `[batch pixel pixel]`; row i is where pixel i looks.
    """
    batch, pixels, _ = query.shape
    total = query.new_zeros(batch, pixels, pixels, dtype=torch.float32)
    step = max(1, _CHUNK_VALUES // (batch * pixels))
    for q, k in zip(query.float().chunk(heads, 2), key.float().chunk(heads, 2), strict=True):
        for start in range(0, pixels, step):
            some = slice(start, start + step)
            total[:, some] += torch.softmax((q[:, some] * scale) @ k.transpose(1, 2), dim=2)
    return total / heads


class _Processor(ABC):
    """diffusers' fused attention of a transformer block, with a place to read queries and keys."""

    def __init__(self, reader: AttentionReader, name: str) -> None:
        self.reader = reader
        self.name = name

    def __call__(
        self,
        attn: Attention,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        temb: torch.Tensor | None = None,
    ) -> torch.Tensor:
        if attention_mask is not None or temb is not None:
            raise ModelError(f"layer {self.name}: has an attention mask or a time embedding, which is not handled")
        assert attn.to_k is not None
        assert attn.to_v is not None
        assert attn.to_out is not None
        text = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key = attn.to_q(hidden_states), attn.to_k(text)
        self.read(attn, query, key)
        if self.reader.ends_at == self.name:
            raise PassEnded
        value = attn.to_v(text)
        batch, pixels, channels = query.shape
        shape = (batch, -1, attn.heads, channels // attn.heads)
        # The same calls on the same layouts as diffusers' AttnProcessor2_0: the same bits.
        mixed = F.scaled_dot_product_attention(
            query.view(shape).transpose(1, 2), key.view(shape).transpose(1, 2), value.view(shape).transpose(1, 2)
        )
        mixed = mixed.transpose(1, 2).reshape(batch, pixels, channels)
        output = attn.to_out[1](attn.to_out[0](mixed))
        return output / attn.rescale_output_factor

    @abstractmethod
    def read(self, attn: Attention, query: torch.Tensor, key: torch.Tensor) -> None:
        """Leave a layer's map with the reader."""


class _CrossProcessor(_Processor):
    def __init__(self, reader: AttentionReader, name: str, quantity: Quantity) -> None:
        super().__init__(reader, name)
        self.quantity = quantity

    def read(self, attn: Attention, query: torch.Tensor, key: torch.Tensor) -> None:
        tokens, rows = self.reader.tokens, self.reader.rows
        if not tokens:
            return
        query, key = query[:rows], key[:rows]
        if self.quantity == "logits":
            maps = mean_logits(query, key[:, 1 : 1 + tokens], attn.heads, attn.scale)
        else:
            maps = mean_probabilities(query, key, attn.heads, attn.scale, tokens)
        side = round(maps.shape[2] ** 0.5)
        self.reader.cross[self.name] = maps.view(len(maps), tokens, side, side)


class _SelfProcessor(_Processor):
    def read(self, attn: Attention, query: torch.Tensor, key: torch.Tensor) -> None:
        if not self.reader.read_self:
            return
        self.reader.self_attention[self.name] = mean_self_probabilities(query, key, attn.heads, attn.scale)


def _refuse_unusual(name: str, module: torch.nn.Module) -> None:
    """Refuse a layer whose arithmetic `_Processor` does not repeat."""
    if not isinstance(module, Attention):
        raise ModelError(f"layer {name}: expected diffusers' Attention, got {type(module).__name__}")
    head_channels = module.to_q.out_features // module.heads
    if abs(module.scale - head_channels**-0.5) > 1e-6:
        raise ModelError(
            f"layer {name}: expected the scale {head_channels**-0.5:.6f} of fused attention, got {module.scale:.6f}"
        )
    extras = ("group_norm", "spatial_norm", "norm_cross", "norm_q", "norm_k", "add_k_proj")
    unusual = [extra for extra in extras if getattr(module, extra, None) is not None and getattr(module, extra)]
    if unusual or module.residual_connection:
        raise ModelError(
            f"layer {name}: has {', '.join(unusual) or 'a residual connection'}, which reading does not repeat; "
            "choose other layers"
        )
