import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refdiff.text.direction_words import sides_of
from refdiff.text.directions import choose_direction, find_directions, released_direction
from tests.text.conftest import FIXTURES


def direction(sentence: str) -> str:
    return choose_direction(find_directions(sentence))


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("left", "left"),
        ("LEFT MAN", "left"),
        ("far left cut off", "left"),
        ("guy l", "left"),
        ("l guy", "left"),
        ("far r", "right"),
        ("2nd from r", "right"),
        ("kid on rt", "right"),
        ("lft zebra", "left"),
        ("left-most", "left"),
        ("leftmost sheep", "left"),
        ("right most giraffe", "right"),
        ("the lefthand one", "left"),
        ("on the left - hand side", "left"),
        ("the right hand picture", "right"),
        ("2nd from left", "left"),
        ("lady far right", "right"),
        ("dude in back right corner", "right"),
        ("the cup to the left of the plate", "left"),
        ("running to the right of the dog", "right"),
        ("top pizza", "top"),
        ("the topmost donut", "top"),
        ("upper bunk", "top"),
        ("carrots at top", "top"),
        ("the top of the photo", "top"),
        ("bottom", "bottom"),
        ("btm bowl", "bottom"),
        ("the lower branch", "bottom"),
    ],
)
def test_directions_as_people_write_them(sentence: str, expected: str) -> None:
    assert direction(sentence) == expected


LEFT_AND_RIGHT = [("lt", "rt"), ("lft", "rgt"), ("lef", "righ"), ("letf", "rigth"), ("lhs", "rhs"), ("l", "r")]


@pytest.mark.parametrize("pair", LEFT_AND_RIGHT, ids="-".join)
@pytest.mark.parametrize(
    ("form", "directions"),
    [
        ("far {}", ["left"]),
        ("kid on {}", ["left"]),
        ("2nd from {}", ["left"]),
        ("{} guy", ["left"]),
        ("guy mid {}", ["left"]),
        ("bowl , btm {}", ["bottom", "left"]),
        ("bot {}", ["bottom", "left"]),
        ("tp {} bowl", ["top", "left"]),
        ("zebra facing {}", []),
        ("not the {} one", []),
        ("cup in his {} hand", []),
    ],
)
def test_short_forms_and_their_mirror_images(pair: tuple[str, str], form: str, directions: list[str]) -> None:
    mirrored = ["right" if side == "left" else side for side in directions]
    for word, expected in zip(pair, (directions, mirrored), strict=True):
        assert [each.side for each in find_directions(form.format(word))] == expected


@pytest.mark.parametrize(
    ("top", "bottom"), [("uppr", "lowr"), ("upr", "lwr"), ("upper", "lower"), ("top", "btm")], ids=str
)
def test_short_forms_of_heights(top: str, bottom: str) -> None:
    assert (direction(f"{top} bunk"), direction(f"{bottom} bunk")) == ("top", "bottom")
    assert (direction(f"{top}left bunk"), direction(f"{bottom}right bunk")) == ("left", "right")


@pytest.mark.parametrize(
    ("sentence", "expected", "found"),
    [
        ("top left", "left", ["top", "left"]),
        ("bottom-right bowl", "right", ["bottom", "right"]),
        ("topleft", "left", ["top", "left"]),
        ("bot l", "left", ["bottom", "left"]),
        ("upper l corner", "left", ["top", "left"]),
        ("bottom row , right", "bottom", ["bottom", "right"]),
    ],
)
def test_of_a_corner_the_horizontal_direction_is_taken(sentence: str, expected: str, found: list[str]) -> None:
    assert direction(sentence) == expected
    assert [direction.side for direction in find_directions(sentence)] == found


@pytest.mark.parametrize(
    ("sentence", "expected", "found"),
    [
        ("left man next to the right car", "left", ["left", "right"]),
        ("chair to the right of the man on the left", "right", ["right", "left"]),
        ("woman next to the bus on the left", "left", ["left"]),
        ("woman holding a bag , far left", "left", ["left"]),
        ("car behind the left bus", "none", ["left"]),
        ("racket being held by the rightmost man", "none", ["right"]),
        ("dog next to the right car , far left", "left", ["right", "left"]),
    ],
)
def test_the_direction_is_that_of_the_target(sentence: str, expected: str, found: list[str]) -> None:
    assert direction(sentence) == expected
    assert [direction.side for direction in find_directions(sentence)] == found


@pytest.mark.parametrize(
    "sentence",
    [
        "bright shirt",
        "upright bear",
        "a stop sign",
        "laptop",
        "flowers",
        "cup in his left hand",
        "man with left leg up",
        "a man ' s left hand",
        "the girl's right",
        "woman sitting to the man’s left",
        "man to her right",
        "zebra facing left",
        "man looking to the right",
        "elephant walking left across the view",
        "right behind the man",
        "right in front of us",
        "standing right next to a sign",
        "bus right behind us",
        "red truck left behind",
        "door left open",
        "food left over",
        "leftover food",
        "what's left of the pizza",
        "has left",
        "right side up cup",
        "right handed batter",
        "girl in blue top",
        "a white tank top",
        "a woman in a top",
        "black top and blue shorts",
        "lap top",
        "the green granite table top",
        "a woman in a top hat",
        "on top of the cake",
        "sitting on top a stand",
        "cake with candles on top",
        "a snowboard with writing on the bottom",
        "bikini bottom",
        "man in lt blue shirt",
        "roll of tp",
        "lft over food",
        "rt behind the man",
        "lower than the other",
        "the letter l",
        "L.A. shirt",
        "r & b poster",
        "rock 'n r' roll",
        "dog not on the left",
        "not the right one",
        "person above the table",
        "",
        "🐶",
    ],
)
def test_what_is_no_direction(sentence: str) -> None:
    assert find_directions(sentence) == ()
    assert direction(sentence) == "none"


def test_a_limb_is_the_target_where_the_sentence_begins_with_it() -> None:
    assert direction("left eye of the cat") == "left"
    assert direction("the upper right arm") == "right"


def test_a_participle_after_a_place_is_a_place() -> None:
    assert direction("person on the far left alone") == "left"
    assert direction("the one on the right behind the bench") == "right"


def test_two_directions_in_one_word() -> None:
    assert sides_of("bottomright") == ("bottom", "right")
    assert sides_of("farleft") == ("left",)
    assert sides_of("brightest") == ()


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("the man on the left", "left"),
        ("to the right", "right"),
        ("right of the left one", "left"),
        ("a bright coat", "right"),
        ("Left", "none"),
        ("top", "none"),
    ],
)
def test_released_rule_is_by_letters(sentence: str, expected: str) -> None:
    assert released_direction(sentence) == expected


@pytest.mark.parametrize("row", json.loads((FIXTURES / "google_refexp" / "sentences.json").read_text()), ids=str)
def test_sentences_that_people_wrote(row: dict[str, str]) -> None:
    assert direction(row["sentence"]) == row["direction"]


@given(st.text(max_size=60))
def test_any_text_has_a_direction_or_none(text: str) -> None:
    found = find_directions(text)
    chosen = choose_direction(found)
    assert chosen == "none" or chosen in {direction.side for direction in found}


WORDS = [
    "the",
    "left",
    "right",
    "top",
    "bottom",
    "far",
    "of",
    "l",
    "r",
    "on",
    "his",
    "hand",
    "with",
    "next",
    "to",
    "-",
    "not",
    ",",
]


@settings(max_examples=50)
@given(st.lists(st.sampled_from(WORDS), max_size=9))
def test_case_and_spaces_do_not_matter(words: list[str]) -> None:
    assert find_directions(" ".join(words)) == find_directions("  ".join(words).upper())
