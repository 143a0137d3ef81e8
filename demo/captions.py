"""Captions of training scenes: what is in the picture, in the words of the demo's sentences."""

from collections.abc import Sequence

import numpy as np

from demo.corpus import ObjectRecord
from demo.sentences import RELATION_PHRASES, SIZE_WORDS

_DIRECTION_WORDS = {
    "left": ("on the left", "at the left", "on the left side", "to the left"),
    "right": ("on the right", "at the right", "on the right side", "to the right"),
    "top": ("at the top", "on top", "near the top"),
    "bottom": ("at the bottom", "near the bottom"),
}


def object_phrase(rng: np.random.Generator, objects: Sequence[ObjectRecord], index: int) -> str:
    """A phrase about one object, with its size, place or a neighbour now and then.

    Args:
        rng: Source of all choices.
        objects: What is in the scene.
        index: The object.
    """
    item = objects[index]
    article = _pick(rng, ("the ", "a ", "")) if rng.random() < 0.9 else ""
    words: list[str] = []
    if rng.random() < 0.35:
        words.append(_pick(rng, SIZE_WORDS[item.size]))
    if rng.random() < 0.88:
        words.append(item.colour)
    words.append(item.shape if rng.random() < 0.94 else _pick(rng, ("shape", "thing", "object")))
    phrase = article + " ".join(words)
    turn = rng.random()
    if turn < 0.3:
        places = [
            _DIRECTION_WORDS[name]
            for name, here in (
                ("left", item.x < 0.4),
                ("right", item.x > 0.6),
                ("top", item.y < 0.4),
                ("bottom", item.y > 0.6),
            )
            if here
        ]
        if places:
            phrase += " " + _pick(rng, places[int(rng.integers(len(places)))])
    elif turn < 0.6 and len(objects) > 1:
        phrase += _relation_phrase(rng, objects, index)
    return phrase


def scene_caption(rng: np.random.Generator, objects: Sequence[ObjectRecord]) -> str:
    """A caption of the scene: up to four of its objects in any order, or a phrase about one of them."""
    if rng.random() < 0.25:
        return object_phrase(rng, objects, int(rng.integers(len(objects))))
    article = _pick(rng, ("a ", "the ", ""))
    phrases: list[str] = []
    for index in rng.permutation(len(objects))[:4]:
        item = objects[int(index)]
        size = f"{item.size} " if rng.random() < 0.15 else ""
        phrase = f"{article}{size}{item.colour} {item.shape}"
        if rng.random() < 0.15:
            if abs(item.x - 0.5) > abs(item.y - 0.5):
                phrase += " on the left" if item.x < 0.5 else " on the right"
            else:
                phrase += " at the top" if item.y < 0.5 else " at the bottom"
        phrases.append(phrase)
    return " and ".join(phrases)


def _relation_phrase(rng: np.random.Generator, objects: Sequence[ObjectRecord], index: int) -> str:
    item = objects[index]
    others = [place for place in range(len(objects)) if place != index]
    other = objects[others[int(rng.integers(len(others)))]]
    across, down = other.x - item.x, other.y - item.y
    if abs(across) + abs(down) < 0.3 and rng.random() < 0.5:
        relation = "near"
    elif abs(across) > abs(down):
        relation = "left" if across > 0 else "right"
    else:
        relation = "above" if down > 0 else "below"
    return f" {_pick(rng, RELATION_PHRASES[relation])} the {other.colour} {other.shape}"


def _pick(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    return choices[int(rng.integers(len(choices)))]
