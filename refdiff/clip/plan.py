"""What is embedded for a split, and where it goes (no torch)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refdiff.clip.ramps import occurring_variants
from refdiff.clip.settings import ClipSettings, Ramp
from refdiff.clip.view_rows import ViewRows, plan_rows
from refdiff.dataset.tables import Dataset
from refdiff.errors import StoreMismatchError
from refdiff.proposals.tables import ProposalTable
from refdiff.text.tables import TextTable

VIEWS = ("local", "global")


@dataclass(frozen=True, slots=True)
class SplitInputs:
    """What a store is made of.

    Attributes:
        dataset: Photos and expressions.
        text: Head words and directions of the expressions.
        proposals: Masks of the photos.
        root: The folder that photo paths are relative to.
    """

    dataset: Dataset
    text: TextTable
    proposals: ProposalTable
    root: Path


@dataclass(frozen=True, slots=True)
class PlannedShard:
    """A unit of work: all texts and the small arrays, or one file of views.

    Attributes:
        number: Position among the units.
        view: `local` or `global`; None for the texts.
        index: The file's number within its view.
        first: Its first row.
        embeddings: How many rows it has.
    """

    number: int
    view: str | None
    index: int
    first: int
    embeddings: int


@dataclass(frozen=True, slots=True)
class EmbeddingPlan:
    """What is embedded, and where it goes.

    Attributes:
        texts: Distinct texts, in order of first use.
        text_rows: Rows of `texts` for the sentence, the root and the subject of each expression, int32 `[expressions]`.
        views: Rows of the local and the global views.
    """

    texts: list[str]
    text_rows: dict[str, NDArray[np.int32]]
    views: dict[str, ViewRows]

    def shards(self, rows_per_file: int) -> Iterator[PlannedShard]:
        """Every unit of work, in the order of its number."""
        yield PlannedShard(0, None, 0, 0, len(self.texts))
        number = 1
        for view in VIEWS:
            total = self.views[view].total
            for first in range(0, total, rows_per_file):
                yield PlannedShard(number, view, first // rows_per_file, first, min(rows_per_file, total - first))
                number += 1


def plan_embeddings(inputs: SplitInputs, settings: ClipSettings) -> EmbeddingPlan:
    """Distinct texts, and the position variants that each photo's sentences ask for.

    Raises:
        StoreMismatchError: The tables do not belong together, or the masks belong to expressions.
    """
    expressions, text = inputs.dataset.expressions, inputs.text
    if len(text) != len(expressions.sentence):
        raise StoreMismatchError(
            f"text: has {len(text)} rows, the dataset has {len(expressions.sentence)} expressions; run `dvc repro`"
        )
    if inputs.proposals.per_expression:
        raise StoreMismatchError("proposals: their masks belong to expressions; CLIP embeds masks of photos only")
    row_of: dict[str, int] = {}
    columns = {"sentence_row": expressions.sentence, "root_row": text.root.text, "subject_row": text.subject.text}
    text_rows = {
        name: np.array([row_of.setdefault(value, len(row_of)) for value in column], dtype=np.int32)
        for name, column in columns.items()
    }
    images = range(len(inputs.dataset.images.path))
    counts = [len(inputs.proposals.rows_of_image(image)) for image in images]

    def rows_under(ramps: Sequence[Ramp]) -> ViewRows:
        used = []
        for image in images:
            part = inputs.dataset.expressions_of(image)
            span = slice(part.start, part.stop)
            used.append(occurring_variants(ramps, text.direction[span], text.direction_released[span]))
        return plan_rows(used, counts)

    views = {"local": rows_under(settings.local_ramps), "global": rows_under(settings.global_ramps)}
    return EmbeddingPlan(list(row_of), text_rows, views)
