"""Embeddings of a split as a job of the engine: what a worker needs to compute batches, wherever it runs."""

from collections.abc import Iterator, Mapping
from contextlib import chdir
from dataclasses import dataclass
from importlib.metadata import version
from itertools import takewhile
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from refdiff.clip.checkpoint import identify_checkpoint
from refdiff.clip.embedder import ClipEmbedder
from refdiff.clip.photo_pool import COLUMNS, LEFT_OUT, RAMPS, PhotoEmbedder
from refdiff.clip.photo_pool import gather_facts as gather_photo_facts
from refdiff.clip.plan import EmbeddingPlan, SplitInputs, plan_embeddings
from refdiff.clip.settings import ClipSettings
from refdiff.clip.shard_maker import ShardMaker
from refdiff.dataset.tables import read_dataset
from refdiff.engine.photos import PhotoJob
from refdiff.engine.queue import lock_of
from refdiff.layout import SplitLayout
from refdiff.proposals.tables import read_proposals
from refdiff.source_code import StageCode
from refdiff.store.agreement import check_agreement
from refdiff.store.fingerprint import digest_facts
from refdiff.store.work import WorkFolder, marker_of, translate_write_errors
from refdiff.text.tables import read_text

# Their versions may move the bytes of a store's files.
LIBRARIES = ("zarr", "numcodecs")

# From the tables of a split to the files of its store.
CODE = StageCode("clip/job.py")

# The marker of the texts in the work folder; those of the files of views follow it.
TEXTS = 0


@dataclass(frozen=True, slots=True)
class EmbedJob(PhotoJob):
    """Views of a split's photos, which go into the pool, and behind them, as one shard, its texts.

    Attributes:
        root: The project's folder, absolute.
        started_in: Where the run was started, absolute: folders of models in params.yaml are relative to it.
        split: The split's name.
        source: The proposal source.
        settings: The section `embed_clip`.
    """

    root: Path
    started_in: Path
    split: str
    source: str
    settings: ClipSettings

    columns: ClassVar[pa.Schema] = COLUMNS

    def is_done(self, shard: int) -> bool:
        """Whether a batch is in the pool, or the texts are in the work folder."""
        if self.is_texts(shard):
            return marker_of(self.folder, TEXTS).is_file()
        return self.batches.is_done(shard)

    def lock(self, shard: int) -> Path:
        """The lock of the batch's bucket; the texts are this store's own."""
        return lock_of(self.folder, shard) if self.is_texts(shard) else self.batches.lock(shard)

    def describe(self, shard: int) -> str:
        """The images of a batch."""
        return "the texts" if self.is_texts(shard) else self.batches.describe(shard)

    def is_texts(self, shard: int) -> bool:
        """Whether this is the shard behind the batches."""
        return shard == len(self.batches)

    def start(self) -> "EmbedRunner":
        """Load tables and model.

        Raises:
            RefdiffError: A part is missing here, or is another than the store was begun with.
        """
        with chdir(self.started_in):
            return EmbedRunner(self)


class EmbedRunner:
    """The model, and the tables of the split."""

    def __init__(self, job: EmbedJob) -> None:
        """Load everything; the work folder is there."""
        settings = job.settings
        inputs = read_inputs(SplitLayout(job.split, job.root), job.source)
        plan = plan_embeddings(inputs, settings)
        photo_facts = gather_photo_facts(settings, identify_checkpoint(settings.model, settings.pretrained))
        self._work = WorkFolder.of(job.folder)
        check_agreement(self._work, gather_facts(inputs, plan, settings, photo_facts))
        self._job = job
        self._embedder = ClipEmbedder(settings)
        self._photos = PhotoEmbedder(inputs, self._embedder)
        self._maker = ShardMaker(plan, settings.rows_per_file, self._work.content)

    def run(self, shards: Iterator[int]) -> Iterator[int]:
        """Compute batches, the next photo being read meanwhile, and the texts, which come last."""
        texts: list[int] = []

        def is_batch(shard: int) -> bool:
            if self._job.is_texts(shard):
                texts.append(shard)
            return not texts

        yield from self._job.batches.run(takewhile(is_batch, shards), self._photos.load, self._photos.embed)
        for shard in texts:
            with translate_write_errors(self._work.path):
                self._work.record(TEXTS, self._maker.make_texts(self._embedder))
            yield shard


def read_inputs(layout: SplitLayout, source: str) -> SplitInputs:
    """The tables of a split.

    Raises:
        StoreError: One is missing or is another.
    """
    return SplitInputs(
        dataset=read_dataset(layout.dataset),
        text=read_text(layout.text),
        proposals=read_proposals(layout.proposals(source)),
        root=layout.root,
    )


def gather_facts(
    inputs: SplitInputs,
    plan: EmbeddingPlan,
    settings: ClipSettings,
    photo_facts: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything that the store's values depend on.

    Args:
        inputs: Tables of the split.
        plan: What is embedded.
        settings: The section `embed_clip`.
        photo_facts: What the views of a photo depend on beside the photo and its masks.
    """
    images = inputs.dataset.images
    photos = [list(pair) for pair in zip(images.image_id, images.sha256, strict=True)]
    masks = [code.decode("ascii") for code in inputs.proposals.counts]
    return {
        **photo_facts,
        "parameters": settings.model_dump(mode="json", exclude=LEFT_OUT - {"rows_per_file", *RAMPS}),
        "inputs": {
            "photos": digest_facts(photos),
            "masks": digest_facts([inputs.proposals.image_index.tolist(), masks]),
            "texts": digest_facts([plan.texts, *(rows.tolist() for rows in plan.text_rows.values())]),
            "rows": digest_facts({view: [rows.variants, rows.start.tolist()] for view, rows in plan.views.items()}),
        },
        "versions": {**photo_facts["versions"], **{library: version(library) for library in LIBRARIES}},
        "code": CODE.digest(),
    }
