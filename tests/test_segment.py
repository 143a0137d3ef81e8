import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from refdiff.errors import ImageError, ModelError, ParameterError, TextError
from refdiff.params import read_params
from refdiff.segment import DEFAULT_METHOD, Segmenter, as_photo, locate_models
from tests.demo_scene import scene_photo, scene_sentences

ROOT = Path(__file__).parents[1]
METHODS = ("ref-diff", "gs", "ds", "ref-diff-plus", "released")


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter()


def _params(**changes: dict[str, Any]) -> dict[str, Any]:
    params = locate_models(read_params(ROOT / "refdiff/presets/demo.yaml"), ROOT)
    for section, values in changes.items():
        params[section] = {**params[section], **values}
    return params


@pytest.mark.parametrize("method", METHODS)
def test_every_shipped_method_on_one_photo(segmenter: Segmenter, method: str) -> None:
    photo, sentences = scene_photo(), scene_sentences()
    found = segmenter.segment(photo, sentences, method)
    assert [each.sentence for each in found] == sentences
    for each in found:
        assert each.method == method
        assert each.mask.shape == photo.shape[:2]
        assert each.mask.dtype == np.bool_
        assert each.mask.any()
        assert np.array_equal(each.mask, each.proposals.masks[each.choice.index])
        assert each.choice.kept[each.choice.index]
        assert (each.heat is None) == (method == "ds")
        if each.heat is not None:
            assert each.heat.shape == photo.shape[:2]
            assert 0.0 <= each.heat.min() <= each.heat.max() <= 1.0
    parts = {"ds": {"total", "local", "global_view", "discriminative"}, "gs": {"total", "generative"}}
    if method in parts:
        assert set(found[0].scores) == parts[method]
    assert found[1].parsed.direction == "left"


def test_the_same_again_is_the_same(segmenter: Segmenter) -> None:
    first, second = (segmenter.segment(scene_photo(), scene_sentences(), "released") for _ in range(2))
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one.mask, other.mask)
        assert one.heat is not None
        assert other.heat is not None
        assert np.array_equal(one.heat, other.heat)
        assert one.scores == other.scores


def test_sentences_do_not_disturb_each_other(segmenter: Segmenter) -> None:
    photo, sentences = scene_photo(), scene_sentences()
    together = segmenter.segment(photo, sentences)
    alone = [segmenter.segment(photo, [sentence])[0] for sentence in sentences]
    for one, other in zip(together, alone, strict=True):
        assert np.array_equal(one.mask, other.mask)
        assert one.scores == pytest.approx(other.scores, abs=1e-4)


def test_a_file_is_its_pixels(segmenter: Segmenter, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(scene_photo()).save(path)
    sentence = scene_sentences()[:1]
    of_file, of_pixels = (segmenter.segment(photo, sentence, "ds")[0] for photo in (path, scene_photo()))
    assert np.array_equal(of_file.mask, of_pixels.mask)
    assert of_file.scores == of_pixels.scores


def test_a_pillow_image_is_read_as_its_file_is(segmenter: Segmenter, tmp_path: Path) -> None:
    path = tmp_path / "turned.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(scene_photo()).convert("RGBA").save(path, exif=exif)
    with Image.open(path) as image:
        of_image = segmenter.segment(image, scene_sentences(), "ds")
    of_file = segmenter.segment(str(path), scene_sentences(), "ds")
    height, width = scene_photo().shape[:2]
    assert of_image[0].mask.shape == (width, height)
    for one, other in zip(of_image, of_file, strict=True):
        assert np.array_equal(one.mask, other.mask)
        assert one.scores == other.scores


def test_what_is_passed_over_in_a_photo_is_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "moving.gif"
    Image.new("RGB", (8, 8)).save(path, save_all=True, append_images=[Image.new("RGB", (8, 8), "red")])
    as_photo(path)
    assert caplog.messages == [f"{path}: photo has 2 frames or pages; the first is taken"]


def test_a_string_is_one_sentence(segmenter: Segmenter) -> None:
    sentence = scene_sentences()[0]
    (alone,) = segmenter.segment(scene_photo(), sentence, "ds")
    (listed,) = segmenter.segment(scene_photo(), (each for each in [sentence]), "ds")
    assert alone.sentence == listed.sentence == sentence
    assert alone.scores == listed.scores


def test_threads_take_turns() -> None:
    tasks = [(seed, method) for seed in (0, 4) for method in ("ref-diff", "ds")]
    alone, shared = Segmenter(), Segmenter()

    def work(segmenter: Segmenter, seed: int, method: str) -> list[tuple[bytes, dict[str, float]]]:
        found = segmenter.segment(scene_photo(seed), scene_sentences(seed), method)
        return [(each.mask.tobytes(), each.scores) for each in found]

    expected = [work(alone, *task) for task in tasks]
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(lambda task: work(shared, *task), tasks)) == expected
    assert sorted(shared.loaded) == sorted(alone.loaded)


def test_a_photo_with_nothing_to_choose_gives_an_empty_mask(segmenter: Segmenter) -> None:
    found = segmenter.segment(np.zeros((1, 1, 3), np.uint8), ["the red circle"])[0]
    assert found.choice.index == -1
    assert not found.mask.any()
    assert found.scores == {}


def test_odd_sentences(segmenter: Segmenter, caplog: pytest.LogCaptureFixture) -> None:
    sentences = ["🐶", "left", "the red circle " * 40]
    with caplog.at_level(logging.WARNING):
        found = segmenter.segment(scene_photo(), sentences, "ds")
    assert [each.sentence for each in found] == sentences
    assert found[2].parsed.truncated
    assert "sentence 3: the sentence is too long and is cut" in caplog.text
    assert segmenter.segment(scene_photo(), []) == []


def test_what_cannot_be_used_is_refused(segmenter: Segmenter, tmp_path: Path) -> None:
    with pytest.raises(TextError, match="sentence 2: the sentence is blank"):
        segmenter.segment(scene_photo(), ["a", " \t"])
    with pytest.raises(ImageError, match="photo: expected a file's path, a Pillow image or RGB uint8"):
        segmenter.segment(np.zeros((4, 4), np.uint8), ["a"])
    with pytest.raises(ImageError, match="image is not there"):
        segmenter.segment(tmp_path / "no.png", ["a"])
    with pytest.raises(ParameterError, match=f"methods: no entry 'sam'; expected one of: .*{DEFAULT_METHOD}"):
        segmenter.segment(scene_photo(), ["a"], "sam")
    with pytest.raises(ParameterError, match="methods: no entry 'sam'"):
        Segmenter(method="sam")
    for params in (tmp_path / "none.yaml", str(tmp_path / "none.yaml")):
        with pytest.raises(ParameterError, match=r"none\.yaml: cannot be read"):
            Segmenter(params)


@pytest.mark.parametrize("photo", [b"bytes", None, 7, [[0, 0, 0]]], ids=lambda photo: type(photo).__name__)
def test_what_is_no_photo_is_refused_by_its_kind(segmenter: Segmenter, photo: Any) -> None:
    expected = rf"^photo: expected a file's path, a Pillow image or RGB uint8 .*, got {type(photo).__name__}; "
    with pytest.raises(ImageError, match=expected):
        segmenter.segment(photo, ["a"])


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        (["a", None], "sentence 2: expected a string, got NoneType"),
        ([b"a"], "sentence 1: expected a string, got bytes"),
        (b"a", "sentences: expected a string or strings, got bytes"),
        ({"a": 1}, "sentences: expected a string or strings, got dict"),
        (None, "sentences: expected a string or strings, got NoneType"),
        ([["a"]], "sentence 1: expected a string, got list"),
    ],
    ids=repr,
)
def test_what_is_no_sentence_is_refused_by_its_kind(segmenter: Segmenter, sentences: Any, message: str) -> None:
    with pytest.raises(TextError, match=f"^{message}"):
        segmenter.segment(scene_photo(), sentences)


def test_parameters_of_another_kind_are_refused() -> None:
    with pytest.raises(ParameterError, match=r"^params: expected a file's path or a mapping of sections, got list$"):
        Segmenter([])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ParameterError, match=r"^method: expected a name of a row of methods, got list$"):
        Segmenter(method=["ds"])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ParameterError, match=r"^paper: is no file but a preset's name; .* --preset paper"):
        Segmenter("paper")
    params = _params()
    params["methods"]["ds"]["beta"] = np.float32(0.5)
    with pytest.raises(
        ParameterError, match=r"^methods\.ds\.beta: .*got np\.float32\(0\.5\); NumPy's have \.item\(\)$"
    ):
        Segmenter(params, "ds")


def test_only_the_models_that_a_method_needs_are_loaded(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "refdiff/demo/models/sd/tokenizer", tmp_path / "tokenizer")  # which the parser needs
    params = _params(extract_attention={"model": str(tmp_path)})
    segmenter = Segmenter(params, "ds")
    assert segmenter.loaded == ()
    assert segmenter.segment(scene_photo(), scene_sentences())[0].mask.any()
    assert set(segmenter.loaded) == {"parser", "source", "clip"}
    with pytest.raises(ModelError, match=r"has no model_index\.json"):
        segmenter.segment(scene_photo(), scene_sentences(), "gs")


def test_models_are_loaded_once(segmenter: Segmenter) -> None:
    segmenter.segment(scene_photo(), scene_sentences(), "gs")
    segmenter.segment(scene_photo(4), scene_sentences(4), "ref-diff")
    assert segmenter.loaded.count("extractor") == 1
    assert segmenter.loaded.count("parser") == 1
