import io
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from refdiff.dataset.photo_remarks import remark_on_photo
from refdiff.photo import MAX_PIXELS, decode_photo
from tests.dataset.folder import MiniFolder, make_folder

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def swap_channels(profile: bytes) -> bytes:
    """The profile with the colorants of red and blue exchanged, named by its table of tags."""
    table = bytearray(profile)
    (count,) = struct.unpack(">I", profile[128:132])
    places = {profile[132 + 12 * i : 136 + 12 * i]: 132 + 12 * i for i in range(count)}
    red, blue = places[b"rXYZ"], places[b"bXYZ"]
    table[red : red + 4], table[blue : blue + 4] = b"bXYZ", b"rXYZ"
    return bytes(table)


def foreign_profile(data: bytes) -> str:
    """The profile that is named; empty when none is."""
    remark = dict(remark_on_photo(data)).get("colour_profile", "")
    found = re.match("photo has the colour profile '(.*)', which is ignored", remark)
    return "" if found is None else found[1]


def encode(mode: str, kind: str, profile: bytes | None) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, kind, icc_profile=profile)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_profile_is_named_where_colours_would_be_others(kind: str) -> None:
    assert foreign_profile(encode("RGB", kind, swap_channels(SRGB))) == "sRGB built-in"
    assert foreign_profile(encode("RGB", kind, SRGB)) == ""
    assert foreign_profile(encode("RGB", kind, None)) == ""


@pytest.mark.parametrize(("mode", "named"), [("P", True), ("RGBA", True), ("L", False), ("1", False)])
def test_a_profile_of_colours_says_nothing_of_grey(mode: str, named: bool) -> None:
    assert bool(foreign_profile(encode(mode, "PNG", swap_channels(SRGB)))) == named


# Named, as a profile that is made holds the second in which it was made, and workers of pytest compare names.
@pytest.mark.parametrize("profile", [b"damaged", SRGB[:200], b"\0" * 500], ids=["text", "cut", "zeros"])
def test_a_damaged_profile_is_none(profile: bytes) -> None:
    assert foreign_profile(encode("RGB", "JPEG", profile)) == ""


def test_profiles_change_no_pixel_and_are_remarked_on(tmp_path: Path) -> None:
    plain, swapped = encode("RGB", "PNG", None), encode("RGB", "PNG", swap_channels(SRGB))
    photo, other = (decode_photo(data, "x", MAX_PIXELS)[0] for data in (plain, swapped))
    assert np.array_equal(photo, other)

    def change(folder: MiniFolder) -> None:
        Image.open(folder.photo(1)).save(folder.photo(1), icc_profile=swap_channels(SRGB))

    dataset = make_folder(tmp_path / "mini", change).prepare()
    (line,) = dataset.meta["remarks"]["colour_profile"]
    assert "photo_1.png (image 1): photo has the colour profile 'sRGB built-in', which is ignored" in line
    assert dataset.meta["dropped"] == []


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "TIFF", "PNG"])
def test_further_frames_are_remarked_on(kind: str) -> None:
    frames = [Image.new("RGB", (6, 8), colour) for colour in ("red", "green", "blue")]
    stream = io.BytesIO()
    frames[0].save(stream, kind, save_all=True, append_images=frames[1:])
    assert remark_on_photo(stream.getvalue()) == [("frames", "photo has 3 frames or pages; the first is taken")]
    assert remark_on_photo(encode("RGB", kind, None)) == []


def test_damaged_further_frames_do_not_matter() -> None:
    stream = io.BytesIO()
    frames = [Image.new("RGB", (60, 80), colour) for colour in ("red", "green", "blue")]
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    data = stream.getvalue()
    for end in range(len(data) // 2, len(data)):
        assert all(kind == "frames" for kind, _ in remark_on_photo(data[:end]))
