"""The direction that a sentence states for what it means: "the dog on the left" -> left.

Whole words only, by a few rules on the words around them (no parser: on phrases like "guy bottom l" parsers guess).
Not counted are: somebody's side or limb ("in his left hand", "to her right"), a gaze or a movement ("facing left"),
right as an adverb ("right behind"), left as a participle ("left open"), a garment or a compound ("a blue top", "lap
top"), being on something ("on top of the cake"), parts of what the target has ("cake with candles on top", "board with
writing on the bottom"), and what is denied ("not the left one").
`above` and `below` relate two objects and are no directions of the photo.
"""

import re
from dataclasses import dataclass
from typing import Literal

from refdiff.text.direction_words import (
    AFTER_ADVERB_RIGHT,
    AFTER_PARTICIPLE_LEFT,
    ARTICLES,
    BEFORE_PARTICIPLE_LEFT,
    BODY_PARTS,
    COMPOUND_MODIFIERS,
    DEGREES,
    GARMENT_MODIFIERS,
    GAZES,
    HAVING,
    PICTURES,
    PLACE_PREPOSITIONS,
    PLACES,
    POSSESSIVES,
    RELATIONS,
    TOWARDS,
    WEARING,
    height_before_side,
    letter_side,
    plain_side,
    sides_of,
)
from refdiff.text.parsed import Direction

_WORD = re.compile(r"[^\W\d_]+|\d+|[^\w\s]")
_PUNCTUATION = frozenset(",.;:!?")


@dataclass(frozen=True, slots=True)
class FoundDirection:
    """One direction word that counts.

    Attributes:
        side: Which direction.
        index: Position of its word among the sentence's words and signs.
        own: No relation to another object stands before it.
        place: It is a phrase of place ("on the left", "left side", the last word), not another object's adjective.
    """

    side: Direction
    index: int
    own: bool
    place: bool


def find_directions(sentence: str) -> tuple[FoundDirection, ...]:
    """All direction words of a sentence that count, in order; those of other objects are among them."""
    words = _WORD.findall(sentence.lower().replace("’", "'"))
    found: list[FoundDirection] = []
    for index in range(len(words)):
        sides = _sides_at(words, index)
        if sides and not _is_excluded(words, index, sides):
            own = not any(_is_relation(words, i) for i in range(index))
            place = _is_place(words, index)
            found.extend(FoundDirection(side, index, own, place) for side in sides)
    return tuple(found)


def choose_direction(found: tuple[FoundDirection, ...]) -> Direction | Literal["none"]:
    """The direction that belongs to the target.

    The first one before any relation to another object; else the first phrase of place ("man next to the bus on the
    left"); another object's adjective ("behind the left car") is not taken. Of "top left" it is left, the horizontal
    one, since that is the one by which most sentences tell objects apart.

    Source: docs/method.md, "Position ramps": the paper does not say which direction counts.
    """
    own = [direction for direction in found if direction.own]
    candidates = own or [direction for direction in found if direction.place]
    if not candidates:
        return "none"
    first = candidates[0]
    if first.side in ("top", "bottom"):
        for other in found:
            if other.side in ("left", "right") and 0 <= other.index - first.index <= 2:  # "top - left"
                return other.side
    return first.side


def released_direction(sentence: str) -> Literal["none", "left", "right"]:
    """The released rule: the letters `left` anywhere, else the letters `right` anywhere ("bright" too).

    Source: docs/method.md, "Position ramps": released code, model/segmenter.py.
    """
    if "left" in sentence:
        return "left"
    return "right" if "right" in sentence else "none"


def _word(words: list[str], index: int) -> str:
    return words[index] if 0 <= index < len(words) else ""


def _after(words: list[str], index: int) -> tuple[str, str]:
    """The next two words, a hyphen passed over."""
    step = index + 2 if _word(words, index + 1) == "-" else index + 1
    return _word(words, step), _word(words, step + 1)


def _sides_at(words: list[str], index: int) -> tuple[Direction, ...]:
    word, before, after = words[index], _word(words, index - 1), _word(words, index + 1)
    letter = letter_side(word)
    if letter is not None:
        joined = before in {"'", ".", "-", "&", "/", "letter"} or after in {"'", "&", "/"}
        alone = index == 0 or after == "" or after in _PUNCTUATION or after == "most"
        led = before in PLACE_PREPOSITIONS | DEGREES | ARTICLES
        spelt = after == "." and len(_word(words, index + 2)) == 1
        return (letter,) if (alone or led) and not joined and not spelt else ()
    height = height_before_side(word)
    if height is not None:
        return (height,) if sides_of(after) or letter_side(after) else ()
    if word == "lt" and after in GARMENT_MODIFIERS:  # light blue
        return ()
    return sides_of(word)


def _is_excluded(words: list[str], index: int, sides: tuple[Direction, ...]) -> bool:
    before = _word(words, index - 1)
    owned = before in POSSESSIVES or (before == "s" and _word(words, index - 2) == "'")
    if owned or _is_limb(words, index) or _is_denied(words, index):
        return True
    if _is_part_of_something_had(words, index, sides):
        return True
    plain, letter = plain_side(words[index]), letter_side(words[index])
    if ((plain or letter) and _is_gaze(words, index)) or (plain and _is_no_place(words, index, plain)):
        return True
    if words[index] == "top":
        return _is_thing_top(words, index)
    if words[index] in ("bottom", "btm"):
        return before in GARMENT_MODIFIERS - {"dark", "light"}
    return words[index] in ("lower", "upper") and _after(words, index)[0] in {"than", "case", "class"}


def _is_limb(words: list[str], index: int) -> bool:
    """ "his left hand", not "left hand side"; where the sentence begins with it, it is the target itself."""
    after, second = _after(words, index)
    if after not in BODY_PARTS:
        return False
    if after == "hand" and (second in PLACES or _word(words, index + 1) == "-"):
        return False
    return not all(word in ARTICLES | DEGREES for word in words[:index])


def _is_part_of_something_had(words: list[str], index: int, sides: tuple[Direction, ...]) -> bool:
    """ "a board with writing on the bottom"; "with a hat, bottom left" and "at the top of the picture" are places."""
    if not HAVING.intersection(words[:index]) or not {"left", "right"}.isdisjoint(sides):
        return False
    after, _ = _after(words, index)
    if {"left", "right"} & set(sides_of(after)) or letter_side(after):
        return False
    return not PICTURES.intersection(words[index + 1 : index + 4])


def _is_denied(words: list[str], index: int) -> bool:
    position = index - 1
    while position >= 0 and words[position] in ARTICLES | PLACE_PREPOSITIONS | {"far"}:
        position -= 1
    return _word(words, position) == "not"


def _is_gaze(words: list[str], index: int) -> bool:
    """ "looking to the right", but "running to the right of the dog" is a place."""
    if _after(words, index)[0] == "of":
        return False
    position = index - 1
    while position >= max(0, index - 3) and words[position] in TOWARDS:
        position -= 1
    return _word(words, position) in GAZES


def _is_no_place(words: list[str], index: int, side: Direction) -> bool:
    """Right as an adverb ("right behind it"), left as a participle ("left open")."""
    before, (after, second) = _word(words, index - 1), _after(words, index)
    if after == "side" and second == "up":
        return True
    if before == "what" or (_word(words, index - 2) == "what" and before in {"is", "s", "was"}):
        return True
    if before in ARTICLES | DEGREES | PLACE_PREPOSITIONS | {"of", "-", "and", "or"}:
        return False
    if side == "right":
        if index == 0 and after in ("in", "on"):  # "right in red", but "right in front of us"
            return second == "front"
        return after in AFTER_ADVERB_RIGHT
    return after in AFTER_PARTICIPLE_LEFT or before in BEFORE_PARTICIPLE_LEFT


def _is_thing_top(words: list[str], index: int) -> bool:
    """A garment, a compound, or being on something; the top of the photo or of a pile counts."""
    before, after = _word(words, index - 1), _word(words, index + 1)
    aimed = bool(sides_of(after) or letter_side(after)) or after in PLACES
    if before == "on":
        return after in ARTICLES | {"of"} or ("and" in words[:index] and not aimed)
    if aimed or after == "hat":
        return not aimed
    if before in GARMENT_MODIFIERS | COMPOUND_MODIFIERS:
        return True
    if before in ARTICLES - {"the"}:
        return _word(words, index - 2) in WEARING
    led_by_place = before in PLACE_PREPOSITIONS | DEGREES | {"", "the", "up", "way", ",", "of"}
    worn = any(word in WEARING for word in words[max(0, index - 4) : index]) or after not in {"", "of"}
    return worn and not led_by_place


def _is_relation(words: list[str], index: int) -> bool:
    word, after = words[index], _word(words, index + 1)
    if word == "front":
        return after == "of"
    if word == "top":
        return after == "of" and _word(words, index - 1) == "on"
    return word in RELATIONS


def _is_place(words: list[str], index: int) -> bool:
    after = _after(words, index)[0]
    if after == "" or after in _PUNCTUATION or after in PLACES:
        return True
    position = index - 1
    while position >= 0 and words[position] in ARTICLES | DEGREES:
        position -= 1
    if _word(words, position) == "to" and _word(words, position - 1) in (
        "next",
        "close",
        "closest",
        "nearest",
    ):
        return False
    return _word(words, position) in PLACE_PREPOSITIONS | _PUNCTUATION
