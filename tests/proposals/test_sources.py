"""Photos, the oracle, and sources by their kind."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from refdiff.dataset.tables import Dataset
from refdiff.errors import ImageError, ParameterError
from refdiff.layout import SplitLayout
from refdiff.proposals.job import list_photos
from refdiff.proposals.opening import open_source, propose
from refdiff.proposals.settings import FileSettings, TruthSettings
from refdiff.proposals.source import Photo
from refdiff.proposals.split_opening import open_split_source
from tests.proposals.rows import filters, make_split, regions

Split = tuple[SplitLayout, Dataset, list[np.ndarray]]


@pytest.fixture
def split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Split:
    monkeypatch.chdir(tmp_path)
    return make_split(tmp_path)


def test_the_oracle_gives_the_true_masks_and_none_for_no_target(split: Split) -> None:
    _, dataset, truths = split
    source = open_split_source(TruthSettings(kind="truth"), "cpu", "toy", dataset)
    parts = [source.propose(photo) for photo in list_photos(dataset, Path())]
    assert [len(part) for part in parts] == [2, 1, 0]
    assert (parts[0].masks == truths[0]).all()
    assert parts[0].confidence.tolist() == [1.0, 1.0]


def test_regions_find_the_boxes(split: Split) -> None:
    _, dataset, truths = split
    source = open_split_source(regions(), "cpu", "toy", dataset)
    found = [source.propose(photo) for photo in list_photos(dataset, Path())]
    assert [len(part) for part in found] == [2, 1, 0]
    iou = (found[1].masks[0] & truths[1][0]).sum() / (found[1].masks[0] | truths[1][0]).sum()
    assert iou > 0.9


def test_a_photo_that_was_exchanged_is_refused(split: Split) -> None:
    _, dataset, _ = split
    Image.fromarray(np.zeros((64, 40, 3), np.uint8)).save("photos/1.png")
    with pytest.raises(ImageError, match=r"photos/1.png \(image 8\): is not the file that prepare_dataset read"):
        list_photos(dataset, Path())[1].pixels()


def test_a_photo_of_another_size_than_the_dataset_says_is_refused(split: Split) -> None:
    _, dataset, _ = split
    photo = replace(list_photos(dataset, Path())[1], height=40, width=64)
    with pytest.raises(ImageError, match=r"photos/1.png \(image 8\): expected 40 x 64 pixels, got 64 x 40"):
        photo.pixels()


def test_one_photo_in_memory() -> None:
    rgb = np.full((40, 60, 3), 120, np.uint8)
    rgb[10:30, 20:50] = (200, 40, 40)
    found = propose(Photo.of_pixels(rgb, "mine"), open_source(regions(), "cpu"), filters())
    assert found.masks.shape == (1, 40, 60)


def test_a_photo_without_pixels_is_refused() -> None:
    with pytest.raises(ImageError, match="image x: has neither pixels nor a file"):
        Photo("x", 2, 2).pixels()


@pytest.mark.parametrize("settings", [TruthSettings(kind="truth"), FileSettings(kind="file", path="a.json")])
def test_sources_of_a_dataset_are_refused_for_a_photo_alone(settings: TruthSettings | FileSettings) -> None:
    with pytest.raises(ParameterError, match="expected regions or sam for a photo alone"):
        open_source(settings, "cpu")
