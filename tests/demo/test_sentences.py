from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from demo.scenes import Scene, SceneObject, draw_scene
from demo.sentences import KIND_SHARES, KINDS, Claim, describe, matches, related, sentence_for


def _object(shape: str, colour: str, size: str, x: int, y: int, half: int = 10) -> SceneObject:
    mask = np.zeros((200, 200), dtype=np.bool_)
    mask[y - half : y + half, x - half : x + half] = True
    return SceneObject(shape, colour, size, (x - half, y - half, x + half, y + half), mask, 0)


def _scene(*objects: SceneObject) -> Scene:
    return Scene(0, np.zeros((200, 200, 3), dtype=np.uint8), objects, "grey")


TWO_CIRCLES = _scene(
    _object("circle", "red", "small", 40, 100),
    _object("circle", "red", "large", 160, 100, 20),
    _object("star", "blue", "small", 40, 40),
)


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        (Claim("circle", "red"), [0, 1]),
        (Claim("circle", "blue"), []),
        (Claim("circle", size="large"), [1]),
        (Claim("circle", direction="left"), [0]),
        (Claim("circle", "red", direction="right"), [1]),
        (Claim("circle", relation="below", other=("blue", "star")), [0]),
        (Claim("star", relation="above", other=("red", "circle")), [2]),
    ],
)
def test_a_claim_holds_of_what_it_says(claim: Claim, expected: list[int]) -> None:
    assert matches(TWO_CIRCLES, claim) == expected


def test_no_object_is_outermost_when_two_are_level() -> None:
    level = _scene(_object("circle", "red", "small", 40, 100), _object("circle", "red", "small", 45, 160))
    assert matches(level, Claim("circle", direction="left")) == [0, 1]


def test_near_means_close_by() -> None:
    one, two, far = (_object("circle", "red", "small", x, 100) for x in (40, 70, 180))
    assert related(one, two, "near")
    assert not related(one, far, "near")
    assert related(one, far, "left")
    assert not related(far, one, "left")


def test_nothing_is_said_where_nothing_is_true_of_one_alone() -> None:
    twins = _scene(_object("circle", "red", "small", 40, 100), _object("circle", "red", "small", 160, 100))
    rng = np.random.default_rng(0)
    assert sentence_for(twins, 0, "colour", rng) is None
    assert sentence_for(twins, 0, "direction", rng) is not None


@settings(max_examples=25)
@given(st.integers(0, 2**40))
def test_every_sentence_means_its_target_and_names_its_shape(seed: int) -> None:
    scene = draw_scene(seed)
    found = describe(scene, np.random.default_rng(seed), 4)
    assert len({sentence.text for _, sentence in found}) == len(found)
    for target, sentence in found:
        assert matches(scene, sentence.claim) == [target]
        assert scene.objects[target].shape in sentence.text.split()
        assert sentence.text == sentence.text.lower()


def test_the_kinds_come_in_their_shares() -> None:
    said = [
        sentence.kind
        for seed in range(40)
        for _, sentence in describe(draw_scene(seed), np.random.default_rng(seed), 4)
    ]
    counts = Counter(said)
    for kind, share in zip(KINDS, KIND_SHARES, strict=True):
        assert abs(counts[kind] / len(said) - share) < 0.15, counts
