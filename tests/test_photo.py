import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from refdiff.errors import ImageError
from refdiff.photo import MAX_PIXELS, convert_image, decode_photo, open_photo, orient
from tests.fuzzing import count_examples

ORIENTATION = 0x0112


def random_rgb(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encode(image: Image.Image, kind: str = "PNG", orientation: int | None = None) -> bytes:
    exif = image.getexif()
    if orientation is not None:
        exif[ORIENTATION] = orientation
    stream = io.BytesIO()
    image.save(stream, kind, exif=exif)
    return stream.getvalue()


def png_16_bit_rgb(pixels: np.ndarray) -> bytes:
    """A PNG with 16 bits a channel, which Pillow reads but does not write."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_rgb_is_read_as_it_is(tmp_path: Path) -> None:
    pixels = random_rgb(5, 7)
    file = tmp_path / "photo.png"
    Image.fromarray(pixels).save(file)
    photo, _ = convert_image(open_photo(file), "x")
    assert photo.dtype == np.uint8
    assert photo.flags.c_contiguous
    assert np.array_equal(photo, pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_orientation_is_applied_as_pillow_does(kind: str, orientation: int) -> None:
    data = encode(Image.fromarray(random_rgb(6, 10)), kind, orientation)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    photo, frame = decode_photo(data, "x", MAX_PIXELS)
    assert np.array_equal(photo, expected)
    assert (frame.stored_height, frame.stored_width, frame.orientation) == (6, 10, orientation)
    assert (frame.height, frame.width) == photo.shape[:2] == ((6, 10) if orientation < 5 else (10, 6))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_masks_are_turned_like_photos(orientation: int) -> None:
    rgb = random_rgb(4, 9)
    assert np.array_equal(orient(rgb[:, :, 0], orientation), orient(rgb, orientation)[:, :, 0])


@pytest.mark.parametrize("orientation", [0, 9, 4711])
def test_an_orientation_that_does_not_exist_is_none(orientation: int) -> None:
    _, frame = decode_photo(encode(Image.fromarray(random_rgb(3, 5)), "JPEG", orientation), "x", MAX_PIXELS)
    assert frame.orientation == 1


def test_grey_photos_have_three_equal_channels() -> None:
    grey = random_rgb(4, 6)[:, :, 0]
    photo, _ = decode_photo(encode(Image.fromarray(grey)), "x", MAX_PIXELS)
    assert np.array_equal(photo, np.repeat(grey[:, :, None], 3, axis=2))


def test_one_bit_photos_are_black_and_white() -> None:
    bits = random_rgb(4, 6)[:, :, 0] > 127
    photo, _ = decode_photo(encode(Image.fromarray(bits)), "x", MAX_PIXELS)
    assert np.array_equal(photo[:, :, 1], np.where(bits, 255, 0))


def test_cmyk_photos_become_rgb() -> None:
    flat = Image.new("RGB", (16, 16), (200, 40, 90))
    photo, _ = decode_photo(encode(flat.convert("CMYK"), "JPEG"), "x", MAX_PIXELS)
    assert np.abs(photo.astype(int) - [200, 40, 90]).max() <= 3


def test_palette_photos_show_their_colours() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putdata([1, 0])
    photo, _ = decode_photo(encode(palette), "x", MAX_PIXELS)
    assert photo.tolist() == [[[0, 0, 255], [255, 0, 0]]]


def test_16_bit_grey_is_scaled() -> None:
    grey = np.array([[0, 257, 32768, 65535]], dtype=np.uint16)
    photo, _ = decode_photo(encode(Image.fromarray(grey)), "x", MAX_PIXELS)
    assert photo[0, :, 2].tolist() == [0, 1, 128, 255]
    photo, _ = decode_photo(encode(Image.fromarray(grey.astype(">u2")), "TIFF"), "x", MAX_PIXELS)
    assert photo[0, :, 2].tolist() == [0, 1, 128, 255]


def test_16_bit_colour_is_scaled() -> None:
    pixels = random_rgb(3, 4)
    photo, _ = decode_photo(png_16_bit_rgb(pixels.astype(np.uint16) * 257), "x", MAX_PIXELS)
    assert np.array_equal(photo, pixels)


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparency_is_shown_on_white(mode: str) -> None:
    image = Image.new(mode, (2, 2), (0, 0, 0, 0) if mode == "RGBA" else (0, 0))
    photo, _ = decode_photo(encode(image), "x", MAX_PIXELS)
    assert (photo == 255).all()
    solid = Image.new("RGBA", (2, 2), (10, 20, 30, 255))
    assert decode_photo(encode(solid), "x", MAX_PIXELS)[0][0, 0].tolist() == [10, 20, 30]


def test_a_transparent_palette_colour_is_white() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putdata([1, 0])
    stream = io.BytesIO()
    palette.save(stream, "PNG", transparency=0)
    photo, _ = decode_photo(stream.getvalue(), "x", MAX_PIXELS)
    assert photo.tolist() == [[[0, 0, 255], [255, 255, 255]]]


@pytest.mark.parametrize("size", [(1, 1), (10, 20_000), (20_000, 10)])
def test_odd_shapes_are_read(size: tuple[int, int]) -> None:
    photo, _ = decode_photo(encode(Image.new("RGB", size, "red")), "x", MAX_PIXELS)
    assert photo.shape == (size[1], size[0], 3)


def test_of_an_animation_the_first_frame_is_read() -> None:
    stream = io.BytesIO()
    Image.new("RGB", (4, 4), "red").save(stream, "GIF", save_all=True, append_images=[Image.new("RGB", (4, 4), "blue")])
    photo, _ = decode_photo(stream.getvalue(), "x", MAX_PIXELS)
    assert photo[0, 0].tolist() == [255, 0, 0]


def test_a_missing_photo_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"gone\.png: image is not there; expected a file"):
        open_photo(tmp_path / "gone.png")
    with pytest.raises(ImageError, match="image cannot be read"):
        open_photo(tmp_path)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("Photo.JPG", r"photo\.jpg is there, correct the name"),
        ("photo.jpeg", r"photo\.jpg is there, correct the name"),
        ("Cafe\u0301.png", r"caf\u00e9\.png is there, correct the name"),
        ("gone.jpg", r"gone\.jpg: image is a link to nowhere, which is not there"),
    ],
)
def test_a_name_that_is_nearly_right_gets_advice(
    asked: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("photo.jpg", "caf\u00e9.png"):
        Path(name).touch()
    Path("gone.jpg").symlink_to("nowhere")
    with pytest.raises(ImageError, match=message):
        open_photo(Path(asked))


def test_an_empty_photo_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    with pytest.raises(ImageError, match=r"empty\.png: image is an empty file; expected a photo, got 0 bytes"):
        open_photo(tmp_path / "empty.png")


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
def test_a_truncated_photo_is_named(kind: str, tmp_path: Path) -> None:
    data = encode(Image.fromarray(random_rgb(40, 40)), kind)
    (tmp_path / "part").write_bytes(data[: len(data) // 2])
    with pytest.raises(ImageError, match=r"part: image is truncated or broken|part: not an image"):
        open_photo(tmp_path / "part")


@pytest.mark.parametrize("content", [b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", b"<svg/>"])
def test_what_is_no_photo_is_refused(content: bytes) -> None:
    with pytest.raises(ImageError, match="x: not an image that can be read; expected JPEG, PNG"):
        decode_photo(content, "x", MAX_PIXELS)


def test_a_photo_with_too_many_pixels_is_not_decoded() -> None:
    data = encode(Image.new("1", (3000, 3000)))
    with pytest.raises(ImageError, match=r"x: image has 3000 x 3000 = 9,000,000 pixels; expected at most 8,999,999"):
        decode_photo(data, "x", 8_999_999)


def test_a_decompression_bomb_is_refused() -> None:
    with pytest.raises(ImageError, match="x: image is too large"):
        decode_photo(encode(Image.new("1", (20_000, 20_000))), "x", MAX_PIXELS)


def test_floating_point_pixels_are_refused() -> None:
    data = encode(Image.fromarray(np.ones((3, 3), dtype=np.float32)), "TIFF")
    with pytest.raises(ImageError, match="floating-point pixels"):
        decode_photo(data, "x", MAX_PIXELS)


def test_integers_beyond_16_bits_are_refused() -> None:
    data = encode(Image.fromarray(np.full((3, 3), 70_000, dtype=np.int32)), "TIFF")
    with pytest.raises(ImageError, match="values from 70000 to 70000; expected 0 to 65535"):
        decode_photo(data, "x", MAX_PIXELS)


@settings(max_examples=count_examples(300), deadline=None)
@given(
    st.sampled_from(["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_damaged_photos_are_read_or_refused(kind: str, changes: list[tuple[float, int]]) -> None:
    data = bytearray(encode(Image.fromarray(random_rgb(9, 12)), kind, 6))
    for where, value in changes:
        data[int(where * len(data))] = value
    try:
        photo, frame = decode_photo(bytes(data), "x", 1_000_000)
    except ImageError as error:
        assert "x: " in str(error)  # noqa: PT017 - which photos survive is not known beforehand
    else:
        assert photo.shape == (frame.height, frame.width, 3)
