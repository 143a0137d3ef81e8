"""The words by which people name a direction in a photo, as whole words."""

import re

from refdiff.text.parsed import Direction

# Short forms and slips come in pairs, so that a sentence and its mirror image are read alike.
_LEFT = "left|lft|lefft|leftt|letf|lef|lt|lhs|lh"
_RIGHT = "right|rght|rgt|rigth|rihgt|rigt|righ|rt|rhs|rh"
_TOP = "top|upper|uper|uppr|upr"
_BOTTOM = "bottom|botom|bottem|bottm|bttm|btm|lower|lowr|lwr"

_SIDE_WORD = re.compile(
    rf"(?:far|(?P<top>{_TOP})|(?P<bottom>{_BOTTOM}))?"
    rf"(?:(?P<left>{_LEFT})|(?P<right>{_RIGHT}))(?:most|est|hand|side|handside)?"
)
_HEIGHT_WORD = re.compile(rf"(?:(?P<top>{_TOP})|(?P<bottom>{_BOTTOM}))(?:most)?")
_PLAIN_WORD = re.compile(rf"(?P<left>{_LEFT})|(?P<right>{_RIGHT})")
_LETTERS: dict[str, Direction] = {"l": "left", "r": "right"}
_BEFORE_SIDES: dict[str, Direction] = {"tp": "top", "bot": "bottom"}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


ARTICLES = _words("the a an this that")
DEGREES = _words(
    "far very most extreme furthest farthest bottom btm bot top tp upper lower front back middle mid center centre "
    "ctr immediate "
    "left right first second third one -"
)
"""Words that may stand between a preposition and its direction."""
PLACE_PREPOSITIONS = _words("on at to in from near towards toward along")
POSSESSIVES = _words("his her its their my your our whose")
PLACES = _words(
    "side sides corner conner edge end part half portion section quarter area row shelf bunk "
    "picture image photo pic frame screen most one handside"
)
"""Nouns that make a direction a place: left side, top row."""
PICTURES = _words("picture image photo pic frame screen")
HAVING = _words("with wearing wears has having")
BODY_PARTS = _words(
    "hand hands arm arms leg legs foot feet eye ear shoulder knee wrist elbow thumb finger thigh "
    "paw wing hip ankle breast cheek body torso lip"
)
GAZES = _words(
    "facing faces looking looks turned turning turns pointing points leaning leans running runs "
    "walking walks moving going heading headed swinging bending tilted"
)
TOWARDS = _words("to towards toward the off far")
RELATIONS = _words(
    "behind beside besides near nearest next under underneath beneath below above over between "
    "against by with without w holding holds carrying wearing wears touching atop across opposite "
    "alongside facing watching closest closer around"
)
"""Words after which another object is spoken of."""
AFTER_ADVERB_RIGHT = _words(
    "next behind beside above below under underneath over before after at there here by near up "
    "now where against along through into outside inside in on handed hander angle angled away"
)
AFTER_PARTICIPLE_LEFT = _words("behind over overs alone open out unattended untouched uneaten handed hander")
BEFORE_PARTICIPLE_LEFT = _words("has have had been being nothing just only")
COLOURS = _words(
    "red blue green yellow white black grey gray brown pink purple orange tan teal maroon navy "
    "beige gold silver dark light colored coloured color colour"
)
GARMENT_MODIFIERS = COLOURS | _words(
    "striped stripe plaid floral flowered tank tube crop cropped halter less sleeveless sleeved "
    "sleeve bikini pajama swim track spotted dotted patterned"
)
COMPOUND_MODIFIERS = _words(
    "table counter desk lap mountain hill stove roof tree bottle bun muffin big sandwich cart car flat"
)
WEARING = _words("wearing wears wering in with has and w")


def sides_of(word: str) -> tuple[Direction, ...]:
    """The directions that a lower-case word names: none, one, or two ("topleft": top and left).

    The single letters l and r are not decided here: they need their context.
    """
    match = _SIDE_WORD.fullmatch(word) or _HEIGHT_WORD.fullmatch(word)
    if match is None:
        return ()
    named = match.groupdict()
    return tuple(side for side in ("top", "bottom", "left", "right") if named.get(side))


def plain_side(word: str) -> Direction | None:
    """Left or right where a word is one of them alone, however it is spelt: "lft", and not "leftmost"."""
    match = _PLAIN_WORD.fullmatch(word)
    if match is None:
        return None
    return "left" if match["left"] else "right"


def height_before_side(word: str) -> Direction | None:
    """The direction of a short form that means one only before left or right: "tp" is toilet paper elsewhere."""
    return _BEFORE_SIDES.get(word)


def letter_side(word: str) -> Direction | None:
    """The direction for which a single letter may stand."""
    return _LETTERS.get(word)


def is_side_word(word: str) -> bool:
    """Whether a lower-case word means left or right when it is the head of a phrase ("guy l")."""
    return word in _LETTERS or any(side in ("left", "right") for side in sides_of(word))
