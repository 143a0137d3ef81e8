"""What a file is by its first bytes, for messages about a file that is something else than its name says."""

import codecs
import re

_CONVERT = "convert it to JPEG or PNG"
_FETCH = "the download failed, fetch it again"
_UNPACK = "unpack it"
_HEAD = 2048

# A pattern at the start of the bytes; what it is; what to do about it, None where that is the reader's to say.
_KINDS: tuple[tuple[re.Pattern[bytes], str, str | None], ...] = tuple(
    (re.compile(pattern, re.DOTALL | re.IGNORECASE), kind, advice)
    for pattern, kind, advice in (
        (rb"....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)", "HEIC, as phones write it", _CONVERT),
        (rb"....ftypavi[fs]", "AVIF", _CONVERT),
        (rb"....ftyp", "a video or a camera's raw file", "save a picture of it as JPEG or PNG"),
        (rb"\xff\x0a|\0\0\0\x0cJXL ", "JPEG XL", _CONVERT),
        (rb"8BPS", "a Photoshop file", _CONVERT),
        (rb"%PDF", "PDF", _CONVERT),
        (rb"%!PS|\xc5\xd0\xd3\xc6", "PostScript", _CONVERT),
        (rb"\s*(<\?xml[^>]*>\s*)?(<!doctype svg[^>]*>\s*)?<svg\b", "SVG", _CONVERT),
        (rb"\s*(<\?xml[^>]*>\s*)?<(!doctype html|html|head|body)\b", "a page of HTML", _FETCH),
        (rb"\s*<\?xml", "XML", _FETCH),
        (rb"version https://git-lfs", "a Git LFS pointer", "run `git lfs pull`"),
        (rb"/annex/objects/|\.\./.*\.git/annex/", "a git-annex pointer", "run `git annex get`"),
        (rb"\x1f\x8b", "a gzip archive", _UNPACK),
        (rb"PK\x03\x04", "a zip archive", _UNPACK),
        (rb"7z\xbc\xaf\x27\x1c|\xfd7zXZ|BZh\d|\x28\xb5\x2f\xfd|.{257}ustar", "an archive", _UNPACK),
        (rb"\x93NUMPY", "a NumPy array", None),
        (rb"\xff\xd8\xff", "JPEG", None),
        (rb"\x89PNG", "PNG", None),
        (rb"GIF8", "GIF", None),
        (rb"RIFF....WEBP", "WebP", None),
        (rb"II\x2a\0|MM\0\x2a", "TIFF", None),
    )
)
_UTF_8 = "save it as UTF-8"


def recognise(data: bytes) -> tuple[str, str | None] | None:
    """What the bytes of a file are, and what helps; None for anything that is not known for sure.

    JSON, pickles and other text are not recognised.
    """
    head = data[:_HEAD]
    if head and not head.strip(b"\0"):
        return "zero bytes", "the copy failed, fetch it again"
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        return "text in UTF-32", _UTF_8
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or _is_bare_utf_16(head):
        return "text in UTF-16", _UTF_8
    text = re.sub(rb"<!--.*?-->\s*", b"", head.removeprefix(codecs.BOM_UTF8), flags=re.DOTALL)
    return next(((kind, advice) for pattern, kind, advice in _KINDS if pattern.match(text)), None)


def _is_bare_utf_16(head: bytes) -> bool:
    """Whether the first four characters are ASCII, each with a zero byte before or behind it."""
    return re.match(rb"(\0[\t\n\r -~]){4}|([\t\n\r -~]\0){4}", head) is not None
