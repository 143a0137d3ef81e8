"""What the U-Net computes: no work twice, and none that nobody reads."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from refdiff.diffusion.extractor import AttentionExtractor
from tests.diffusion.rows import PAPER, RELEASED, make_capture, make_photo

SENTENCES = ["the cat on the left", "spoon", "cup of coffee"]
PHOTO = make_photo(0, 40, 60)
TOP = "up_blocks.3.resnets.2"
# The layers of the 4 x 4 maps: the last one is the third of this block, behind which two blocks follow.
MIDDLE = "up_blocks.2"


@contextmanager
def count_rows(extractor: AttentionExtractor, *names: str) -> Iterator[dict[str, list[int]]]:
    """Rows that go into some modules of the U-Net, call by call."""
    modules, seen = dict(extractor.model.unet.named_modules()), {name: [] for name in names}
    handles = [
        modules[name].register_forward_pre_hook(
            lambda _module, args, kwargs, rows=seen[name]: rows.append(
                len(args[0] if args else kwargs["hidden_states"])
            ),
            with_kwargs=True,
        )
        for name in names
    ]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def test_the_last_run_ends_behind_the_last_layer_that_is_read(extractor: AttentionExtractor):
    capture = make_capture(RELEASED, cross_layers={"map_px": [4]})
    last = f"{MIDDLE}.attentions.2.transformer_blocks.0"
    names = ("conv_in", MIDDLE, f"{last}.attn2", f"{last}.attn2.to_q", f"{last}.attn2.to_v", f"{last}.ff", TOP)
    with count_rows(extractor, *names) as seen:
        extractor.capture(PHOTO, "a", SENTENCES, capture)
    runs = {name: len(rows) for name, rows in seen.items()}
    assert runs == {name: 1 if name.endswith(("to_v", "ff")) or name == TOP else 2 for name in names}


def test_single_steps_all_end_early(extractor: AttentionExtractor):
    capture = make_capture(PAPER, schedule={"kind": "single", "timesteps": [2, 51]}, cross_layers={"map_px": [4]})
    with count_rows(extractor, "conv_in", TOP) as seen:
        extractor.capture(PHOTO, "a", SENTENCES, capture)
    assert {name: len(rows) for name, rows in seen.items()} == {"conv_in": 2, TOP: 0}


def test_self_attention_ends_early_too(extractor: AttentionExtractor):
    layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn1"
    capture = make_capture(PAPER, self_layers=[layer], cross_layers={"map_px": [4]})
    with count_rows(extractor, layer, f"{layer}.to_v", "mid_block") as seen:
        extractor.capture_image(PHOTO, "a", SENTENCES, capture, with_self=True)
    # The sentences' pass has one row before the text, whatever their number; self-attention has a pass of its own.
    assert {name: len(rows) for name, rows in seen.items()} == {layer: 2, f"{layer}.to_v": 1, "mid_block": 1}


@pytest.mark.parametrize(("row", "rows"), [(PAPER, [1]), (RELEASED, [1, 3])])
def test_before_the_text_a_latent_has_one_row(extractor: AttentionExtractor, row: dict, rows: list[int]):
    """One latent for the photo's first run, conditional or not; then one for each sentence, both passes together."""
    block = "down_blocks.0.attentions.0.transformer_blocks.0"
    with count_rows(extractor, f"{block}.attn1.to_q", f"{block}.ff") as seen:
        extractor.capture(PHOTO, "a", SENTENCES, make_capture(row))
    assert seen[f"{block}.attn1.to_q"] == rows
    assert seen[f"{block}.ff"] == ([3] if row is PAPER else [4, 6])


def test_the_vae_and_each_text_run_once(extractor: AttentionExtractor, monkeypatch: pytest.MonkeyPatch):
    ran: Counter[str] = Counter()
    model = extractor.model
    encode = model.vae.encode
    monkeypatch.setattr(model.vae, "encode", lambda *args, **kwargs: ran.update(["vae"]) or encode(*args, **kwargs))
    handle = model.text_encoder.register_forward_pre_hook(lambda _module, args: ran.update(texts=len(args[0])))
    extractor.capture(PHOTO, "a", [*SENTENCES, *SENTENCES], make_capture(RELEASED))
    handle.remove()
    assert ran == {"vae": 1, "texts": 4}  # three sentences and the negative prompt
