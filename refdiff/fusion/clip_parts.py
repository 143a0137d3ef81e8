"""Similarity of every candidate's CLIP views with the texts of its expressions, photo by photo."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refdiff.clip.ramps import variant_of
from refdiff.errors import StoreMismatchError
from refdiff.fusion.inputs import FusionInputs
from refdiff.fusion.scores import Similarities, compare
from refdiff.fusion.settings import MethodSettings, Ramp
from refdiff.progress import Progress


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
    photos = np.arange(len(inputs.dataset.images.image_id) + 1)
    rows = np.searchsorted(inputs.proposals.image_index, photos).tolist()
    expressions = np.searchsorted(inputs.dataset.expressions.image_index, photos).tolist()
    views = (
        _View(_variants(inputs, method.local_ramp), clip.local, found.local_expression, found.local_head),
        _View(_variants(inputs, method.global_ramp), clip.global_view, found.global_expression, found.global_head),
    )
    for photo in progress(range(len(photos) - 1), len(photos) - 1):
        mine = range(expressions[photo], expressions[photo + 1])
        stored = range(rows[photo], rows[photo + 1])
        if len(mine) == 0 or len(stored) == 0:
            continue
        candidates = proposal[mine.start]
        places = candidates[candidates >= 0] - stored.start
        texts = clip.texts(mine, method.head_rule)
        for view in views:
            view.fill(photo, mine, len(stored), places, texts)
    return found


@dataclass(frozen=True, slots=True)
class _View:
    """The local or the global view.

    Attributes:
        variants: Position variant of each expression, by name.
        read: Embeddings of a photo in a variant.
        of_expression: Where similarities with the expressions go, `[E N]`.
        of_head: Where those with the head words go.
    """

    variants: list[str]
    read: Callable[[int, str], NDArray[np.float32]]
    of_expression: NDArray[np.float64]
    of_head: NDArray[np.float64]

    def fill(
        self,
        photo: int,
        expressions: range,
        stored: int,
        places: NDArray[np.integer],
        texts: tuple[NDArray[np.float32], NDArray[np.float32]],
    ) -> None:
        """Compare a photo's candidates with the texts of its expressions, those of one variant in one product.

        Args:
            photo: Which one.
            expressions: Its expressions.
            stored: How many proposals it has.
            places: Which of them are candidates, `[n]`.
            texts: The expressions and their head words, `[len(expressions) D]` each.
        """
        variants = self.variants[expressions.start : expressions.stop]
        for variant in dict.fromkeys(variants):
            embeddings = self.read(photo, variant)
            if len(embeddings) != stored:
                raise StoreMismatchError(
                    f"photo {photo}: expected embeddings of {stored} proposals, got {len(embeddings)}; run `dvc repro`"
                )
            if len(places) < stored:
                embeddings = embeddings[places]
            mine = [number for number, name in enumerate(variants) if name == variant]
            both = compare(embeddings, np.concatenate([texts[0][mine], texts[1][mine]]))
            rows = expressions.start + np.array(mine)
            self.of_expression[rows, : len(places)] = both[: len(mine)]
            self.of_head[rows, : len(places)] = both[len(mine) :]


def _variants(inputs: FusionInputs, ramp: Ramp) -> list[str]:
    """Position variant of every expression."""
    text = inputs.text
    pairs = list(zip(text.direction, text.direction_released, strict=True))
    name_of = {pair: variant_of(ramp, *pair) for pair in set(pairs)}
    return [name_of[pair] for pair in pairs]
