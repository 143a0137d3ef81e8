"""The word that a sentence is about: the root of its dependency parse, and what replaces a root that is no noun.

People write phrases, parsers are trained on sentences: of "man sipping his milkshake" the root is "sipping", of "left
sink" it is "left". The paper takes the root as it is; with the fallbacks below the noun that the phrase is about is
taken where the parse shows one. Each rule is a parameter, and each replacement is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from refdiff.text.direction_words import COLOURS, is_side_word, sides_of
from refdiff.text.settings import Fallback

if TYPE_CHECKING:
    from spacy.tokens import Doc, Token

NOUN_TAGS = frozenset({"NN", "NNS", "NNP", "NNPS"})
PRONOUN_TAGS = frozenset({"PRP", "CD"})
FUNCTION_TAGS = frozenset(
    {"IN", "TO", "CC", "DT", "PDT", "WDT", "WP", "WP$", "WRB", "MD", "POS", "EX", "RP", "PRP$"}
    | {".", ",", ":", "``", "''", "-LRB-", "-RRB-", "HYPH", "NFP", "SYM", "_SP", "XX", "$", "LS"}
)
AUXILIARIES = frozenset({"is", "'s", "s", "are", "was", "were", "be", "been", "being", "am", "has", "have", "had"})
MISTAKEN_TAGS = frozenset({"JJ", "JJR", "VB", "VBD", "VBG", "VBN", "VBP", "VBZ", "RB", "UH", "FW"})
QUALITIES = COLOURS | {"small", "big", "large", "medium", "tiny", "little", "huge", "tall", "short"}
PLACE_NOUNS = frozenset({"side", "corner", "middle", "center", "centre", "front", "back", "background", "foreground"})
ATTACHED_RELATIONS = frozenset(
    {
        "dobj",
        "npadvmod",
        "compound",
        "dep",
        "oprd",
        "nmod",
        "appos",
        "advmod",
        "amod",
        "conj",
        "nsubj",
        "attr",
    }
)


def find_root(doc: Doc, fallbacks: Sequence[Fallback]) -> tuple[Token, str]:
    """The head word by the paper's rule, and the fallback that replaced it ("" when the root stands).

    A root stands when it is a noun, a pronoun or a number. A direction ("left", "r") is no noun, whatever its tag.

    Args:
        doc: The parsed sentence, not blank.
        fallbacks: Rules to try in order when the root is no noun:
            subject: the noun that is the root's subject ("man sipping milkshake" -> man);
            attribute: what the root says something is ("this is a cake" -> cake);
            attached: the nearest noun that depends on the root, one before it first ("toilet next to the girl" ->
            toilet), then one behind it with no preposition between ("left sink" -> sink);
            first_noun: the first noun before the root ("a female chef wearing a hat looking away" -> chef) or, when
            the root is a function word, anywhere ("all of the food" -> food);
            content_word: when the root is a function word or a sign, the first word that is none ("on the left").

    Source: docs/method.md, "Head word": paper. Neither paper nor released code has a fallback.
    """
    root = next((token for token in doc if token.dep_ == "ROOT" and not token.is_space), _first_word(doc))
    if _stands(root):
        return root, ""
    for name in fallbacks:
        found = _RULES[name](root)
        if found is not None and found.i != root.i:
            return found, name
    return root, ""


def find_subject(doc: Doc) -> Token:
    """The head word by the released rule: the first token whose dependency label contains ROOT or subj.

    Source: docs/method.md, "Head word": released code, model/segmenter.py.
    Differs: whitespace that the parser keeps as a token is passed over; the parser gets lower case (`Parser`).
    """
    named = (token for token in doc if ("ROOT" in token.dep_ or "subj" in token.dep_) and not token.is_space)
    return next(named, _first_word(doc))


def _first_word(doc: Doc) -> Token:
    return next((token for token in doc if not token.is_space), doc[0])


def _is_noun(token: Token) -> bool:
    return token.tag_ in NOUN_TAGS and not is_side_word(token.lower_)


def _qualifies(token: Token, root: Token) -> bool:
    # "the purple cross" is parsed like "the people cross"; the root is the thing, and its tag is wrong.
    return token.i == root.i - 1 and token.lower_ in QUALITIES and root.tag_ in ("VB", "VBP", "JJ")


def _names_part(token: Token, root: Token) -> bool:
    # In "guy top left" the parser takes "top" for a noun; in "the top of the table is wooden" it is one.
    height_of_side = is_side_word(root.lower_) and bool(sides_of(token.lower_))
    return _is_noun(token) and not height_of_side and not _qualifies(token, root)


def _names_thing(token: Token, root: Token) -> bool:
    return _names_part(token, root) and token.lower_ not in PLACE_NOUNS


def _is_function(token: Token) -> bool:
    return token.tag_ in FUNCTION_TAGS or token.is_punct or token.is_space or token.lower_ in AUXILIARIES


def _stands(root: Token) -> bool:
    return _is_noun(root) or (root.tag_ in PRONOUN_TAGS and not is_side_word(root.lower_))


def _whole(noun: Token, root: Token) -> Token:
    while noun.dep_ in ("compound", "nmod") and _names_thing(noun.head, root):
        noun = noun.head
    return noun


def _subject(root: Token) -> Token | None:
    subjects = [child for child in root.children if "subj" in child.dep_]
    for child in subjects:
        if _names_part(child, root):
            return child
    # A noun that the tagger missed ("skateboarder wearing jeans") is still the subject.
    missed = (child for child in subjects if child.tag_ in MISTAKEN_TAGS and not sides_of(child.lower_))
    return next((child for child in missed if not _is_function(child) and not _qualifies(child, root)), None)


def _attribute(root: Token) -> Token | None:
    for child in root.children:
        if child.dep_ == "attr":
            return child if _names_part(child, root) else _subject(child)
    return None


def _attached(root: Token) -> Token | None:
    barriers = [child.i for child in root.children if child.dep_ in ("prep", "agent") and child.i > root.i]
    barrier = min(barriers, default=len(root.doc))
    things = [child for child in root.children if child.i < barrier and _is_attached_thing(child, root)]
    return min(things, key=lambda thing: (thing.i > root.i, abs(thing.i - root.i)), default=None)


def _is_attached_thing(child: Token, root: Token) -> bool:
    if _names_thing(child, root):
        return child.dep_ in ATTACHED_RELATIONS
    # The tagger missed the noun; its place in the parse still shows it ("zebra closest to the log", "far left urinal").
    object_of_side = is_side_word(root.lower_) and child.dep_ in ("dobj", "oprd")
    return (child.dep_ == "compound" or object_of_side) and not _is_function(child)


def _first_noun(root: Token) -> Token | None:
    reach = list(root.doc) if _is_function(root) else list(root.doc)[: root.i]
    found = next((token for token in reach if _names_thing(token, root)), None)
    return _whole(found, root) if found is not None else None


def _content_word(root: Token) -> Token | None:
    if not _is_function(root):
        return None
    return next((token for token in root.doc if not _is_function(token)), None)


_RULES: dict[Fallback, Callable[[Token], Token | None]] = {
    "subject": _subject,
    "attribute": _attribute,
    "attached": _attached,
    "first_noun": _first_noun,
    "content_word": _content_word,
}
