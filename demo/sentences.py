"""Sentences that people would say for one object of a scene, each true of that object alone.

A sentence is made from a `Claim`: words about the object's shape, colour, size, direction or relation. Whether a claim
holds of an object is a rule over the scene (`holds`), and a sentence is only used when exactly one object satisfies it.
"""

from dataclasses import dataclass

import numpy as np

from demo.scenes import Scene, SceneObject

SIZE_WORDS = {"small": ("small", "little", "tiny"), "medium": ("medium",), "large": ("large", "big")}
"""What people say for each size."""

KINDS = ("colour", "size", "direction", "relation")
"""Kinds of sentences: by colour and shape, by size, by place in the photo, by relation to another object."""

KIND_SHARES = (0.45, 0.15, 0.20, 0.20)
"""Share of each kind among a data set's sentences, in the order of `KINDS`."""

_DIRECTION_PHRASES = {
    "left": ("{} on the left", "{} at the left", "{} on the left side", "left {}", "leftmost {}"),
    "right": ("{} on the right", "{} at the right", "{} on the right side", "right {}", "rightmost {}"),
    "top": ("{} at the top", "{} on top", "top {}", "upper {}", "topmost {}"),
    "bottom": ("{} at the bottom", "{} near the bottom", "bottom {}", "lower {}", "lowest {}"),
}
RELATION_PHRASES = {
    "left": ("left of", "to the left of"),
    "right": ("right of", "to the right of"),
    "above": ("above", "over"),
    "below": ("below", "under"),
    "near": ("next to", "beside", "near"),
}
"""What people say for each relation."""


@dataclass(frozen=True)
class Claim:
    """What a sentence says of its object; None where it says nothing.

    Attributes:
        shape: Shape noun.
        colour: Colour word.
        size: "small", "medium" or "large".
        direction: "left", "right", "top" or "bottom": the object is the outermost of those that fit the rest.
        relation: "left", "right", "above", "below" or "near" another object.
        other: Colour and shape of that other object.
    """

    shape: str
    colour: str | None = None
    size: str | None = None
    direction: str | None = None
    relation: str | None = None
    other: tuple[str, str] | None = None


@dataclass(frozen=True)
class Sentence:
    """A sentence, its kind (one of `KINDS`), and what it claims."""

    text: str
    kind: str
    claim: Claim


def related(one: SceneObject, other: SceneObject, relation: str) -> bool:
    """Whether `one` stands in `relation` to `other`: by the centres of their boxes, clearly more along that axis than
    across it; "near" is a distance of centres of at most 0.85 of the sum of their larger sides."""
    across = other.centre_xy[0] - one.centre_xy[0]
    down = other.centre_xy[1] - one.centre_xy[1]
    if relation == "near":
        return float(np.hypot(across, down)) <= 0.85 * (_side(one) + _side(other))
    along, aside = {
        "left": (across, down),
        "right": (-across, down),
        "above": (down, across),
        "below": (-down, across),
    }[relation]
    return along > 12 and along > 1.3 * abs(aside)


def matches(scene: Scene, claim: Claim) -> list[int]:
    """Indices of the objects of which the claim holds."""
    fitting = [
        index
        for index, item in enumerate(scene.objects)
        if item.shape == claim.shape
        and claim.colour in (None, item.colour)
        and claim.size in (None, item.size)
        and _relation_holds(scene, index, claim)
    ]
    return _outermost(scene, fitting, claim.direction) if claim.direction else fitting


def sentence_for(scene: Scene, target: int, kind: str, rng: np.random.Generator) -> Sentence | None:
    """A sentence of a kind that is true of the target alone; None when the scene offers none.

    Args:
        scene: The scene.
        target: Index of the object.
        kind: One of `KINDS`.
        rng: Source of all choices.
    """
    claims = [claim for claim in _claims(scene, target, kind) if matches(scene, claim) == [target]]
    if not claims:
        return None
    claim = claims[int(rng.integers(len(claims)))]
    return Sentence(_words(claim, rng), kind, claim)


def describe(scene: Scene, rng: np.random.Generator, wanted: int) -> list[tuple[int, Sentence]]:
    """Sentences about a scene: pairs of an object's index and a sentence, no sentence twice.

    Args:
        scene: The scene.
        rng: Source of all choices.
        wanted: How many; fewer come back when the scene offers no more.
    """
    found: list[tuple[int, Sentence]] = []
    texts: set[str] = set()
    for _ in range(40 * wanted):
        if len(found) == wanted:
            break
        kind = KINDS[int(rng.choice(len(KINDS), p=KIND_SHARES))]
        target = int(rng.integers(len(scene.objects)))
        sentence = sentence_for(scene, target, kind, rng)
        if sentence is not None and sentence.text not in texts:
            texts.add(sentence.text)
            found.append((target, sentence))
    return found


def _side(item: SceneObject) -> float:
    left, top, right, bottom = item.box_xyxy
    return float(max(right - left, bottom - top))


def _relation_holds(scene: Scene, index: int, claim: Claim) -> bool:
    if claim.relation is None or claim.other is None:
        return True
    others = [
        other
        for place, other in enumerate(scene.objects)
        if place != index and (other.colour, other.shape) == claim.other
    ]
    return any(related(scene.objects[index], other, claim.relation) for other in others)


def _outermost(scene: Scene, fitting: list[int], direction: str) -> list[int]:
    """The one furthest in a direction; all when the first two are less than 10 px apart, so that none is meant."""
    axis, sign = {"left": (0, 1), "right": (0, -1), "top": (1, 1), "bottom": (1, -1)}[direction]
    ordered = sorted(fitting, key=lambda index: sign * scene.objects[index].centre_xy[axis])
    if len(ordered) > 1:
        gap = scene.objects[ordered[1]].centre_xy[axis] - scene.objects[ordered[0]].centre_xy[axis]
        if sign * gap < 10:
            return ordered
    return ordered[:1]


def _claims(scene: Scene, target: int, kind: str) -> list[Claim]:
    item = scene.objects[target]
    if kind == "colour":
        return [Claim(item.shape, item.colour)]
    if kind == "size":
        return [Claim(item.shape, item.colour, item.size), Claim(item.shape, size=item.size)]
    if kind == "direction":
        kin = sum(other.shape == item.shape for other in scene.objects)
        colours = (None, item.colour) if kin > 1 else (item.colour,)
        return [
            Claim(item.shape, colour, direction=direction)
            for colour in colours
            for direction in _DIRECTION_PHRASES
            if _lies(scene, item, direction)
        ]
    others = [other for place, other in enumerate(scene.objects) if place != target and other.shape != item.shape]
    return [
        Claim(item.shape, colour, relation=relation, other=(other.colour, other.shape))
        for other in others
        for relation in RELATION_PHRASES
        for colour in (item.colour, item.colour, None)
        if related(item, other, relation)
    ]


def _lies(scene: Scene, item: SceneObject, direction: str) -> bool:
    """Whether the object lies in that half of the photo: nobody says "on the left" of something on the right."""
    height, width = scene.size_hw
    x, y = item.centre_xy[0] / width, item.centre_xy[1] / height
    return {"left": x < 0.5, "right": x > 0.5, "top": y < 0.5, "bottom": y > 0.5}[direction]


def _words(claim: Claim, rng: np.random.Generator) -> str:
    words = [claim.shape]
    if claim.colour:
        words.insert(0, claim.colour)
    if claim.size:
        words.insert(0, _pick(rng, SIZE_WORDS[claim.size]))
    text = " ".join(words)
    if claim.direction:
        text = _pick(rng, _DIRECTION_PHRASES[claim.direction]).format(text)
    if claim.relation and claim.other:
        text = f"{text} {_pick(rng, RELATION_PHRASES[claim.relation])} the {' '.join(claim.other)}"
    return f"the {text}" if rng.random() < 0.6 else text


def _pick(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    return choices[int(rng.integers(len(choices)))]
