from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from refdiff.clip import model
from refdiff.clip.embedder import ClipEmbedder
from refdiff.clip.mask_stack import CodedMasks
from refdiff.clip.ramps import apply_ramp
from refdiff.errors import ImageError, MaskError
from refdiff.masks.rle import encode_masks
from tests.clip.small_model import clip_settings

SAME = {"rtol": 0, "atol": 2e-6}


def _photo(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def _boxes(count: int, height: int, width: int, seed: int = 0) -> NDArray[np.bool_]:
    rng = np.random.default_rng(seed)
    masks = np.zeros((count, height, width), dtype=np.bool_)
    for mask in masks:
        top, left = rng.integers(0, height), rng.integers(0, width)
        mask[top : top + rng.integers(1, height), left : left + rng.integers(1, width)] = True
    return masks


def _reset_peak_memory() -> int:
    """Resident bytes now; from here on the kernel keeps the peak anew."""
    Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _memory(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{key}:")) * 1024


def test_views_are_unit_vectors_of_float32(small_embedder: ClipEmbedder) -> None:
    views = small_embedder.embed_photo(_photo(50, 70), _boxes(5, 50, 70), ["none", "released_left"], ["paper_top"])
    assert set(views.local) == {"none", "released_left"}
    assert set(views.global_view) == {"paper_top"}
    for embedded in (*views.local.values(), *views.global_view.values()):
        assert embedded.shape == (5, 24)
        assert embedded.dtype == np.float32
        np.testing.assert_allclose(np.linalg.norm(embedded, axis=1), 1, atol=1e-6)


@pytest.mark.parametrize("changes", [{"batch_tokens": 1}, {"batch_tokens": 100_000}, {"class_tokens": 1}])
def test_batches_do_not_matter(small_clip: Path, small_embedder: ClipEmbedder, changes: dict[str, int]) -> None:
    photo, masks = _photo(60, 45), _boxes(20, 60, 45)
    other = ClipEmbedder(clip_settings(small_clip, **changes))
    for embed in ("embed_local", "embed_global"):
        first = getattr(small_embedder, embed)(photo, masks, "none")
        np.testing.assert_allclose(first, getattr(other, embed)(photo, masks, "none"), **SAME)


def test_masks_do_not_depend_on_each_other(small_embedder: ClipEmbedder) -> None:
    photo, masks = _photo(60, 45), _boxes(6, 60, 45)
    for embed in (small_embedder.embed_local, small_embedder.embed_global):
        together = embed(photo, masks, "none")
        np.testing.assert_allclose(together[::-1], embed(photo, masks[::-1].copy(), "none"), **SAME)
        np.testing.assert_allclose(together[2:3], embed(photo, masks[2:3], "none"), **SAME)


def test_coded_masks_give_the_same(small_embedder: ClipEmbedder) -> None:
    photo, masks = _photo(40, 40), _boxes(4, 40, 40)
    coded = CodedMasks(encode_masks(masks), 40, 40)
    for embed in (small_embedder.embed_local, small_embedder.embed_global):
        np.testing.assert_array_equal(embed(photo, masks, "none"), embed(photo, coded, "none"))


def test_a_variant_is_the_ramped_photo(small_embedder: ClipEmbedder) -> None:
    photo, masks = _photo(48, 48), _boxes(3, 48, 48)
    ramped = apply_ramp(photo, "paper_right")
    for embed in (small_embedder.embed_local, small_embedder.embed_global):
        np.testing.assert_array_equal(embed(photo, masks, "paper_right"), embed(ramped, masks, "none"))
        assert not np.allclose(embed(photo, masks, "paper_right"), embed(photo, masks, "none"), atol=1e-4)


def test_the_local_view_sees_nothing_outside_its_mask(small_embedder: ClipEmbedder) -> None:
    photo, masks = _photo(48, 48), _boxes(1, 48, 48, seed=4)
    other = np.where(masks[0][:, :, None], photo, _photo(48, 48, seed=9))
    assert not np.array_equal(photo, other)
    np.testing.assert_array_equal(
        small_embedder.embed_local(photo, masks, "none"), small_embedder.embed_local(other, masks, "none")
    )


def test_no_proposals(small_embedder: ClipEmbedder) -> None:
    views = small_embedder.embed_photo(_photo(20, 20), np.zeros((0, 20, 20), dtype=np.bool_), ["none"], ["none"])
    assert views.local["none"].shape == views.global_view["none"].shape == (0, 24)


def test_one_pixel(small_embedder: ClipEmbedder) -> None:
    variants = ["none", "released_left", "paper_bottom"]
    views = small_embedder.embed_photo(_photo(1, 1), np.ones((1, 1, 1), dtype=np.bool_), variants, variants)
    for embedded in (*views.local.values(), *views.global_view.values()):
        assert np.isfinite(embedded).all()


def test_a_long_thin_photo_costs_no_more_than_others(
    small_embedder: ClipEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    tower = small_embedder._model.tower
    seen: list[tuple[int, ...]] = []
    for name in ("embed_images", "embed_masked"):
        original = getattr(tower, name)
        monkeypatch.setattr(
            tower,
            name,
            lambda pixels, *rest, call=original, **kept: (
                seen.append(tuple(pixels.shape)),
                call(pixels, *rest, **kept),
            )[1],
        )
    masks = np.zeros((2, 10, 20_000), dtype=np.bool_)
    masks[0] = True
    masks[1, 4:9, 100:500] = True  # 5 x 400, the extreme crop
    small_embedder.embed_photo(_photo(10, 20_000), masks, ["none"], ["none"])
    # Image size 32: crops at most 8 times, the photo at most 3 times as long, nothing below a patch of 8.
    assert sorted((shape[0], *shape[-2:]) for shape in seen) == [(1, 8, 96), (2, 8, 256)]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux's /proc")
def test_three_thousand_proposals_need_little_memory(small_embedder: ClipEmbedder) -> None:
    height, width, count = 240, 320, 3000
    rng = np.random.default_rng(0)
    counts = []
    for _ in range(count):
        mask = np.zeros((1, height, width), dtype=np.bool_)
        top, left = rng.integers(0, height - 2), rng.integers(0, width - 2)
        mask[0, top : top + rng.integers(2, 60), left : left + rng.integers(2, 60)] = True
        counts += encode_masks(mask)
    masks = CodedMasks(counts, height, width)
    before = _reset_peak_memory()
    views = small_embedder.embed_photo(_photo(height, width), masks, ["none"], ["none"])
    grown = _memory("VmHWM") - before
    assert views.local["none"].shape == views.global_view["none"].shape == (count, 24)
    assert np.isfinite(views.local["none"]).all()
    assert grown < 150e6, f"{grown / 1e6:.0f} MB"  # the decoded masks alone are 230 MB


@pytest.mark.parametrize("photo", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_no_photo_is_refused(small_embedder: ClipEmbedder, photo: NDArray) -> None:
    with pytest.raises(ImageError, match=r"photo: expected RGB uint8 \[height width 3\], got"):
        small_embedder.embed_local(photo, np.ones((1, 4, 4), dtype=np.bool_), "none")


def test_an_empty_mask_is_refused(small_embedder: ClipEmbedder) -> None:
    masks = np.zeros((1, 4, 4), dtype=np.bool_)
    for embed in (small_embedder.embed_local, small_embedder.embed_global):
        with pytest.raises(MaskError, match="mask 0: is empty"):
            embed(_photo(4, 4), masks, "none")


def test_texts_are_encoded_each_alone(small_embedder: ClipEmbedder) -> None:
    texts = ["the red cup", "cup", "", "🦊", "the red cup"]
    embedded = small_embedder.embed_texts(texts)
    assert embedded.shape == (5, 24)
    np.testing.assert_allclose(np.linalg.norm(embedded, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(embedded[0], small_embedder.embed_texts(["the red cup"])[0], **SAME)
    np.testing.assert_array_equal(embedded[0], embedded[4])
    assert not np.allclose(embedded[0], embedded[1], atol=1e-3)


def test_what_exceeds_the_context_is_cut_off(small_embedder: ClipEmbedder) -> None:
    # The small model's context is 16 tokens, start and end among them.
    first, second = small_embedder.embed_texts(["cat " * 40, "cat " * 14 + "dog " * 30])
    np.testing.assert_array_equal(first, second)
    assert not np.allclose(first, small_embedder.embed_texts(["cat " * 13])[0], atol=1e-4)


def test_texts_in_batches(small_clip: Path, small_embedder: ClipEmbedder) -> None:
    texts = [f"{number} cats" for number in range(9)]
    other = ClipEmbedder(clip_settings(small_clip, text_batch=2))
    np.testing.assert_allclose(small_embedder.embed_texts(texts), other.embed_texts(texts), **SAME)
    assert small_embedder.embed_texts([]).shape == (0, 24)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_lower_precision_is_near(
    small_clip: Path, small_embedder: ClipEmbedder, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model, "check_precision", lambda *_: None)  # slow on a CPU, but of small models
    photo, masks = _photo(48, 40), _boxes(4, 48, 40)
    other = ClipEmbedder(clip_settings(small_clip, dtype=dtype))
    for embed in ("embed_local", "embed_global"):
        low = getattr(other, embed)(photo, masks, "none")
        assert low.dtype == np.float32
        np.testing.assert_allclose(low, getattr(small_embedder, embed)(photo, masks, "none"), atol=0.05)
    np.testing.assert_allclose(other.embed_texts(["a cup"]), small_embedder.embed_texts(["a cup"]), atol=0.05)
