"""A strip of text below a picture, for any sentence: wrapped, shortened, and in the best font at hand.

Pillow ships one Latin font. A sentence that it cannot write is set in the first installed font that can; where there
is none, its unknown characters become boxes.
"""

import functools

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

STRIP_RGB = (24, 27, 33)
TEXT_RGB = (240, 241, 244)
LINES = 3
_UNKNOWN = "\U0010ffff"
_INSTALLED = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf",
    "Arial Unicode.ttf",
    "arial.ttf",
    "NotoSansCJK-Regular.ttc",
    "NotoSansArabic-Regular.ttf",
    "NotoEmoji-Regular.ttf",
    "seguisym.ttf",
)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw_caption(text: str, width: int) -> NDArray[np.uint8]:
    """A strip with `text` in it.

    Args:
        text: Any text. Line breaks and control characters become spaces; what does not fit in three lines ends in an
            ellipsis.
        width: Width of the strip, pixels.

    Returns:
        RGB uint8 `[height width 3]`; the height follows from the lines.
    """
    clean = plain_line(text)
    size_px = int(np.clip(width / 26, 13, 44))
    font = choose_font(clean, size_px)
    margin = round(size_px * 0.8)
    lines = wrap_text(clean, font, max(width - 2 * margin, 1))
    step = round(size_px * 1.35)
    strip = Image.new("RGB", (width, step * len(lines) + margin), STRIP_RGB)
    drawing = ImageDraw.Draw(strip)
    for index, line in enumerate(lines):
        drawing.text((margin, margin / 2 + index * step), line, font=font, fill=TEXT_RGB)
    return np.asarray(strip)


def plain_line(text: str) -> str:
    """The text on one line, with only characters that can be drawn."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())


def wrap_text(text: str, font: Font, width: float) -> list[str]:
    """Lines of at most `width` pixels and at most three of them; a word that is too long is cut."""
    lines: list[str] = []
    rest = text
    while rest and len(lines) < LINES:
        line = _longest_start(rest, font, width)
        if line != rest and " " in line and not (line.endswith(" ") or rest[len(line)] == " "):
            line = line[: line.rindex(" ")]
        lines.append(line.strip())
        rest = rest[len(line) :].strip()
    if rest:
        lines[-1] = _longest_start(lines[-1], font, width - font.getlength("…")).rstrip() + "…"
    return lines or [""]


def choose_font(text: str, size_px: int) -> Font:
    """Pillow's own font where it can write `text`, else the installed font with the fewest unknown characters."""
    fonts = _fonts(size_px)
    return min(fonts, key=lambda font: len(unknown_characters(text, font)))


def unknown_characters(text: str, font: Font) -> set[str]:
    """Characters of the text that the font has no picture for."""
    box = _picture(font, _UNKNOWN)
    return {char for char in set(text) - {" "} if _picture(font, char) == box}


@functools.cache
def _fonts(size_px: int) -> tuple[Font, ...]:
    fonts: list[Font] = [ImageFont.load_default(size_px)]
    for name in _INSTALLED:
        try:
            fonts.append(ImageFont.truetype(name, size_px))
        except OSError:  # not installed: the next one may be
            continue
    return tuple(fonts)


def _picture(font: Font, char: str) -> tuple[tuple[int, int], bytes]:
    left, top, right, bottom = (int(side) for side in font.getbbox(char))
    size = (max(right - left, 1), max(bottom - top, 1))
    picture = Image.new("L", size)
    ImageDraw.Draw(picture).text((-left, -top), char, font=font, fill=255)
    return size, picture.tobytes()


def _longest_start(text: str, font: Font, width: float) -> str:
    """The longest start of the text that fits, at least one character."""
    low, high = 1, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if font.getlength(text[:middle]) <= width:
            low = middle
        else:
            high = middle - 1
    return text[:low]
