import pytest
import spacy
from spacy.tokens import Doc

from refdiff.text.head import find_root, find_subject
from refdiff.text.parser import Parser
from refdiff.text.settings import Fallback

VOCAB = spacy.blank("en").vocab
ALL: tuple[Fallback, ...] = ("subject", "attribute", "attached", "first_noun", "content_word")


def parse(*words: tuple[str, str, str, int]) -> Doc:
    """A parsed sentence of (word, tag, label, position of its head)."""
    texts, tags, labels, heads = zip(*words, strict=True)
    return Doc(VOCAB, words=list(texts), tags=list(tags), deps=list(labels), heads=list(heads))


SIPPING = parse(("man", "NN", "nsubj", 1), ("sipping", "VBG", "ROOT", 1), ("milk", "NN", "dobj", 1))
CAKE = parse(("this", "DT", "nsubj", 1), ("is", "VBZ", "ROOT", 1), ("a", "DT", "det", 3), ("cake", "NN", "attr", 1))
SINK = parse(("left", "VBD", "ROOT", 0), ("sink", "NN", "dobj", 0))
GUY_L = parse(("guy", "NN", "compound", 1), ("l", "NN", "ROOT", 1))
TOP_LEFT = parse(("guy", "NN", "compound", 1), ("top", "NN", "nsubj", 2), ("left", "VBD", "ROOT", 2))
FOOD = parse(("all", "DT", "ROOT", 0), ("of", "IN", "prep", 0), ("the", "DT", "det", 3), ("food", "NN", "pobj", 1))
CHEF = parse(
    ("chef", "NN", "amod", 2),
    ("wearing", "VBG", "acl", 0),
    ("hat", "NN", "aux", 3),
    ("looking", "VBG", "ROOT", 3),
)
ON_LEFT = parse(("on", "IN", "ROOT", 0), ("the", "DT", "det", 2), ("left", "NN", "pobj", 0))
HAWK = parse(("hawk", "VB", "ROOT", 0), ("in", "IN", "prep", 0), ("front", "NN", "pobj", 1), ("prey", "NN", "dobj", 0))
MISSED = parse(("boarder", "JJR", "nsubj", 1), ("wearing", "VBG", "ROOT", 1), ("jeans", "NNS", "dobj", 1))
LOG = parse(("zebra", "JJ", "compound", 1), ("closest", "JJS", "ROOT", 1), ("to", "IN", "prep", 1))
TOILET = parse(("toilet", "NN", "npadvmod", 1), ("next", "RB", "ROOT", 1), ("girl", "NN", "dobj", 1))
CROSS = parse(("the", "DT", "det", 1), ("purple", "NN", "nsubj", 2), ("cross", "VBP", "ROOT", 2))
PINK = parse(("the", "DT", "det", 1), ("pink", "JJ", "nsubj", 2), ("cross", "JJ", "ROOT", 2))
ORANGE = parse(("the", "DT", "det", 1), ("orange", "NN", "nsubj", 2), ("sits", "VBZ", "ROOT", 2))
LEFT = parse(("left", "VBN", "ROOT", 0))
NOUN = parse(("the", "DT", "det", 1), ("dog", "NN", "ROOT", 1))
ONE = parse(("the", "DT", "det", 1), ("one", "NN", "ROOT", 1))
HIM = parse(("him", "PRP", "ROOT", 0))


@pytest.mark.parametrize(
    ("doc", "word", "rule"),
    [
        (SIPPING, "man", "subject"),
        (MISSED, "boarder", "subject"),
        (CAKE, "cake", "attribute"),
        (SINK, "sink", "attached"),
        (GUY_L, "guy", "attached"),
        (LOG, "zebra", "attached"),
        (TOILET, "toilet", "attached"),
        (TOP_LEFT, "guy", "first_noun"),
        (FOOD, "food", "first_noun"),
        (CHEF, "chef", "first_noun"),
        (ON_LEFT, "left", "content_word"),
        (HAWK, "hawk", ""),
        (CROSS, "cross", ""),
        (PINK, "cross", ""),
        (ORANGE, "orange", "subject"),
        (LEFT, "left", ""),
        (NOUN, "dog", ""),
        (ONE, "one", ""),
        (HIM, "him", ""),
    ],
)
def test_fallbacks_when_the_root_is_no_noun(doc: Doc, word: str, rule: str) -> None:
    root, used = find_root(doc, ALL)
    assert (root.text, used) == (word, rule)


@pytest.mark.parametrize("doc", [SIPPING, CAKE, SINK, GUY_L, FOOD, ON_LEFT])
def test_without_fallbacks_the_root_is_that_of_the_paper(doc: Doc) -> None:
    root, used = find_root(doc, ())
    assert (root.dep_, used) == ("ROOT", "")


def test_the_order_of_the_fallbacks_is_the_parameter() -> None:
    assert find_root(SIPPING, ("attached", "subject"))[1] == "attached"
    assert find_root(SIPPING, ("attribute",))[0].text == "sipping"


@pytest.mark.parametrize(
    ("doc", "word"),
    [(SIPPING, "man"), (CAKE, "this"), (SINK, "left"), (NOUN, "dog"), (FOOD, "all"), (TOP_LEFT, "top")],
)
def test_released_rule_takes_the_first_root_or_subject(doc: Doc, word: str) -> None:
    assert find_subject(doc).text == word


def test_space_is_no_head() -> None:
    doc = Doc(VOCAB, words=["  ", "dog"], tags=["_SP", "NN"], deps=["ROOT", "ROOT"], heads=[0, 1])
    assert find_root(doc, ALL)[0].text == "dog"
    assert find_subject(doc).text == "dog"


def test_a_text_that_was_not_parsed_still_has_a_head() -> None:
    doc = spacy.blank("en")("dog")
    assert find_root(doc, ALL)[0].text == find_subject(doc).text == "dog"


@pytest.mark.parametrize(
    ("sentence", "root", "rule"),
    [
        ("the dog on the left", "dog", ""),
        ("far left cut off", "left", ""),
        ("left", "left", ""),
        ("there is a laptop under the cat", "laptop", "attribute"),
        ("the baseball player is holding a bat", "player", "subject"),
        ("🐶", "🐶", ""),
    ],
)
def test_with_the_english_pipeline(parser: Parser, sentence: str, root: str, rule: str) -> None:
    parsed = parser.parse(sentence)
    assert (parsed.root.text, parsed.root_fallback) == (root, rule)
