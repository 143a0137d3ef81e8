"""One photo and its sentences, in memory."""

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from refdiff.attention.maps import CrossMaps
from refdiff.diffusion.extractor import AttentionExtractor
from refdiff.errors import ModelError, ParameterError, TextError
from tests.diffusion.rows import PAPER, RELEASED, make_capture, make_photo, make_section

PHOTO = make_photo(0, 40, 60)
# Guided logits lie between about -15 and 15; guidance 9 multiplies last bits by 17. On the smallest canvas, where the
# deepest layers see one cell, a group norm over two numbers multiplies them by hundreds: so 128 pixels.
GUIDED_ATOL = 3e-4
LARGER = {**RELEASED, "canvas_px": 128}
SENTENCES = ["the cat on the left", "spoon", "left eye of the cat", "cup of coffee"]


@pytest.fixture(scope="module")
def released(extractor: AttentionExtractor) -> list[CrossMaps]:
    return extractor.capture(PHOTO, "a", SENTENCES, make_capture(RELEASED))


def assert_same(got: Sequence[CrossMaps], expected: Sequence[CrossMaps], atol: float) -> None:
    assert len(got) == len(expected)
    for mine, other in zip(got, expected, strict=True):
        assert mine.keys == other.keys
        for size, block in mine.maps.items():
            np.testing.assert_allclose(block, other.maps[size], atol=atol, rtol=0)


def with_batch(extractor: AttentionExtractor, batch: int, monkeypatch: pytest.MonkeyPatch) -> AttentionExtractor:
    monkeypatch.setattr(extractor, "settings", make_section(batch_sentences=batch))
    monkeypatch.setattr(extractor, "_plans", {})
    return extractor


def test_shapes(extractor: AttentionExtractor, released: list[CrossMaps]):
    assert [maps.tokens for maps in released] == [extractor.count_tokens(sentence) for sentence in SENTENCES]
    assert [maps.tokens for maps in released][:2] == [5, 1]
    assert {size: block.shape for size, block in released[0].maps.items()} == {
        (8, 8): (5, 10, 8, 8),
        (4, 4): (5, 10, 4, 4),
        (2, 2): (5, 10, 2, 2),
        (1, 1): (5, 2, 1, 1),
    }
    assert released[0].maps[8, 8].dtype == np.float32


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize(("row", "atol"), [(PAPER, 1e-6), (LARGER, GUIDED_ATOL)])
def test_the_batch_moves_last_bits_only(extractor, monkeypatch: pytest.MonkeyPatch, row: dict, atol: float, batch: int):
    expected = extractor.capture(PHOTO, "a", SENTENCES, make_capture(row))
    again = with_batch(extractor, batch, monkeypatch).capture(PHOTO, "a", SENTENCES, make_capture(row))
    assert_same(again, expected, atol)


def test_sentences_do_not_see_each_other(extractor: AttentionExtractor):
    forwards = extractor.capture(PHOTO, "a", SENTENCES, make_capture(LARGER))
    backwards = extractor.capture(PHOTO, "a", SENTENCES[::-1], make_capture(LARGER))
    assert_same(backwards[::-1], forwards, GUIDED_ATOL)


def test_the_order_of_photos_does_not_matter(extractor: AttentionExtractor, released: list[CrossMaps]):
    torch.manual_seed(5)
    extractor.capture(make_photo(1, 20, 20), "b", ["dog"], make_capture(RELEASED))
    assert_same(extractor.capture(PHOTO, "a", SENTENCES, make_capture(RELEASED)), released, 0)


def test_the_image_id_seeds_the_noise(extractor: AttentionExtractor, released: list[CrossMaps]):
    other = extractor.capture(PHOTO, "b", SENTENCES[:1], make_capture(RELEASED))
    assert np.abs(other[0].maps[8, 8] - released[0].maps[8, 8]).max() > 1e-4


def test_the_unconditional_pass_of_the_noised_photo_runs_once(extractor, monkeypatch: pytest.MonkeyPatch):
    sizes: list[int] = []
    hook = extractor.model.unet.register_forward_pre_hook(lambda _module, args: sizes.append(len(args[0])))
    with_batch(extractor, 2, monkeypatch).capture(PHOTO, "a", SENTENCES, make_capture(RELEASED))
    hook.remove()
    # Step one: two sentences and the photo; step two: two and two; the second batch has no photo's row.
    assert sizes == [3, 4, 2, 4]


def test_guidance_one_runs_the_conditional_pass_only(extractor: AttentionExtractor):
    sizes: list[int] = []
    hook = extractor.model.unet.register_forward_pre_hook(lambda _module, args: sizes.append(len(args[0])))
    extractor.capture(PHOTO, "a", SENTENCES, make_capture(RELEASED, guidance=1.0))
    hook.remove()
    assert sizes == [4, 4]


def test_guided_maps_are_the_formula(extractor: AttentionExtractor):
    """At one timestep: uncond + g (cond - uncond), from three captures that know nothing of each other."""
    row = {**PAPER, "quantity": "logits"}
    sentence = SENTENCES[0]
    conditional = extractor.capture(PHOTO, "a", [sentence], make_capture(row))[0]
    guided = extractor.capture(PHOTO, "a", [sentence], make_capture(row, guidance=3.0, guided_maps=True))[0]
    plain = extractor.capture(PHOTO, "a", [sentence], make_capture(row, guidance=0.0, guided_maps=True))[0]
    for size, block in guided.maps.items():
        expected = plain.maps[size] + 3 * (conditional.maps[size] - plain.maps[size])
        # One pass of two rows against passes of one row: last bits, of values up to 15.
        np.testing.assert_allclose(block, expected, atol=1e-5 * np.abs(expected).max(), rtol=0)


def test_several_timesteps_are_steps_of_their_own(extractor: AttentionExtractor):
    both = make_capture(PAPER, schedule={"kind": "single", "timesteps": [2, 300]})
    later = make_capture(PAPER, schedule={"kind": "single", "timesteps": [300]})
    maps = extractor.capture(PHOTO, "a", ["spoon"], both)[0]
    alone = extractor.capture(PHOTO, "a", ["spoon"], later)[0]
    picked = [index for index, key in enumerate(maps.keys[8, 8]) if key.step == 1]
    np.testing.assert_allclose(maps.maps[8, 8][:, picked], alone.maps[8, 8], atol=1e-6)


def test_probabilities_of_all_tokens_sum_to_less_than_one(extractor: AttentionExtractor):
    block = extractor.capture(PHOTO, "a", SENTENCES[:1], make_capture(PAPER))[0].maps[8, 8]
    assert (block > 0).all()
    assert (block.sum(axis=0) < 1).all()  # start token and padding have the rest


def test_a_suffix_keeps_the_sentence_tokens(extractor: AttentionExtractor):
    plain = extractor.capture(PHOTO, "a", SENTENCES[:1], make_capture(RELEASED, prompt_suffix=""))[0]
    suffixed = extractor.capture(PHOTO, "a", SENTENCES[:1], make_capture(RELEASED))[0]
    assert plain.tokens == suffixed.tokens


def test_a_long_sentence_is_cut_to_the_model(extractor: AttentionExtractor):
    maps = extractor.capture(PHOTO, "a", ["cat " * 100], make_capture(PAPER))[0]
    assert maps.tokens == 75


def test_an_emoji_has_tokens(extractor: AttentionExtractor):
    assert extractor.capture(PHOTO, "a", ["🐶"], make_capture(PAPER))[0].tokens >= 1


def test_an_empty_sentence_is_refused(extractor: AttentionExtractor):
    with pytest.raises(TextError, match=r"image a: sentence '  ' has no words"):
        extractor.capture(PHOTO, "a", ["cat", "  "], make_capture(PAPER))


def test_no_sentences_give_no_maps(extractor: AttentionExtractor):
    assert extractor.capture(PHOTO, "a", [], make_capture(PAPER)) == []


@pytest.mark.parametrize("row", [PAPER, RELEASED])
def test_self_attention_belongs_to_the_photo(extractor: AttentionExtractor, row: dict):
    name = "up_blocks.2.attentions.0.transformer_blocks.0.attn1"
    capture = make_capture(row, self_layers=[name])
    one = extractor.capture_image(PHOTO, "a", SENTENCES[:1], capture, with_self=True).self_attention
    other = extractor.capture_image(PHOTO, "a", SENTENCES[2:], capture, with_self=True).self_attention
    assert one is not None
    assert other is not None
    block = one.maps[4, 4]
    assert block.shape == (1 if row is PAPER else 2, 16, 16)
    np.testing.assert_allclose(block.sum(axis=2), 1, atol=1e-5)
    np.testing.assert_allclose(block, other.maps[4, 4], atol=1e-6)
    assert [key.layer for key in one.keys[4, 4]] == [name] * len(block)


def test_a_canvas_that_the_vae_cannot_halve_is_refused(extractor: AttentionExtractor):
    with pytest.raises(ParameterError, match=r"canvas_px: 60 is not a multiple of 8.*use 56 or 64"):
        extractor.capture(PHOTO, "a", ["cat"], make_capture(PAPER, canvas_px=60))


def test_any_multiple_of_the_vae_will_do(extractor: AttentionExtractor):
    """5 x 5 latents do not halve evenly; the layers' maps are then 5, 3, 2 and 1 cells wide."""
    maps = extractor.capture(PHOTO, "a", ["cat"], make_capture(PAPER, canvas_px=40))[0]
    assert set(maps.maps) == {(5, 5), (3, 3), (2, 2), (1, 1)}


def test_letterbox_and_resize_differ(extractor: AttentionExtractor):
    boxed = extractor.encode_photo(PHOTO, "a", make_capture(PAPER))
    stretched = extractor.encode_photo(PHOTO, "a", make_capture(PAPER, canvas_mode="resize"))
    assert boxed.shape == stretched.shape == (1, 4, 8, 8)
    assert not torch.equal(boxed, stretched)


def test_maps_that_are_not_finite_are_refused(extractor: AttentionExtractor, monkeypatch: pytest.MonkeyPatch):
    weight = extractor.model.unet.conv_in.weight
    kept = weight.detach().clone()
    weight.fill_(float("nan"))
    try:
        with pytest.raises(
            ModelError, match=r"image a, sentence 'cat': attention maps are not finite; in float32 the model"
        ):
            extractor.capture(PHOTO, "a", ["cat"], make_capture(PAPER))
    finally:
        weight.copy_(kept)


def test_half_precision_is_near(released: list[CrossMaps], extractor: AttentionExtractor):
    half = AttentionExtractor(make_section(dtype="bfloat16"))
    got = half.capture(PHOTO, "a", ["spoon"], make_capture(PAPER))[0].maps[8, 8]
    expected = extractor.capture(PHOTO, "a", ["spoon"], make_capture(PAPER))[0].maps[8, 8]
    np.testing.assert_allclose(got, expected, rtol=0.1)
