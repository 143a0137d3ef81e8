"""Layers found without weights are those that the loaded U-Net runs."""

import pytest
import torch

from refdiff.diffusion.extractor import AttentionExtractor
from refdiff.diffusion.layers import choose_cross_layers, choose_self_layers, map_keys, trace_layers
from refdiff.errors import ModelError, ParameterError
from tests.diffusion.rows import PAPER, make_capture


@pytest.fixture(scope="module")
def layers(extractor: AttentionExtractor):
    return trace_layers(extractor.model.unet.config, 8)


def test_order_and_sizes_are_those_of_the_running_unet(extractor: AttentionExtractor, layers):
    unet, seen = extractor.model.unet, []
    hooks = [
        module.register_forward_pre_hook(
            lambda _module, args, name=name: seen.append((name, args[0].shape[1])), with_kwargs=False
        )
        for name, module in unet.named_modules()
        if name.endswith(("attn1", "attn2"))
    ]
    with torch.inference_mode():
        unet(torch.zeros(1, 4, 8, 8), torch.tensor(1), encoder_hidden_states=torch.zeros(1, 77, 32))
    for hook in hooks:
        hook.remove()
    assert seen == [(layer.name, layer.side**2) for layer in layers]
    assert [layer.kind for layer in layers] == ["self", "cross"] * 16
    assert [layer.order for layer in layers if layer.kind == "cross"] == list(range(16))


def test_all_layers_by_default(layers):
    assert len(choose_cross_layers(layers, make_capture(PAPER))) == 16
    assert choose_self_layers(layers, make_capture(PAPER)) == ()


def test_layers_by_size(layers):
    chosen = choose_cross_layers(layers, make_capture(PAPER, cross_layers={"map_px": [2]}))
    assert len(chosen) == 5
    assert all(layer.side == 2 for layer in chosen)


def test_layers_by_name_come_in_running_order(layers):
    names = [layer.name for layer in layers if layer.kind == "cross"]
    chosen = choose_cross_layers(layers, make_capture(PAPER, cross_layers=[names[5], names[2]]))
    assert [layer.name for layer in chosen] == [names[2], names[5]]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cross_layers": ["up_blocks.9.attn2"]}, r"no layer 'up_blocks\.9\.attn2'.*down_blocks\.0.*up_blocks\.3"),
        ({"cross_layers": {"map_px": [32]}}, r"no layer has maps of side 32 at canvas_px 64; expected some of: 1, 2"),
        ({"self_layers": ["mid_block.attentions.0.transformer_blocks.0.attn2"]}, r"self_layers: no layer.*attn1"),
    ],
)
def test_unknown_layers_are_refused_with_a_list(layers, changes: dict, message: str):
    capture = make_capture(PAPER, **changes)
    with pytest.raises(ParameterError, match=message):
        (choose_self_layers if "self_layers" in changes else choose_cross_layers)(layers, capture)


def test_keys_go_by_step_then_by_order(layers):
    keys = map_keys(choose_cross_layers(layers, make_capture(PAPER)), 2)[2, 2]
    assert [(key.step, key.order) for key in keys] == sorted((key.step, key.order) for key in keys)
    assert len(keys) == 10
    assert (keys[0].height, keys[0].width) == (2, 2)


def test_an_architecture_that_does_not_run_is_refused(extractor: AttentionExtractor):
    with pytest.raises(ModelError, match="U-Net: cannot be built"):
        trace_layers({**extractor.model.unet.config, "down_block_types": ["NoSuchBlock"]}, 8)
