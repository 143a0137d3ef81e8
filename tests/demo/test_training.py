"""The demo's training in miniature, and the models that it left."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPTokenizer

from demo import train
from demo.checkpoint import Checkpoint
from demo.corpus import crop_record, load_or_draw, training_scene
from demo.refer_form import VALIDATION_SEEDS
from demo.tokenizer import WORDS, write_tokenizer
from demo.train_clip import ClipRecipe, Content, encode_short_text, make_clip, train_clip
from demo.train_sd import (
    Cycle,
    DiffusionRecipe,
    encode_corpus,
    make_text_encoder,
    make_unet,
    make_vae,
    train_unet,
    train_vae,
)
from refdiff.demo.models import CLIP, DIFFUSION, MODELS

FIRST = VALIDATION_SEEDS.stop
SMALL = DiffusionRecipe(
    canvas_px=32, vae_channels=(8, 8, 8), unet_channels=(16, 16, 16), text_width=16, vae_batch=2, batch=2,
    cycles=(Cycle(range(FIRST, FIRST + 3), 3, 1e-3), Cycle(range(FIRST + 3, FIRST + 5), 2, 1e-3)), vae_steps=4,
)  # fmt: skip
SMALL_CLIP = ClipRecipe(image_px=16, width=32, layers=1, text_width=16, text_layers=1, embed=8, steps=4, batch=6)


def test_training_scenes_are_never_evaluated() -> None:
    scenes = [set(cycle.scenes) for cycle in DiffusionRecipe().cycles] + [set(train.CROPPED)]
    for number, seeds in enumerate(scenes):
        assert not seeds & set(VALIDATION_SEEDS)
        assert not any(seeds & others for others in scenes[:number])


def test_a_corpus_of_validation_seeds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"expected {VALIDATION_SEEDS.stop} or more"):
        load_or_draw(tmp_path / "x.pkl", crop_record, range(5, 9), 1)  # pyright: ignore[reportArgumentType]


def test_every_word_is_one_token_and_any_text_has_tokens(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    tokenizer = CLIPTokenizer.from_pretrained(tmp_path)
    assert all(len(tokenizer(word).input_ids) == 3 for word in WORDS)
    for text in ("dog", "crêpe 🐶", "\x00ß"):
        assert tokenizer.unk_token_id not in tokenizer(text).input_ids[1:-1]


def test_the_tokenizer_is_the_same_on_every_run(tmp_path: Path) -> None:
    for run in ("first", "second"):
        write_tokenizer(tmp_path / run)
    for name in ("vocab.json", "merges.txt"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
    # Equally frequent pairs in the order of the alphabet, whatever order they were met in.
    merges = [tuple(line.split()) for line in (tmp_path / "first" / "merges.txt").read_text().splitlines()[1:]]
    assert len(merges) == len(set(merges))
    assert merges.index(("a", "n</w>")) < merges.index(("a", "t</w>"))


def _train(folder: Path, stop_after: int | None) -> dict[str, torch.Tensor]:
    """A few steps of each training, from what the folder holds; the final weights by name."""
    torch.set_num_threads(1)
    drawn = [[training_scene(seed, SMALL.canvas_px) for seed in cycle.scenes] for cycle in SMALL.cycles]
    canvases = np.stack([record.canvas for record in drawn[0]])
    vae = make_vae(SMALL)
    for _ in itertools.islice(train_vae(vae, canvases, SMALL, Checkpoint(folder / "vae.pt", 1)), stop_after):
        pass
    write_tokenizer(folder / "tokenizer")
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    unet, text_encoder = make_unet(SMALL), make_text_encoder(SMALL, tokenizer)
    corpora = [encode_corpus(vae, records) for records in drawn]
    steps = train_unet(unet, text_encoder, tokenizer, corpora, 1.0, SMALL, Checkpoint(folder / "unet.pt", 1))
    for _ in itertools.islice(steps, stop_after):
        pass
    clip = make_clip(SMALL_CLIP)
    crops = [crop_record(VALIDATION_SEEDS.stop + number, SMALL_CLIP.image_px) for number in range(2)]
    for _ in itertools.islice(train_clip(clip, crops, SMALL_CLIP, Checkpoint(folder / "clip.pt", 1)), stop_after):
        pass
    modules = {"vae": vae, "unet": unet, "text": text_encoder, "clip": clip}
    return {
        f"{name}.{key}": value.clone() for name, module in modules.items() for key, value in module.state_dict().items()
    }


def test_an_interrupted_training_ends_with_the_same_bits(tmp_path: Path) -> None:
    whole = _train(tmp_path / "whole", None)
    before = torch.load(tmp_path / "whole" / "unet.pt", weights_only=True)["step"]
    assert before == sum(cycle.steps for cycle in SMALL.cycles)
    resumed = _interrupted(tmp_path)
    assert whole.keys() == resumed.keys()
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), name


def _interrupted(tmp_path: Path) -> dict[str, torch.Tensor]:
    """The autoencoder is finished first, as in the real training; each training stops once in the middle."""
    folder = tmp_path / "parts"
    canvases = np.stack([training_scene(seed, SMALL.canvas_px).canvas for seed in SMALL.cycles[0].scenes])
    for stop_after in (3, None):
        steps = train_vae(make_vae(SMALL), canvases, SMALL, Checkpoint(folder / "vae.pt", 1))
        for _ in itertools.islice(steps, stop_after):
            pass
    _train(folder, 3)
    return _train(folder, None)


def test_a_caption_fits_what_it_says_and_no_more() -> None:
    red = Content("object", "circle", "red", "small")
    assert red.fits(Content("object", "circle"))
    assert red.fits(Content("object", None, "red"))
    assert not red.fits(Content("object", "circle", "blue"))
    assert not red.fits(Content("part", "circle"))
    assert not Content("pair", pair=1).fits(Content("pair", pair=2))


def test_short_text_has_the_embedding_of_the_padded_one() -> None:
    import open_clip

    model = make_clip(SMALL_CLIP).eval()
    tokens = open_clip.get_tokenizer("ViT-B-16")(["the red circle on the left", "star"])
    with torch.no_grad():
        assert torch.allclose(encode_short_text(model, tokens[:, :24]), model.encode_text(tokens), atol=1e-6)


def test_the_models_in_the_repository_are_small_half_precision_and_load() -> None:
    import open_clip
    from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
    from safetensors import safe_open

    assert sum(file.stat().st_size for file in MODELS.rglob("*") if file.is_file()) <= 20_000_000
    for file in MODELS.rglob("*.safetensors"):
        with safe_open(file, "pt") as tensors:
            kinds = {tensors.get_slice(name).get_dtype() for name in tensors.keys()}  # noqa: SIM118 no mapping
        assert kinds <= {"F16", "I64"}, file
    pipeline = StableDiffusionPipeline.from_pretrained(DIFFUSION, safety_checker=None, local_files_only=True)
    cross = {name for name in pipeline.unet.attn_processors if name.endswith("attn2.processor")}
    assert {name.split(".")[0] for name in cross} == {"down_blocks", "mid_block", "up_blocks"}
    model, _, _ = open_clip.create_model_and_transforms(f"local-dir:{CLIP}")
    assert getattr(model.visual, "image_size", None) in (64, (64, 64))


def test_the_rate_of_each_cycle_rises_shortly_and_falls_along_a_cosine() -> None:
    for cycle in DiffusionRecipe().cycles:
        rates = [cycle.rate_at(step) for step in range(cycle.steps)]
        top = int(np.argmax(rates))
        assert rates[0] < 0.01 * cycle.rate
        assert 0.95 * cycle.rate < rates[top] <= cycle.rate
        assert top < 200
        assert (np.diff(rates[top:]) < 0).all()
        assert rates[-1] < 0.051 * cycle.rate
