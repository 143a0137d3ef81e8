import pytest

from refdiff.dataset.frames import is_frame_unknown, is_stored_frame
from refdiff.errors import ImageError
from refdiff.photo import PhotoFrame

PLAIN = PhotoFrame(10, 20, 10, 20, 1)
TURNED = PhotoFrame(20, 10, 10, 20, 6)
UPSIDE_DOWN = PhotoFrame(10, 20, 10, 20, 3)


def test_the_size_tells_the_frame() -> None:
    assert not is_stored_frame(PLAIN, (10, 20), "auto", "x")
    assert not is_stored_frame(TURNED, (20, 10), "auto", "x")
    assert is_stored_frame(TURNED, (10, 20), "auto", "x")


def test_the_oriented_frame_is_meant_when_nothing_tells() -> None:
    assert not is_stored_frame(TURNED, None, "auto", "x")
    assert not is_stored_frame(UPSIDE_DOWN, (10, 20), "auto", "x")


def test_the_rule_may_name_the_frame() -> None:
    assert is_stored_frame(UPSIDE_DOWN, (10, 20), "stored", "x")
    assert is_stored_frame(TURNED, None, "stored", "x")
    assert not is_stored_frame(TURNED, None, "oriented", "x")
    with pytest.raises(ImageError, match=r"photo is 20 x 10 .*expected 10 x 20 as annotated"):
        is_stored_frame(TURNED, (10, 20), "oriented", "x")
    with pytest.raises(ImageError, match="expected 20 x 10 as annotated"):
        is_stored_frame(TURNED, (20, 10), "stored", "x")


def test_what_tells_nothing_is_known_to() -> None:
    assert is_frame_unknown(TURNED, None, "auto")
    assert is_frame_unknown(UPSIDE_DOWN, (10, 20), "auto")
    known = [(TURNED, (20, 10), "auto"), (TURNED, (10, 20), "auto"), (PLAIN, None, "auto"), (TURNED, None, "stored")]
    for photo, size, rule in known:
        assert not is_frame_unknown(photo, size, rule)


def test_another_size_is_refused() -> None:
    with pytest.raises(
        ImageError, match=r"a\.jpg: photo is 10 x 20 \(height x width\); expected 10 x 21 as annotated; use"
    ):
        is_stored_frame(PLAIN, (10, 21), "auto", "a.jpg")
    with pytest.raises(ImageError, match=r"photo is 20 x 10 \(10 x 20 before EXIF orientation 6\)"):
        is_stored_frame(TURNED, (5, 5), "auto", "a.jpg")
