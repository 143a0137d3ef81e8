"""NaN, infinity and no direction at all are refused where a model is loaded and where embeddings are made."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from refdiff.clip.embed_split import embed_split
from refdiff.clip.embedder import ClipEmbedder
from refdiff.clip.model import load_clip
from refdiff.errors import ModelError, ShardsFailedError
from refdiff.loaded_weights import check_weights
from tests.clip.small_model import clip_settings
from tests.clip.small_split import SOURCE, make_split

PHOTO = np.random.default_rng(0).integers(0, 256, (40, 56, 3), dtype=np.uint8)
MASKS = np.ones((2, 40, 56), dtype=np.bool_)
NO_DIRECTION = (
    "in float32 holds NaN or infinity, or is zero; expected finite numbers; in float32 the model itself is broken"
)


def _write_changed(source: Path, folder: Path, weight: str, factor: float) -> Path:
    """A copy of a model with one of its weights multiplied."""
    shutil.copytree(source, folder)
    weights = load_file(folder / "model.safetensors")
    weights[weight] *= factor
    save_file(weights, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize("factor", [np.nan, np.inf])
def test_weights_are_refused_at_load(small_clip: Path, tmp_path: Path, factor: float) -> None:
    folder = _write_changed(small_clip, tmp_path / "bad", "visual.proj", factor)
    with pytest.raises(
        ModelError, match=r"bad: its weights hold NaN or infinity \(visual.proj\); .*in float32 .*fetch"
    ):
        load_clip(f"local-dir:{folder}", None, "cpu", "float32")


def test_weights_beyond_half_precision_are_refused_with_advice_that_helps() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 2))
    with torch.no_grad():
        for value in network.parameters():
            value.fill_(1e5)
    check_weights(network, "model")
    check_weights(network.to(torch.bfloat16), "model")
    with pytest.raises(ModelError, match=r"\(0.weight and 3 more\); .*in float16, .*use dtype bfloat16 or float32"):
        check_weights(network.to(torch.float16), "model")


@pytest.mark.parametrize("factor", [1e30, 0.0], ids=["longer-than-float32", "zero"])
@pytest.mark.parametrize(
    ("weight", "message"),
    [
        ("visual.proj", "mask 0: local view"),
        ("visual.proj", "mask 0: global view"),
        ("text_projection", "text 'a cup'"),
    ],
)
def test_an_embedding_without_direction_is_refused(
    small_clip: Path, tmp_path: Path, weight: str, message: str, factor: float
) -> None:
    embedder = ClipEmbedder(clip_settings(_write_changed(small_clip, tmp_path / "bad", weight, factor)))
    embed = {
        "mask 0: local view": lambda: embedder.embed_local(PHOTO, MASKS, "none"),
        "mask 0: global view": lambda: embedder.embed_global(PHOTO, MASKS, "none"),
        "text 'a cup'": lambda: embedder.embed_texts(["a cup", "a red cup"]),
    }[message]
    with pytest.raises(ModelError, match=f"{message}: its embedding by local-dir:.*bad {NO_DIRECTION}"):
        embed()


def test_a_split_names_photo_and_proposal_and_is_not_published(small_clip: Path, tmp_path: Path) -> None:
    folder = _write_changed(small_clip, tmp_path / "bad", "visual.proj", 1e30)
    layout = make_split(tmp_path / "project")
    with pytest.raises(ShardsFailedError) as caught:
        embed_split(layout, SOURCE, clip_settings(folder), lambda *_: None)
    assert all(f"photo {photo}: of its proposals, mask 0: local view" in str(caught.value) for photo in (100, 101))
    assert not layout.clip(SOURCE).exists()
