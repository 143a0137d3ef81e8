"""Extraction as a job of the engine: what a worker needs to compute shards, wherever it runs."""

from collections.abc import Iterator
from contextlib import chdir, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from refdiff.diffusion.background import WriteBehind
from refdiff.diffusion.extractor import AttentionExtractor
from refdiff.diffusion.facts import digest_asked, digest_shard, environment_facts
from refdiff.diffusion.latent_pool import LatentPool
from refdiff.diffusion.pipeline_files import identify_pipeline
from refdiff.diffusion.plan import CapturePlan, plan_capture
from refdiff.diffusion.settings import CaptureSettings, ExtractAttentionSettings
from refdiff.diffusion.shards import (
    Sentences,
    ShardMaps,
    check_tokens,
    compute_shards,
    read_sentences,
)
from refdiff.engine.queue import lock_of
from refdiff.errors import StoreMismatchError
from refdiff.layout import SplitLayout
from refdiff.store.agreement import check_agreement
from refdiff.store.attention_writer import AttentionLayout, AttentionWriter
from refdiff.store.work import WorkFolder, marker_of, translate_write_errors


@dataclass(frozen=True, slots=True)
class ExtractJob:
    """A capture of a split in the making.

    Attributes:
        folder: The work folder, absolute. Its name has the fingerprint of what all shards depend on.
        sentences: Digest of what is asked of the split, as a worker that stays keeps what it loaded for equal jobs.
        root: The project's folder, absolute.
        started_in: Where the run was started, absolute: folders of models in params.yaml are relative to it.
        split: The split's name.
        capture: Its row of params.yaml.
        settings: The stage's section.
        latents: The pool that the photos' latents are kept in, absolute; None where they are not kept. What a latent
            depends on is among the facts of the work folder, on which workers agree.
    """

    folder: Path
    sentences: str
    root: Path
    started_in: Path
    split: str
    capture: CaptureSettings
    settings: ExtractAttentionSettings
    latents: Path | None

    @property
    def layout(self) -> SplitLayout:
        """Where the split's artifacts lie, by absolute paths."""
        return SplitLayout(self.split, self.root)

    def is_done(self, shard: int) -> bool:
        """Whether a shard's marker is there."""
        return marker_of(self.folder, shard).is_file()

    def lock(self, shard: int) -> Path:
        """A lock of this store's own: no other has its sentences."""
        return lock_of(self.folder, shard)

    def describe(self, shard: int) -> str:
        """The images that a shard's sentences are about."""
        sentences = read_sentences(self.layout)
        start = shard * self.settings.store.shard_expressions
        images = sentences.image_index[start : start + self.settings.store.shard_expressions]
        return "images " + ", ".join(sentences.image_id[image] for image in dict.fromkeys(images.tolist()))

    def start(self) -> "ExtractRunner":
        """Load sentences and model.

        Raises:
            RefdiffError: A part is missing here, or is another than the store was begun with.
        """
        with chdir(self.started_in):
            return ExtractRunner(self)


class ExtractRunner:
    """The model, and the store that is written to."""

    def __init__(self, job: ExtractJob) -> None:
        """Load everything; the work folder is there, with the arrays in it."""
        identity = identify_pipeline(job.settings.model, job.settings.revision)
        self._work = WorkFolder.of(job.folder)
        check_agreement(self._work, environment_facts(identity, job.settings))
        self._capture = job.capture
        self._sentences = read_sentences(job.layout)
        _check_sentences(self._sentences, job)
        store = lay_out(self._sentences, plan_capture(identity, job.capture), job.settings)
        self._pool = job.latents
        self._writer = AttentionWriter.reopen(self._work.content, store)
        self._arrays = self._writer.describe_arrays()
        self._extractor = AttentionExtractor(job.settings, identity)
        check_tokens(self._sentences, self._extractor, job.layout.text)

    def run(self, shards: Iterator[int]) -> Iterator[int]:
        """Compute shards; one is written while the next is computed, and yielded when it is recorded.

        An error of a shard comes up after the shards before it were yielded.
        """
        asked = ((shard, self._writer.layout.expressions_of(shard)) for shard in shards)
        pool = None if self._pool is None else LatentPool(self._pool, self._capture.sample_posterior)
        written: int | None = None
        with (
            WriteBehind() as writing,
            closing(compute_shards(self._extractor, self._sentences, asked, self._capture, pool)) as computed,
        ):
            while True:
                failure: Exception | None = None
                found: tuple[int, ShardMaps] | None = None
                try:
                    found = next(computed, None)
                except Exception as error:  # noqa: BLE001 it is raised below, when it is this shard's turn
                    failure = error
                if written is not None:
                    writing.wait()
                    yield written
                    written = None
                if failure is not None:
                    raise failure
                if found is None:
                    return
                writing.submit(partial(self._keep, *found, pool))
                written = found[0]

    def _keep(self, shard: int, maps: ShardMaps, pool: LatentPool | None) -> None:
        if pool is not None:
            for latent in maps.latents:
                pool.keep(latent.photo, latent.image_id, latent.values)
        rows = self._writer.layout.expressions_of(shard)
        inputs = digest_shard(shard, rows, self._sentences, self._work.fingerprint, self._arrays)
        with translate_write_errors(self._work.path):
            self._work.record(shard, self._writer.write_shard(shard, maps.cross, maps.self_attention), inputs)


def lay_out(sentences: Sentences, plan: CapturePlan, settings: ExtractAttentionSettings) -> AttentionLayout:
    """The shape of a capture's store."""
    return AttentionLayout(
        sentences.tokens,
        len(sentences.image_id),
        plan.cross_keys,
        plan.self_keys,
        settings.store.shard_expressions,
        settings.store.chunk_expressions,
        settings.store.chunk_tokens,
        settings.store.compression_level,
    )


def _check_sentences(sentences: Sentences, job: ExtractJob) -> None:
    """See that the tables of the split are still those of the run that sent the job.

    Raises:
        StoreMismatchError: They were written anew.
    """
    if digest_asked(sentences) != job.sentences:
        raise StoreMismatchError(
            f"{job.layout.dataset}: a worker reads other sentences than the run that sent its work; expected one "
            "dataset for all, that stays while they run; run the same command again"
        )
