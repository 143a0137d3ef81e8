"""Similarity of every candidate's CLIP views with the texts of its expressions, photo by photo."""

import numpy as np
from numpy.typing import NDArray

from refdiff.clip.ramps import variant_of
from refdiff.clip.store import ClipStore
from refdiff.errors import StoreMismatchError
from refdiff.fusion.inputs import FusionInputs
from refdiff.fusion.progress import Progress
from refdiff.fusion.scores import Similarities, compare
from refdiff.fusion.settings import MethodSettings


def measure_similarities(
    inputs: FusionInputs, proposal: NDArray[np.int32], method: MethodSettings, progress: Progress
) -> Similarities:
    """Similarities of all candidates, float64 `[E N]` each.

    Args:
        inputs: The split, with CLIP embeddings.
        proposal: Rows of the candidates of each expression, `[E N]`, -1 beyond.
        method: Its ramps and head rule count.
        progress: Called with the photos.

    Raises:
        StoreMismatchError: The embeddings are not of these proposals, or a ramp was not embedded.
        ShardCorruptError: A file is damaged.
    """
    clip = inputs.clip
    if clip is None:
        raise ValueError("clip: the method weighs it, got None")
    found = Similarities(*(np.zeros(proposal.shape) for _ in Similarities._fields))
    photos = range(len(inputs.dataset.images.image_id))
    for photo in progress(photos, len(photos)):
        expressions = inputs.dataset.expressions_of(photo)
        rows = inputs.proposals.rows_of_image(photo)
        if len(expressions) == 0 or len(rows) == 0:
            continue
        mine = proposal[expressions.start]
        places = mine[mine >= 0] - rows.start
        _of_photo(inputs, clip, method, photo, places, found)
    return found


def _of_photo(
    inputs: FusionInputs,
    clip: ClipStore,
    method: MethodSettings,
    photo: int,
    places: NDArray[np.integer],
    found: Similarities,
) -> None:
    """Fill in the expressions of one photo; those of one position variant in one product."""
    text = inputs.text
    expressions = inputs.dataset.expressions_of(photo)
    sentences = np.array([clip.sentence(index) for index in expressions], dtype=np.float64)
    heads = np.array([clip.head(index, method.head_rule) for index in expressions], dtype=np.float64)
    views = (
        (method.local_ramp, clip.local, found.local_expression, found.local_head),
        (method.global_ramp, clip.global_view, found.global_expression, found.global_head),
    )
    for ramp, read, of_expression, of_head in views:
        variants = np.array(
            [variant_of(ramp, text.direction[index], text.direction_released[index]) for index in expressions]
        )
        for variant in dict.fromkeys(variants.tolist()):
            embeddings = read(photo, variant)
            _check_count(photo, len(embeddings), len(inputs.proposals.rows_of_image(photo)))
            mine = np.flatnonzero(variants == variant)
            for texts, target in ((sentences, of_expression), (heads, of_head)):
                target[expressions.start + mine, : len(places)] = compare(embeddings[places], texts[mine])


def _check_count(photo: int, got: int, expected: int) -> None:
    if got != expected:
        raise StoreMismatchError(
            f"photo {photo}: expected embeddings of {expected} proposals, got {got}; run `dvc repro`"
        )
