import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import ImageFont

from refdiff.report.caption import LINES, choose_font, draw_caption, plain_line, unknown_characters, wrap_text

FONT = ImageFont.load_default(16)


def test_a_caption_is_as_wide_as_its_picture_and_has_text() -> None:
    strip = draw_caption("the dog on the left", 400)
    assert strip.shape[1:] == (400, 3)
    assert strip.max() > 200
    assert draw_caption("the dog on the left " * 6, 400).shape[0] > strip.shape[0]


def test_a_blank_caption_is_an_empty_strip() -> None:
    strip = draw_caption(" \n ", 100)
    assert len(np.unique(strip.reshape(-1, 3), axis=0)) == 1


def test_long_text_ends_in_an_ellipsis() -> None:
    lines = wrap_text("a long sentence that goes on " * 30, FONT, 200)
    assert len(lines) == LINES
    assert lines[-1].endswith("…")
    assert all(FONT.getlength(line) <= 200 for line in lines)


def test_lines_break_between_words() -> None:
    assert wrap_text("one two three", FONT, FONT.getlength("one two ")) == ["one two", "three"]


def test_a_word_longer_than_a_line_is_cut() -> None:
    lines = wrap_text("x" * 60, FONT, FONT.getlength("x" * 40))
    assert "".join(lines) == "x" * 60


@pytest.mark.parametrize(
    ("text", "plain"), [("a\nb\t c", "a b c"), ("a\x00b", "a b"), ("\ud800x", "x"), ("  ", ""), ("a\u202eb", "a b")]
)
def test_text_on_one_line(text: str, plain: str) -> None:
    assert plain_line(text) == plain


def test_pillows_font_is_used_where_it_can_write_the_text() -> None:
    chosen = choose_font("plain words", 16)
    assert isinstance(chosen, ImageFont.FreeTypeFont)
    assert chosen.getname() == ("Aileron", "Regular")
    assert unknown_characters("abc 猫", FONT) == {"猫"}
    assert len(unknown_characters("שלום", choose_font("שלום", 16))) <= len(unknown_characters("שלום", FONT))


@settings(deadline=None, max_examples=50)
@given(st.text(max_size=60), st.floats(1, 400))
def test_wrapping_loses_nothing_but_what_the_ellipsis_says(text: str, width: float) -> None:
    lines = wrap_text(plain_line(text), FONT, width)
    assert 1 <= len(lines) <= LINES
    if not lines[-1].endswith("…"):
        assert "".join(lines).replace(" ", "") == plain_line(text).replace(" ", "")
