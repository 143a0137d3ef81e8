import io

import numpy as np
import pytest
from PIL import Image

from refdiff.errors import ImageError
from refdiff.file_kind import recognise
from refdiff.photo import MAX_PIXELS, decode_photo


@pytest.mark.parametrize(
    ("data", "kind", "advice"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC", "convert it"),
        (b"\0\0\0 ftypavif\0\0\0\0avifmif1", "AVIF", "convert it"),
        (b"\0\0\0 ftypisom\0\0\x02\0isomiso2", "a video", "save a picture"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL", "convert it"),
        (b"%PDF-1.7\n", "PDF", "convert it"),
        (b'<?xml version="1.0"?>\n<!-- by hand -->\n<svg xmlns="">', "SVG", "convert it"),
        (b"<svg width='3'>", "SVG", "convert it"),
        (b"<!DOCTYPE html><html><head><title>404", "a page of HTML", "the download failed"),
        (b"\xef\xbb\xbf\r\n<HTML>", "a page of HTML", "the download failed"),
        (b'<?xml version="1.0"?><Error><Code>AccessDenied', "XML", "the download failed"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "a Git LFS pointer", "git lfs pull"),
        (b"/annex/objects/MD5E-s3--0.jpg", "a git-annex pointer", "git annex get"),
        (b"\x1f\x8b\x08\0", "a gzip archive", "unpack it"),
        (b"PK\x03\x04\x14\0", "a zip archive", "unpack it"),
        (b"\0" * 5000, "zero bytes", "fetch it again"),
        ('{"a": 1}'.encode("utf-16"), "text in UTF-16", "save it as UTF-8"),
        ('{"a": 1}'.encode("utf-16-be"), "text in UTF-16", "save it as UTF-8"),
        ('{"a": 1}'.encode("utf-32"), "text in UTF-32", "save it as UTF-8"),
    ],
)
def test_first_bytes_tell_the_kind_and_what_helps(data: bytes, kind: str, advice: str) -> None:
    found = recognise(data)
    assert found is not None
    assert found[0].startswith(kind)
    assert advice in str(found[1])
    with pytest.raises(ImageError, match=rf"^a\.jpg: not an image that can be read; expected .*, got {kind}.*{advice}"):
        decode_photo(data, "a.jpg", MAX_PIXELS)


@pytest.mark.parametrize(
    "data", [b"", b"hello", b'{"image": "a.png"}', b"[1, 2]", b"\x80\x02]q\x01.", b"(lp0\n.", b"\n"]
)
def test_text_json_and_pickles_are_of_no_kind(data: bytes) -> None:
    assert recognise(data) is None


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "WEBP"])
def test_pictures_have_their_names(kind: str) -> None:
    stream = io.BytesIO()
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(stream, kind)
    assert (recognise(stream.getvalue()) or ("", None))[0].upper() == kind
