"""What the page shows, as plain data: gathered by `gather` and `gallery`, written by `page`."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

CaseKind = Literal["best", "worst", "random"]


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that is part of the page.

    Attributes:
        uri: `data:` URI.
        width: Pixels.
        height: Pixels.
        alt: What it shows, in words.
    """

    uri: str
    width: int
    height: int
    alt: str


@dataclass(frozen=True, slots=True)
class HeatPanel:
    """The heat map of one readout.

    Attributes:
        readout: Its name.
        word: The word whose heat it is; None where all words are averaged.
        picture: Heat over the photo.
    """

    readout: str
    word: str | None
    picture: Picture


@dataclass(frozen=True, slots=True)
class ChoicePanel:
    """What one method chose.

    Attributes:
        method: Its name.
        picture: Candidates, choice and truth over the photo.
        iou: Of the choice with the truth; None without truth.
        is_empty: Nothing was chosen.
        scores: Parts of the score of the choice, by name; only those that the method has.
        candidates: How many masks it chose from.
        threshold: Heat threshold that the choice was cut at; None where it was not cut from heat.
    """

    method: str
    picture: Picture
    iou: float | None
    is_empty: bool
    scores: Mapping[str, float]
    candidates: int
    threshold: float | None


@dataclass(frozen=True, slots=True)
class Case:
    """One expression of the gallery, over all methods.

    Attributes:
        kind: Why it is shown.
        sentence: The expression.
        head: First character of the head word, and behind its last.
        head_fallback: The rule that replaced the parse's root; "" for none.
        direction: Direction stated in the sentence, or `none`.
        expression_id: The dataset's id.
        image_id: The dataset's id of the photo.
        note: On the truth where there is something to say; "" otherwise.
        photo: The photo with the true mask.
        heats: One per readout that the methods use.
        choices: One per method, in the order of params.yaml.
    """

    kind: CaseKind
    sentence: str
    head: tuple[int, int]
    head_fallback: str
    direction: str
    expression_id: str
    image_id: str
    note: str
    photo: Picture
    heats: tuple[HeatPanel, ...]
    choices: tuple[ChoicePanel, ...]


@dataclass(frozen=True, slots=True)
class Gallery:
    """The cases of one split.

    Attributes:
        ranked_by: The method whose IoU orders best and worst; None without any truth.
        cases: In the order in which they are shown.
    """

    ranked_by: str | None
    cases: tuple[Case, ...]


@dataclass(frozen=True, slots=True)
class ModelLine:
    """A model or library that had a part in a split's results.

    Attributes:
        part: What it did.
        name: The model as params.yaml names it, or the library.
        detail: Digest, versions.
    """

    part: str
    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class SplitContent:
    """One split on the page.

    Attributes:
        name: Name in params.yaml.
        row: Its row of params.yaml.
        meta: Content of dataset.json.
        metrics: metrics.json of each method, in the order of params.yaml.
        curves: curves.json of each method.
        descriptions: One line on each method: proposals, readout, selection rule.
        models: What ran.
        gallery: Pictures.
    """

    name: str
    row: Mapping[str, Any]
    meta: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, Any]]
    curves: Mapping[str, Mapping[str, Any]]
    descriptions: Mapping[str, str]
    models: tuple[ModelLine, ...]
    gallery: Gallery


@dataclass(frozen=True, slots=True)
class Report:
    """The whole page.

    Attributes:
        version: Of refdiff.
        parameters: params.yaml as it was read.
        splits: In the order of params.yaml.
    """

    version: str
    parameters: str
    splits: tuple[SplitContent, ...]
