from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFilter

from refdiff.dataset.mask_image import read_mask_image
from refdiff.dataset.settings import MaskValues
from refdiff.errors import ImageError, MaskError
from tests.dataset.folder import rectangle

MASK = rectangle(6, 9, slice(1, 4), slice(2, 8))
VOC = [0, 0, 0, 128, 0, 0, *[0] * 759, 224, 224, 192]
GREY = [channel for level in range(256) for channel in [level] * 3]
WHITE_FIRST = [255, 255, 255, 0, 0, 0]


def save(path: Path, pixels: Any, palette: list[int] | None = None) -> Path:
    image = Image.fromarray(pixels)
    if palette is not None:
        image.putpalette(palette)
    image.save(path)
    return path


@pytest.mark.parametrize("rule", ["binary", "nonzero"])
@pytest.mark.parametrize(
    ("pixels", "palette"),
    [
        (MASK, None),
        (MASK * np.uint8(255), None),
        (MASK * np.uint8(1), None),
        (MASK * np.uint16(900), None),
        (MASK * np.uint8(3), [0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 0]),
        (MASK * np.uint8(1), VOC),
        (MASK * np.uint8(255), GREY),
    ],
    ids=["one bit", "255", "1", "16 bits", "entry 3", "VOC without border", "entry 255"],
)
def test_two_values_are_the_mask(pixels: Any, palette: list[int] | None, rule: MaskValues, tmp_path: Path) -> None:
    assert np.array_equal(read_mask_image(save(tmp_path / "mask.png", pixels, palette), rule), MASK)


@pytest.mark.parametrize(("value", "area"), [(0, 0), (255, 54)])
def test_a_mask_of_one_value_is_nothing_or_all(value: int, area: int, tmp_path: Path) -> None:
    assert read_mask_image(save(tmp_path / "mask.png", np.full((6, 9), value, np.uint8)), "binary").sum() == area


@pytest.mark.parametrize(
    ("pixels", "palette", "message"),
    [
        (
            MASK * np.uint8(200) + np.uint8(5),
            None,
            r"2 values: 5 \(36 pixels\), 205 \(18 pixels\); .*: half",
        ),
        (MASK + np.eye(6, 9, dtype=np.uint8), None, r"3 values: 0 .*, 1 .*, 2 .*; expected 0 .*mask_values: nonzero"),
        (
            MASK * np.uint8(1) + 255 * np.eye(6, 9, 7, np.uint8),
            VOC,
            r"3 palette entries: .*255 \(2 .*: nonzero",
        ),
        (MASK * np.uint8(1), WHITE_FIRST, r"entry 0 \(outside\) is lighter than entry 1 \(inside\).*: nonzero"),
        (MASK * np.uint16(900) + np.arange(9, dtype=np.uint16), None, r"15 values: 0 .* and 9 more; expected"),
    ],
    ids=["not 0", "two objects", "void border", "white first", "16 bits"],
)
def test_what_binary_does_not_cover_is_refused(
    pixels: Any, palette: list[int] | None, message: str, tmp_path: Path
) -> None:
    path = save(tmp_path / "mask.png", pixels, palette)
    with pytest.raises(MaskError, match=rf"mask\.png: mask image has .*{message}"):
        read_mask_image(path, "binary")
    assert np.array_equal(read_mask_image(path, "nonzero"), pixels != 0)


@pytest.mark.parametrize("depth", [8, 16])
def test_half_cuts_soft_masks_at_half_of_the_brightest(depth: int, tmp_path: Path) -> None:
    hard = rectangle(40, 60, slice(10, 30), slice(20, 50))
    soft = np.asarray(Image.fromarray(hard * np.uint8(255)).filter(ImageFilter.GaussianBlur(2)))
    path = save(tmp_path / "mask.png", soft if depth == 8 else soft.astype(np.uint16) * 257)
    with pytest.raises(MaskError, match="expected 0 outside and one other"):
        read_mask_image(path, "binary")
    assert np.array_equal(read_mask_image(path, "half"), soft >= 128)
    assert np.array_equal(read_mask_image(save(path, hard), "half"), hard)


def test_a_palette_has_no_half(tmp_path: Path) -> None:
    with pytest.raises(MaskError, match=r"palette, whose numbers are no brightness; .*: half; save it as grey"):
        read_mask_image(save(tmp_path / "mask.png", MASK * np.uint8(1), VOC), "half")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
def test_masks_of_several_channels_are_refused(mode: str, tmp_path: Path) -> None:
    Image.new(mode, (3, 3)).save(tmp_path / "mask.png")
    with pytest.raises(MaskError, match=rf"mask\.png: mask image has mode {mode}; expected one channel"):
        read_mask_image(tmp_path / "mask.png", "nonzero")


def test_a_mask_that_viewers_turn_is_refused(tmp_path: Path) -> None:
    image = Image.fromarray(MASK)
    exif = image.getexif()
    exif[0x0112] = 3
    image.save(tmp_path / "mask.png", exif=exif)
    with pytest.raises(MaskError, match="has an EXIF orientation of its own, 3; expected none; save it as viewers"):
        read_mask_image(tmp_path / "mask.png", "binary")


def test_a_jpeg_is_no_mask(tmp_path: Path) -> None:
    Image.new("L", (3, 3)).save(tmp_path / "mask.jpg")
    with pytest.raises(ImageError, match="expected PNG, got JPEG"):
        read_mask_image(tmp_path / "mask.jpg", "half")
