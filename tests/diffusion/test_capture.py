"""Reading attention: the U-Net's output keeps its bits, and maps are what the formulas say."""

from collections.abc import Callable

import pytest
import torch
from diffusers.models.attention_processor import Attention

from refdiff.diffusion.capture import read_attention
from refdiff.diffusion.extractor import AttentionExtractor
from refdiff.diffusion.layers import AttentionLayer, trace_layers
from refdiff.errors import ModelError

Run = Callable[[], torch.Tensor]


class WrittenOut:
    """Attention as a textbook writes it, every matrix in full: the reference of these tests."""

    def __init__(self, found: dict, name: str) -> None:
        self.found, self.name = found, name

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None):
        assert attention_mask is None
        text = hidden_states if encoder_hidden_states is None else encoder_hidden_states

        def split(x: torch.Tensor) -> torch.Tensor:
            return x.unflatten(2, (attn.heads, -1)).permute(0, 2, 1, 3)

        q, k, v = split(attn.to_q(hidden_states)), split(attn.to_k(text)), split(attn.to_v(text))
        logits = torch.einsum("bhpc,bhtc->bhpt", q, k) / q.shape[-1] ** 0.5
        probabilities = logits.exp() / logits.exp().sum(-1, keepdim=True)
        self.found[self.name] = (logits.mean(1), probabilities.mean(1))
        return attn.to_out[0](torch.einsum("bhpt,bhtc->bhpc", probabilities, v).permute(0, 2, 1, 3).flatten(2))


@pytest.fixture(scope="module")
def layers(extractor: AttentionExtractor) -> tuple[AttentionLayer, ...]:
    return trace_layers(extractor.model.unet.config, 8)


@pytest.fixture(scope="module")
def run(extractor: AttentionExtractor) -> Run:
    generator = torch.Generator().manual_seed(3)
    latent = torch.randn(2, 4, 8, 8, generator=generator)
    text = torch.randn(2, 77, 32, generator=generator)

    def run_unet() -> torch.Tensor:
        with torch.inference_mode():
            return extractor.model.unet(latent, torch.tensor(51), encoder_hidden_states=text, return_dict=False)[0]

    return run_unet


@pytest.fixture(scope="module")
def reference(extractor: AttentionExtractor, layers, run: Run) -> dict:
    unet, found = extractor.model.unet, {}
    before = unet.attn_processors
    for name, module in unet.named_modules():
        if isinstance(module, Attention):
            module.set_processor(WrittenOut(found, name))  # pyright: ignore[reportArgumentType]
    run()
    unet.set_attn_processor(before)
    return found


def by_kind(layers: tuple[AttentionLayer, ...], kind: str) -> list[AttentionLayer]:
    return [layer for layer in layers if layer.kind == kind]


@pytest.mark.parametrize("quantity", ["logits", "probabilities"])
def test_output_has_the_same_bits_with_reading_on(extractor: AttentionExtractor, layers, run: Run, quantity):
    off = run()
    with read_attention(extractor.model.unet, by_kind(layers, "cross"), by_kind(layers, "self"), quantity) as reader:
        reader.expect(5, 2, read_self=False, to_the_end=True)
        on = run()
        assert len(reader.cross) == 16
        reader.expect(0, 0, read_self=True, to_the_end=True)
        on_self = run()
        assert len(reader.self_attention) == 16
    assert torch.equal(on, off)
    assert torch.equal(on_self, off)
    assert torch.equal(run(), off)


@pytest.mark.parametrize("quantity", ["logits", "probabilities"])
def test_cross_maps_are_those_of_written_out_attention(
    extractor: AttentionExtractor, layers, run: Run, reference: dict, quantity
):
    wanted = by_kind(layers, "cross")
    with read_attention(extractor.model.unet, wanted, [], quantity) as reader:
        reader.expect(6, 2, read_self=False, to_the_end=True)
        run()
        for layer in wanted:
            got = reader.cross[layer.name]
            expected = reference[layer.name][quantity == "probabilities"][:, :, 1:7].transpose(1, 2).reshape(got.shape)
            assert got.shape == (2, 6, layer.side, layer.side)
            torch.testing.assert_close(got, expected, atol=2e-5, rtol=1e-4)


def test_self_maps_are_those_of_written_out_attention(extractor: AttentionExtractor, layers, run: Run, reference: dict):
    wanted = by_kind(layers, "self")
    with read_attention(extractor.model.unet, [], wanted, "logits") as reader:
        reader.expect(0, 0, read_self=True, to_the_end=True)
        run()
        for layer in wanted:
            got = reader.self_attention[layer.name]
            assert got.shape == (2, layer.side**2, layer.side**2)
            torch.testing.assert_close(got, reference[layer.name][1], atol=1e-5, rtol=1e-4)
            torch.testing.assert_close(got.sum(2), torch.ones(got.shape[:2]))


def test_only_the_wanted_layers_are_touched(extractor: AttentionExtractor, layers):
    unet = extractor.model.unet
    before = dict(unet.attn_processors)
    wanted = by_kind(layers, "cross")[3]
    with read_attention(unet, [wanted], [], "logits"):
        changed = [name for name, processor in unet.attn_processors.items() if processor is not before[name]]
    assert changed == [f"{wanted.name}.processor"]


def test_processors_come_back_after_an_error(extractor: AttentionExtractor, layers):
    unet = extractor.model.unet
    before = dict(unet.attn_processors)

    def fail() -> None:
        with read_attention(unet, by_kind(layers, "cross"), by_kind(layers, "self"), "logits"):
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail()
    assert all(processor is before[name] for name, processor in unet.attn_processors.items())


@pytest.mark.parametrize(
    ("change", "message"), [({"scale": 0.1}, "expected the scale"), ({"norm_q": torch.nn.LayerNorm(8)}, "norm_q")]
)
def test_a_layer_with_other_arithmetic_is_refused(extractor: AttentionExtractor, layers, change: dict, message: str):
    unet = extractor.model.unet
    before = dict(unet.attn_processors)
    first, second = by_kind(layers, "cross")[:2]
    module = dict(unet.named_modules())[second.name]
    ((attribute, value),) = change.items()
    original = getattr(module, attribute)
    setattr(module, attribute, value)
    try:
        with (
            pytest.raises(ModelError, match=message),
            read_attention(unet, [first, second], [], "logits"),
        ):
            pass
    finally:
        setattr(module, attribute, original)
    assert all(processor is before[name] for name, processor in unet.attn_processors.items())
